"""Work items in DICOM JSON: what a service says is read as far as it can be, and what the node says has its form."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import pytest
from pydicom.dataset import Dataset

from ichnode.core.reasons import because
from ichnode.core.workitem import CodedEntry, Input, Output
from ichnode.dicom.ups_rs import Said, retrieve, search, update
from ichnode.dicom.workitem_json import discontinued, performed, read_workitem
from ichnode.https import WebRemote
from tests.answering import answering
from tests.peers import free_port
from tests.ups_service import code, element, series_input

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_the_input_is_read_with_where_it_can_be_had():
    web = {"0040E025": element("SQ", {"00081190": element("UR", "https://pacs.example/series/1.2.4")})}
    said = {
        "00404021": element("SQ", series_input("1.2.3", "1.2.4", 3, "PACS") | web),
        "00404018": code("ICH^L"),
        "00741000": element("CS", "SCHEDULED"),
    }
    found = read_workitem(said)
    assert found.inputs == (Input("1.2.3", "1.2.4", 3, ("PACS", "https://pacs.example")),)
    assert found.codes == (CodedEntry("ICH", "L", "ICH in words"),)
    assert (found.readiness, found.priority) == ("", "MEDIUM")


@pytest.mark.parametrize(
    ("place", "shown"),
    [
        ("https://x.example:8080/rs?PatientName=DOE^JANE", ("https://x.example",)),
        ("https://DOE^JANE:DOE@x.example", ("https://x.example",)),
        ("https://DOE^JANE/", ()),
        ("file:///DOE/JANE", ()),
        ("https://[DOE", ()),
    ],
)
def test_of_an_address_only_scheme_and_host_are_kept_and_of_titles_what_is_one(place, shown):
    aets = element(
        "SQ", *({"00080054": element("AE", text)} for text in ("DOE^JANE", "A" * 17, "DOE JANE", "DOE\nJANE"))
    )
    item = series_input("1.2.3", "1.2.4", 3) | {
        "0040E021": aets,
        "0040E025": element("SQ", {"00081190": element("UR", place)}),
    }
    assert read_workitem({"00404021": element("SQ", item)}).inputs == (Input("1.2.3", "1.2.4", 3, shown),)


def test_no_more_than_a_few_places_are_kept():
    aets = element("SQ", *({"00080054": element("AE", f"PACS{n}")} for n in range(1000)))
    (found,) = read_workitem({"00404021": element("SQ", series_input("1.2.3", "1.2.4", 3) | {"0040E021": aets})}).inputs
    assert found.places == ("PACS0", "PACS1", "PACS2", "PACS3")


@pytest.mark.parametrize(
    "item",
    [
        {},
        {"0020000D": element("UI", "1.2.3")},
        series_input("1.2.3", "../../etc", 1),
        series_input("1.2.3", "1.2.4", 1) | {"0040E020": element("CS", "CDA")},
        {"0020000D": None, "0020000E": {"Value": 5}},
    ],
)
def test_what_names_no_series_is_no_input(item):
    assert read_workitem({"00404021": element("SQ", item, "text", None)}).inputs == ()


@pytest.mark.parametrize("body", [b"", b"[]", b"7", b"[[[", b'[{"00741000": 1}, {}]', b"[" * 100_000])
@pytest.mark.parametrize("status", [200, 500])
def test_an_unreadable_item_has_no_state_and_does_no_harm(status, body):
    port = free_port()
    with answering(port, lambda *_: (status, body, {})):
        found = retrieve(WebRemote("workitems", f"http://127.0.0.1:{port}"), "1.2.3")
    assert found is not None
    assert (found.uid, found.state) == ("1.2.3", "")


@pytest.mark.parametrize(
    ("status", "said"), [(200, Said.DONE), (400, Said.CONFLICT), (409, Said.CONFLICT), (410, Said.GONE),
                         (500, Said.BROKEN)],
)  # fmt: skip
def test_what_the_status_of_an_update_means(status, said):
    port = free_port()
    seen = []

    def answer(method, path, headers, body):
        seen.append((method, path, headers["Content-Type"], json.loads(body)["00081195"]["Value"]))
        return status, b"", {}

    with answering(port, answer):
        assert update(WebRemote("workitems", f"http://127.0.0.1:{port}"), "1.2.3", "2.25.7", Dataset()) is said
    assert seen == [("POST", "/workitems/1.2.3?transaction-uid=2.25.7", "application/dicom+json", ["2.25.7"])]


def test_the_output_names_each_place_by_its_own_way():
    outputs = [Output("1", "2", "3", f"4.{n}", place) for place in ("pacs", "web") for n in (1, 2)]
    places = {"pacs": ("PACS", ""), "web": ("", "https://web.example/rs/")}
    code_ = CodedEntry("ICH", "L")
    update_ = performed(outputs, places, code_, [code_], NOON, NOON)
    (done,) = update_.UnifiedProcedureStepPerformedProcedureSequence
    by_aet, by_web = done.OutputInformationSequence
    assert by_aet.DICOMRetrievalSequence[0].RetrieveAETitle == "PACS"
    assert by_web.WADORSRetrievalSequence[0].RetrieveURL == "https://web.example/rs/studies/1/series/2"
    assert [ref.ReferencedSOPInstanceUID for ref in by_web.ReferencedSOPSequence] == ["4.1", "4.2"]
    assert done.PerformedProcedureStepEndDateTime == "20260301120000.000000+0000"
    json.dumps(update_.to_json_dict())


@pytest.mark.parametrize(
    ("reason", "coded"),
    [("CONTRAST", "110522"), ("PIXELS_UNREADABLE", "110521"), ("NO_INPUT", "110523"), ("ANALYSIS_FAILED", "110513")],
)
def test_the_reason_of_a_discontinuation_is_coded_and_in_words(reason, coded):
    (item,) = discontinued(because(reason), NOON).ProcedureStepProgressInformationSequence
    assert item.ProcedureStepDiscontinuationReasonCodeSequence[0].CodeValue == coded
    assert item.ReasonForCancellation == f"{reason}: {because(reason).sentence}"


def test_a_page_that_is_too_long_is_asked_for_item_by_item():
    port, items = free_port(), [{"00080018": element("UI", f"1.2.{n}")} for n in range(3)]

    def answer(method, path, headers, body):
        said = {name: int(value[0]) for name, value in parse_qs(urlsplit(path).query).items() if value[0].isdigit()}
        page = items[said["offset"] : said["offset"] + said["limit"]]
        return 200, json.dumps(page).encode() + b" " * 100 * len(page), {}

    with answering(port, answer):
        web = WebRemote("workitems", f"http://127.0.0.1:{port}", most_answer_bytes=200)
        assert [one.uid for one in search(web, (), "")] == ["1.2.0", "1.2.1", "1.2.2"]
