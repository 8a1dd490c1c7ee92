"""Analyse: claim the series that has waited longest, interpret it, file the outcome. Runs in the worker process."""

from __future__ import annotations

from ichnode.core.reasons import reason_of
from ichnode.errors import IchnodeError, PermanentError, TransientError
from ichnode.inference.engine import Engine
from ichnode.log import get_logger, place_of
from ichnode.steps.assemble import look_at
from ichnode.steps.interpret import interpret
from ichnode.steps.node import Node
from ichnode.steps.report import file_outcome, put_back
from ichnode.worklist import jobs
from ichnode.worklist.jobs import Job

log = get_logger(__name__)


def analyse_next(node: Node, engine: Engine, owner: str) -> bool:
    """Analyse one series.

    Parameters
    ----------
    owner : str
        Identity of the worker, ``<boot id>/<worker>``; the lease is in its name.

    Returns
    -------
    bool
        Whether there was a job.

    Raises
    ------
    PermanentError
        Something nobody foresaw. The job is put back; the process should end, since a GPU that failed once, say, would
        cost every other series its attempts as well.
    """
    with node.worklist.write() as tx:
        job = jobs.claim_job(tx, node.now(), "analyse", owner, node.settings.engine.lease_s)
    if job is None:
        return False
    log.info(
        "analysis.begins", series=job.series_id, revision=job.revision, slices=len(job.filed), attempt=job.attempts
    )
    try:
        _analyse(node, engine, job)
    except TransientError as error:
        put_back(node, job, error)
    except IchnodeError as error:
        with node.worklist.write() as tx:
            jobs.fail(tx, node.now(), job, error.sentence, reason_of(error.code, error.sentence))
        log.error("analysis.failed", series=job.series_id, code=error.code, remedy=error.sentence)
    except Exception as error:  # noqa: BLE001
        # The worker's loop: what nobody foresaw costs this series an attempt. The type only: the text of a foreign
        # error may quote the data set.
        sentence = f"An unexpected {type(error).__name__} ended the analysis."
        put_back(node, job, TransientError(sentence, "UNEXPECTED"))
        log.error(
            "analysis.unexpected", series=job.series_id, at=place_of(error), remedy=f"{sentence} Report this line."
        )
        raise PermanentError(sentence, "UNEXPECTED") from None
    return True


def _analyse(node: Node, engine: Engine, job: Job) -> None:
    look = look_at(tuple(f.slice for f in job.filed), node.selection)
    files = [node.spool.path(f.file) for f in job.filed]
    interpretation = interpret(engine, look, files, job.missing, job.conflicts)
    file_outcome(node, job, interpretation.outcome, engine.bundle, interpretation.seconds, interpretation.images)
