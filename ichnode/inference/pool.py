"""The pool's workers as the node sees them: asked for, ready, given a series each, lost. All have one bundle.

Nothing here is the only copy of anything: the volume is in the spool, the job in the worklist. A pool that is gone is
made again, and what its workers had in hand is read by others.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import ray
from numpy.typing import NDArray
from ray.exceptions import RayError, RayTaskError

from ichnode import __version__
from ichnode.core.hounsfield import Decode
from ichnode.core.workforce import Limits, wanted
from ichnode.engine_section import EngineSection
from ichnode.errors import BundleError, IchnodeError, Interrupted, TransientError, WorkerLost
from ichnode.inference.bundle import CARD, WEIGHTS, Bundle
from ichnode.inference.cluster import answers
from ichnode.inference.pool_worker import About, PoolReading, PoolWorker
from ichnode.log import get_logger
from ichnode.pool_section import PoolSection

ASKED_AGAIN_S = 5.0
"""An idle worker is asked as often whether it is still there, so that no series finds out."""
HIRED_AGAIN_S = 10.0
"""After a worker that could not load its bundle."""
PLACED_AGAIN_S = 2.0
"""After a worker that ended before it was ready: it was placed on a machine that nobody knew to be lost."""
FETCH_S = 30.0
"""For an answer that is made to come here."""
POLL_S = 0.5
_REMOTE = ray.remote(PoolWorker)
"""Made once: what is new is told to the head, and who asks waits a minute for a head that is gone."""
log = get_logger(__name__)


@dataclass(eq=False)
class _Worker:
    """`answer` is what it was asked last and has not answered yet; it is ready once it has said where it is."""

    actor: Any
    gpu: bool
    answer: Any
    about: About | None = None
    busy: bool = False
    since: float = field(default_factory=time.monotonic)
    asked: float = field(default_factory=time.monotonic)


class Pool:
    """Workers with one bundle. `look` and `close` are for one thread; series are read in as many as like to.

    Parameters
    ----------
    section : PoolSection
        The limits.
    computing : EngineSection
        Runtime and precision that a worker may use.
    bundle : Bundle
        Which every worker gets through the object store, and without which none answers.
    """

    def __init__(self, section: PoolSection, computing: EngineSection, bundle: Bundle) -> None:
        self.bundle = bundle
        self.address = section.address
        self.ended: Interrupted | None = None
        self._section, self._computing = section, computing
        self._limits = Limits(section.gpu_workers, section.cpu_workers, section.least_workers)
        self._files = ray.put({name: (bundle.folder / name).read_bytes() for name in (WEIGHTS, CARD)})
        self._workers: list[_Worker] = []
        self._changed = threading.Condition()
        self._hire_from = 0.0

    def look(self, series: int) -> None:
        """Notice who became ready and who is gone, and ask the cluster for as many workers as `series` need."""
        with self._changed:
            for worker in [w for w in self._workers if not w.busy]:
                self._ask(worker)
            force = wanted(series, sum(1 for w in self._workers if w.gpu and w.about), self._limits)
            for gpu, number in ((True, force.gpu), (False, force.cpu)):
                there = [w for w in self._workers if w.gpu is gpu]
                if time.monotonic() >= self._hire_from:
                    self._workers += [self._hire(gpu) for _ in range(number - len(there))]
                self._give_back(there, number)
            self._changed.notify_all()

    def ready(self) -> list[About]:
        """Return the workers that can read."""
        with self._changed:
            return [w.about for w in self._workers if w.about is not None]

    def close(self, why: Interrupted, *, away: bool = False) -> None:
        """Give all workers back; whoever waits for one is told `why`. A cluster that is away is asked nothing."""
        with self._changed:
            self.ended = why
            for worker in [] if away else self._workers:
                _end(worker)
            self._workers.clear()
            self._changed.notify_all()

    def take(self, deadline: float) -> _Worker:
        """Wait for a worker; one with a GPU is preferred."""
        with self._changed:
            while True:
                if self.ended is not None:
                    raise self.ended
                free = [w for w in self._workers if w.about is not None and not w.busy]
                if free:
                    chosen = max(free, key=lambda w: w.gpu)
                    chosen.busy = True
                    return chosen
                if time.monotonic() > deadline:
                    raise Interrupted("No worker of the pool had time.", "POOL_FULL")
                self._changed.wait(POLL_S)

    def put(self, worker: _Worker, *, lost: bool = False) -> None:
        """Give a worker back to the others; a lost one is ended, and another one asked for."""
        with self._changed:
            worker.busy, worker.since = False, time.monotonic()
            if lost and self.ended is None:
                self._workers.remove(worker)
                _end(worker)
            self._changed.notify_all()

    def _hire(self, gpu: bool) -> _Worker:
        cores = 1 if gpu else self._section.cpus_per_worker
        how = {"num_cpus": cores, "num_gpus": 1 if gpu else 0, "max_restarts": 0, "max_task_retries": 0}
        actor = _REMOTE.options(**how).remote()
        device = "cuda" if gpu else "cpu"
        runtime, precision = self._computing.runtime, self._computing.precision
        answer = actor.load.remote(
            __version__, self.bundle.digest, self._files, device, cores, runtime, precision
        )  # fmt: skip
        return _Worker(actor, gpu, answer)

    def _give_back(self, there: Sequence[_Worker], number: int) -> None:
        """End those that are too many: first who is not there yet, then who has had nothing to do for long."""
        patience = time.monotonic() - self._section.idle_s
        spare = [w for w in there if not w.busy and (w.about is None or w.since < patience)]
        spare.sort(key=lambda w: (w.about is not None, w.since))
        for worker in spare[: max(len(there) - number, 0)]:
            self._workers.remove(worker)
            _end(worker)

    def _ask(self, worker: _Worker) -> None:
        now = time.monotonic()
        if worker.answer is None:
            if now - worker.asked > ASKED_AGAIN_S:
                worker.answer, worker.asked = worker.actor.about.remote(), now
            return
        if not ray.wait([worker.answer], timeout=0)[0]:
            return
        try:
            said = ray.get(worker.answer, timeout=FETCH_S)
        except RayError as error:
            self._workers.remove(worker)
            _end(worker)
            if worker.about is None:  # it cannot begin: another one at once would not, either
                self._hire_from = now + (HIRED_AGAIN_S if isinstance(error, RayTaskError) else PLACED_AGAIN_S)
            cause = error.cause if isinstance(error, RayTaskError) else error
            said = (
                cause.sentence if isinstance(cause, IchnodeError) else f"{type(cause).__name__}: another is asked for"
            )
            log.error("pool.worker_lost", place=worker.about.place if worker.about else None, remedy=said)
            return
        worker.answer = None
        if worker.about is None:
            worker.since = now
            log.info("pool.worker_ready", place=said.place, digest=said.digest[:12])
        worker.about = said


class PoolEngine:
    """One series' way through the pool; see `ichnode.inference.reader.SeriesReader`.

    Parameters
    ----------
    longest_s : float
        From now until an answer is not waited for any more.
    """

    def __init__(self, pool: Pool, longest_s: float, decode: Decode | None = None) -> None:
        self.decode = decode
        self.bundle = pool.bundle
        self.computed_by = ""
        self._pool = pool
        self._deadline = time.monotonic() + longest_s

    def prepare(
        self, volume_hu: NDArray[np.int16], positions_mm: Sequence[float], pixel_spacing_mm: tuple[float, float]
    ) -> None:
        """Leave that to the machine that reads."""

    def read(
        self, volume_hu: NDArray[np.int16], positions_mm: Sequence[float], pixel_spacing_mm: tuple[float, float],
        prepared: None = None,
    ) -> PoolReading:  # fmt: skip
        """Score every slice, and explain; it is prepared where it is read.

        Raises
        ------
        Interrupted
            The pool was closed: another model became active, or the cluster is away.
        WorkerLost
            The worker ended, or took too long.
        TransientError
            The object store takes nothing, or it failed in a way that nobody foresaw.
        BadObject
            As `ichnode.inference.engine.Engine.read`.
        """
        try:
            volume = ray.put(volume_hu)
        except RayError as error:
            if not answers(self._pool.address):
                raise Interrupted(f"The pool takes no volume ({type(error).__name__}).", "POOL_AWAY") from None
            sentence = f"The pool's object store takes no volume ({type(error).__name__}): raise pool.store_bytes."
            raise TransientError(sentence, "POOL_STORE_FULL") from None
        worker = self._pool.take(self._deadline)
        lost = True
        try:
            answer = worker.actor.read.remote(self.bundle.digest, volume, list(positions_mm), pixel_spacing_mm)
            log.info("pool.series_given", place=worker.about.place if worker.about else None, slices=len(volume_hu))
            reading = self._wait(answer)
            lost = False
        except BundleError as error:  # it has another model: it is no worker of this pool
            raise WorkerLost(error.sentence, "POOL_WRONG_MODEL") from None
        except IchnodeError as error:
            lost = isinstance(error, TransientError)
            raise
        finally:
            self._pool.put(worker, lost=lost)
        self.computed_by = reading.place
        return reading

    def activations(self, reading: PoolReading, wanted: Sequence[tuple[int, int]]) -> NDArray[np.float32]:
        """Return the heat maps that came with the reading."""
        return np.stack([reading.maps[place] for place in wanted])

    def _wait(self, answer: Any) -> PoolReading:
        while not ray.wait([answer], timeout=POLL_S)[0]:
            if self._pool.ended is not None:
                raise self._pool.ended
            if time.monotonic() > self._deadline:
                raise WorkerLost("A worker of the pool took longer than engine.lease_s allows.", "POOL_WORKER_SLOW")
        if self._pool.ended is not None:
            raise self._pool.ended
        try:
            reading: PoolReading = ray.get(answer, timeout=FETCH_S)
        except RayTaskError as error:
            if isinstance(error.cause, IchnodeError):
                raise error.cause from None
            sentence = f"An unexpected {type(error.cause).__name__} ended the analysis in the pool."
            raise TransientError(sentence, "UNEXPECTED") from None
        except RayError as error:
            if not answers(self._pool.address):
                raise Interrupted("The cluster went away in the middle.", "POOL_AWAY") from None
            raise WorkerLost(f"A worker of the pool ended in the middle ({type(error).__name__}).") from None
        if reading.digest != self.bundle.digest:
            raise WorkerLost(f"A worker answered with the model {reading.digest[:12]}.", "POOL_WRONG_MODEL")
        return reading


def _end(worker: _Worker) -> None:
    ray.kill(worker.actor)
