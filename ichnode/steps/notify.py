"""Notify: tell one channel what was filed for it. What a message says is read from the rows when it is sent."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any

from pydicom.sr.coding import Code

from ichnode import __version__
from ichnode.channel_section import ChannelSection
from ichnode.config import Settings
from ichnode.core.alerts import Say
from ichnode.core.findings import CLASSES
from ichnode.core.reasons import REASONS
from ichnode.core.triage import URGENCY
from ichnode.notify.channels import give, reach
from ichnode.notify.message import Coded, FindingFact, Message, Patient, Said, Vocabulary
from ichnode.reporting import codes
from ichnode.steps.node import Node, utc_now
from ichnode.steps.outbox import Answer, Outlet, empty
from ichnode.steps.report import installation_id
from ichnode.worklist import told
from ichnode.worklist.deliveries import Delivery
from ichnode.worklist.told import Notice


def notify_due(node: Node, channel: ChannelSection) -> datetime | None:
    """Send everything that is due to a channel; see `empty`.

    Returns
    -------
    datetime or None
        When to look again; None when nothing waits.
    """
    timeout_s = node.settings.delivery.timeout_s

    def send(claimed: Sequence[Delivery]) -> list[Answer]:
        (delivery,) = claimed
        with node.worklist.read() as tx:
            notice = told.notice(tx, delivery.notice_id or 0)
        said = give(channel, message_of(node, channel, notice), timeout_s, node.now)
        return [Answer(delivery, said.status, said.error, said.transient, said.remark)]

    return empty(node, Outlet(channel.name, partial(reach, channel, timeout_s), send, most=1))


def send_test(settings: Settings, channel: ChannelSection) -> Said:
    """Send a message that says that it is a test, of no patient; a fhir server is only asked whether it is there.

    Raises
    ------
    PeerUnreachable, PeerRefused
    """
    message = Message(
        uid=f"test{uuid.uuid4().hex[:16]}", kind="test", called="not_analysed", created_at=utc_now(), study="test",
        node=settings.node.aet, version=__version__, vocabulary=_VOCABULARY,
        urgency=URGENCY["negative"],
    )  # fmt: skip
    return give(channel, message, settings.delivery.timeout_s, utc_now)


def message_of(node: Node, channel: ChannelSection, notice: Notice) -> Message:
    """Return a notice as a message; with the patient only where the channel is meant to know."""
    outcome, result = notice.result["outcome"], notice.result
    analysed = notice.called in ("positive", "negative")
    return Message(
        uid=notice.uid,
        kind=notice.kind,
        called=notice.called,
        created_at=notice.created_at,
        study=f"{_installation(node)}-{notice.study['id']}",
        node=node.settings.node.aet,
        version=__version__,
        vocabulary=_VOCABULARY,
        record=notice.record,
        findings=_findings(outcome["findings"] if analysed else ()),
        urgency=_urgency(notice),
        preliminary=analysed and bool(result["preliminary"]),
        model=_model(result) if analysed else "",
        reason=_reason(outcome.get("reason")) if notice.called in ("not_analysed", "failed") else None,
        corrects=notice.corrects,
        escalates=notice.escalates,
        step=notice.step,
        patient=_patient(notice.study) if channel.patient_data else None,
    )


def _installation(node: Node) -> str:
    return installation_id(node.settings.node.data.resolve())[:8]


def _findings(found: Sequence[dict[str, Any]]) -> tuple[FindingFact, ...]:
    if not found:
        return tuple(FindingFact(name, _coded(codes.HEMORRHAGE[name]), _coded(codes.UNDETERMINED)) for name in CLASSES)
    return tuple(
        FindingFact(
            one["name"], _coded(codes.HEMORRHAGE[one["name"]]),
            _coded(codes.PRESENT if one["score"] >= one["threshold"] else codes.ABSENT), one["score"], one["threshold"],
        )
        for one in found
    )  # fmt: skip


def _urgency(notice: Notice) -> int:
    """Return the place in the worklist's order; what was wrong is as urgent as what bleeds."""
    is_correction = notice.corrects is not None and notice.kind != Say.FINAL
    return URGENCY["positive"] if is_correction else URGENCY.get(notice.called, URGENCY["failed"])


def _model(result: dict[str, Any]) -> str:
    """Return name, version and digest; the version is not known of an answer of an older ichnode."""
    digest = (result["model_digest"] or "")[:12]
    return " ".join(filter(None, (result["model_name"], result["model_version"], digest)))


def _reason(reason: dict[str, str] | None) -> tuple[str, str] | None:
    """Return code and plain sentence of a reason; the details of a case stay at home."""
    return None if reason is None else (reason["code"], REASONS.get(reason["code"], "The series was not analysed."))


def _patient(study: dict[str, Any]) -> Patient:
    return Patient(
        study["patient_id"], study["patient_name"], study["patient_birth_date"], study["patient_sex"],
        study["accession_number"], study["study_instance_uid"], study["study_date"], study["study_time"],
        study["description"],
    )  # fmt: skip


def _coded(code: Code) -> Coded:
    return Coded(str(code.value), str(code.scheme_designator), str(code.meaning))


_STUDY = Coded("113014", "DCM", "Study")  # of no DICOM object of ours
_VOCABULARY = Vocabulary(_coded(codes.CT_UNSPECIFIED), _coded(codes.CERTAINTY), _STUDY)
