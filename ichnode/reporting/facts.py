"""What a report is told besides the outcome: who made it, with which model, under which identity, replacing what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from pydicom.dataset import Dataset

from ichnode.core.findings import CLASSES, Outcome, Verdict, verdict_of
from ichnode.core.images import SeriesImages


@dataclass(frozen=True, slots=True)
class ReportReference:
    """The four UIDs by which a later revision names its predecessor (PS3.3 C.17.2, Predecessor Documents Sequence)."""

    study_instance_uid: str
    series_instance_uid: str
    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """The model that made the scores, as TID 4019 (Algorithm Identification) names it.

    Attributes
    ----------
    name, version : str
        Name and version of the model bundle.
    digest : str
        SHA-256 of the bundle, hexadecimal. The report's Device UID (0018,1002) is derived from it, so that a
        retrained model is another device.
    preprocessing : str
        Name and version of the preprocessing, in one line.
    thresholds : mapping of class name to operating point, 0..1
    """

    name: str
    version: str
    digest: str
    preprocessing: str
    thresholds: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceFacts:
    """This installation, as TID 1004 (Device Observer) and the General Equipment module name it.

    Attributes
    ----------
    observer_uid : str
        Constant per installation.
    name, manufacturer, model, serial : str
        At most 64 characters each.
    software_version : str
        Version of ichnode.
    station_aet : str
        AE title of the node, at most 16 characters.
    """

    observer_uid: str
    name: str
    manufacturer: str = "ichnode"
    model: str
    serial: str
    software_version: str
    station_aet: str


@dataclass(frozen=True, slots=True)
class ReportIdentity:
    """Identity of one report, derived and never drawn: the same input gives the same report, byte for byte.

    Attributes
    ----------
    sop_instance_uid : str
    series_instance_uid : str
        A series of its own for every revision (its date is the report's).
    series_number, instance_number : int
        At least 1.
    content_at : datetime
        Moment of the content, aware; derived from the facts (for instance the arrival of the last slice), never the
        clock. Where the CT does not say its time zone, dates and times are written in this value's own zone.
    revision : int
        1 for the first report of a series.
    """

    sop_instance_uid: str
    series_instance_uid: str
    series_number: int
    instance_number: int
    content_at: datetime
    revision: int

    def __post_init__(self) -> None:
        if self.content_at.utcoffset() is None:
            raise ValueError("content_at needs a time zone")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answer:
    """All that the objects of one result are made from; every format says the same answer.

    Attributes
    ----------
    header : Dataset
        Any image of the analysed series, without pixels. Never changed. May lack every type 2 attribute.
    evidence : tuple of (SOP Class UID, SOP Instance UID)
        Every instance of the series, in any order; at least one.
    outcome : Outcome
    model : ModelFacts or None
        None only where nothing was analysed.
    device : DeviceFacts
    images : SeriesImages or None
        The slices and heat maps; None where the pixels were not read.

    Raises
    ------
    ValueError
        The outcome contradicts itself: a verdict that is not its findings', findings without a model; or there is no
        evidence.
    """

    header: Dataset
    evidence: tuple[tuple[str, str], ...]
    outcome: Outcome
    model: ModelFacts | None
    device: DeviceFacts
    images: SeriesImages | None = None

    def __post_init__(self) -> None:
        if not self.evidence:
            raise ValueError("a report needs the instances that it is about")
        outcome = self.outcome
        if outcome.verdict is Verdict.NOT_ANALYSED:
            if outcome.findings or outcome.reason is None:
                raise ValueError("a series that was not analysed has a reason and no findings")
        elif tuple(f.name for f in outcome.findings) != CLASSES:
            raise ValueError("an analysed series has one finding for each class")
        elif outcome.verdict is not verdict_of(outcome.findings):
            raise ValueError("the verdict is not that of the findings")
        elif self.model is None:
            raise ValueError("an outcome with findings needs the model that made them")

    @property
    def sop_classes(self) -> dict[str, str]:
        """SOP Class UID of each SOP Instance UID of the evidence, sorted so that the order it came in is no matter."""
        return {instance: sop_class for sop_class, instance in sorted(self.evidence)}
