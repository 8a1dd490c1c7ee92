"""Ahead: the series that is likely to be next is decoded and prepared while the present one is computed.

Nothing is claimed for it, and what comes of it is a hint: it is used only where the very same files of the same
revision are claimed, and anything that goes wrong only loses it. Compressed pixels are decoded in children, so that one
that ends its decoder costs the series in hand nothing: what is left of the hint is thrown away, and the series has its
own attempts when its turn comes.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from ichnode.core.hounsfield import Decoded
from ichnode.dicom.decoding import Decoders
from ichnode.errors import IchnodeError, Interrupted, TransientError
from ichnode.inference.reader import SeriesReader
from ichnode.log import get_logger
from ichnode.steps.assemble import look_at
from ichnode.steps.interpret import Loaded, load
from ichnode.steps.node import Node
from ichnode.worklist import jobs
from ichnode.worklist.jobs import Coming, Job

MOST_LANES = 8
"""Children that decode; each takes about 100 MB."""
log = get_logger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class _Hint:
    coming: Coming
    stop: threading.Event
    loaded: Future[Loaded]


class Ahead:
    """At most one series, on its way to be computed or ready for it.

    Parameters
    ----------
    node : Node
    lanes : int
        Slices that are decoded at once.
    """

    def __init__(self, node: Node, lanes: int) -> None:
        self._node, self._lanes = node, lanes
        self._decoders = Decoders(lanes)
        self._thread = ThreadPoolExecutor(1, "ahead")
        self._hint: _Hint | None = None

    def begin(self, engine: SeriesReader) -> None:
        """Look which series would be claimed next, and begin with it; what is ready and still next stays."""
        node = self._node
        try:
            with node.worklist.read() as tx:
                coming = jobs.next_in_turn(tx, node.now(), "analyse", node.settings.engine.patience_s)
        except TransientError:
            coming = None
        if self._hint is not None and self._hint.coming == coming:
            return
        self.drop()
        if coming is not None and 0 < _size(coming) <= node.settings.engine.ahead_bytes:
            stop = threading.Event()
            self._hint = _Hint(coming, stop, self._thread.submit(self._load, engine, coming, stop))

    def take(self, job: Job) -> Loaded | None:
        """Return what is ready of a job's series, waiting for the rest of it; None where it is not this one."""
        hint = self._hint
        if hint is None or hint.coming != Coming(job.series_id, job.revision, job.filed):
            return None
        self._hint = None
        error = hint.loaded.exception()
        if error is None:
            return hint.loaded.result()
        code = error.code if isinstance(error, IchnodeError) else type(error).__name__
        log.info("ahead.in_vain", series=job.series_id, code=code)  # whoever loads it in its turn says why
        return None

    def drop(self) -> None:
        """Forget what was begun; its memory is free within the time of a slice."""
        if self._hint is not None:
            self._hint.stop.set()
            self._hint = None

    def close(self) -> None:
        """End what is being done, and the children."""
        self.drop()
        self._thread.shutdown(cancel_futures=True)
        self._decoders.close()

    def _load(self, engine: SeriesReader, coming: Coming, stop: threading.Event) -> Loaded:
        def decode(path: Path, frames: Sequence[int], syntax: str) -> Decoded:
            if stop.is_set():
                raise Interrupted("Another series goes first.", "NOT_NEXT")
            return self._decoders.read(path, frames, syntax)

        look = look_at(tuple(filed.slice for filed in coming.filed), self._node.selection)
        files = [self._node.spool.path(filed.file) for filed in coming.filed]
        loaded = load(look, files, decode, self._lanes)
        if loaded.empty is not None or stop.is_set():
            return loaded
        images, how = loaded.images, engine.bundle.preprocessing
        prepared = engine.prepare(images.volume, look.geometry.positions_mm, images.spacing_mm)
        return replace(loaded, prepared=prepared, prepared_by=how)


def lanes(device: str, cores: int) -> int:
    """Return how many slices to decode at once: a GPU reads a head in the time in which one core decodes few slices.

    On a CPU the cores are the network's.
    """
    return 1 if device == "cpu" else max(1, min(MOST_LANES, cores - 1))


def _size(coming: Coming) -> int:
    """Return the bytes of Hounsfield units that a series will be; 0 where its matrix is not known."""
    if not coming.filed:
        return 0
    first = coming.filed[0].slice
    return 2 * len(coming.filed) * (first.rows or 0) * (first.columns or 0)
