"""The lab as a child process: lowest priority, an end in time, its progress told; nothing it does can end the node."""

from __future__ import annotations

import contextlib
import fcntl
import importlib.metadata
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from ichnode.errors import PermanentError

Told = Callable[[str, int, int], None]
"""Told a stage's name, how much is done, and of how much."""
GRACE_S = 1.0
TOLD_AGAIN_S = 30.0


def paced(say: Told, every_s: float = TOLD_AGAIN_S) -> Told:
    """Return what lets through the beginning and end of every stage, and in between a line every `every_s` seconds."""
    last, at = "", 0.0

    def told(stage: str, done: int, of: int) -> None:
        nonlocal last, at
        if stage != last or done == of or time.monotonic() - at >= every_s:
            last, at = stage, time.monotonic()
            say(stage, done, of)

    return told


def check_lab() -> None:
    """Refuse where the packages of the lab are not installed.

    Raises
    ------
    PermanentError
        ``NO_LAB``, with the command that installs them.
    """
    wanted = [
        line for line in importlib.metadata.requires("ichnode") or () if re.search(r"extra == ['\"]lab['\"]", line)
    ]
    missing = []
    for line in wanted:
        name = re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0]
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        raise PermanentError(
            f"The lab is not installed ({', '.join(missing)} missing): pip install 'ichnode[lab]'.", "NO_LAB"
        )


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the lab of a data folder: one run at a time.

    Raises
    ------
    PermanentError
        ``LAB_BUSY``: another run is going on.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / "lock").open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PermanentError("A run of the lab is going on already: wait for its end.", "LAB_BUSY") from None
        yield


def run_lab(command: str, folder: Path, timeout_s: float, threads: int, told: Told, stopping: threading.Event) -> None:
    """Run ``python -m ichnode_training COMMAND FOLDER`` to its end.

    Parameters
    ----------
    folder : Path
        Of the run; it holds what the command reads and gets what it writes. ``log.txt`` is its standard error.
    stopping : threading.Event
        Set to end it early.

    Raises
    ------
    PermanentError
        It did not come to a good end; the sentence says why.
    """
    env = {**os.environ, "OMP_WAIT_POLICY": "passive", "OMP_NUM_THREADS": str(threads)}
    own_session = True  # so that all it starts ends with it
    said: dict[str, object] = {}
    with (folder / "log.txt").open("ab") as log, subprocess.Popen(
        [sys.executable, "-m", "ichnode_training", command, str(folder)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=own_session, env=env,
    ) as child:  # fmt: skip
        ended_by: list[str] = []
        over = threading.Event()
        watch = threading.Thread(target=_watch, args=(child, timeout_s, stopping, over, ended_by), daemon=True)
        watch.start()
        assert child.stdout is not None
        try:
            for line in child.stdout:
                said = _told(line, told) or said
            child.wait()
        except BaseException:
            _end(child)
            raise
        finally:
            over.set()
            watch.join()
    if ended_by:
        raise PermanentError(ended_by[0], "LAB_ENDED")
    if child.returncode != 0:
        why = said.get("error") or f"It ended with code {child.returncode}; {folder / 'log.txt'} has its last words."
        raise PermanentError(f"The run of the lab failed. {why}", "LAB_FAILED")


def _told(line: str, told: Told) -> dict[str, object]:
    with contextlib.suppress(ValueError):
        said = json.loads(line)
        if isinstance(said, dict) and "stage" in said:
            told(str(said["stage"]), int(said["done"]), int(said["of"]))
            return {}
        if isinstance(said, dict):
            return said
    return {}


def _watch(
    child: subprocess.Popen[str], timeout_s: float, stopping: threading.Event, over: threading.Event, why: list[str]
) -> None:
    end = time.monotonic() + timeout_s
    while not over.wait(0.2):
        if stopping.is_set():
            why.append("The run of the lab was ended because the node stops.")
        elif time.monotonic() > end:
            why.append(f"The run of the lab took longer than retrain.timeout_s ({timeout_s:g} s) and was ended.")
        if why:
            _end(child)
            return


def _end(child: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(GRACE_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
