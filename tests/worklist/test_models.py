"""The registry: one active model at most, every move journalled, nothing moved that may not be."""

from __future__ import annotations

import pytest
from sqlalchemy import update
from sqlalchemy.exc import IntegrityError

from ichnode.errors import PermanentError
from ichnode.worklist import model_tables, models, schema
from tests.made import events, rows

A, B, C = ("a" * 64, "b" * 64, "c" * 64)
PASSED = {"passed": True, "against": A, "checks": [{"name": "auc", "passed": True, "sentence": "As good."}]}


@pytest.fixture
def registry(worklist, clock):
    """``registry("promote", B)`` calls the transition in a transaction of its own."""

    def act(name, *given, **named):
        with worklist.write() as tx:
            clock.forward(1)
            return getattr(models, name)(tx, clock(), *given, **named)

    for digest in (A, B, C):
        assert act("register", digest, "a model", digest[:2], "import")
    act("install", A, pinned=False)
    return act


def states(worklist):
    return {row["digest"][0]: row["state"] for row in rows(worklist, model_tables.models)}


def test_a_promoted_model_retires_the_one_before_and_rollback_brings_it_back(worklist, registry):
    registry("promote", B)
    assert states(worklist) == {"a": "retired", "b": "active", "c": "candidate"}
    assert registry("rollback") == (B, A)
    assert states(worklist) == {"a": "active", "b": "retired", "c": "candidate"}
    registry("promote", C)
    assert registry("rollback") == (C, A), "the one that was active last, not the latest to be registered"
    assert registry("rollback") == (A, C)
    moves = ["installed", "promoted", "rolled_back", "promoted", "rolled_back", "rolled_back"]
    assert events(worklist)[3:] == [f"model.{move}" for move in moves]


def test_the_first_model_has_nothing_to_roll_back_to(worklist, registry):
    with pytest.raises(PermanentError, match="nothing to roll back to"):
        registry("rollback")
    assert states(worklist)["a"] == "active"


def test_there_is_one_shadow_and_the_one_before_is_a_candidate_again(worklist, registry):
    registry("shadow", B)
    registry("shadow", C)
    assert states(worklist) == {"a": "active", "b": "candidate", "c": "shadow"}
    assert registry("end_shadow") == C
    assert registry("end_shadow") is None
    assert events(worklist)[-4:] == ["model.shadowed", "model.shadow_ended", "model.shadowed", "model.shadow_ended"]


@pytest.mark.parametrize(("name", "given"), [("promote", (A,)), ("shadow", (A,)), ("reject", (A, "why"))])
def test_what_does_not_belong_to_the_state_is_refused_and_changes_nothing(worklist, registry, name, given):
    before = rows(worklist, model_tables.models), events(worklist)
    with pytest.raises(PermanentError, match=r"is active: .* is only what is candidate"):
        registry(name, *given)
    assert (rows(worklist, model_tables.models), events(worklist)) == before


def test_a_rejected_model_stays_rejected_also_when_it_comes_again(worklist, registry):
    registry("reject", B, "misses epidural haemorrhage")
    assert not registry("register", B, "a model", "2", "import")
    with pytest.raises(PermanentError, match="is rejected"):
        registry("promote", B)
    (row,) = rows(worklist, model_tables.models, digest=B)
    assert row["rejected_because"] == "misses epidural haemorrhage"


def test_a_pinned_model_cannot_be_replaced_until_it_is_unpinned(worklist, registry):
    registry("install", B, pinned=True)
    for name, given in (("promote", (C,)), ("rollback", ())):
        with pytest.raises(PermanentError, match=r"engine\.bundle"):
            registry(name, *given)
    registry("unpin")
    registry("promote", C)
    assert states(worklist) == {"a": "retired", "b": "retired", "c": "active"}


def test_installing_again_says_nothing(worklist, registry):
    before = events(worklist)
    registry("install", A, pinned=False)
    registry("unpin")
    assert events(worklist) == before


def test_the_judgement_and_the_reason_for_forcing_are_kept(worklist, registry):
    registry("record_judgement", B, PASSED)
    registry("promote", B, "the old one is broken")
    (row,) = rows(worklist, model_tables.models, digest=B)
    assert row["judgement"] == PASSED
    assert row["forced_because"] == "the old one is broken"
    (promoted,) = [r for r in rows(worklist, schema.journal) if r["event"] == "model.promoted"]
    assert promoted["detail"]["forced_because"] == "the old one is broken"
    assert promoted["detail"]["instead_of"] == A


def test_the_database_itself_holds_that_there_is_one(worklist, registry):
    with pytest.raises(IntegrityError), worklist.write() as tx:
        tx.execute(update(model_tables.models).where(model_tables.models.c.digest == B).values(state="active"))


def test_a_model_is_named_by_the_beginning_of_its_digest(worklist, registry):
    registry("register", "ab" + "0" * 62, "another", "1", "import")
    with worklist.read() as tx:
        assert models.model(tx, "AB0").name == "another"
        assert models.model(tx, "active").digest == A
        for text, said in (("a", "More than one"), ("d", "no model"), ("", "no model"), ("%", "no model")):
            with pytest.raises(PermanentError, match=said):
                models.model(tx, text)
        assert next(row.digest for row in models.registered(tx)) == A
