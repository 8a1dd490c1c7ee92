"""Report: turn an outcome into DICOM objects in the spool and commit them with the job's end."""

from __future__ import annotations

import time
import uuid
from pathlib import Path

from ichnode import __version__
from ichnode.core.findings import Outcome, Verdict
from ichnode.core.identity import derived_uid, digest_of
from ichnode.core.reasons import because
from ichnode.dicom.dataset import header_dataset
from ichnode.errors import IchnodeError, TransientError
from ichnode.inference.bundle import Bundle
from ichnode.log import get_logger
from ichnode.reporting.facts import DeviceFacts, ModelFacts, ReportIdentity, ReportReference
from ichnode.reporting.sr import build_sr
from ichnode.steps.node import Node
from ichnode.steps.recover import free_leases
from ichnode.storage.atomic import write_durable
from ichnode.worklist import jobs, results
from ichnode.worklist.jobs import Job
from ichnode.worklist.results import ReportRow

SERIES_NUMBER = 9101
COMPREHENSIVE_SR = "1.2.840.10008.5.1.4.1.1.88.33"
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
        job = jobs.claim_job(tx, node.now(), "report", owner, node.settings.engine.lease_s)
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
    """Return a job to the queue after a transient failure."""
    with node.worklist.write() as tx:
        jobs.try_again(
            tx, node.now(), job, error.sentence, 5.0 * 2**job.attempts, node.settings.engine.max_attempts,
            because("ANALYSIS_FAILED", error.sentence.rstrip(".")),
        )  # fmt: skip
    log.warning("job.again", series=job.series_id, code=error.code, remedy=error.sentence)


def file_outcome(node: Node, job: Job, outcome: Outcome, bundle: Bundle | None, seconds: dict[str, float]) -> bool:
    """Build the report, put it into the spool, and commit result, job's end and deliveries together.

    Returns
    -------
    bool
        False when the job was superseded meanwhile; its work is discarded.
    """
    begun = time.perf_counter()
    with node.worklist.write() as tx:
        edition, older = results.predecessor(tx, node.now(), job)
    model = model_facts(bundle) if bundle and outcome.verdict is not Verdict.NOT_ANALYSED else None
    parts = (job.study_instance_uid, job.series_instance_uid, str(job.revision), str(edition), _maker(model, outcome))
    sop_instance_uid, series_instance_uid = derived_uid("sr", *parts), derived_uid("sr-series", *parts)
    content = build_sr(
        header_dataset(node.spool.path(job.filed[0].file)),
        list(dict.fromkeys((f.slice.sop_class_uid, f.slice.sop_instance_uid) for f in job.filed)),
        outcome,
        model=model,
        device=device_facts(node),
        identity=ReportIdentity(
            sop_instance_uid, series_instance_uid, SERIES_NUMBER, 1, job.closed_at.astimezone(), job.revision
        ),
        predecessor=None if older is None else _reference(older),
    )
    file = node.spool.put_report(content, digest_of(content))
    row = ReportRow(
        "sr", job.study_instance_uid, series_instance_uid, COMPREHENSIVE_SR, sop_instance_uid, file, len(content)
    )
    seconds = {**seconds, "report": time.perf_counter() - begun}
    with node.worklist.write() as tx:
        made_by = (model.name, model.digest) if model else None
        done = results.finish(tx, node.now(), job, outcome, made_by, seconds, [row], node.destinations)
    log.info(
        "result.made" if done else "result.discarded", series=job.series_id, revision=job.revision,
        verdict=str(outcome.verdict), reason=outcome.reason.code if outcome.reason else None,
        seconds={k: round(v, 3) for k, v in seconds.items()},
    )  # fmt: skip
    return done


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


def _reference(older: ReportRow) -> ReportReference:
    return ReportReference(
        older.study_instance_uid, older.series_instance_uid, older.sop_class_uid, older.sop_instance_uid
    )
