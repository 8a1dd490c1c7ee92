"""Analyse: claim the series that has waited longest, interpret it, file the outcome. Runs in the worker process."""

from __future__ import annotations

from ichnode.inference.reader import SeriesReader
from ichnode.log import get_logger
from ichnode.reporting.formats import FORMATS
from ichnode.steps.ahead import Ahead
from ichnode.steps.assemble import look_at
from ichnode.steps.attempt import attempt
from ichnode.steps.illustrate import Readings
from ichnode.steps.interpret import interpret
from ichnode.steps.node import Node
from ichnode.steps.report import file_outcome
from ichnode.worklist import jobs
from ichnode.worklist.jobs import Job

log = get_logger(__name__)


def analyse_next(
    node: Node, engine: SeriesReader, owner: str, readings: Readings | None = None, ahead: Ahead | None = None
) -> bool:
    """Analyse one series. What its answer says is filed at once; what it shows is `ichnode.steps.illustrate`'s.

    Parameters
    ----------
    owner : str
        Identity of the worker, ``<boot id>/<worker>``; the lease is in its name.
    readings : Readings, optional
        Where what was read is kept until its pictures are made.
    ahead : Ahead, optional
        Where the next series is made ready meanwhile.

    Returns
    -------
    bool
        Whether there was a job.

    Raises
    ------
    PermanentError
        As `attempt`.
    """
    with node.worklist.write() as tx:
        job = jobs.claim_job(tx, node.now(), "analyse", owner, *node.claiming)
    if job is None:
        if ahead is not None:
            ahead.drop()
        return False
    log.info(
        "analysis.begins", series=job.series_id, revision=job.revision, slices=len(job.filed), attempt=job.attempts
    )
    attempt(node, job, "analysis", lambda: _analyse(node, engine, job, readings, ahead))
    return True


def _analyse(node: Node, engine: SeriesReader, job: Job, readings: Readings | None, ahead: Ahead | None) -> None:
    loaded = None
    if ahead is not None:
        loaded = ahead.take(job)
        ahead.begin(engine)
    look = look_at(tuple(f.slice for f in job.filed), node.selection)
    files = [node.spool.path(f.file) for f in job.filed]
    read = interpret(engine, look, files, job.missing, job.conflicts, loaded)
    shown = read.reading is not None and (read.explained or any(FORMATS[name].shows for name in node.wanted_formats))
    keeping = readings if shown else None
    if keeping is not None:
        keeping.keep(job, engine, read)  # before the job of its pictures is there: another thread may take that at once
    done = False
    try:
        done = file_outcome(
            node, job, read.outcome, engine.bundle, read.seconds, read.images, pictures_follow=bool(shown),
            read_by=engine.computed_by,
        )  # fmt: skip
    finally:
        if keeping is not None and not done:
            keeping.take(job)
