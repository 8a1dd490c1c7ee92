"""The JSON for programs: what it holds is what its description says; scopes; refusals."""

from __future__ import annotations

import json
from datetime import timedelta

import fastjsonschema
import pytest

from ichnode.web.api_schemas import ANSWERS, BINARY
from ichnode.worklist import assembly, jobs, schema, tokens
from ichnode.worklist.people import audit
from tests.made import claim, rows

PACS = {"name": "pacs", "aet": "PACS", "host": "127.0.0.1", "port": 11199}


@pytest.fixture
def options():
    return {"destinations": [PACS]}


def check(method, path, answer):
    assert answer.status_code == 200, answer.text
    fastjsonschema.validate(ANSWERS[method, path], answer.json(), use_default=False)
    return answer.json()


def test_every_answer_is_as_described(morning, program, head_ct):
    client = program("worklist.read", "study.read", "node.read", "node.operate", "audit.read", "rules.try")
    first = check("get", "/api/v1/worklist", client.get("/api/v1/worklist"))
    number = first["studies"][0]["id"]
    found = client.post("/api/v1/worklist/search", json={"text": "lind"})
    assert [s["id"] for s in check("post", "/api/v1/worklist/search", found)["studies"]] == [number]
    study = check("get", "/api/v1/studies/{study}", client.get(f"/api/v1/studies/{number}"))
    assert study["patient_name"] == "LIND^ASTRID^M"
    check("get", "/api/v1/node", client.get("/api/v1/node"))
    (scanner,) = check("get", "/api/v1/node/scanners", client.get("/api/v1/node/scanners"))["scanners"]
    assert (scanner["station"], [chart["name"] for chart in scanner["charts"]]) == (
        "CT2",
        ["Score", "Brain", "Spacing"],
    )
    check("get", "/api/v1/agreement", client.get("/api/v1/agreement"))
    check("get", "/api/v1/audit", client.get("/api/v1/audit"))
    check("post", "/api/v1/retry", client.post("/api/v1/retry", json={}))
    path = "/api/v1/destinations/{name}/pause"
    assert check("post", path, client.post("/api/v1/destinations/pacs/pause", json={"paused": True}))["paused"]
    assert client.get("/api/v1/node").json()["destinations"][0]["paused_by"] == "token:program 0"
    file = sorted(head_ct.iterdir())[0]
    tried = client.post("/api/v1/rules", files={"files": (file.name, file.read_bytes())})
    assert check("post", "/api/v1/rules", tried)["series"][0]["code"] == "TOO_FEW_SLICES"
    assert {r["who"] for r in rows(morning.worklist, audit) if r["what"].endswith("viewed")} == {"token:program 0"}


def test_a_program_hears_news(morning, program):
    with program("worklist.read").stream("GET", "/api/v1/events") as heard:
        assert heard.headers["content-type"].startswith("text/event-stream")
        data = next(line for line in heard.iter_lines() if line.startswith("data:"))
    assert json.loads(data[5:])["positives"]


def test_page_after_page(morning, program):
    client = program("worklist.read")
    seen, after = [], ""
    while after is not None:
        page = client.get("/api/v1/worklist", params={"limit": 3, "after": after}).json()
        seen += [s["id"] for s in page["studies"]]
        after = page["next"]
    assert len(seen) == len(set(seen)) == 10
    assert page["counts"]["positive"] == {"unread": 2, "all": 3}


@pytest.mark.parametrize(
    ("scope", "path"),
    [("worklist.read", "/api/v1/studies/1"), ("study.read", "/api/v1/worklist"), ("worklist.read", "/api/v1/audit")],
)
def test_a_token_may_what_its_scopes_say_and_no_more(morning, program, scope, path):
    answer = program(scope).get(path)
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "NOT_ALLOWED"


def test_nobody_without_a_token_that_holds(morning, program, stranger):
    assert stranger().get("/api/v1/worklist").status_code == 401
    wrong = stranger().get("/api/v1/worklist", headers={"Authorization": "Bearer ichnode_guessed"})
    assert (wrong.status_code, wrong.headers["WWW-Authenticate"]) == (401, "Bearer")
    over = program("worklist.read", expires_at=morning.now() - timedelta(seconds=1))
    assert over.get("/api/v1/worklist").status_code == 401
    revoked = program("worklist.read")
    assert revoked.get("/api/v1/worklist").status_code == 200
    with morning.worklist.write() as tx:
        tokens.revoke(tx, morning.now(), "program 1")
    assert revoked.get("/api/v1/worklist").status_code == 401


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/v1/worklist/search", b"{"), ("/api/v1/worklist/search", b"[]"), ("/api/v1/worklist/search", b"{}"),
        ("/api/v1/worklist/search", b'{"text": ""}'), ("/api/v1/retry", b'{"study": "all"}'),
        ("/api/v1/retry", b'{"study": true}'), ("/api/v1/retry", b'{"study": 1' + b"0" * 30 + b"}"),
        ("/api/v1/retry", b'{"study": 0}'), ("/api/v1/destinations/pacs/pause", b'{"paused": 1}'),
        ("/api/v1/retry", b"[" * 60000),
    ],
)  # fmt: skip
def test_a_body_that_cannot_be_understood_is_400(morning, program, path, body):
    answer = program("worklist.read", "node.operate").post(path, content=body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["sentence"]


@pytest.mark.parametrize("path", ["/api/v1/studies/999", "/api/v1/studies/0", "/api/v1/studies/99999999999999999999"])
def test_what_is_not_there_is_404(morning, program, path):
    assert program("study.read").get(path).status_code == 404


def test_what_a_browser_has_a_session_for_it_may_read_too_but_change_only_with_its_token(morning, visitor):
    visit = visitor("administrator")
    assert visit.get("/api/v1/worklist").status_code == 200
    assert visit.post("/api/v1/retry", json={}).status_code == 403
    assert visit.post("/api/v1/retry", json={}, headers={"X-CSRF-Token": visit.csrf()}).status_code == 200


def test_the_description_is_there_for_everybody_and_complete(served, stranger):
    found = stranger().get("/api/openapi.json").json()
    assert found["openapi"].startswith("3.1")
    described = {(method, path) for path, methods in found["paths"].items() for method in methods}
    assert described == {*ANSWERS, *BINARY}
    assert all(operation["summary"] for methods in found["paths"].values() for operation in methods.values())
    assert json.dumps(found)


def test_pictures_that_are_still_being_made_are_announced(morning, program):
    client = program("worklist.read", "study.read")
    number = client.post("/api/v1/worklist/search", json={"text": "lind"}).json()["studies"][0]["id"]
    said = lambda: client.get(f"/api/v1/studies/{number}").json()["answers"][0]["pictures_to_come"]  # noqa: E731
    assert said() is False
    (series,) = [row for row in rows(morning.worklist, schema.series) if row["study_id"] == number]
    with morning.worklist.write() as tx:
        assembly.queue_job(tx, morning.now(), series["id"], series["revision"], "illustrate", None)
        assert jobs.pictures_to_come(tx, number)
    assert said() is True
    job = claim(morning.worklist, morning.now, "illustrate")
    with morning.worklist.write() as tx:
        assert jobs.finish_job(tx, morning.now(), job)
        assert not jobs.pictures_to_come(tx, number)
    assert said() is False
