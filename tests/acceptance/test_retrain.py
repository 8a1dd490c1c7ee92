"""From what readers said to another model that answers, and back: the real programs, a tiny network, drawn heads."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest
from safetensors.torch import load_file

from ichnode.cli.ichnode import main
from ichnode.config import Settings
from ichnode.core.identity import digest_of
from ichnode.inference.bundle import load_bundle, write_bundle
from ichnode.inference.engine import Engine
from ichnode.steps.node import open_node
from ichnode.steps.register import settle_active
from ichnode.worklist import model_tables, schema
from tests.acceptance.conftest import SHORT
from tests.labelled import answered_heads, head_files, judged_by_readers, template_of
from tests.made import Clock, events, rows
from tests.running import RunningNode, current_results, running
from tests.sender import send_once

pytestmark = pytest.mark.timeout(900)
LEARNING = {"least_positives": 12, "least_negatives": 12, "least_judges": 3, "test_share": 0.25, "phantoms": "none"}
HEADS = {number: number % 2 == 0 for number in range(24)}


@pytest.fixture(scope="module")
def taught(tmp_path_factory, tiny_bundle, head_ct, empty_worklist):
    """A data folder with 24 answered series, of which a reader has judged all but two; those are in the report CSV."""
    folder = tmp_path_factory.mktemp("taught")
    (folder / "data").mkdir()
    shutil.copy(empty_worklist, folder / "data")
    settings = Settings.model_validate({
        "node": {"data": str(folder / "data")}, "receive": {"low_disk_bytes": 0},
        "engine": {"bundle": str(tiny_bundle.folder)},
    })  # fmt: skip
    node = replace(open_node(settings, "boot"), now=Clock())
    settle_active(node)
    answered_heads(node, Engine.load(tiny_bundle.folder, "cpu", 1), template_of(min(head_ct.iterdir())), HEADS)
    assert len(rows(node.worklist, schema.results)) == len(HEADS)
    judged_by_readers(node, {number: bleeds for number, bleeds in HEADS.items() if number > 1})
    (folder / "outcomes.csv").write_text("accession,any\nACC0,1\nACC1,0\n")
    node.worklist.dispose()
    return folder


@pytest.fixture
def node(taught, tmp_path):
    shutil.copytree(taught, tmp_path / "node", dirs_exist_ok=True)
    node = RunningNode(tmp_path / "node", completeness=SHORT, retrain=LEARNING)
    yield node
    node.worklist.dispose()


def command(node, *arguments):
    return main([*map(str, arguments), "--config", str(node.config)])


def models_of(node):
    return rows(node.worklist, model_tables.models)


def test_from_feedback_to_promotion_and_back(node, tiny_bundle, head_ct, tmp_path, capsys):
    def answer(number):
        folder = tmp_path / str(number)
        folder.mkdir()
        for index, ds in enumerate(head_files(template_of(min(head_ct.iterdir())), number, number % 2 == 0)):
            ds.save_as(folder / f"{index:02d}.dcm", enforce_file_format=True)
        assert len(send_once(node.port, sorted(folder.iterdir()))) == 20
        node.wait_settled(90)
        (result,) = current_results(node.series()[0] if len(node.series()) == 1 else latest(node))
        return result

    with running(node):
        assert answer(101)["model_digest"] == tiny_bundle.digest
        assert command(node, "retrain", "--outcomes", node.folder / "outcomes.csv") == 0
        said = capsys.readouterr()
        assert "The gate lets the candidate" in said.out and "training: 200 of 200" not in said.out
        (candidate,) = (row for row in models_of(node) if row["state"] == "candidate")
        assert candidate["origin"] == "retrain"
        assert candidate["digest"][:12] in said.out
        checks = {check["name"]: check for check in candidate["judgement"]["checks"]}
        assert candidate["judgement"]["passed"] and candidate["judgement"]["against"] == tiny_bundle.digest
        assert checks["test set"]["figures"] == {"patients": 6, "positives": 3, "negatives": 3}
        assert checks["auc"]["figures"]["candidate"]["value"] > 0.95

        assert command(node, "model", "promote", candidate["digest"][:10]) == 0
        bleeding, well = answer(102), answer(103)
        assert {bleeding["model_digest"], well["model_digest"]} == {candidate["digest"]}
        assert bleeding["any_score"] > well["any_score"], "it has learned"
        check_that_the_gate_refuses_what_knows_less(node, candidate["digest"], tmp_path / "wrong", capsys)
        assert command(node, "model", "rollback") == 0
        assert answer(104)["model_digest"] == tiny_bundle.digest
        assert node.stop() == 0
    assert "Traceback" not in node.log
    journal = events(node.worklist)
    order = ["retrain.begun", "model.registered", "model.judged", "retrain.ended", "model.promoted"]
    order += ["model.registered", "retrain.begun", "model.judged", "retrain.ended", "model.rolled_back"]
    assert [event for event in journal if event in order][-len(order) :] == order
    check_card(node, candidate["digest"], tiny_bundle)


def latest(node):
    return max(node.series(), key=lambda series: series["id"])


def check_card(node, digest, tiny_bundle):
    """The card says from what, on what, how it was split, and how well it does."""
    card = load_bundle(node.data / "models" / digest).card
    provenance = card["provenance"]
    assert provenance["started_from"] == tiny_bundle.digest
    run = min((node.data / "lab" / "runs").iterdir())
    assert provenance["manifest"] == digest_of((run / "manifest.json").read_bytes())
    assert {part: facts["patients"] for part, facts in provenance["split"].items()} == {"training": 18, "test": 6}
    assert provenance["code"].startswith("ichnode ")
    assert card["metrics"]["patients"] == 6
    assert card["thresholds"] != tiny_bundle.thresholds
    assert "Research use only" in card["intended_use"]
    everything = json.dumps(card) + (run / "manifest.json").read_text() + (run / "request.json").read_text()
    assert "LAB" not in everything.replace("LAB" + "EL", "") and "ACC1" not in everything
    assert json.loads((run / "manifest.json").read_text())["series"][0]["files"][0].startswith(str(node.data / "spool"))


def check_that_the_gate_refuses_what_knows_less(node, digest, folder, capsys):
    """The wrong way round: a candidate that calls the sick well and the well sick."""
    bundle = load_bundle(node.data / "models" / digest)
    tensors = load_file(bundle.weights)
    for part in ("weight", "bias"):
        tensors[f"head.{part}"] = -tensors[f"head.{part}"]
    bare = {name: value for name, value in bundle.card.items() if name not in ("format", "digest")}
    wrong = write_bundle(folder, {**bare, "version": "wrong"}, tensors)
    assert command(node, "model", "import", wrong.folder) == 0
    capsys.readouterr()
    assert command(node, "model", "judge", wrong.digest, "--outcomes", node.folder / "outcomes.csv") == 3
    assert "FAIL  auc" in capsys.readouterr().out
    assert command(node, "model", "promote", wrong.digest) == 1
    assert "The gate does not let" in capsys.readouterr().err
    assert {row["digest"]: row["state"] for row in models_of(node)}[digest] == "active"


def test_too_few_labels_are_said_before_anything_is_trained(node, capsys):
    node.config.write_text(config_of(node, least_positives=13))
    assert command(node, "retrain", "--outcomes", node.folder / "outcomes.csv") == 1
    said = capsys.readouterr().err
    assert "labels of 12 patients with haemorrhage and 12 without; a retraining needs 13 and 12" in said
    assert command(node, "retrain", "--check") == 1
    assert "22 labelled series of 11 patients with haemorrhage and 11 without." in capsys.readouterr().out
    assert not (node.data / "lab" / "runs").exists()


def config_of(node, **learning):
    import tomli_w

    return tomli_w.dumps({"node": {"data": str(node.data)}, "retrain": {**LEARNING, **learning}})
