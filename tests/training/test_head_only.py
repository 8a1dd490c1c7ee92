"""What lies above the CNN learns on kept features: from labels of slices and of scans, and from nothing unknown."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from ichnode_training.__main__ import main
from ichnode_training.backbone import imagenet_lite
from ichnode_training.evaluation import auc
from ichnode_training.features import CachedFeatures, Features, cnn_digest, features_of
from ichnode_training.grid import labels_of
from ichnode_training.judging import network_of, scan_scores, score
from ichnode_training.loop import Setting
from ichnode_training.material import Material
from ichnode_training.plane_writer import PlaneWriter
from ichnode_training.planes import DataSetError, Scan
from ichnode_training.recipe_file import changed, read_recipe
from ichnode_training.standard import Standard
from ichnode_training.start import load_cnn

from ichnode.core.slabs import slab_indices
from ichnode.errors import BadObject
from ichnode.inference.bundle import Architecture, load_bundle, write_bundle
from ichnode.inference.engine import Engine
from ichnode.inference.network import CnnLstm
from tests.bundles import card

from .heads_for_tests import SMALL, scan

HEADLESS = Architecture("tf_efficientnet_lite0", hidden=8, layers=1, slice_head=True, attention=True)
TINY = Architecture("resnet10t", hidden=8, layers=1, slice_head=True)
QUICK = {"optimisation.steps": 60, "optimisation.head_rate": 5e-3}


def recipe_for(architecture: Architecture, **settings):
    """The recipe as a bundle of this architecture would make it."""
    values = {"losses.scan": 1.0 if architecture.attention else 0.0, **QUICK, **settings}
    return replace(changed(read_recipe("head"), values), architecture=architecture, preprocessing=SMALL)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def start():
    torch.manual_seed(3)
    return CnnLstm.build(TINY).eval()


def seen(number, bleeds, patient=None):
    """Ten slices of random features; blood moves three of them, and only the scan's label says so."""
    rng = np.random.default_rng(number)
    features = rng.normal(0, 1, (1, 10, 512)).astype(np.float32)
    if bleeds:
        features[0, 4:7, :40] += 2
    whole = np.array([bleeds, bleeds, 0, 0, 0, 0], np.float32)
    unknown = np.full((10, 6), np.nan, np.float32)
    name = patient or f"p{number}"
    names = tuple(map(str, range(10)))
    made = Scan(name, name, str(number), names, (1.0, 1.0), np.arange(10) * 5.0, unknown, whole)
    slab_of = slab_indices(made.positions_mm.tolist(), 5.0)
    return Features(made, features, slab_of, *labels_of(made, slab_of))


def some(count, first=0):
    return [seen(number, number % 2 == 0) for number in range(first, first + count)]


def test_it_learns_from_labels_of_scans(start, tmp_path):
    fresh = some(30, first=100)
    truth = np.array([one.scan_labels[0] == 1 for one in fresh])
    before = auc(truth, scan_scores(start, fresh, SMALL)[:, 0])
    weights = {name: tensor.clone() for name, tensor in start.state_dict().items()}
    learned = Material.of_features(some(24)).teach(recipe_for(TINY), 0, Setting(), tmp_path, start.state_dict())
    assert auc(truth, scan_scores(learned, fresh, SMALL)[:, 0]) > max(0.9, before)
    assert all(torch.equal(weights[name], tensor) for name, tensor in start.state_dict().items()), "a copy learns"
    cnn = learned.cnn.state_dict()
    assert all(torch.equal(cnn[name], tensor) for name, tensor in start.cnn.state_dict().items()), "and its CNN never"
    again = Material.of_features(some(24)).teach(recipe_for(TINY), 0, Setting(), tmp_path, start.state_dict())
    assert all(torch.equal(one, two) for one, two in zip(learned.parameters(), again.parameters(), strict=True))


