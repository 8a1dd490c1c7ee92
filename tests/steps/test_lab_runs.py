"""Folders of runs go, but for the last ones and those of models that may still be asked about."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from ichnode_training.kept import keep_array, kept_array

from ichnode.errors import PermanentError
from ichnode.steps.lab_runs import KEPT, clean_features, clean_runs
from ichnode.steps.register import IMPORT, take_in
from ichnode.steps.retrain import _ending
from ichnode.worklist import models, schema
from tests.made import events, rows


@pytest.fixture
def runs(tmp_path):
    return tmp_path / "runs"


def run(runs, number, candidate=None):
    folder = runs / f"20260101T0000{number:02d}.000000"
    (folder / "candidate").mkdir(parents=True)
    (folder / "manifest.json").write_text("{}")
    if candidate:
        (folder / "judgement.json").write_text(json.dumps({"candidate": candidate}))
    return folder


def test_the_last_runs_stay_and_those_of_known_models(make_node, tiny_bundle, runs):
    node = make_node()
    known, _ = take_in(node, tiny_bundle.folder, IMPORT)
    made = run(runs, 0, known.digest)
    old = [run(runs, 1), run(runs, 2, "0" * 64)]
    recent = [run(runs, number) for number in range(3, 3 + KEPT)]
    (old[0] / "judgement.json").write_text('{"cut')
    assert clean_runs(node, runs) == 2
    assert sorted(runs.iterdir()) == [made, *recent]
    assert not any((folder / "candidate").exists() for folder in runs.iterdir()), "bundles lie in models/"
    assert (made / "manifest.json").exists()
    with node.worklist.write() as tx:
        models.reject(tx, node.now(), known.digest, "worse")
    assert clean_runs(node, runs) == 1
    assert not made.exists()
    assert clean_runs(node, runs) == 0


def test_what_none_of_the_last_runs_has_read_goes(runs, tmp_path):
    features = tmp_path / "features"
    kept, old = features / "cnn" / "kept.npy", features / "grid" / "old.npy"
    for path, moment in ((kept, 1000.0), (old, 900.0)):
        path.parent.mkdir(parents=True)
        path.write_bytes(b"x")
        os.utime(path, (moment, moment))
    for number in range(KEPT - 1):
        os.utime(run(runs, number) / "manifest.json", (1000.0 + number, 1000.0 + number))
    assert clean_features(features, runs) == 0, "fewer runs than stay"
    os.utime(run(runs, KEPT) / "manifest.json", (2000.0, 2000.0))
    assert clean_features(features, runs) == 1
    assert (kept.exists(), old.exists()) == (True, False)


def test_what_is_found_again_is_in_use_again(tmp_path):
    path = tmp_path / "a.npy"
    keep_array(path, np.arange(3))
    os.utime(path, (1000.0, 1000.0))
    assert kept_array(path)[:].tolist() == [0, 1, 2]
    assert path.stat().st_mtime > 1000.0


@pytest.mark.parametrize(
    ("error", "code"), [(KeyboardInterrupt(), "STOPPED"), (PermanentError("It failed.", "LAB_FAILED"), "LAB_FAILED")]
)
def test_a_run_that_came_to_no_end_is_written_down_as_that(make_node, runs, error, code):
    node = make_node()
    with pytest.raises(type(error)), _ending(node, run(runs, 0)):
        raise error
    assert events(node.worklist)[-1] == "retrain.failed"
    assert rows(node.worklist, schema.journal)[-1]["detail"]["code"] == code
