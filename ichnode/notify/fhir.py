"""FHIR R4 (4.0.1): a DiagnosticReport with one Observation a class, in one transaction.

The first message about a study creates its record, unless it is there already (conditional create by identifier); a
later one updates that very record (conditional update): a correction beside what it corrects would leave both in force.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.parse import quote

from ichnode.channel_section import ChannelSection
from ichnode.errors import PeerRefused
from ichnode.https import WebRemote, ask, connected
from ichnode.notify.message import Coded, FindingFact, Message, Patient, Said
from ichnode.notify.words import headline, sentences

_SYSTEMS = {
    "SCT": "http://snomed.info/sct",
    "LN": "http://loinc.org",
    "DCM": "http://dicom.nema.org/resources/ontology/DCM",
}
IDENTIFIER = "urn:ichnode:message"
"""System of the identifiers of records."""
STUDY = "urn:ichnode:study"
_INTERPRETATION = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
_CATEGORY = "http://terminology.hl7.org/CodeSystem/v2-0074"
_MEDIA_TYPE = "application/fhir+json"
_VERSIONS = ("4.0.", "4.3.")


def bundle_of(message: Message) -> dict[str, Any]:
    """Return a message as a transaction Bundle."""
    observations = [_observation(message, finding) for finding in message.findings]
    report = _report(message, [f"urn:uuid:{_uuid(message, finding.name)}" for finding in message.findings])
    names = ["", *(finding.name for finding in message.findings)]
    resources = [report, *observations]
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [_entry(message, name, resource) for name, resource in zip(names, resources, strict=True)],
    }


def reach(channel: ChannelSection, timeout_s: float) -> None:
    """Ask the server for its CapabilityStatement.

    Raises
    ------
    PeerUnreachable, PeerRefused
        Also where it says that it speaks another version than R4.
    """
    web = _remote(channel, timeout_s)
    with connected(web) as client:
        answer = ask(web, client, "GET", "/metadata")
    try:
        version = str(json.loads(answer.body or b"")["fhirVersion"])
    except (ValueError, LookupError, TypeError, RecursionError):
        raise PeerRefused(
            f"{channel.name} ({channel.url}) gives no CapabilityStatement (HTTP {answer.code}): correct url."
        ) from None
    if not version.startswith(_VERSIONS):
        raise PeerRefused(f"{channel.name} ({channel.url}) does not speak FHIR R4: give the base url of its R4.")


def send(channel: ChannelSection, message: Message, timeout_s: float, now: Callable[[], datetime]) -> Said:
    """Post one transaction; a test of a channel files nothing, and only asks whether the server is there.

    Raises
    ------
    PeerUnreachable, PeerRefused
    """
    if message.kind == "test":
        reach(channel, timeout_s)
        return Said()
    body = json.dumps(bundle_of(message), ensure_ascii=True, separators=(",", ":")).encode("ascii")
    web = _remote(channel, timeout_s)
    with connected(web) as client:
        headers = {"Content-Type": _MEDIA_TYPE, "Content-Length": str(len(body))}
        answer = ask(web, client, "POST", "", [body], headers)
    return _said(channel, answer.code, answer.body)


def _said(channel: ChannelSection, code: int, body: bytes | None) -> Said:
    if code in (200, 201):
        try:
            if json.loads(body or b"")["type"] == "transaction-response":
                return Said(status=code)
        except (ValueError, LookupError, TypeError, RecursionError):
            pass
        return Said(f"{channel.name} answered, but not to a transaction. Check url.", transient=True, status=code)
    advice = "more than one record has the identifier: look there" if code == 412 else "look at its log"
    return Said(f"{channel.name} answered with HTTP {code}: {advice}.", code in (409,) or code // 100 in (2, 5), code)


def _remote(channel: ChannelSection, timeout_s: float) -> WebRemote:
    return WebRemote(
        channel.name, channel.url.rstrip("/"), channel.token_file, channel.user, channel.password_file, channel.ca_file,
        channel.client_certificate, channel.client_key, timeout_s, service="transactions of FHIR R4",
        accept=_MEDIA_TYPE,
    )  # fmt: skip


def _entry(message: Message, name: str, resource: dict[str, Any]) -> dict[str, Any]:
    kind, identifier = resource["resourceType"], resource["identifier"][0]
    asked = f"identifier={quote(identifier['system'], safe='')}%7C{quote(identifier['value'], safe='')}"
    request = {"method": "POST", "url": kind, "ifNoneExist": asked}
    if message.corrects is not None:
        request = {"method": "PUT", "url": f"{kind}?{asked}"}
    return {"fullUrl": f"urn:uuid:{_uuid(message, name)}", "resource": resource, "request": request}


def _uuid(message: Message, name: str) -> uuid.UUID:
    return uuid.uuid5(uuid.NAMESPACE_URL, f"{IDENTIFIER}:{message.uid}:{name}")


def _report(message: Message, results: list[str]) -> dict[str, Any]:
    return {
        "resourceType": "DiagnosticReport",
        **_common(message, ""),
        "status": _status(message),
        "category": [_concept(_CATEGORY, "CT", "CAT Scan")],
        "code": _coded(message.vocabulary.procedure),
        **_study(message.patient),
        "issued": message.created_at.isoformat(timespec="milliseconds"),
        "result": [{"reference": reference} for reference in results],
        "conclusion": " ".join([f"{headline(message)}.", *sentences(message)]),
    }


def _observation(message: Message, finding: FindingFact) -> dict[str, Any]:
    made: dict[str, Any] = {
        "resourceType": "Observation",
        **_common(message, finding.name),
        "status": _status(message),
        "category": [_concept("http://terminology.hl7.org/CodeSystem/observation-category", "imaging", "Imaging")],
        "code": _coded(finding.concept),
        **_study(message.patient),
        "issued": message.created_at.isoformat(timespec="milliseconds"),
        "valueCodeableConcept": _coded(finding.presence),
    }
    if finding.score is not None:
        made["interpretation"] = [
            _concept(_INTERPRETATION, *(("POS", "Positive") if finding.present else ("NEG", "Negative")))
        ]
        percent = {"system": "http://unitsofmeasure.org", "code": "%", "unit": "%"}
        made["component"] = [
            {
                "code": _coded(message.vocabulary.certainty),
                "valueQuantity": {"value": round(100 * finding.score, 1), **percent},
            }
        ]
    if message.model:
        made["device"] = {"display": f"ichnode {message.version}, model {message.model}"}
    return made


def _common(message: Message, name: str) -> dict[str, Any]:
    value = "-".join(filter(None, (message.record or message.uid, name)))
    made: dict[str, Any] = {
        "identifier": [{"system": IDENTIFIER, "value": value}, {"system": STUDY, "value": message.study}]
    }
    if (patient := message.patient) is not None and (patient.id or patient.name):
        shown = {"display": _text(patient.name.split("=")[0].replace("^", " "))} if _text(patient.name) else {}
        identifier = {"identifier": {"value": _text(patient.id)}} if _text(patient.id) else {}
        made["subject"] = {"type": "Patient", **identifier, **shown}
    return made


def _study(patient: Patient | None) -> dict[str, Any]:
    if patient is None:
        return {}
    made: dict[str, Any] = {}
    if number := _text(patient.accession_number):
        kind = _concept("http://terminology.hl7.org/CodeSystem/v2-0203", "ACSN", "Accession ID")
        made["basedOn"] = [{"type": "ServiceRequest", "identifier": {"type": kind, "value": number}}]
    date = patient.study_date.strip()
    if len(date) == 8 and date.isascii() and date.isdigit():
        made["effectiveDateTime"] = f"{date[:4]}-{date[4:6]}-{date[6:]}"
    return made


def _status(message: Message) -> str:
    if message.called == "retracted":
        return "entered-in-error"
    if message.is_correction:
        return "corrected"
    return "preliminary" if message.preliminary else "final"


def _coded(concept: Coded) -> dict[str, Any]:
    return _concept(_SYSTEMS[concept.scheme], concept.code, concept.meaning)


def _concept(system: str, code: str, display: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code, "display": display}]}


def _text(text: str) -> str:
    """Return text without what no FHIR string may hold; they are not empty and do not begin or end with blanks."""
    return "".join(letter if letter.isprintable() else " " for letter in text).strip()