@pytest.mark.parametrize(
    "shape", [{"layers": 1, "deltas": True, "slice_head": True}, {"layers": 0, "attention": True}, {"layers": 2}]
)
def test_how_large_features_are_does_not_matter(shape, tmp_path):
    """Moving to standardised features and back leaves the network as it was, and it learns from any."""
    torch.manual_seed(1)
    architecture = Architecture("resnet10t", hidden=8, **shape)
    network = CnnLstm.build(architecture).eval()
    scans = [replace(one, views=one.views * 0.01 + 0.5) for one in some(4)]
    standard, moved = Standard.over(scans), CnnLstm.build(architecture).eval()
    moved.load_state_dict(network.state_dict())
    standard.put_into(moved)
    view = torch.from_numpy(scans[0].views[0])
    assert torch.allclose(moved.read(standard.of(view), [10]), network.read(view, [10]), atol=1e-3)
    standard.take_out_of(moved)
    assert torch.allclose(moved.read(view, [10]), network.read(view, [10]), atol=1e-3)
    recipe = recipe_for(architecture, **{"optimisation.steps": 30})
    taught = Material.of_features(scans).teach(recipe, 0, Setting(), tmp_path, network.state_dict())
    scores = scan_scores(taught, scans, SMALL)[:, 0]
    assert min(scores[0], scores[2]) > max(scores[1], scores[3])


def test_a_feature_that_never_moves_makes_no_weight_that_overflows(start, tmp_path):
    scans = some(12)
    for one in scans:
        one.views[..., 7] = 0.25
    learned = Material.of_features(scans).teach(recipe_for(TINY), 0, Setting(), tmp_path, start.state_dict())
    assert all(float(weight.detach().abs().max()) < 1000 for weight in learned.parameters())


def test_batches_hold_as_many_scans_with_as_without_haemorrhage_and_features_vary():
    scans = [seen(number, number == 0) for number in range(12)]
    source = CachedFeatures(scans, Standard.over(scans), recipe_for(TINY), 0)
    for step in range(3):
        drawn = source.draw(step, 0)
        assert [float(whole[0]) for _, _, whole, _ in drawn] == [1.0, 0.0] * 8
        bleeding = [features for features, _, whole, _ in drawn if whole[0] == 1]
        assert not torch.equal(bleeding[0], bleeding[1]), "the same scan, varied"
        assert all(0.01 < float((features == 0).float().mean()) < 0.1 for features in bleeding)
    again = source.draw(2, 0)
    assert all(torch.equal(one[0], two[0]) for one, two in zip(drawn, again, strict=True))


def test_weights_are_drawn_to_those_from_which_they_start(start, tmp_path):
    def moved(closeness):
        recipe = recipe_for(TINY, **{"optimisation.closeness": closeness, "optimisation.steps": 30})
        learned = Material.of_features(some(12)).teach(recipe, 0, Setting(), tmp_path, start.state_dict())
        return float((learned.head.weight - start.head.weight).detach().square().sum())

    assert moved(10.0) < 0.2 * moved(0.0)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """A CNN with ImageNet's weights, at a small matrix, with nothing learned above it."""
    torch.manual_seed(3)
    network = CnnLstm.build(HEADLESS)
    load_cnn(network, imagenet_lite(0, network.cnn))
    about = card(HEADLESS, replace(SMALL, mirrored=True))
    return write_bundle(tmp_path_factory.mktemp("bundle"), about, network.state_dict())


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def test_features_are_the_engines_own_and_computed_once(bundle, cache, monkeypatch):
    whole = scan(0, bleeds=True)
    told = []
    (one,), unread = features_of(bundle, [whole], cache, tell=lambda done, of: told.append((done, of)))
    engine = Engine.load(bundle.folder, "cpu")
    reading = engine.read(whole.hu(), whole.positions_mm.tolist(), whole.spacing_mm)
    assert one.views.shape == (2, 12, 1280) and told == [(1, 1)] and unread == []
    np.testing.assert_array_equal(one.views, torch.stack(reading.features).numpy())
    scores = score(network_of(bundle), one, bundle.preprocessing)[one.slab_of]
    np.testing.assert_allclose(scores, reading.scores, atol=1e-5)
    monkeypatch.setattr(Engine, "read", None)
    ((again,), _) = features_of(bundle, [whole], cache)
    np.testing.assert_array_equal(one.views, again.views)
    with pytest.raises(TypeError):
        features_of(bundle, [replace(whole, spacing_mm=(0.5, 0.5))], cache)


