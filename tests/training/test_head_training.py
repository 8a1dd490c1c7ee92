"""What lies above the CNN learns from cached features, of slices' labels and of whole scans' labels alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from ichnode_training.evaluation import auc
from ichnode_training.features import cnn_digest, features_of
from ichnode_training.grid import labels_of
from ichnode_training.head_training import candidate, head_recipe, scores_of, train_head
from ichnode_training.planes import DataSetError
from safetensors.torch import load_file

from ichnode.inference.bundle import Architecture, default_bundle_path, load_bundle, write_bundle
from ichnode.inference.engine import Engine
from ichnode.inference.network import CnnLstm
from tests.bundles import card

from .heads_for_tests import SMALL, scan

HEADLESS = Architecture("tf_efficientnet_lite0", hidden=8, layers=1, slice_head=True, attention=True)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """The CNN that comes with ichnode, at a small matrix, with nothing learned above it."""
    torch.manual_seed(3)
    how = replace(SMALL, mirrored=True)
    network = CnnLstm.build(HEADLESS)
    shipped = load_file(load_bundle(default_bundle_path()).weights)
    state = {
        name: shipped[name] if name.startswith("cnn.") else tensor for name, tensor in network.state_dict().items()
    }
    return write_bundle(tmp_path_factory.mktemp("bundle"), card(HEADLESS, how), state)


@pytest.fixture(scope="module")
def scans():
    return [scan(patient, bleeds=patient % 2 == 0) for patient in range(16)]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def test_features_are_the_engines_own_and_computed_once(bundle, scans, cache, monkeypatch):
    engine = Engine.load(bundle.folder, "cpu")
    told = []
    (one,) = features_of(engine, scans[:1], cache, lambda done, of: told.append((done, of)))
    reading = engine.read(scans[0].hu(), scans[0].positions_mm.tolist(), scans[0].spacing_mm)
    assert one.views.shape == (2, 12, 1280) and told == [(1, 1)]
    np.testing.assert_allclose(one.views, torch.stack(reading.features).numpy(), atol=2e-3, rtol=2e-3)
    np.testing.assert_allclose(scores_of(engine._network, one), reading.scores, atol=2e-3)
    monkeypatch.setattr(engine, "read", None)
    (again,) = features_of(engine, scans[:1], cache)
    np.testing.assert_array_equal(one.views, again.views)
    with pytest.raises(TypeError):
        features_of(engine, [replace(scans[0], spacing_mm=(0.5, 0.5))], cache)


@pytest.mark.parametrize("known", ["slices", "scans"])
def test_a_head_learns_and_its_candidate_is_a_bundle(bundle, scans, cache, tmp_path, known):
    if known == "scans":
        scans = [replace(one, labels=np.full_like(one.labels, np.nan)) for one in scans]
    recipe = head_recipe(bundle, epochs=15, rate=1e-2)
    network = train_head(bundle, scans[:12], scans[12:], cache, recipe)
    made = candidate(tmp_path, network, bundle, {"name": "candidate", "version": "1"})
    assert made.digest != bundle.digest and cnn_digest(made) == cnn_digest(bundle)
    truth = np.array([one.scan_labels[0] > 0 for one in scans])
    found = {}
    for which in (bundle, made):
        engine = Engine.load(which.folder, "cpu")
        read = [scores_of(engine._network, one)[:, 0].max() for one in features_of(engine, scans, cache)]
        found[which.digest] = auc(truth, np.array(read, np.float32))
    assert found[made.digest] > 0.9 and found[made.digest] > found[bundle.digest]


def test_no_label_or_a_shared_patient_is_refused(bundle, scans, cache):
    nothing = np.full(6, np.nan, np.float32)
    unknown = replace(scans[0], labels=np.full_like(scans[0].labels, np.nan), scan_labels=nothing)
    with pytest.raises(DataSetError, match="No label"):
        train_head(bundle, [unknown], [], cache)
    with pytest.raises(DataSetError, match="1 patients are both"):
        train_head(bundle, scans[:2], scans[1:3], cache)


def test_what_labels_say_of_slabs_and_of_the_scan(scans):
    labels = np.full((4, 6), np.nan, np.float32)
    labels[0] = 0
    labels[1, :2] = 1
    labels[2:, 2] = [0, 1]
    whole = np.array([1, np.nan, np.nan, 0, np.nan, np.nan], np.float32)
    one = replace(scans[0], instances=tuple("abcd"), positions_mm=np.arange(4.0), labels=labels, scan_labels=whole)
    slabs, scan_labels = labels_of(one, np.array([0, 0, 1, 1]))
    np.testing.assert_array_equal(slabs, [[1, 1, np.nan, 0, np.nan, np.nan], [np.nan, np.nan, 1, 0, np.nan, np.nan]])
    np.testing.assert_array_equal(scan_labels, [1, np.nan, np.nan, 0, np.nan, np.nan])
    known = np.zeros((4, 6), np.float32)
    known[2, 4] = 1
    _, told = labels_of(replace(one, labels=known, scan_labels=np.full(6, np.nan, np.float32)), np.arange(4))
    assert told.tolist() == [0, 0, 0, 0, 1, 0]
