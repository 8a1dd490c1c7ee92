"""What a report is told besides the outcome: who made it, with which model, under which identity, replacing what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


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
