"""Report: turn an outcome into DICOM objects in the spool and commit them with the job's end."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from ichnode import __version__
from ichnode.core import heat
from ichnode.core.findings import Outcome, Verdict
from ichnode.core.identity import derived_uid, digest_of
from ichnode.core.images import SeriesImages
from ichnode.core.reasons import because
from ichnode.dicom.dataset import header_dataset
from ichnode.errors import IchnodeError, Interrupted, TransientError, WorkerLost
from ichnode.inference.bundle import Bundle
from ichnode.log import get_logger
from ichnode.reporting.facts import Answer, DeviceFacts, ModelFacts, ReportIdentity, ReportReference
from ichnode.reporting.formats import FORMATS, Format
from ichnode.steps.node import Node
from ichnode.steps.recover import free_leases
from ichnode.storage.atomic import write_durable
from ichnode.worklist import jobs, models, results
from ichnode.worklist.assembly import Filed
from ichnode.worklist.jobs import Job
from ichnode.worklist.reports import ReportRow

log = get_logger(__name__)


def report_next(node: Node) -> bool:
    """Make the report of the series that has waited longest to be told why it was not analysed.

    Not to be called twice at once.

    Returns
    -------
    bool
        Whether there was one.
    """
    owner = f"{node.boot_id}/report"
    free_leases(node, owner)  # of a call that was ended by an error
    with node.worklist.write() as tx:
        job = jobs.claim_job(tx, node.now(), "report", owner, *node.claiming)
    if job is None:
        return False
    reason = job.reason or because("ANALYSIS_FAILED")
    outcome = Outcome(Verdict.NOT_ANALYSED, reason=reason, missing=job.missing)
    try:
        file_outcome(node, job, outcome, None, {})
    except TransientError as error:
        put_back(node, job, error)
    except IchnodeError as error:
        with node.worklist.write() as tx:
            jobs.fail(tx, node.now(), job, error.sentence, reason)
        log.error("report.failed", series=job.series_id, code=error.code, remedy=error.sentence)
    return True


def put_back(node: Node, job: Job, error: TransientError) -> None:
    """Return a job to the queue after a transient failure; what is no fault of the series costs it no attempt."""
    delay_s = 0.0 if isinstance(error, WorkerLost) else 5.0 * 2**job.attempts
    with node.worklist.write() as tx:
        if isinstance(error, Interrupted):
            jobs.give_back(tx, node.now(), job, error.code)
        else:
            jobs.try_again(
                tx, node.now(), job, error.sentence, delay_s, node.settings.engine.max_attempts,
                because("ANALYSIS_FAILED", error.sentence.rstrip(".")),
            )  # fmt: skip
    log.warning("job.again", series=job.series_id, code=error.code, remedy=error.sentence)


def file_outcome(
    node: Node, job: Job, outcome: Outcome, bundle: Bundle | None, seconds: dict[str, float],
    images: SeriesImages | None = None, *, pictures_follow: bool = False, read_by: str | None = None,
) -> bool:  # fmt: skip
    """Make the answer in every format that a destination wants, and commit result, job's end and deliveries together.

    Parameters
    ----------
    images : SeriesImages or None
        For the formats that show something; None where the pixels were not read.
    pictures_follow : bool
        Whether only the words are made now, and `ichnode.steps.illustrate` makes the rest.
    read_by : str or None
        Where it was read and by what, for the journal.

    Returns
    -------
    bool
        False when the job was superseded meanwhile; its work is discarded.

    Raises
    ------
    Interrupted
        Another model than that of `bundle` is active by now: no old one answers.
    """
    begun = time.perf_counter()
    with node.worklist.write() as tx:
        edition, older = results.predecessors(tx, node.now(), job)
    model = model_facts(bundle) if bundle and outcome.verdict is not Verdict.NOT_ANALYSED else None
    answer = answer_of(node, job, outcome, model, images)
    wanted = {"sr": [], **node.wanted_formats}
    formats = [FORMATS[name] for name in wanted if not (pictures_follow and FORMATS[name].shows)]
    rows = made(node, job, formats, answer, edition, older)
    heat_file = None if pictures_follow else kept_heat(node, images)
    seconds = {**seconds, "report": time.perf_counter() - begun}
    with node.worklist.write() as tx:
        if model is not None and models.is_outdated(tx, model.digest):
            raise Interrupted("Another model became active meanwhile; the series is read by that one.", "MODEL_CHANGED")
        made_by = (model.name, model.version, model.digest) if model else None
        done = results.finish(
            tx, node.now(), job, outcome, made_by, seconds, rows, wanted, heat_file, pictures_follow, read_by
        )
    log.info(
        "result.made" if done else "result.discarded", series=job.series_id, revision=job.revision,
        verdict=str(outcome.verdict), reason=outcome.reason.code if outcome.reason else None,
        seconds={k: round(v, 3) for k, v in seconds.items()},
    )  # fmt: skip
    return done


def answer_of(node: Node, job: Job, outcome: Outcome, model: ModelFacts | None, images: SeriesImages | None) -> Answer:
    """Return all that a format needs to know of an answer."""
    return Answer(
        header=header_dataset(node.spool.path(_one_that_was_read(job, outcome).file)),
        evidence=tuple(dict.fromkeys((f.slice.sop_class_uid, f.slice.sop_instance_uid) for f in job.filed)),
        outcome=outcome,
        model=model,
        device=device_facts(node),
        images=images,
    )


def made(
    node: Node, job: Job, formats: Iterable[Format], answer: Answer, edition: int, older: list[ReportRow]
) -> list[ReportRow]:
    """Put the answer in each format that has something to say into the spool."""
    parts = (
        job.study_instance_uid, job.series_instance_uid, str(job.revision), str(edition),
        _maker(answer.model, answer.outcome),
    )  # fmt: skip
    moment = job.closed_at.astimezone()
    return [row for form in formats if (row := _made(node, form, answer, parts, moment, job, older))]


def _one_that_was_read(job: Job, outcome: Outcome) -> Filed:
    """Return a file of the series whose header is that of the slices, and not of a localizer among them."""
    read = {instance for instance, _ in outcome.order}
    return next((filed for filed in job.filed if filed.slice.sop_instance_uid in read), job.filed[0])


def _made(
    node: Node, form: Format, answer: Answer, parts: tuple[str, ...], moment: datetime, job: Job, older: list[ReportRow]
) -> ReportRow | None:
    """Put the answer in one format into the spool; None where it has nothing to say in it."""
    identity = ReportIdentity(
        derived_uid(form.name, *parts), derived_uid(f"{form.name}-series", *parts), form.series_number, 1, moment,
        job.revision,
    )  # fmt: skip
    replaced = [reference_of(row) for row in older if row.kind == form.name]
    content = form.build(answer, identity, replaced)
    if content is None:
        return None
    file = node.spool.put_report(content, digest_of(content))
    return ReportRow(
        form.name, job.study_instance_uid, identity.series_instance_uid, form.sop_classes[0],
        identity.sop_instance_uid, file, len(content),
    )  # fmt: skip


def kept_heat(node: Node, images: SeriesImages | None) -> str | None:
    """Put the heat maps into the spool, and return their name there; None where there are none."""
    content = heat.pack(images) if images else None
    return node.spool.put_heat(content, digest_of(content)) if content else None


def model_facts(bundle: Bundle) -> ModelFacts:
    """Return the bundle as a report names it."""
    return ModelFacts(
        bundle.name, bundle.version, bundle.digest, f"ichnode preprocessing {bundle.preprocessing.version}",
        bundle.thresholds,
    )  # fmt: skip


def device_facts(node: Node) -> DeviceFacts:
    """Return this installation as a report names it; its identity is made once and kept in the data folder."""
    installation = installation_id(node.settings.node.data.resolve())
    return DeviceFacts(
        observer_uid=derived_uid("device", installation),
        name=node.settings.node.aet,
        model="ichnode",
        serial=node.settings.report.institution_serial or installation[:13],
        software_version=__version__,
        station_aet=node.settings.node.aet,
    )


def installation_id(folder: Path) -> str:
    """Return the identity of the installation whose data lie in `folder`; drawn at first use."""
    file = folder / "installation"
    try:
        return file.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        write_durable(file, f"{uuid.uuid4()}\n".encode())
        return file.read_text(encoding="ascii").strip()


def _maker(model: ModelFacts | None, outcome: Outcome) -> str:
    if model is not None:
        return model.digest
    return outcome.reason.code if outcome.reason else ""


def reference_of(older: ReportRow) -> ReportReference:
    """Return the four UIDs by which other objects name this one."""
    return ReportReference(
        older.study_instance_uid, older.series_instance_uid, older.sop_class_uid, older.sop_instance_uid
    )
