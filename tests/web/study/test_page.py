"""The study page and what its viewer fetches, over HTTP: what is shown, to whom, and what is written down of it."""

from __future__ import annotations

import errno
import html
import re

import fastjsonschema
import numpy as np
import pydicom
import pytest

from ichnode.core.alerts import Rule
from ichnode.core.planes import decode
from ichnode.dicom.decoding import Decoders
from ichnode.dicom.pixels import read_hounsfield
from ichnode.web.api_schemas import ANSWERS
from ichnode.worklist import audit, deliveries, feedback, notices, readings, retractions, schema
from tests.made import analysed_series, claim, closed_series, finish, not_analysed, rows, study_facts
from tests.web.study.answered import HOT, KEY, answer, renamed, spot

PAGE = "/studies/1"
PAGE_API = "/api/v1/studies/1"
XSS = '"><script>alert(1)</script><img src=x onerror=alert(2)>'


def stack_of(visit, series=1):
    said = visit.get(f"/studies/1/series/{series}/stack")
    assert said.status_code == 200, said.text
    return said.json()


def planes_of(visit, facts, part):
    said = visit.get(f"{facts['planes']}/{part}")
    assert said.status_code == 200, said.text
    planes, at = [], 0
    while at < len(said.content):
        length = int.from_bytes(said.content[at : at + 4], "little")
        one = facts["slices"][part * facts["part"] + len(planes)]
        planes.append(decode(said.content[at + 4 : at + 4 + length], one["rows"], one["columns"]))
        at += 4 + length
    return said, planes


def events(node):
    with node.worklist.read() as tx:
        return [(row["who"], row["what"], row["study_id"]) for row in audit.latest(tx)][::-1]


