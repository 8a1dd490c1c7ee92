"""What lies behind the CNN learns from labels of scans alone, and from nothing that is not known."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from ichnode_training.evaluation import auc
from ichnode_training.feature_head import HeadRecipe, out_of_fold, train_head
from ichnode_training.gate import calibration_error
from ichnode_training.local_card import operating_points
from ichnode_training.local_data import LocalScan, Seen, labels_of, scan_scores
from ichnode_training.scan_calibration import fit

from ichnode.core.findings import CLASSES
from ichnode.inference.network import CnnLstm

SHORT = HeadRecipe(epochs=1, least_steps=60, folds=3, rate=5e-3)
NOBODY = dict.fromkeys(CLASSES, 0.5)


@pytest.fixture(scope="module")
def start():
    torch.manual_seed(3)
    return CnnLstm("resnet10t", hidden=8, layers=1, slice_head=True).eval()


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def seen(number, bleeds, known=True, patient=None):
    """Ten slices of random features; blood moves three of them."""
    rng = np.random.default_rng(number)
    features = rng.normal(0, 1, (10, 512)).astype(np.float32)
    if bleeds:
        features[4:7, :40] += 2
    labels = np.full(6, np.nan, np.float32)
    slabs = np.full((10, 6), np.nan, np.float32)
    if known:
        labels[:] = 0
        labels[:2] = float(bleeds)
        if not bleeds:
            slabs[:] = 0
    name = patient or f"p{number}"
    scan = LocalScan(str(number), name, "training", str(number), (), (), (), (1, 1), labels, slabs)
    return Seen(scan, (torch.from_numpy(features),), torch.from_numpy(slabs))


def quiet(done, of):
    pass


def test_it_learns_from_labels_of_scans(start):
    training = [seen(number, number % 2 == 0) for number in range(24)]
    fresh = [seen(number, number % 2 == 0) for number in range(100, 130)]
    truth = labels_of(fresh)[:, 0] == 1
    before = auc(truth, scan_scores(start, fresh)[:, 0])
    weights = {name: tensor.clone() for name, tensor in start.state_dict().items()}
    learned = train_head(start, training, SHORT, 0, quiet)
    assert auc(truth, scan_scores(learned, fresh)[:, 0]) > max(0.9, before)
    assert all(torch.equal(weights[name], tensor) for name, tensor in start.state_dict().items()), "a copy learns"
    cnn = learned.cnn.state_dict()
    assert all(torch.equal(cnn[name], tensor) for name, tensor in start.cnn.state_dict().items()), "and its CNN never"


@pytest.mark.parametrize(
    "shape", [{"layers": 1, "deltas": True, "slice_head": True}, {"layers": 0, "attention": True}, {"layers": 2}]
)
def test_how_large_features_are_does_not_matter(shape):
    """Without a step, moving to standardised features and back leaves the network as it was."""
    torch.manual_seed(1)
    network = CnnLstm("resnet10t", hidden=8, **shape).eval()
    scans = [seen(number, number % 2 == 0) for number in range(4)]
    scans = [replace(one, views=tuple(view * 0.01 + 0.5 for view in one.views)) for one in scans]
    learned = train_head(network, scans, replace(SHORT, rate=0.0, least_steps=2), 0, quiet)
    assert np.allclose(scan_scores(learned, scans), scan_scores(network, scans), atol=1e-3)
    taught = train_head(network, scans, replace(SHORT, least_steps=30), 0, quiet)
    scores = scan_scores(taught, scans)[:, 0]
    assert min(scores[0], scores[2]) > max(scores[1], scores[3])


def test_the_same_seed_gives_the_same_model(start):
    training = [seen(number, number % 2 == 0) for number in range(8)]
    recipe = HeadRecipe(epochs=1, least_steps=5)
    one, two = (train_head(start, training, recipe, 4, quiet).state_dict() for _ in range(2))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_out_of_fold_scores_are_of_networks_that_have_not_seen_the_patient(start, monkeypatch):
    from ichnode_training import feature_head

    training = [seen(number, number % 2 == 0, patient=f"p{number // 2 * 2 % 12}") for number in range(24)]
    taught = []

    def remember(start, rest, recipe, seed, told):
        taught.append({one.scan.patient for one in rest})
        network = CnnLstm("resnet10t", hidden=8, layers=1, slice_head=True)
        network.of = taught[-1]
        return network

    def check(network, held):
        assert not network.of & {one.scan.patient for one in held}
        return np.ones((len(held), 6), np.float32)

    monkeypatch.setattr(feature_head, "train_head", remember)
    monkeypatch.setattr(feature_head, "scan_scores", check)
    scores = out_of_fold(start, training, SHORT, 0, quiet)
    assert (scores == 1).all(), "everybody was scored"
    assert len(taught) == SHORT.folds


def test_the_operating_point_finds_the_target_share_and_a_subtype_alone_raises_no_alarm():
    labels = np.zeros((40, 6), np.float32)
    labels[:20, :2] = 1
    held_out = np.full((40, 6), 0.1, np.float32)
    held_out[:20, 0] = np.linspace(0.3, 0.9, 20)
    held_out[20:, 0] = 0.05
    held_out[25, 4] = 0.8  # a false subdural on a scan that `any` leaves alone
    points = operating_points(held_out, labels, NOBODY, 0.95)
    assert (held_out[:20, 0] >= points["any"]).mean() == 0.95
    assert points["subdural"] == pytest.approx(0.81, abs=1e-3)
    assert points["epidural"] == 0.5
    assert operating_points(held_out, labels, {**NOBODY, "epidural": 0.7}, 0.95)["epidural"] == pytest.approx(0.7)


def test_scores_are_calibrated_for_the_prevalence_of_the_site_and_the_weights_say_the_same(start):
    rng = np.random.default_rng(0)
    labels = np.full((400, 6), np.nan, np.float32)
    labels[:, 0] = np.arange(400) % 10 == 0
    labels[:5, 1] = 1  # too few to fit anything
    held_out = np.full((400, 6), 0.3, np.float32)
    held_out[:, 0] = 1 / (1 + np.exp(-(2 * labels[:, 0] - 1 + rng.normal(0, 1, 400))))  # as if half of them bled
    calibration = fit(held_out, labels)
    calibrated = calibration.apply(held_out)
    assert calibration_error(labels[:, 0] == 1, held_out[:, 0]) > 0.2
    assert calibration_error(labels[:, 0] == 1, calibrated[:, 0]) < 0.05
    assert (np.argsort(calibrated[:, 0]) == np.argsort(held_out[:, 0])).all(), "the order stays"
    assert np.allclose(calibrated[:, 1], held_out[:, 1])
    network = copy.deepcopy(start)
    scans = [seen(number, number % 2 == 0) for number in range(6)]
    before = scan_scores(network, scans)
    calibration.put_into(network)
    assert np.allclose(scan_scores(network, scans), calibration.apply(before), atol=1e-4)