def test_a_scan_that_cannot_be_read_is_told_and_the_rest_goes_on(bundle, cache, monkeypatch):
    scans = [scan(0, bleeds=True), replace(scan(1, bleeds=False), digest="gone")]

    def gone(self):
        raise BadObject("A file is gone.", "FILE_GONE")

    monkeypatch.setattr(Scan, "hu", gone)  # the first one is kept
    read, unread = features_of(bundle, scans, cache)
    assert [one.patient for one in read] == ["0"] and unread == scans[1:]


@pytest.mark.parametrize("known", ["slices", "scans"])
def test_a_head_is_trained_from_the_command_line_on_a_bundles_features(bundle, tmp_path, capsys, known):
    with PlaneWriter(tmp_path / "planes", {"name": "drawn", "licence": "none", "citation": "none"}) as writer:
        for patient in range(48):
            one = scan(patient, bleeds=patient % 2 == 0)
            labels = one.labels if known == "slices" else np.full_like(one.labels, np.nan)
            writer.add(replace(one, labels=labels), one.hu(), one.lesion())
        writer.split({"train": 0.5, "validation": 0.25, "test": 0.25})
    arguments = ["train", "--recipe", "head", "--data", str(tmp_path / "planes"), "--out", str(tmp_path / "out"),
                 "--device", "cpu", "--set", "optimisation.steps=60", "--set", "optimisation.judged=30",
                 "--set", "optimisation.head_rate=1e-2"]  # fmt: skip
    assert main(arguments) == 1
    assert "starts from a bundle: give its folder with --init" in capsys.readouterr().err
    assert main([*arguments, "--init", str(bundle.folder)]) == 0
    made = load_bundle(tmp_path / "out")
    assert made.digest != bundle.digest and cnn_digest(made) == cnn_digest(bundle)
    assert made.card["training"]["started_from"] == bundle.digest
    assert made.card["metrics"]["auc_scans"]["any"] > 0.9
    assert (made.card["metrics"]["auc_slices"]["any"] is None) is (known == "scans")
    assert main(["scan-level", str(tmp_path / "planes"), "--bundle", str(made.folder), "--device", "cpu"]) == 0
    said = capsys.readouterr().out
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in said.splitlines()]
    assert ["class", "maximum", "learned pooling", "random forest"] in rows
    (anything,) = (row for row in rows if row[0] == "any")
    assert len(anything) == 4 and float(anything[1].split()[0]) > 0.7
    assert all(" to " in figure for figure in anything[1:]), "each with its interval"
    assert made.thresholds["any"] != 0.5, "operating points follow from the labels of scans alone, too"


def test_no_label_is_refused():
    nothing = np.full((10, 6), np.nan, np.float32)
    unknown = replace(seen(1, True), labels=nothing, scan_labels=nothing[0])
    with pytest.raises(DataSetError, match="No label"):
        Material.of_features([unknown])


def test_what_labels_say_of_slabs_and_of_the_scan():
    labels = np.full((4, 6), np.nan, np.float32)
    labels[0] = 0
    labels[1, :2] = 1
    labels[2:, 2] = [0, 1]
    whole = np.array([1, np.nan, np.nan, 0, np.nan, np.nan], np.float32)
    one = Scan("a", "a", "a", tuple("abcd"), (1.0, 1.0), np.arange(4.0), labels, whole)
    slabs, scan_labels = labels_of(one, np.array([0, 0, 1, 1]))
    np.testing.assert_array_equal(slabs, [[1, 1, np.nan, 0, np.nan, np.nan], [np.nan, np.nan, 1, 0, np.nan, np.nan]])
    np.testing.assert_array_equal(scan_labels, [1, np.nan, np.nan, 0, np.nan, np.nan])
    known = np.zeros((4, 6), np.float32)
    known[2, 4] = 1
    _, told = labels_of(replace(one, labels=known, scan_labels=np.full(6, np.nan, np.float32)), np.arange(4))
    assert told.tolist() == [0, 0, 0, 0, 1, 0]
