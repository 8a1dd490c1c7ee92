"""``ichnode model``: what is said, and with which exit code."""

from __future__ import annotations

import json

import pytest

from ichnode.steps import register
from ichnode.steps.register import settle_active
from ichnode.worklist import model_tables, models, shadows
from tests.bundles import write_tiny_bundle
from tests.made import analysed_series, answer, rows


@pytest.fixture
def other(tmp_path):
    return write_tiny_bundle(tmp_path / "other", seed=8)


@pytest.fixture
def model(ichnode, node, data, monkeypatch, capsys, tiny_bundle):
    """``model("list")`` on a node whose active model is the tiny bundle."""
    monkeypatch.setattr(register, "default_bundle_path", lambda: tiny_bundle.folder)
    settle_active(node)
    capsys.readouterr()  # what was logged
    return lambda *arguments: ichnode("model", *arguments, "--data", data)


def judge(node, digest, against, *, passed):
    checks = [{"name": "auc", "passed": passed, "sentence": "AUC of any 0.70, 0.20 lower than the active model's."}]
    with node.worklist.write() as tx:
        models.record_judgement(tx, node.now(), digest, {"passed": passed, "against": against, "checks": checks})


def test_import_list_and_show(model, other, tiny_bundle):
    said = model("import", other.folder)
    assert (said.code, said.err) == (0, "")
    name = other.digest[:12]
    assert said.out == (
        f"random weights for tests 0, digest {name}, is a candidate now. Next: ichnode model judge {name}\n"
    )
    assert model("import", other.folder).out.endswith("was there already: candidate\n")
    listed = model("list").out
    assert "research use only" in listed
    first, second = (line for line in listed.splitlines() if "random weights" in line)
    assert tiny_bundle.digest[:12] in first and "active" in first and "shipped" in first
    assert other.digest[:12] in second and "candidate" in second and "not judged" in second
    assert [row["state"] for row in json.loads(model("list", "--json").out)] == ["active", "candidate"]
    shown = model("show", other.digest[:6]).out
    assert other.digest in shown and "gate: never ran" in shown
    assert json.loads(model("show", "active", "--json").out)["digest"] == tiny_bundle.digest
    assert "## What it is not" in model("show", "active", "--card").out


def test_what_is_no_bundle_is_refused_in_a_sentence(model, tmp_path):
    said = model("import", tmp_path)
    assert (said.code, said.out) == (1, "")
    assert said.err == (
        f"The model bundle {tmp_path} cannot be read: weights.safetensors: No such file or directory. "
        "A bundle is a folder with weights.safetensors and card.json.\n"
    )


def test_a_model_that_is_not_there(model):
    said = model("show", "ffff")
    assert (said.code, said.err) == (1, "There is no model 'ffff': `ichnode model list` has them.\n")
    said = model("show", "shadow")
    assert said.code == 1 and said.err.startswith("No model runs beside the active one: `ichnode model shadow DIGEST`")


def test_what_is_active_is_not_sent_to_the_gate(model, tiny_bundle):
    said = model("promote", "active")
    assert said.code == 1
    assert said.err == f"The model {tiny_bundle.digest[:12]} is active: promoted is only what is candidate or shadow.\n"


def test_the_gate_refuses_what_is_worse(model, node, other, tiny_bundle):
    model("import", other.folder)
    said = model("promote", other.digest)
    assert said.code == 1 and "was never judged" in said.err
    judge(node, other.digest, tiny_bundle.digest, passed=False)
    said = model("promote", other.digest)
    assert said.code == 1
    assert "0.20 lower than the active model's" in said.err and '--force --because "…"' in said.err
    assert "FAIL  auc" in model("show", other.digest).out
    assert "failed" in model("list").out
    assert model("promote", other.digest, "--force").code == 2
    assert model("promote", other.digest, "--because", "x").code == 2
    said = model("promote", other.digest, "--force", "--because", "Our scanner is new.")
    assert said.code == 0 and said.out.endswith("is active. Forced: Our scanner is new.\n")
    assert "PROMOTED AGAINST THE GATE: Our scanner is new." in model("show", other.digest).out


def test_promote_and_roll_back(model, node, other, tiny_bundle):
    model("import", other.folder)
    judge(node, other.digest, tiny_bundle.digest, passed=True)
    assert model("promote", other.digest).code == 0
    said = model("rollback")
    assert said.out == f"random weights for tests 0, digest {tiny_bundle.digest[:12]}, is active again.\n"
    assert {row["state"] for row in rows(node.worklist, model_tables.models)} == {"active", "retired"}


def test_nothing_to_roll_back_to(model):
    said = model("rollback")
    assert said.code == 1 and "nothing to roll back to" in said.err


def test_rejected_with_its_reason(model, other):
    model("import", other.folder)
    assert model("reject", other.digest).code == 2, "a reason is needed"
    assert model("reject", other.digest, "--because", "Misses epidural haemorrhage.").code == 0
    assert "rejected: Misses epidural haemorrhage." in model("show", other.digest).out
    assert model("promote", other.digest, "--force", "--because", "x").code == 1
    assert "was there already: rejected, because: Misses epidural" in model("import", other.folder).out


def test_a_shadow_and_how_it_agrees(model, node, other):
    model("import", other.folder)
    said = model("shadow", other.digest)
    assert "reads beside the active model from now on. How the two agree: " in said.out and said.code == 0
    assert "as a shadow: nothing read yet" in model("show", "shadow").out
    job = analysed_series(node.worklist, node.now, score=0.9)
    with node.worklist.write() as tx:
        task = shadows.claim(tx, node.now(), other.digest, node.now())
        shadows.finish(tx, node.now(), task, answer(job, 0.2), {})
    shown = model("show", "shadow").out
    assert "as a shadow: 1 series read" in shown
    assert "same verdict as the active model: 0 of 1 (0%)" in shown
    assert "positive by the active model alone: 1 (`ichnode show` 1)" in shown
    assert json.loads(model("show", "shadow", "--json").out)["agreement"]["only_active"] == [1]
    assert model("shadow", other.digest, "--stop").code == 2
    assert model("shadow", "--stop").out == f"{other.digest[:12]} is a candidate again.\n"
    assert model("shadow", "--stop").code == 1


def test_before_the_first_start_there_is_nothing(ichnode, tmp_path):
    said = ichnode("model", "list", "--data", tmp_path / "nowhere")
    assert said.code == 2 and "There is no worklist" in said.err
