"""What a retraining makes of a manifest: folds by patient, calibration, operating points, the whole network too."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from ichnode_training import learner as learner_module
from ichnode_training import retrain
from ichnode_training.calibration import Calibration, Logits, fit
from ichnode_training.evaluation import auc
from ichnode_training.figures import Samples
from ichnode_training.grid import grid_scan
from ichnode_training.judging import logits_of, scan_scores
from ichnode_training.local_card import operating_points
from ichnode_training.local_scans import LocalScan, read_manifest
from ichnode_training.loop import OutOfMemory, Setting
from ichnode_training.material import Material
from ichnode_training.recipe_file import changed, read_recipe
from torch import nn

from ichnode.core.findings import CLASSES
from ichnode.inference.bundle import Architecture, Preprocessing, write_bundle
from ichnode.inference.engine import Engine
from ichnode.inference.network import CnnLstm
from ichnode.inference.preprocess import channels, prepare
from tests.bundles import card
from tests.labelled import PIXEL_MM, drawn_head

from .small_data import write_data
from .test_head_only import seen

NOBODY = dict.fromkeys(CLASSES, 0.5)
TINY = Architecture("resnet10t", hidden=8, layers=1, slice_head=True)
HOW = Preprocessing(matrix=48, field_of_view_mm=200.0)
ALONG = [5.0 * index for index in range(8)]


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def start():
    """A network whose normalisation has seen heads, as after training: features of a spread of about 1."""
    torch.manual_seed(5)
    network = CnnLstm.build(TINY).train()
    for norm in (module for module in network.cnn.modules() if isinstance(module, nn.BatchNorm2d)):
        norm.momentum = 1.0
    with torch.no_grad():
        heads = [prepare(drawn_head(n, n % 2 == 0)[6:14], ALONG, (PIXEL_MM, PIXEL_MM), HOW).hu for n in range(4)]
        network.cnn(channels(torch.cat(heads), HOW))
    return network.eval()


@pytest.fixture
def active(start, tmp_path):
    return write_bundle(tmp_path / "active", card(TINY, HOW), start.state_dict())


@pytest.fixture
def read(monkeypatch):
    """Heads of eight slices in place of files of a spool; which were read."""
    read = []

    def volume(scan):
        read.append(scan.series)
        return drawn_head(int(scan.series), int(scan.series) % 2 == 0)[6:14]

    monkeypatch.setattr(LocalScan, "hu", volume)
    return read


def manifest(folder, numbers):
    """What the node writes: labels of scans, and of single slices where a reader pointed at them."""
    series = [
        {
            "key": str(number), "patient": f"p{number}", "part": "training", "content": f"content{number}",
            "files": ["nowhere"] * 8, "frames": [0] * 8, "positions_mm": ALONG, "spacing_mm": [PIXEL_MM, PIXEL_MM],
            "scan": {"any": number % 2 == 0, "subdural": False}, "slices": {"3": {"any": True}} if number == 2 else {},
        }
        for number in numbers
    ]  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps({"version": 1, "series": series}))
    return read_manifest(folder / "manifest.json")


def test_a_manifest_is_read_as_a_data_set_of_scans(tmp_path, read):
    bleeding, well = manifest(tmp_path, [2, 3])
    assert (bleeding.patient, bleeding.split, bleeding.digest) == ("p2", "training", "content2")
    np.testing.assert_array_equal(bleeding.scan_labels, [1, np.nan, np.nan, np.nan, 0, np.nan])
    assert bleeding.labels[3, 0] == 1 and np.isnan(bleeding.labels).sum() == 8 * 6 - 1
    one = grid_scan(well, HOW, tmp_path)
    assert (one.labels[:, [0, 4]] == 0).all() and np.isnan(one.labels[:, 1]).all(), "nothing is on no slice"
    assert grid_scan(well, HOW, tmp_path).hu.shape == (8, 48, 48) and read == ["3"], "prepared once"


QUICK = {"optimisation.steps": 6, "optimisation.rate": 1e-3, "optimisation.head_rate": 2e-2,
         "optimisation.averaging": 0.8, "sampling.sequences": 4, "augmentation.kind": "none"}  # fmt: skip


def tuning():
    return replace(
        changed(read_recipe("fine-tune"), {**QUICK, "losses.scan": 0.0}), architecture=TINY, preprocessing=HOW
    )


def test_the_whole_network_learns_from_labels_of_scans(start, tmp_path, read):
    scans = manifest(tmp_path, [*range(10), *range(50, 58)])
    made = [grid_scan(one, HOW, tmp_path) for one in scans]
    before = {name: tensor.clone() for name, tensor in start.state_dict().items()}
    tuned = Material(made[:10]).teach(tuning(), 0, Setting(), tmp_path, start.state_dict())
    assert all(torch.equal(before[name], tensor) for name, tensor in start.state_dict().items())
    moved = {name for name, tensor in tuned.state_dict().items() if not torch.equal(before[name], tensor)}
    assert any(name.startswith("cnn.") for name in moved)
    assert not any("running_" in name for name in moved), "normalisation keeps its statistics"
    truth = np.array([one.scan_labels[0] == 1 for one in made[10:]])
    assert auc(truth, scan_scores(tuned, made[10:], HOW)[:, 0]) > 0.9


def test_short_of_memory_fewer_scans_go_through_the_network_at_a_time_and_it_learns_the_same(
    start, tmp_path, read, monkeypatch
):
    made = [grid_scan(one, HOW, tmp_path) for one in manifest(tmp_path, range(8))]
    recipe = replace(tuning(), optimisation=replace(tuning().optimisation, steps=2))
    roomy = Material(made).teach(recipe, 0, Setting(), tmp_path, start.state_dict())
    real, at_once = learner_module.learning_part, []

    def narrow(cnn, maps, stages):
        if len(maps) > 8:
            raise torch.OutOfMemoryError("too much")
        at_once.append(len(maps))
        return real(cnn, maps, stages)

    monkeypatch.setattr(learner_module, "learning_part", narrow)
    tight = Material(made).teach(recipe, 0, Setting(), tmp_path, start.state_dict())
    assert set(at_once) == {8}
    for one, two in zip(roomy.parameters(), tight.parameters(), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("asked", ["auto", "cnn"])
def test_where_not_one_scan_fits_only_the_head_learns_unless_the_cnn_was_asked_for(active, monkeypatch, asked, capsys):
    def train(name, request, bundle, training, device):
        if name == "fine-tune":
            raise OutOfMemory("Memory ran out.")
        return name, device

    monkeypatch.setattr(retrain, "_learned", train)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    request = {"recipe": asked, "device": "auto"}
    if asked == "cnn":
        with pytest.raises(OutOfMemory):
            retrain._learn(request, active, [])
    else:
        assert retrain._learn(request, active, []) == ("head", "cpu")
        assert "does not fit into memory" in capsys.readouterr().out


def test_held_out_scores_are_of_networks_that_have_not_seen_the_patient(active, tmp_path, monkeypatch):
    training = [seen(number, number % 2 == 0, patient=f"p{number // 2 * 2 % 12}") for number in range(24)]
    taught = []

    def teach(material, recipe, seed, setting, cache, state):
        taught.append({one.patient for one in material.learned})
        network = CnnLstm.build(TINY)
        network.of = taught[-1]
        return network

    def check(network, held, how):
        assert held.patient not in network.of
        return torch.zeros((2, 3, 6))

    monkeypatch.setattr(Material, "teach", teach)
    monkeypatch.setattr(retrain, "logits_of", check)
    learned = retrain._learn({"recipe": "head", "device": "cpu", "features": str(tmp_path)}, active, training)
    assert learned.held_out.scores().shape == learned.labels.shape == (24, 6), "everybody was scored"
    assert len(taught) == retrain.FOLDS + 1 and taught[-1] == {one.patient for one in training}


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
    raw = np.full((400, 6), -0.8, np.float32)
    raw[:, 0] = 2 * labels[:, 0] - 1 + rng.normal(0, 1, 400)  # as if half of them bled
    held_out = Logits(torch.from_numpy(raw)[None])
    calibration = fit(held_out, labels, shifted=True)
    before, after = held_out.scores(), held_out.scores(calibration)

    def off(scores):
        return Samples(labels[:, 0] == 1, scores[:, 0].astype(np.float64)).calibration_error(np.ones(400))

    assert off(before) > 0.2 and off(after) < 0.05
    assert (np.argsort(after[:, 0]) == np.argsort(before[:, 0])).all(), "the order stays"
    assert np.allclose(after[:, 1], before[:, 1], atol=1e-6)


@pytest.mark.parametrize("shifted", [False, True])
def test_calibration_is_fitted_on_what_the_node_computes_of_a_bundle_that_reads_mirrored_as_well(
    start, tmp_path, shifted
):
    """Two readings whose highest slices differ: neither the logit of the mean nor each reading's highest would do."""
    how = Preprocessing(matrix=32, mirrored=True)
    network = CnnLstm.build(TINY).eval()
    network.load_state_dict(start.state_dict())
    planes = write_data(tmp_path / "planes", patients=24, slices=4)
    scans = [grid_scan(one, how, tmp_path) for one in planes]
    with torch.no_grad():  # far from 0.5, where the mean of two sigmoids is most unlike a sigmoid
        first = torch.cat([logits_of(network, one, how) for one in scans], 1)[..., 0]
        network.head.bias[0] -= first.mean()
        for head in (network.head, network.slice_head):
            head.weight[0] *= 6 / first.std()
        network.head.bias[0] *= 6 / first.std()
        network.slice_head.bias[0] *= 6 / first.std()
    said = Logits.of_scans([logits_of(network, one, how) for one in scans])
    assert said.views.shape == (2, 24 * 4, 6)
    labels, order = np.zeros((24, 6), np.float32), np.argsort(said.scores()[:, 0])
    labels[order[12:], 0] = 1
    labels[order[[1, 4, 8, 10, 13, 16, 19, 22]], 0] = [1, 1, 1, 1, 0, 0, 0, 0]  # less sure than its logits are
    found = fit(said, labels, shifted=shifted)
    expected, plain = said.scores(found), said.scores()[:, 0].astype(float)
    slope, shift = float(found.slope[0]), float(found.shift[0])
    assert abs(slope - 1) > 0.1 and bool(shift) == shifted
    of_mean = 1 / (1 + np.exp(-(np.log(plain / (1 - plain)) * slope + shift)))
    assert np.abs(of_mean - expected[:, 0]).max() > 0.01, "or this test could not tell"

    def off(by, along):
        scores = said.scores(Calibration(found.slope + by, found.shift + along))[:, 0].astype(float)
        return -np.log(np.where(labels[:, 0] == 1, scores, 1 - scores)).sum() + np.log(slope + by) ** 2

    beside = [(0.05, 0.0), (-0.05, 0.0), *([(0.0, 0.05), (0.0, -0.05)] if shifted else [])]
    assert all(off(0.0, 0.0) < off(*step) for step in beside), "the best there is for the node's own score"
    found.put_into(network)
    bundle = write_bundle(tmp_path / "bundle", card(TINY, how), network.state_dict())
    engine = Engine.load(bundle.folder, "cpu", 1)
    read = [engine.score(one.hu(), one.positions_mm.tolist(), one.spacing_mm).max(0) for one in planes]
    np.testing.assert_allclose(read, expected, atol=2e-3)  # a bundle keeps its weights in half precision


def test_temperatures_leave_the_middle_where_it_is():
    rng = np.random.default_rng(1)
    truth = np.zeros((300, 6), np.float32)
    truth[:, 0] = rng.random(300) < 0.5
    views = torch.from_numpy(rng.normal(4 * (2 * truth - 1), 6, (2, 300, 6))).float()
    found = fit(Logits(views), truth, shifted=False)
    assert float(found.slope[0]) < 0.8 and float(found.slope[1]) == 1 and not found.shift.any()


def test_models_are_compared_by_scan_and_one_that_reads_less_says_how_much():
    first, second, third = (seen(number, True) for number in range(3))
    new, old = np.full((2, 6), 0.1, np.float32), np.arange(18, dtype=np.float32).reshape(3, 6)
    scans, ours, theirs, unread = retrain.paired(([third, first], new), ([first, second, third], old))
    assert (scans, unread) == ([third, first], 1)
    np.testing.assert_array_equal(theirs, old[[2, 0]])
    assert ours.shape == (2, 6)
    assert retrain.paired(([], np.zeros((0, 6))), ([first], old[:1]))[1].shape == (0, 6)
