"""Promote and roll back, as an administrator and as a program do it."""

from __future__ import annotations

import fastjsonschema

from ichnode.steps.register import active_digest
from ichnode.web.api_schemas import ANSWERS
from ichnode.worklist.people import audit
from tests.made import rows
from tests.web.test_node_page import words


def acts(node):
    return [(r["who"], r["what"], r["detail"]["model"]) for r in rows(node.worklist, audit) if r["what"][:5] == "model"]


def test_an_administrator_promotes_what_the_gate_let_through_and_rolls_back(people, visitor, challenger, tiny_bundle):
    visit = visitor("administrator")
    assert "passed" in words(visit.get("/node").text)
    assert visit.submit("/node/promote", model=challenger).status_code == 400, "without the tick"
    assert active_digest(people) == tiny_bundle.digest
    done = visit.submit("/node/promote", model=challenger, sure="yes")
    assert (done.status_code, done.headers["location"]) == (303, "/node#models")
    assert active_digest(people) == challenger
    assert f"● active random weights for tests 0 {challenger[:12]}" in words(visit.get("/node").text)
    assert visit.submit("/node/rollback", sure="yes").status_code == 303
    assert active_digest(people) == tiny_bundle.digest
    assert acts(people)[1:] == [
        ("administrator", "model.promoted", challenger), ("administrator", "model.rolled_back", tiny_bundle.digest),
    ]  # fmt: skip


def test_a_program_does_so_with_that_scope_alone(people, program, challenger, tiny_bundle):
    client = program("model.promote")
    assert program("node.operate").post(f"/api/v1/models/{challenger}/promote").status_code == 403
    said = client.post(f"/api/v1/models/{challenger[:12]}/promote")
    assert said.status_code == 200, said.text
    fastjsonschema.validate(ANSWERS["post", "/api/v1/models/{digest}/promote"], said.json(), use_default=False)
    assert (said.json()["state"], active_digest(people)) == ("active", challenger)
    back = client.post("/api/v1/models/rollback")
    fastjsonschema.validate(ANSWERS["post", "/api/v1/models/rollback"], back.json(), use_default=False)
    assert active_digest(people) == back.json()["digest"] == tiny_bundle.digest
    assert client.post("/api/v1/models/feed/promote").status_code == 409
    assert [what for _, what, _ in acts(people)] == ["model.imported", "model.promoted", "model.rolled_back"]
