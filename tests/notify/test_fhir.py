"""FHIR against HL7's own schema of R4, and against a server that does what a transaction says."""

from __future__ import annotations

from dataclasses import replace

import fastjsonschema
import pytest

from ichnode.errors import PeerBusy, PeerRefused, PeerUnreachable
from ichnode.notify import fhir
from tests.conftest import missing
from tests.notify.fhir_r4 import FhirServer, validator
from tests.notify.made import CORRECTION, FAILED, FINAL, HOSTILE, POSITIVE, RETRACTED, TEST, channel, named
from tests.notify.receivers import HttpReceiver
from tests.published import NotFetchedError

RECORDED = (POSITIVE, CORRECTION, FAILED, RETRACTED)


@pytest.fixture(scope="module")
def valid():
    """``valid(resource)``: fails where it is none of R4."""
    try:
        judges = {name: validator(name) for name in ("Bundle", "DiagnosticReport", "Observation")}
    except NotFetchedError as error:
        missing(str(error))
    return lambda resource: judges[resource["resourceType"]](resource)


def send(receiver, message, **options):
    given = {"url": f"http://127.0.0.1:{receiver.port}/r4/", **options}
    return fhir.send(channel("fhir", **given), message, 120, None)


@pytest.mark.parametrize(
    "message", [*RECORDED, *map(named, RECORDED), named(POSITIVE, HOSTILE)], ids=lambda m: m.called
)
def test_every_resource_is_one_of_r4(message, valid):
    bundle = fhir.bundle_of(message)
    valid(bundle)
    for entry in bundle["entry"]:
        valid(entry["resource"])


def test_the_schema_finds_what_is_wrong(valid):
    report = fhir.bundle_of(POSITIVE)["entry"][0]["resource"]
    for wrong in ({"status": "positive"}, {"issued": "today"}, {"unknown": 1}, {"conclusion": ""}):
        with pytest.raises(fastjsonschema.JsonSchemaException):
            valid({**report, **wrong})


def test_a_record_for_each_study_however_often_it_is_sent():
    server = FhirServer()
    with HttpReceiver(server.reply).listening() as receiver:
        for _ in range(2):
            assert send(receiver, POSITIVE).error is None
    assert [got.path for got in receiver.posts] == ["/r4", "/r4"]
    assert receiver.posts[0].headers["Content-Type"] == "application/fhir+json"
    assert sorted(kind for kind, _ in server.records) == ["DiagnosticReport", *["Observation"] * 6]
    (report,) = [record for (kind, _), record in server.records.items() if kind == "DiagnosticReport"]
    assert report["status"] == "final"
    assert "subject" not in report
    assert "effectiveDateTime" not in report


@pytest.mark.parametrize(("later", "status"), [(CORRECTION, "corrected"), (RETRACTED, "entered-in-error")])
def test_a_correction_changes_the_very_record(later, status):
    server = FhirServer()
    with HttpReceiver(server.reply).listening() as receiver:
        send(receiver, POSITIVE)
        send(receiver, later)
    assert len(server.records) == 7
    assert {record["status"] for record in server.records.values()} == {status}
    (report,) = [record for (kind, _), record in server.records.items() if kind == "DiagnosticReport"]
    assert POSITIVE.uid in report["conclusion"]


def test_a_preliminary_record_becomes_final():
    server = FhirServer()
    with HttpReceiver(server.reply).listening() as receiver:
        send(receiver, replace(POSITIVE, preliminary=True))
        assert {record["status"] for record in server.records.values()} == {"preliminary"}
        send(receiver, FINAL)
    assert len(server.records) == 7
    assert {record["status"] for record in server.records.values()} == {"final"}


def test_codes_values_and_patient():
    report, first, *_ = [entry["resource"] for entry in fhir.bundle_of(named(POSITIVE))["entry"]]
    assert report["code"]["coding"][0] == {
        "system": "http://loinc.org", "code": "25045-6", "display": "CT unspecified body region"
    }  # fmt: skip
    assert report["subject"] == {"type": "Patient", "identifier": {"value": "P-4711"}, "display": "DOE JANE Q DR MD"}
    assert report["effectiveDateTime"] == "2026-03-01"
    assert first["code"]["coding"][0]["code"] == "1386000"
    assert first["valueCodeableConcept"]["coding"][0]["code"] == "52101004"
    assert first["component"][0]["valueQuantity"]["value"] == 97.1


@pytest.mark.parametrize(("code", "transient"), [(400, False), (422, False), (412, False), (409, True), (500, True)])
def test_refusals(code, transient):
    outcome = b'{"resourceType":"OperationOutcome","issue":[{"diagnostics":"DOE^JANE"}]}'
    with HttpReceiver(lambda got: (code, outcome, {})).listening() as receiver:
        said = send(receiver, named(POSITIVE))
    assert (said.transient, said.status) == (transient, code)
    assert "DOE" not in said.error


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"type":"searchset"}', b"[" * 100_000])
def test_an_answer_that_is_none_to_a_transaction(body):
    with HttpReceiver(lambda got: (200, body, {})).listening() as receiver:
        said = send(receiver, POSITIVE)
    assert said.error is not None
    assert said.transient


def test_what_concerns_the_server(secret_file):
    for code, error in ((401, PeerRefused), (503, PeerBusy), (404, PeerRefused)):
        with HttpReceiver(lambda got, code=code: (code, b"", {})).listening() as receiver, pytest.raises(error):
            send(receiver, POSITIVE, token_file=secret_file)
    assert receiver.posts[0].headers["Authorization"].startswith("Bearer ")
    with pytest.raises(PeerUnreachable):
        send(HttpReceiver(), POSITIVE)


def test_a_test_files_nothing_and_asks_for_the_version():
    server = FhirServer()
    with HttpReceiver(server.reply).listening() as receiver:
        assert send(receiver, TEST).error is None
        server.version = "5.0.0"
        with pytest.raises(PeerRefused, match="does not speak FHIR R4"):
            send(receiver, TEST)
    assert receiver.posts == []
    with (
        HttpReceiver(lambda got: (200, b"<html>", {})).listening() as other,
        pytest.raises(PeerRefused, match="Capability"),
    ):
        send(other, TEST)
