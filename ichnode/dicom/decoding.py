"""Compressed pixels for whoever must not die of them: decoded in child processes with a bound on memory and time.

Decoders are native code that reads what anybody may have sent. In the worker a crash costs one job; the node process,
where pages are made, asks a child (`ichnode.decoder`), and a crash there costs one picture.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ichnode.core.findings import Warned
from ichnode.core.hounsfield import Decoded
from ichnode.dicom.syntaxes import UNCOMPRESSED
from ichnode.errors import BadObject
from ichnode.log import get_logger

log = get_logger(__name__)

_MOST_HEADER = 4096
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}


class _Child:
    """One process that decodes; not shared by threads."""

    def __init__(self, memory_bytes: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ichnode.decoder", str(memory_bytes)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=os.environ | _ONE_THREAD,
        )  # fmt: skip

    def ask(self, path: Path, frames: Sequence[int], timeout_s: float) -> Decoded:
        """Return frames, and warnings; `OSError` when the child is gone or silent, `BadObject` as it says."""
        assert self.process.stdin is not None
        deadline = time.monotonic() + timeout_s
        self.process.stdin.write(json.dumps([str(path), list(frames)]).encode() + b"\n")
        self.process.stdin.flush()
        answer = bytearray()
        while (end := answer.find(b"\n")) < 0:
            answer += self._some(deadline, _MOST_HEADER)
        head, body = json.loads(answer[:end]), answer[end + 1 :]
        if "code" in head:
            raise BadObject(head["sentence"], head["code"])
        planes = np.empty(head["shape"], np.int16)
        view, filled = memoryview(planes.data).cast("B"), len(body)
        view[:filled] = body
        while filled < len(view):
            part = self._some(deadline, len(view) - filled)
            view[filled : filled + len(part)] = part
            filled += len(part)
        return planes, tuple(Warned(*one) for one in head["warned"])

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()

    def _some(self, deadline: float, most: int) -> bytes:
        assert self.process.stdout is not None
        poll = select.poll()  # `select` takes no descriptor from 1024 on
        poll.register(self.process.stdout, select.POLLIN | select.POLLHUP)
        if not poll.poll(max(deadline - time.monotonic(), 0) * 1000):
            raise TimeoutError("it takes too long")
        part = os.read(self.process.stdout.fileno(), min(most, 1 << 20))
        if not part:
            raise BrokenPipeError("it ended")
        return part


class Decoders:
    """Child processes that decode, started when they are needed.

    Parameters
    ----------
    most : int
        At once; who comes when all are busy waits.
    timeout_s : float
        Longest time for one request.
    memory_bytes : int
        Address space that a child may take.
    """

    def __init__(self, most: int = 2, timeout_s: float = 30.0, memory_bytes: int = 3 << 30) -> None:
        self._free = threading.Semaphore(most)
        self._timeout_s, self._memory_bytes = timeout_s, memory_bytes
        self._idle: list[_Child] = []
        self._lock = threading.Lock()
        weakref.finalize(self, _end_all, self._idle)

    def read_hounsfield(self, path: Path, frames: Sequence[int], transfer_syntax_uid: str) -> NDArray[np.int16]:
        """Return only the planes of `read`."""
        return self.read(path, frames, transfer_syntax_uid)[0]

    def read(self, path: Path, frames: Sequence[int], transfer_syntax_uid: str) -> Decoded:
        """Decode frames of one file to Hounsfield units, as `ichnode.dicom.pixels.read_hounsfield`.

        Uncompressed ones need no decoder and are read here.

        Raises
        ------
        BadObject
            As there; ``PIXELS_UNREADABLE`` too where the child ended or took too long.
        """
        if transfer_syntax_uid in UNCOMPRESSED:
            from ichnode.dicom.pixels import read_hounsfield  # and pydicom with it, which few commands need

            return read_hounsfield(path, frames)
        with self._free:
            child = self._take()
            try:
                decoded = child.ask(path, frames, self._timeout_s)
            except OSError as error:
                child.end()
                remedy = (
                    f"A slice in {transfer_syntax_uid} ended or held up its decoder ({error}): find out who sent it."
                )
                log.warning("decoder.ended", code="PIXELS_UNREADABLE", remedy=remedy)
                said = f"the decoder did not come through it ({error})"
                raise BadObject(f"The pixel data of a slice cannot be decoded: {said}.", "PIXELS_UNREADABLE") from error
            except BadObject:
                self._put(child)
                raise
            except BaseException:
                child.end()
                raise
            self._put(child)
            return decoded

    def close(self) -> None:
        """End the children that are idle; the next request would start one again."""
        with self._lock:
            _end_all(self._idle)

    def _take(self) -> _Child:
        with self._lock:
            while self._idle:
                child = self._idle.pop()
                if child.process.poll() is None:
                    return child
                child.end()
        return _Child(self._memory_bytes)

    def _put(self, child: _Child) -> None:
        with self._lock:
            self._idle.append(child)


def _end_all(children: list[_Child]) -> None:
    while children:
        children.pop().end()