def words(page):
    """The page's text without its tags."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


def test_the_page_says_what_a_reader_has_to_know(study, visitor):
    text = words(visitor("reader").get(PAGE).text)
    for part in (
        "Intracranial hemorrhage suspected", "intraparenchymal, subdural", "Research use only",
        "Model random weights for tests 0", "First slice of the study received", "read for this study", "SR",
        "Answer of revision 1: positive",
    ):  # fmt: skip
        assert part in text, part
    assert "Sign off" not in text and "Disagree" not in text, "a reader may look"
    assert (("reader", "study.viewed", 1)) in events(study)


def test_planes_are_the_slices_in_the_order_of_the_scores_and_are_kept_by_the_browser_alone(study, visitor, files):
    reader = visitor("reader")
    facts = stack_of(reader)
    assert len(facts["slices"]) == len(facts["scores"]) == 32
    assert facts["keys"][0]["index"] == facts["first"] == KEY
    said, planes = planes_of(reader, facts, 3)
    for index, plane in zip(range(12, 16), planes, strict=True):
        np.testing.assert_array_equal(plane, read_hounsfield(files[index])[0][0])
    assert said.headers["content-encoding"] == "gzip"
    assert said.headers["cache-control"].startswith("private, ") and "immutable" in said.headers["cache-control"]
    assert ("reader", "series.viewed", 1) in events(study)


def test_pixels_that_are_fetched_without_the_page_are_in_the_audit_journal_once_an_hour(study, visitor, program):
    facts = stack_of(visitor("reader"))
    planes, heat, one = f"{facts['planes']}/0", facts["heat"]["address"], program("study.read")
    for address in (planes, planes, heat):
        assert one.get(address).status_code == 200
    study.now.forward(3601)
    assert one.get(heat).status_code == 200
    seen = [event for event in events(study) if event[0] == "token:program 0"]
    assert seen == [("token:program 0", "series.viewed", 1)] * 2
    assert one.get(planes.replace("/studies/1/", "/studies/2/")).status_code == 404


def test_planes_keep_no_session_open(study, visitor):
    visit = visitor("reader")
    address = f"{stack_of(visit)['planes']}/0"
    study.now.forward(1700)
    assert visit.get(address).status_code == 200
    study.now.forward(200)
    assert visit.get(address).status_code == 303


def test_what_changed_nothing_is_not_in_the_audit_journal(study, visitor, program):
    with study.worklist.write() as tx:
        readings.sign_off(tx, study.now(), "somebody else", 1, readings.latest_result(tx, 1))
    one = program("study.teach", "study.sign")
    visit = visitor("radiologist")
    assert visit.submit(f"{PAGE}/reading", seen="1").status_code == 303
    assert one.post(f"{PAGE_API}/reading", json={"seen": 1}).json() == {"read_by": "somebody else"}
    assert visit.submit(f"{PAGE}/feedback", result="1", take_back="yes").status_code == 303
    assert one.delete(f"{PAGE_API}/results/1/feedback").json() == {"done": False}
    with study.worklist.write() as tx:
        readings.put_back(tx, study.now(), "somebody else", 1)
    assert visit.submit(f"{PAGE}/reading", unread="yes").status_code == 303
    assert one.delete(f"{PAGE_API}/reading").json() == {"done": False}
    assert one.post(f"{PAGE_API}/reading", json={"seen": True}).status_code == 422
    assert not [event for event in events(study) if event[1].startswith("feedback.") or "sign" in event[1]
                or event[1] == "study.unread"]  # fmt: skip


def test_planes_that_could_not_be_read_for_a_moment_are_not_kept(study, visitor, monkeypatch):
    reader = visitor("reader")
    facts = stack_of(reader)

    def full(*_):
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(Decoders, "read_hounsfield", full)
        said = reader.get(f"{facts['planes']}/3")
    assert (said.status_code, said.content, said.headers["cache-control"]) == (200, bytes(4 * 4), "no-store")
    said, planes = planes_of(reader, facts, 3)
    assert len(planes) == 4 and "immutable" in said.headers["cache-control"]


def test_heat_maps_are_those_of_the_answer(study, visitor):
    reader = visitor("reader")
    facts = stack_of(reader)
    assert [one["index"] for one in facts["heat"]["maps"]] == list(HOT)
    said = reader.get(facts["heat"]["address"])
    maps = np.frombuffer(said.content, np.uint8).reshape(len(HOT), 256, 256)
    assert np.abs(maps[0] / 255 - spot(256, 256)).max() < 0.51 / 255


def test_who_was_told_what_and_when_stands_beside_the_answer(study, visitor):
    with study.worklist.write() as tx:
        filed = notices.announce(tx, study.now(), {"oncall": Rule()}, {})
    assert [one.channel for one in filed or ()] == ["oncall"]
    text = words(visitor("reader").get(PAGE).text)
    assert "oncall: alert, suspected, to be told since 13:00" in text
    with study.worklist.write() as tx:
        (claimed,) = deliveries.claim_deliveries(tx, study.now(), "oncall", "boot")
        deliveries.accepted(tx, study.now(), claimed, 250)
    assert "oncall: alert, suspected, told 13:00" in words(visitor("reader").get(PAGE).text)


def test_a_program_sees_all_that_the_page_shows(study, program, visitor):
    client = program("study.read")
    facts = described("get", PAGE_API, client.get(PAGE_API))
    (given,) = facts["answers"]
    assert (given["model"], given["model_version"]) == ("random weights for tests", "0")
    assert facts["latest_result"] == given["result"] == 1 and facts["shown_series"] == 1
    assert "First slice of the study received" in [row["words"] for row in facts["journal"]]
    stack = described("get", f"{PAGE_API}/series/1/stack", client.get(f"{PAGE_API}/series/1/stack"))
    assert stack["planes"].startswith("/api/v1/") and stack["heat"]["address"].startswith("/api/v1/")
    reader = visitor("reader")
    page = stack_of(reader)
    for ours, theirs in (
        (f"{stack['planes']}/2", f"{page['planes']}/2"),
        (stack["heat"]["address"], page["heat"]["address"]),
    ):
        assert client.get(ours).content == reader.get(theirs).content
    assert client.get(f"{PAGE_API}/reports/1").content == reader.get(f"{PAGE}/reports/1").content
    seen = [what for who, what, _ in events(study) if who == "token:program 0"]
    assert seen == ["study.viewed", "series.viewed", "report.downloaded"]
    assert program("worklist.read").get(f"{PAGE_API}/reports/1").status_code == 403


GUESSED = (
    "/studies/2", "/studies/1/series/2/stack", "/studies/2/series/1/stack", "/studies/1/series/1/planes/x/999",
    "/studies/1/series/1/heat/7/x", "/studies/1/series/1/heat/1/x", "/studies/1/reports/7", "/studies/2/reports/1",
    "/studies/1/open/viewer", "/studies/1/open/__class__", "/studies/0/series/0/planes/x/0", "/studies/-1",
    "/studies/1%00", "/studies/99999999999999999999", "/studies/1/series/99999999999999999999/planes/x/0",
    "/studies/1/series/1/planes/..%2f..%2f..%2fetc%2fpasswd/0",
)  # fmt: skip


def test_guessed_numbers_lead_nowhere(study, visitor):
    reader = visitor("reader")
    assert {
        path: reader.get(path).status_code for path in GUESSED if reader.get(path).status_code not in (404, 409)
    } == {}


def test_nobody_sees_anything_without_signing_in(study, stranger, visitor):
    facts = stack_of(visitor("reader"))
    visit = stranger()
    visit.headers["Accept"] = "application/json"
    for path in (PAGE, "/studies/1/series/1/stack", f"{facts['planes']}/0", facts["heat"]["address"],
                 "/studies/1/reports/1", "/agreement"):  # fmt: skip
        assert visit.get(path).status_code == 401, path
    assert visit.post("/studies/1/reading", data={}).status_code == 401


def test_a_series_that_changed_meanwhile_is_not_mixed_up(study, visitor):
    reader = visitor("reader")
    facts = stack_of(reader)
    said = reader.get(facts["planes"].replace(facts["digest"], "0" * 64) + "/0")
    assert said.status_code == 409


def test_the_report_is_the_file_that_was_sent(study, visitor):
    reader = visitor("reader")
    said = reader.get("/studies/1/reports/1")
    (row,) = rows(study.worklist, schema.reports)
    assert said.content == study.spool.path(row["file"]).read_bytes()
    assert said.headers["content-disposition"] == 'attachment; filename="ichnode-sr-1.dcm"'
    assert ("reader", "report.downloaded", 1) in events(study)


def test_a_radiologist_signs_off_what_was_seen_and_may_take_it_back(study, visitor):
    visit = visitor("radiologist")
    seen, state = (re.search(rf'name="{one}" value="([\d.]+)"', visit.get(PAGE).text)[1] for one in ("seen", "state"))
    assert visit.submit(f"{PAGE}/reading", seen="99", state=state).status_code == 409, "an answer that was not seen"
    assert visit.submit(f"{PAGE}/reading", seen=seen).status_code == 409, "a page that does not say what it showed"
    done = visit.submit(f"{PAGE}/reading", seen=seen, state=state)
    assert (done.status_code, done.headers["location"]) == (303, f"{PAGE}#reading")
    assert "Read by radiologist" in words(visit.get(PAGE).text)
    assert rows(study.worklist, schema.studies)[0]["read_by"] == "radiologist"
    assert visit.submit(f"{PAGE}/reading", unread="yes").status_code == 303
    assert rows(study.worklist, schema.studies)[0]["read_by"] is None
    acts = [event for event in events(study) if event[1] in ("study.signed_off", "study.unread")]
    assert acts == [("radiologist", "study.signed_off", 1), ("radiologist", "study.unread", 1)]


def test_what_is_taught_is_kept_shown_and_read_as_labels(study, visitor):
    visit = visitor("radiologist")
    order = rows(study.worklist, schema.results)[0]["outcome"]["order"]
    key, lowest = (":".join(map(str, order[index])) for index in (KEY, 0))
    marks = [f"{key}:subdural:yes", f"{lowest}:any:no"]
    said = {"result": "1", "agrees": "no", "class-epidural": "yes", "mark": marks}
    assert visit.submit(f"{PAGE}/feedback", **said).status_code == 409, "disagrees with a positive, yet there is blood"
    said = {"result": "1", "agrees": "yes", "class-epidural": "yes", "mark": marks}
    assert visit.submit(f"{PAGE}/feedback", **said, comment="Thin.\r\nAlong the falx.").status_code == 303
    with study.worklist.read() as tx:
        (known,) = feedback.taught(tx)
    assert known.truth.scan == {"any": True, "subdural": True, "epidural": True}
    assert known.truth.slices[tuple(order[KEY])] == {"subdural": True, "any": True}
    assert known.truth.slices[tuple(order[0])]["any"] is False
    page = visit.get(PAGE).text
    assert "radiologist agrees" in words(page) and "Thin. Along the falx." in words(page)
    assert f'value="{key}:subdural:yes"' in page, "what was said is there to be changed"
    part = visit.post(
        f"{PAGE}/feedback", data={"csrf": visit.csrf(), "result": "1", "take_back": "yes"},
        headers={"HX-Request": "true"},
    )  # fmt: skip
    assert part.status_code == 200 and "<html" not in part.text and "agreed" in words(part.text)
    assert [what for who, what, _ in events(study) if what.startswith("feedback")] == [
        "feedback.given", "feedback.taken_back",
    ]  # fmt: skip


NONSENSE = (
    {"result": "1"}, {"result": "1", "agrees": "perhaps"}, {"result": "1", "agrees": "yes", "mark": "99:any:yes"},
    {"result": "1", "agrees": "yes", "mark": "0:tumour:yes"}, {"result": "1", "agrees": "yes", "mark": "x"},
    {"result": "1", "agrees": "yes", "comment": "x" * 3000}, {"result": "7", "agrees": "yes"},
    {"result": "\u0661", "agrees": "yes"}, {"agrees": "yes"},
    {"result": "\u00b2", "agrees": "yes"},
)  # fmt: skip


def test_a_form_that_says_nothing_sensible_changes_nothing(study, visitor):
    visit = visitor("radiologist")
    for fields in NONSENSE:
        assert visit.submit(f"{PAGE}/feedback", **fields).status_code in (404, 409, 422), fields
    assert rows(study.worklist, schema.feedback) == []


def test_only_a_radiologist_teaches_and_signs_and_only_from_the_page_itself(study, visitor):
    reader, radiologist = visitor("reader"), visitor("radiologist")
    assert reader.submit(f"{PAGE}/feedback", result="1", agrees="yes").status_code == 403
    assert reader.submit(f"{PAGE}/reading", seen="1").status_code == 403
    assert radiologist.post(f"{PAGE}/reading", data={"seen": "1"}).status_code == 403, "without the token"
    assert rows(study.worklist, schema.studies)[0]["read_by"] is None


def test_agreement_over_time_is_shown(study, visitor):
    visit = visitor("radiologist")
    assert "Nobody has judged any yet" in words(visit.get("/agreement").text)
    visit.submit(f"{PAGE}/feedback", result="1", agrees="yes")
    assert "100 % (1 of 1)" in words(visit.get("/agreement").text)


def test_strings_of_dicom_are_text_and_nothing_else(study, visitor, files, tiny_bundle, tmp_path):
    evil = {
        "PatientName": XSS, "PatientID": XSS, "AccessionNumber": XSS[:16], "StudyDescription": XSS,
        "SeriesDescription": f"HEAD {XSS}", "ReferringPhysicianName": XSS, "StationName": XSS[:16],
    }  # fmt: skip
    answer(study, study.now, renamed(files, tmp_path / "evil", **evil), tiny_bundle)
    visit = visitor("radiologist")
    visit.submit("/studies/2/feedback", result="2", agrees="yes", comment=XSS)
    with study.worklist.write() as tx:
        assert retractions.retract(tx, study.now(), [2], "wrong-result", XSS)
    page = visit.get("/studies/2")
    assert page.status_code == 200 and "alert(1)" in words(page.text)
    assert "<script>alert" not in page.text and "<img src=x" not in page.text
    assert XSS not in visit.get("/studies/2/series/2/stack").text


def test_every_kind_of_study_has_a_page(study, visitor):
    analysed_series(study.worklist, study.now, study_facts("a"), 0.1)
    closed_series(study.worklist, study.now, study_facts("b"))
    visit = visitor("radiologist")
    assert "No intracranial hemorrhage detected" in words(visit.get("/studies/2").text)
    assert "No answer yet" in words(visit.get("/studies/3").text)
    facts = visit.get("/studies/2/series/2/stack").json()
    assert visit.get(f"{facts['planes']}/0").content == bytes(12), "files that are gone leave their places empty"
    job = claim(study.worklist, study.now)
    assert finish(study.worklist, study.now, job, not_analysed(job))
    text = words(visit.get("/studies/3").text)
    assert "Not analysed" in text and "ANALYSIS_FAILED" in text


@pytest.mark.parametrize("options", [{"web": {"viewer_url": "https://v.example/?s={study_instance_uid}"}}])
def test_another_viewer_is_reached_by_the_configured_link_and_that_is_written_down(study, visitor, files):
    visit = visitor("reader")
    assert "Open in the viewer" in visit.get(PAGE).text
    said = visit.get(f"{PAGE}/open/viewer")
    uid = pydicom.dcmread(files[0], stop_before_pixels=True).StudyInstanceUID
    assert (said.status_code, said.headers["location"]) == (303, f"https://v.example/?s={uid}")
    assert ("reader", "study.opened_elsewhere", 1) in events(study)


def described(method, path, answer):
    """The answer, which is as the description of the JSON says."""
    assert answer.status_code == 200, answer.text
    path = path.replace("studies/1", "studies/{study}").replace("series/1", "series/{series}")
    schema = ANSWERS[method, path.replace("results/1", "results/{result}")]
    fastjsonschema.validate(schema, answer.json(), use_default=False)
    return answer.json()


def test_a_program_teaches_and_signs_by_json_within_its_scopes(study, program):
    teacher, onlooker = program("study.read", "study.teach", "study.sign"), program("study.read")
    order = rows(study.worklist, schema.results)[0]["outcome"]["order"]
    labels = [
        {"name": "subdural", "present": True, "slice": order[KEY]},
        {"name": "epidural", "present": False, "slice": None},
    ]
    address = "/api/v1/studies/1/results/1/feedback"
    said = teacher.post(address, json={"agrees": True, "labels": labels, "comment": "By CT angiography."})
    described("post", address, said)
    with study.worklist.read() as tx:
        (known,) = feedback.taught(tx)
    assert known.truth.scan == {"any": True, "subdural": True, "epidural": False}
    (given,) = described("get", "/api/v1/studies/1/feedback", onlooker.get("/api/v1/studies/1/feedback"))["feedback"]
    assert (given["reader"], given["labels"]) == ("token:program 0", labels)
    stack = "/api/v1/studies/1/series/1/stack"
    assert described("get", stack, onlooker.get(stack))["first"] == KEY
    for wrong in ({}, {"agrees": 1}, {"agrees": True, "labels": [1]}, {"agrees": True, "labels": [{"name": "any"}]},
                  {"agrees": True, "labels": [{"name": "any", "present": True, "slice": ["x"]}]}, []):  # fmt: skip
        assert teacher.post(address, json=wrong).status_code in (400, 422), wrong
    assert teacher.post("/api/v1/studies/1/results/9/feedback", json={"agrees": True}).status_code == 404
    assert onlooker.post(address, json={"agrees": True}).status_code == 403
    assert teacher.post("/api/v1/studies/1/reading", json={"seen": None}).status_code == 409
    reading = "/api/v1/studies/1/reading"
    assert described("post", reading, teacher.post(reading, json={"seen": 1})) == {"read_by": "token:program 0"}
    assert described("delete", reading, teacher.delete(reading)) == {"done": True}
    assert described("delete", address, teacher.delete(address)) == {"done": True}
