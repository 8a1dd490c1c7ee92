"""The phantom suite and the commands about phantoms."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pydicom
import pytest
from ichnode_training import phantom_suite
from ichnode_training.__main__ import main
from ichnode_training.lesions import SUBTYPES
from ichnode_training.phantom_report import psychometric
from ichnode_training.phantom_suite import Case, Plan, figures, heads

from ichnode.cli import lab
from ichnode.cli import phantom_suite as phantom_suite_command
from ichnode.cli.ichnode import main as ichnode
from ichnode.core.findings import CLASSES
from tests.bundles import write_tiny_bundle


def case(kind: str, any_score: float, own: float, seed: int = 0) -> Case:
    scores = np.full((4, 6), 0.1, np.float32)
    labels = np.zeros((4, 6), np.uint8)
    if kind != "none":
        scores[2, CLASSES.index(kind)] = own
        labels[2, [0, CLASSES.index(kind)]] = 1
    scores[2, 0] = any_score
    return Case(seed, kind, 5.0, 50.0, (), labels, scores)


def test_figures_are_shares_at_the_bundles_thresholds():
    cases = [case("subdural", 0.9, 0.8), case("subdural", 0.9, 0.2), case("subdural", 0.3, 0.9)]
    cases += [case("epidural", 0.2, 0.2), case("none", 0.6, 0), case("none", 0.1, 0)]
    cases += [case(kind, 0.9, 0.9) for kind in SUBTYPES if kind not in ("subdural", "epidural")]
    judged = figures(cases, dict.fromkeys(CLASSES, 0.5), "digest", "small")
    assert judged.sensitivity["subdural"] == pytest.approx(2 / 3)
    assert judged.named["subdural"] == pytest.approx(1 / 3)
    assert judged.sensitivity["epidural"] == 0
    assert judged.sensitivity["any"] == pytest.approx(5 / 7)
    assert judged.specificity["any"] == pytest.approx(1 / 2)
    assert judged.specificity["subdural"] == 1
    assert judged.auc_slice["subdural"] == 1
    assert json.loads(json.dumps(judged.as_json()))["cases"][0]["kind"] == "subdural"


def test_the_curve_finds_where_half_are_seen():
    rng = np.random.default_rng(0)
    volumes = np.exp(rng.uniform(-2, 4, 400))
    found = rng.random(400) < 1 / (1 + np.exp(-2 * np.log(volumes / 3)))
    half_ml, slope = psychometric(volumes, found)
    assert half_ml == pytest.approx(3, rel=0.25)
    assert slope == pytest.approx(2, rel=0.3)
    everything, _ = psychometric(volumes, np.ones(400, bool))
    assert everything < volumes.min()


def test_a_suite_reads_every_head_with_and_without_blood_and_always_alike(monkeypatch, tmp_path):
    monkeypatch.setitem(phantom_suite.SIZES, "small", Plan((6.0,), heads=1, matrix=64, slices=6))
    bundle = write_tiny_bundle(tmp_path / "bundle").folder
    monkeypatch.setattr(phantom_suite_command, "run_lab", main)  # in this process, where the suite is this small
    assert ichnode(["phantom-suite", "--bundle", str(bundle), "--into", str(tmp_path / "out")]) == 0
    found = json.loads((tmp_path / "out" / "suite.json").read_text())
    assert len(found["cases"]) == 2 * len(SUBTYPES)
    for with_blood, without in zip(found["cases"][::2], found["cases"][1::2], strict=True):
        assert with_blood["seed"] == without["seed"] >= phantom_suite.FIRST_SEED
        assert with_blood["mimics"] == without["mimics"]
        assert (with_blood["kind"] != "none", without["kind"]) == (True, "none")
    assert set(found["curves"]) == set(SUBTYPES)
    assert (tmp_path / "out" / "suite.svg").read_text().startswith("<?xml")
    two = phantom_suite.judge([bundle, write_tiny_bundle(tmp_path / "other", seed=8).folder], "small")
    assert [one.as_json()["cases"] == found["cases"] for one in two] == [True, False], "side by side or alone"
    first, again = (next(heads(phantom_suite.SIZES["small"]))() for _ in range(2))
    assert (first.hu == again.hu).all()
    assert len(list(heads(phantom_suite.SIZES["full"]))) == 216


def test_a_bundle_that_is_not_there_is_one_sentence(tmp_path, capsys):
    assert main(["phantom-suite", "--bundle", str(tmp_path)]) == 1
    assert str(tmp_path) in capsys.readouterr().err


def test_the_command_writes_a_series_with_its_truth(tmp_path):
    out = tmp_path / "head"
    given = ["--seed", "3", "--lesion", "subdural=30@60", "--matrix", "96", "--slices", "12", "--spacing", "12"]
    command = [sys.executable, "-m", "ichnode", "phantom", str(out), *given, "--tags", "16-bit-0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    truth = json.loads((out / "truth.json").read_text())
    assert truth["lesions"] == [{"subtype": "subdural", "volume_ml": pytest.approx(30, rel=0.01), "hu": 60.0}]
    files = sorted((out / "series").iterdir())
    with np.load(out / "masks.npz") as masks:
        seen = masks["subdural"].any((1, 2))
    for path, row, bled in zip(files, truth["slices"], seen, strict=True):
        ds = pydicom.dcmread(path)
        assert (ds.SOPInstanceUID, ds.RescaleIntercept) == (row["sop_instance_uid"], 0)
        assert row["any"] == row["subdural"] == bled
    assert seen.any()
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (again.returncode, again.stdout) == (1, "")
    assert "choose a folder that is new or empty" in again.stderr


@pytest.mark.parametrize("wrong", ["brain=3", "subdural=much", "subdural=-3", "subdural=3@400"])
def test_a_lesion_that_cannot_be_is_refused(wrong, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["phantom", str(tmp_path / "x"), "--lesion", wrong])
    assert stopped.value.code == 2
    assert "--lesion" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_without_the_lab_the_command_says_how_to_get_it(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(lab, "find_spec", lambda name: None)
    assert ichnode(["phantom", str(tmp_path / "x")]) == 1
    assert "pip install 'ichnode[lab]'" in capsys.readouterr().err
