"""Attempt: work on a claimed job in the worker process, whose end is filed however it comes about."""

from __future__ import annotations

from collections.abc import Callable

from ichnode.core.reasons import reason_of
from ichnode.errors import IchnodeError, PermanentError, TransientError
from ichnode.log import get_logger, place_of
from ichnode.steps.node import Node
from ichnode.steps.report import put_back
from ichnode.worklist import jobs
from ichnode.worklist.jobs import Job

log = get_logger(__name__)


def attempt(node: Node, job: Job, name: str, work: Callable[[], None]) -> None:
    """Do the work of a job; a failure that passes puts it back, one that stays ends it.

    Parameters
    ----------
    name : str
        Of the work, in the log and in a sentence: ``analysis``.

    Raises
    ------
    PermanentError
        Something nobody foresaw. The job is put back; the process should end, since a GPU that failed once, say, would
        cost every other series its attempts as well.
    """
    try:
        work()
    except TransientError as error:
        put_back(node, job, error)
    except IchnodeError as error:
        with node.worklist.write() as tx:
            jobs.fail(tx, node.now(), job, error.sentence, reason_of(error.code, error.sentence))
        log.error("job.failed", work=name, series=job.series_id, code=error.code, remedy=error.sentence)
    except Exception as error:  # noqa: BLE001
        # The worker's loop: what nobody foresaw costs this series an attempt. The type only: the text of a foreign
        # error may quote the data set.
        sentence = f"An unexpected {type(error).__name__} ended the {name}."
        put_back(node, job, TransientError(sentence, "UNEXPECTED"))
        log.error(
            "job.unexpected", work=name, series=job.series_id, at=place_of(error),
            remedy=f"{sentence} Report this line.",
        )  # fmt: skip
        raise PermanentError(sentence, "UNEXPECTED") from None
