"""DICOM audit messages: one row of the audit journal as XML in the form of PS3.15 A.5.1, with the codes of its CIDs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from xml.etree import ElementTree

Code = tuple[str, str, str]
"""Code value, name of the code system, original text."""
_ACTIVITY: Code = ("110100", "DCM", "Application Activity")
_ACCESSED: Code = ("110103", "DCM", "DICOM Instances Accessed")
_EXPORT: Code = ("110106", "DCM", "Export")
_QUERY: Code = ("110112", "DCM", "Query")
_ALERT: Code = ("110113", "DCM", "Security Alert")
_AUTHENTICATION: Code = ("110114", "DCM", "User Authentication")
_LOGIN: Code = ("110122", "DCM", "Login")
_LOGOUT: Code = ("110123", "DCM", "Logout")
_START: Code = ("110120", "DCM", "Application Start")
_STOP: Code = ("110121", "DCM", "Application Stop")
_CONFIGURATION: Code = ("110131", "DCM", "Software Configuration")
_ATTRIBUTES: Code = ("110137", "DCM", "User security Attributes Changed")
_SERVER: Code = ("110150", "DCM", "Application")
_STUDY: Code = ("110180", "DCM", "Study Instance UID")
_PATIENT: Code = ("2", "RFC-3881", "Patient Number")
_CRITERIA: Code = ("10", "RFC-3881", "Search Criteria")

SUCCESS, MINOR_FAILURE = "0", "4"
_KINDS: Mapping[str, tuple[Code, Code | None, str]] = {
    "node.started": (_ACTIVITY, _START, "E"),
    "node.stopped": (_ACTIVITY, _STOP, "E"),
    "session.begun": (_AUTHENTICATION, _LOGIN, "E"),
    "session.refused": (_AUTHENTICATION, _LOGIN, "E"),
    "session.ended": (_AUTHENTICATION, _LOGOUT, "E"),
    "worklist.searched": (_QUERY, None, "E"),
    "study.exported": (_EXPORT, None, "R"),
    "node.backup_begun": (_EXPORT, None, "R"),
    "worklist.viewed": (_ACCESSED, None, "R"),
    "study.viewed": (_ACCESSED, None, "R"),
    "series.viewed": (_ACCESSED, None, "R"),
    "retrievals.viewed": (_ACCESSED, None, "R"),
    "report.downloaded": (_ACCESSED, None, "R"),
    "study.opened_elsewhere": (_ACCESSED, None, "R"),
}
"""Event, its type and action; what is not here is a change of a study, an account, or how the node is set up."""


@dataclass(frozen=True, slots=True)
class Concerned:
    """A study, and whose it is."""

    study_instance_uid: str
    patient_id: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the audit journal.

    Attributes
    ----------
    who : str
        An account, ``token:NAME``, ``terminal:LOGIN`` or ``node``.
    what : str
        A named event.
    concerned : sequence of Concerned
        Empty where nobody's images are concerned, or where that is not to leave the node.
    """

    at: datetime
    who: str
    address: str
    what: str
    concerned: Sequence[Concerned] = ()


def audit_message(entry: Entry, aet: str, source: str, site: str) -> bytes:
    """Return the message in UTF-8.

    Parameters
    ----------
    aet : str
        AE title of the node.
    source : str
        AuditSourceID: which installation says so.
    site : str
        AuditEnterpriseSiteID; empty where there is none.
    """
    event, kind, action = _kind(entry)
    root = ElementTree.Element("AuditMessage")
    identified = ElementTree.SubElement(
        root, "EventIdentification", EventActionCode=action,
        EventDateTime=entry.at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        EventOutcomeIndicator=MINOR_FAILURE if entry.what.endswith(".refused") else SUCCESS,
    )  # fmt: skip
    _coded(identified, "EventID", event)
    for one in (kind, (entry.what, "ichnode", entry.what)):
        if one is not None:
            _coded(identified, "EventTypeCode", one)
    itself = entry.who == "node"
    if not itself:
        person = {"UserID": entry.who, "UserIsRequestor": "true"}
        if entry.address:
            person |= {"NetworkAccessPointID": entry.address, "NetworkAccessPointTypeCode": "2"}
        ElementTree.SubElement(root, "ActiveParticipant", person)
    node = {"UserID": aet, "UserIsRequestor": "true" if itself else "false"}
    _coded(ElementTree.SubElement(root, "ActiveParticipant", node), "RoleIDCode", _SERVER)
    named = {"AuditEnterpriseSiteID": site} if site else {}
    said = ElementTree.SubElement(root, "AuditSourceIdentification", {**named, "AuditSourceID": source})
    _coded(said, "AuditSourceTypeCode", ("4", "RFC-3881", "Application Server Process"))
    if event is _QUERY:
        _object(root, "worklist", "2", "24", _CRITERIA)
    for uid in dict.fromkeys(one.study_instance_uid for one in entry.concerned):
        _object(root, uid, "2", "3", _STUDY)
    for patient in dict.fromkeys(one.patient_id for one in entry.concerned if one.patient_id):
        _object(root, patient, "1", "1", _PATIENT)
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))


def _kind(entry: Entry) -> tuple[Code, Code | None, str]:
    if entry.what in _KINDS:
        return _KINDS[entry.what]
    subject = entry.what.partition(".")[0]
    if subject in ("account", "token"):
        return _ALERT, _ATTRIBUTES, "E"
    if subject in ("study", "result", "feedback", "series", "report"):
        return _ACCESSED, None, "U"
    return _ALERT, _CONFIGURATION, "E"


def _coded(parent: ElementTree.Element, name: str, code: Code) -> None:
    value, system, text = code
    ElementTree.SubElement(parent, name, {"csd-code": value, "codeSystemName": system, "originalText": text})


def _object(root: ElementTree.Element, key: str, kind: str, role: str, named_by: Code) -> None:
    found = ElementTree.SubElement(
        root, "ParticipantObjectIdentification",
        {
            "ParticipantObjectID": _printable(key), "ParticipantObjectTypeCode": kind,
            "ParticipantObjectTypeCodeRole": role,
        },
    )  # fmt: skip
    _coded(found, "ParticipantObjectIDTypeCode", named_by)


def _printable(text: str) -> str:
    """Return what XML 1.0 can carry of a text that a peer wrote."""
    return "".join(sign for sign in text if sign.isprintable())
