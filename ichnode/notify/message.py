"""What every channel says: one message, whatever it is written in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Coded:
    """A coded concept as DICOM writes it: code value, coding scheme designator (SCT, LN, DCM), meaning."""

    code: str
    scheme: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The concepts of a message beside its findings."""

    procedure: Coded
    certainty: Coded
    study: Coded


@dataclass(frozen=True, slots=True)
class FindingFact:
    """One class.

    Attributes
    ----------
    name : str
        Of `ichnode.core.findings.CLASSES`.
    concept, presence : Coded
        What is present, absent or undetermined.
    score, threshold : float or None
        0..1; None where nothing was analysed.
    """

    name: str
    concept: Coded
    presence: Coded
    score: float | None = None
    threshold: float | None = None

    @property
    def present(self) -> bool:
        """Whether the score reaches the threshold."""
        return self.score is not None and self.threshold is not None and self.score >= self.threshold


@dataclass(frozen=True, slots=True)
class Patient:
    """Whom it is about. Only in messages of channels with ``patient_data = true``.

    Attributes
    ----------
    name : str
        In DICOM's form (PS3.5 6.2.1), family name first, ``^`` between components, ``=`` between groups.
    birth_date, study_date, study_time : str
        DA and TM.
    """

    id: str
    name: str
    birth_date: str
    sex: str
    accession_number: str
    study_instance_uid: str
    study_date: str
    study_time: str
    study_description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One notice. Without `patient` nothing in it leads to a person but by way of the node's own worklist.

    Attributes
    ----------
    uid : str
        The same for every attempt to send it; at most 20 characters.
    kind : str
        ``alert``, ``correction``, ``final``, ``escalation`` or ``test``.
    called : str
        ``positive``, ``negative``, ``not_analysed``, ``failed`` or ``retracted``.
    created_at : datetime
        UTC.
    study : str
        Installation and number of the study in its worklist: ``ichnode show`` takes the number.
    node, version : str
        AE title of the node, version of the software.
    model : str
        Name, version and digest; empty where nothing was analysed.
    reason : (code, sentence) or None
        Why it was not analysed.
    corrects, escalates : str or None
        `uid` of the message that is no longer true (or, in a final one, that was preliminary), or that nobody has
        answered.
    record : str
        `uid` of the first message about the study on this channel: where a channel keeps records, that of this study.
    step : int or None
        Of the escalation, from 1.
    """

    uid: str
    kind: str
    called: str
    created_at: datetime
    study: str
    node: str
    version: str
    vocabulary: Vocabulary
    record: str = ""
    findings: tuple[FindingFact, ...] = ()
    urgency: int = 0
    preliminary: bool = False
    model: str = ""
    reason: tuple[str, str] | None = None
    corrects: str | None = None
    escalates: str | None = None
    step: int | None = None
    patient: Patient | None = None

    @property
    def is_correction(self) -> bool:
        """Whether it takes back what was said before."""
        return self.corrects is not None and self.kind != "final"


@dataclass(frozen=True, slots=True)
class Said:
    """What became of one message.

    Attributes
    ----------
    error : str or None
        Sentence; None when it was taken.
    transient : bool
        Whether to send it again.
    status : int or None
        Code of the answer, where the protocol has numbers.
    remark : str
        Something that a person should look at although it was taken.
    """

    error: str | None = None
    transient: bool = False
    status: int | None = None
    remark: str = ""
