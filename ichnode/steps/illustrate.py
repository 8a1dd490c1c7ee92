"""Illustrate: the heat maps and pictures of an answer that has been given. Runs in the worker, after all that waits.

The answer itself never waits for them. What is needed is in the worker's memory if it has just read the series; if not
(it was ended meanwhile, or had others to read), the series is read again.
"""

from __future__ import annotations

import threading
import time
from datetime import timedelta

from ichnode.inference.reader import SeriesReader
from ichnode.log import get_logger
from ichnode.reporting.formats import FORMATS
from ichnode.steps.assemble import look_at
from ichnode.steps.attempt import attempt
from ichnode.steps.interpret import Interpretation, interpret, with_heat
from ichnode.steps.node import Node
from ichnode.steps.report import answer_of, kept_heat, made, model_facts
from ichnode.worklist import jobs, results
from ichnode.worklist.jobs import Job
from ichnode.worklist.results import Unillustrated

PATIENCE_S = 60.0
"""After which pictures go before the next analysis, so that they come on a day without a pause."""
MOST_KEPT = 2
"""Readings kept for their pictures; each may hold some hundred megabytes."""
log = get_logger(__name__)


class Readings:
    """The series that were read last, each with the engine that read it, until their pictures are made."""

    def __init__(self, most: int = MOST_KEPT) -> None:
        self._most, self._lock = most, threading.Lock()
        self._kept: dict[tuple[int, int], tuple[SeriesReader, Interpretation]] = {}

    def keep(self, job: Job, engine: SeriesReader, read: Interpretation) -> None:
        """Keep what was read of a series; the oldest goes when there are too many."""
        with self._lock:
            self._kept[job.series_id, job.revision] = engine, read
            while len(self._kept) > self._most:
                del self._kept[next(iter(self._kept))]

    def take(self, job: Job) -> tuple[SeriesReader, Interpretation] | None:
        """Return what was kept, and forget it."""
        with self._lock:
            return self._kept.pop((job.series_id, job.revision), None)


def pictures_are_late(node: Node) -> bool:
    """Tell whether pictures have waited so long that they go before the next analysis."""
    with node.worklist.read() as tx:
        return jobs.has_waited(tx, "illustrate", node.now() - timedelta(seconds=PATIENCE_S))


def illustrate_next(node: Node, engine: SeriesReader, owner: str, readings: Readings) -> bool:
    """Make the pictures of the answer that has waited longest for them.

    Returns
    -------
    bool
        Whether there was one.

    Raises
    ------
    PermanentError
        As `attempt`.
    """
    with node.worklist.write() as tx:
        job = jobs.claim_job(tx, node.now(), "illustrate", owner, *node.claiming)
    if job is None:
        return False
    attempt(node, job, "making of pictures", lambda: _illustrate(node, engine, job, readings))
    return True


def _illustrate(node: Node, engine: SeriesReader, job: Job, readings: Readings) -> None:
    kept = readings.take(job)
    with node.worklist.read() as tx:
        of = results.unillustrated(tx, job)
    if of is None:  # superseded or taken back: nobody is to see it
        with node.worklist.write() as tx:
            results.illustrate(tx, node.now(), job, None, {}, [], {}, None)
        return
    reader, read = kept if kept and kept[0].bundle.digest == of.model_digest else _read_again(node, engine, job, of)
    read = with_heat(reader, read)
    begun = time.perf_counter()
    wanted = node.wanted_formats
    formats = [FORMATS[name] for name in wanted if FORMATS[name].shows]
    answer = answer_of(node, job, of.outcome, model_facts(reader.bundle), read.images)
    pictures = made(node, job, formats, answer, of.edition, of.older)
    heat_file = kept_heat(node, read.images)
    seconds = {"explain": read.seconds.get("explain", 0.0), "pictures": time.perf_counter() - begun}
    with node.worklist.write() as tx:
        done = results.illustrate(tx, node.now(), job, of, seconds, pictures, wanted, heat_file)
    log.info(
        "result.illustrated" if done else "result.not_illustrated", series=job.series_id, revision=job.revision,
        pictures=len(pictures), seconds={name: round(value, 3) for name, value in seconds.items()},
    )  # fmt: skip


def _read_again(node: Node, engine: SeriesReader, job: Job, of: Unillustrated) -> tuple[SeriesReader, Interpretation]:
    """Read a series anew, by the model that has answered it."""
    if engine.bundle.digest != of.model_digest:
        from ichnode.steps.load import load_engine

        engine = load_engine(node.settings, node.models.path(of.model_digest))
    look = look_at(tuple(filed.slice for filed in job.filed), node.selection)
    files = [node.spool.path(filed.file) for filed in job.filed]
    return engine, interpret(engine, look, files, job.missing, job.conflicts)
