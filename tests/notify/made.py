"""Messages made by hand: of a patient whose every text tries to break out of its field."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from ichnode.channel_section import ChannelSection
from ichnode.core.findings import CLASSES
from ichnode.notify.message import Coded, FindingFact, Message, Patient, Vocabulary
from ichnode.reporting import codes
from ichnode.steps import notify

AT = datetime(2026, 3, 1, 12, 30, 15, tzinfo=UTC)
SECRET = "0123456789abcdef0123456789abcdef"

PATIENT = Patient(
    "P-4711", "DOE^JANE^Q^DR^MD", "19710203", "F", "A-2026-1", "1.2.840.99.1", "20260301", "113015.25", "CT HEAD"
)
HOSTILE = Patient(
    "P|1^2&3~4\\5", "Müller^Jürgen=山田^太郎\r\nOBX|99|ST|INJECTED", "197102031\r", "?|", "A\x1c\rMSH|^~\\&|EVIL",
    "1.2.3", "2026-03-01", "11", "HEAD\r\nBcc: evil@example.org\r\n\r\n<script>\"quoted\" 'text'",
)  # fmt: skip


def _coded(code: Any) -> Coded:
    return Coded(code.value, code.scheme_designator, code.meaning)


def findings(**scores: float) -> tuple[FindingFact, ...]:
    """All classes; those not named have a score of 0.02."""
    made = []
    for name in CLASSES:
        score = scores.get(name, 0.02)
        presence = codes.PRESENT if score >= 0.5 else codes.ABSENT
        made.append(FindingFact(name, _coded(codes.HEMORRHAGE[name]), _coded(presence), score, 0.5))
    return tuple(made)


POSITIVE = Message(
    uid="9f86d081884c7d659a2f", kind="alert", called="positive", created_at=AT, study="3f2a9c01-17", node="ICHAI",
    version="0.1.0", vocabulary=Vocabulary(_coded(codes.CT_UNSPECIFIED), _coded(codes.CERTAINTY), notify._STUDY),
    record="9f86d081884c7d659a2f", findings=findings(any=0.971, subdural=0.944), model="ich-demo 1.0 0123456789ab",
)  # fmt: skip
CORRECTION = replace(
    POSITIVE, uid="60303ae22b998861bce3", kind="correction", called="negative", findings=findings(any=0.31),
    corrects=POSITIVE.uid,
)  # fmt: skip
FINAL = replace(POSITIVE, uid="7d793037a0760186574b", kind="final", corrects=POSITIVE.uid)
ESCALATION = replace(POSITIVE, uid="2c624232cdd221771294", kind="escalation", escalates=POSITIVE.uid, step=1)
FAILED = replace(
    POSITIVE, uid="4a44dc15364204a80fe8", called="failed", model="", urgency=1, findings=notify._findings(()),
    reason=("PIXELS_UNREADABLE", "The pixel data of a slice cannot be decoded."),
)  # fmt: skip
RETRACTED = replace(CORRECTION, uid="4fc82b26aecb47d2868c", called="retracted", findings=notify._findings(()), model="")
TEST = replace(POSITIVE, uid="test0123456789abcdef", kind="test", called="not_analysed", findings=(), model="")
ALL = (POSITIVE, CORRECTION, FINAL, ESCALATION, FAILED, RETRACTED, TEST)


def channel(kind: str, **options: Any) -> ChannelSection:
    plain: dict[str, Any] = {
        "webhook": {"url": "http://127.0.0.1/alerts", "secret_file": "secret"},
        "mail": {"host": "127.0.0.1", "tls": "none", "sender": "ichnode@a.example", "recipients": ["oncall@a.example"]},
        "hl7": {"host": "127.0.0.1"},
        "fhir": {"url": "http://127.0.0.1/r4"},
    }[kind]  # fmt: skip
    return ChannelSection.model_validate({"name": "oncall", "kind": kind, **plain, **options})


def named(message: Message, patient: Patient = PATIENT) -> Message:
    return replace(message, patient=patient)
