"""The parts of a training run: heads, added bleeds, variation, sampling, backbone, the loop, the figures."""

from dataclasses import replace

import numpy as np
import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ichnode_training.augment import augment
from ichnode_training.backbone import imagenet_lite
from ichnode_training.bleeds import add_bleed
from ichnode_training.crossval import cross_validate, folds
from ichnode_training.evaluation import auc, interval, scan_auc, sensitivity_specificity, slice_auc, threshold_for
from ichnode_training.judging import score
from ichnode_training.loop import Setting, train
from ichnode_training.pictures import Pictures
from ichnode_training.publish import card_for, publish, thresholds_from
from ichnode_training.recipe import Augmentation, Losses, Optimisation, Recipe, Sampling
from ichnode_training.run_state import RunState

from ichnode.core.findings import CLASSES
from ichnode.inference.bundle import Architecture, load_bundle
from ichnode.inference.engine import Engine

from .heads_for_tests import SMALL, head, imported, scan, write_ct_ich

QUICK = Recipe(
    "quick", Architecture("resnet10t", hidden=16, layers=1, slice_head=True), SMALL,
    Sampling("mixture", length=5, sequences=5, groups=1, real=0.4, added=0.35),
    Augmentation("head", per_slice=False, cutmix="off"),
    Optimisation(
        steps=40, rate=3e-3, head_rate=2e-3, weight_decay=0.02, undecayed="vectors", eps=1e-8, warm_up=0.125, clip=1.0,
        averaging=0.9,
    ),
    Losses(slice_head=0.5, outline=1.0), start="nothing",
)  # fmt: skip


def quick(steps, sequences=5):
    return replace(
        QUICK, optimisation=replace(QUICK.optimisation, steps=steps),
        sampling=replace(QUICK.sampling, sequences=sequences),
    )  # fmt: skip


def trained(heads, recipe, seed, held_out=(frozenset(),), tell=None):
    setting = Setting(tell=tell) if tell else Setting()
    source = Pictures(heads, recipe, seed)
    return [one.result() for one in train(source, recipe, recipe.steps(len(heads)), seed, held_out, setting=setting)]


@pytest.fixture(scope="module")
def heads():
    return [head(patient, bleeds=patient % 2 == 0) for patient in range(12)]


def test_a_head_is_cut_out_as_the_node_does(heads):
    first = heads[0]
    assert first.hu.shape == (12, 64, 64)
    inside = first.inside[6]
    assert inside.sum() * first.pixel_mm**2 == pytest.approx(np.pi * 80 * 68 * 0.93**2, rel=0.1)
    assert abs(float(np.median(first.hu[6][inside])) - 32) < 2
    middle = first.depth_mm[6].max()
    assert 55 < middle < 70
    blood = first.hu[first.lesion]
    assert len(blood) > 50 and abs(float(np.median(blood)) - 68) < 5


def test_added_bleeds_are_inside_bright_and_labelled(heads):
    clean, donors = heads[1], [heads[0], heads[2]]
    names, real = set(), 0
    rng = np.random.default_rng(0)
    for _ in range(120):
        bled = add_bleed(clean, slice(2, 10), donors, rng)
        if bled is None:
            continue
        before = clean.hu[2:10]
        assert not (bled.blood & ~clean.inside[2:10]).any()
        assert (bled.labels[:, 0] == bled.blood.any(axis=(1, 2))).all()
        assert bled.labels[bled.labels[:, 0] > 0, 1:].sum(axis=1).min() >= 1
        untouched = ~bled.blood.any(axis=(1, 2))
        np.testing.assert_array_equal(bled.hu[untouched], before[untouched])
        thick = bled.blood & (before > 0) & (before < 45)  # not where bone shares the pixel
        if thick.sum() > 30:
            assert np.median((bled.hu - before)[thick]) > 5
        names |= {name for column, name in enumerate(CLASSES) if bled.labels[:, column].any()}
        real += 1
    assert real > 60
    assert names == set(CLASSES)
    assert not clean.lesion.any(), "the head itself is left alone"


def test_no_room_no_bleed(heads):
    empty = replace(heads[1], inside=np.zeros_like(heads[1].inside), depth_mm=np.zeros_like(heads[1].depth_mm))
    assert all(add_bleed(empty, slice(0, 8), [heads[0]], np.random.default_rng(i)) is None for i in range(20))


def test_a_sequence_moves_as_one(heads):
    hu = torch.from_numpy(heads[1].hu[5:6]).repeat(6, 1, 1)
    blood = torch.zeros_like(hu)
    blood[:, 20:30, 20:30] = 1
    for seed in range(5):
        moved, mask = augment(hu, blood, torch.Generator().manual_seed(seed))
        assert torch.equal(mask[0], mask[5])
        assert float((moved[0] - moved[5]).abs().median()) < 12, "only noise differs"
        again, _ = augment(hu, blood, torch.Generator().manual_seed(seed))
        assert torch.equal(moved, again)
        bone = float((moved[0] > 500).float().mean()) / float((hu[0] > 500).float().mean())
        assert 0.6 < bone < 1.6


def test_the_outline_moves_with_the_picture(heads):
    bleeding = heads[0]
    hu, blood = torch.from_numpy(bleeding.hu), torch.from_numpy(bleeding.lesion.astype(np.float32))
    for seed in range(5):
        moved, mask = augment(hu, blood, torch.Generator().manual_seed(seed))
        assert abs(float(moved[mask > 0.9].median()) - 68) < 9


def drawn(source, step):
    return source.batch(source.draw(step, 0), torch.device("cpu"))


def test_batches_are_reproducible_and_mixed(heads):
    recipe = replace(QUICK, sampling=replace(QUICK.sampling, sequences=4))
    one, two = (Pictures(heads, recipe, seed=3) for _ in range(2))
    bleeding = 0
    for step in range(10):
        batch, same = drawn(one, step), drawn(two, step)
        assert torch.equal(batch.seen, same.seen) and torch.equal(batch.labels, same.labels)
        assert batch.seen.shape == (20, 3, 64, 64) and batch.lengths == (5, 5, 5, 5)
        assert batch.outlined.sum() == 20
        bleeding += int(batch.labels[:, 0].sum())
    assert 0.2 < bleeding / 200 < 0.8


def test_a_slice_without_its_outline_teaches_no_outline(heads):
    blind = [replace(h, lesion=np.zeros_like(h.lesion)) for h in heads]
    recipe = replace(QUICK, sampling=replace(QUICK.sampling, real=1.0, added=0.0, sequences=6))
    batch = drawn(Pictures(blind, recipe, seed=0), 0)
    assert torch.equal(batch.outlined, 1 - batch.labels[:, 0])


def test_training_needs_both_kinds(heads):
    with pytest.raises(ValueError, match="with and without"):
        Pictures([h for h in heads if h.positive], QUICK, seed=0)


def test_imagenet_weights_fit_timm_exactly():
    cnn = timm.create_model("tf_efficientnet_lite0", pretrained=False, num_classes=0)
    before = cnn.conv_stem.weight.clone()
    state = imagenet_lite(0, cnn)
    assert set(state) == set(cnn.state_dict())
    cnn.load_state_dict(state, strict=True)
    assert not torch.equal(before, cnn.conv_stem.weight)
    cnn.eval()
    # Statistics of a trained network: what goes through its layers stays near what its normalisation expects.
    with torch.inference_mode():
        seen = cnn.forward_features(torch.randn(2, 3, 128, 128) * 0.5)
    assert 0.001 < float(seen.mean()) < 3
    kept = cnn.blocks[2][0].bn1
    assert float(kept.running_var.std()) > 0


def test_folds_share_no_patient_and_spread_the_bleeds(heads):
    parts = folds(heads, 3, seed=1)
    assert sorted(p for part in parts for p in part) == sorted(h.patient for h in heads)
    assert sum(map(len, parts)) == len(heads)
    assert [sum(int(p) % 2 == 0 for p in part) for part in parts] == [2, 2, 2]
    assert parts == folds(heads, 3, seed=1)
    assert parts != folds(heads, 3, seed=2)


def test_the_loop_learns_and_what_it_learned_runs_in_the_engine(heads, tmp_path):
    """Blood in drawn heads is easy: a net from nothing finds it in unseen heads, and only after training."""
    threads = torch.get_num_threads()
    fresh = [head(patient, bleeds=patient % 2 == 0) for patient in range(100, 112)]
    labels = {h.patient: h.labels for h in fresh}
    everyone = list(labels)
    losses = []
    (network,) = trained(heads, QUICK, 0, tell=lambda step, steps, loss, rate: losses.append(loss))
    assert len(losses) == 40
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5])
    scores = {h.patient: score(network, h, SMALL) for h in fresh}
    learned = slice_auc(scores, labels, 0)(everyone)
    (raw,) = trained(heads, quick(1), 0)
    unlearned = slice_auc({h.patient: score(raw, h, SMALL) for h in fresh}, labels, 0)(everyone)
    assert learned > 0.9
    assert learned > unlearned + 0.1
    card = card_for(QUICK, "0", scores, labels, fold_count=3, came_about={"split": "3 folds"}, computed_on="a CPU")
    bundle = publish(tmp_path, network, card)
    engine = Engine.load(bundle.folder, device="cpu")
    given = scan(100, bleeds=True)
    read = engine.score(given.hu(), given.positions_mm.tolist(), given.spacing_mm)
    np.testing.assert_allclose(read, scores["100"], atol=0.02)  # half precision
    assert load_bundle(tmp_path).card["metrics"]["patients"] == 12
    assert torch.get_num_threads() == threads


def test_a_fold_never_learns_from_its_held_out_patients(heads):
    """What stands in the held-out patients' pictures and labels changes nothing in their judge, but does elsewhere.

    The change is small, so that the same bleeds find room and the draws that follow stay the same.
    """
    out = frozenset(("0", "1", "2"))
    spoiled = [
        replace(h, hu=h.hu + np.float32(0.5), labels=h.labels[:, [0, 5, 4, 3, 2, 1]]) if h.patient in out else h
        for h in heads
    ]
    recipe = quick(4, sequences=6)
    judge, everything = (net.state_dict() for net in trained(heads, recipe, 5, [out, frozenset()]))
    judge_too, spoilt = (net.state_dict() for net in trained(spoiled, recipe, 5, [out, frozenset()]))
    assert all(torch.equal(judge[name], judge_too[name]) for name in judge)
    assert not all(torch.equal(everything[name], spoilt[name]) for name in everything)


def test_everyone_is_judged_once(heads, tmp_path):
    scores, network = cross_validate(heads, quick(2), 3, 0, tmp_path, Setting())
    assert set(scores) == {h.patient for h in heads}
    assert all(scores[h.patient].shape == (12, 6) for h in heads)
    own = {h.patient: score(network, h, SMALL) for h in heads}
    assert not any(np.array_equal(own[p], scores[p]) for p in own), "the network that saw all judges nobody"


def test_a_cross_validation_that_was_stopped_goes_on_to_the_same_scores(heads, tmp_path):
    def stop(step, *_):
        if step == 1:
            raise KeyboardInterrupt

    recipe, kept = quick(3, sequences=2), tmp_path / "checkpoint.pt"
    with pytest.raises(KeyboardInterrupt):
        cross_validate(heads, recipe, 2, 0, tmp_path, Setting(state=RunState(kept, "run", every_s=0), tell=stop))
    assert kept.exists()
    steps = []
    again = Setting(state=RunState(kept, "run", every_s=0), tell=lambda step, *_: steps.append(step))
    scores, _ = cross_validate(heads, recipe, 2, 0, tmp_path, again)
    assert steps == [1, 2]
    whole, _ = cross_validate(heads, recipe, 2, 0, tmp_path, Setting())
    assert all(np.array_equal(scores[patient], whole[patient]) for patient in whole)


def test_frozen_stages_stay_as_they_were(heads):
    recipe = quick(2, sequences=2)
    recipe = replace(
        recipe, architecture=Architecture("tf_efficientnet_lite0", hidden=8, layers=1, slice_head=True),
        optimisation=replace(recipe.optimisation, frozen_stages=3), start="imagenet",
    )  # fmt: skip
    (network,) = trained(heads, recipe, 0)
    imagenet, state = imagenet_lite(0, network.cnn), network.cnn.state_dict()
    early = ("conv_stem.", "bn1.", "blocks.0.", "blocks.1.", "blocks.2.")
    changed = {name for name in imagenet if not torch.equal(imagenet[name], state[name])}
    assert changed and not any(name.startswith(early) for name in changed)
    assert {name.rsplit(".", 1)[0] for name in changed} >= {"blocks.3.0.conv_pw", "blocks.6.0.conv_pwl", "conv_head"}


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=2, max_size=40))
@settings(deadline=None)
def test_auc_is_the_share_of_pairs_in_order(pairs):
    truth = np.array([t for t, _ in pairs])
    values = np.array([v for _, v in pairs], np.float32)
    ordered = [(p > n) + 0.5 * (p == n) for p in values[truth] for n in values[~truth]]
    if ordered:
        assert auc(truth, values) == pytest.approx(np.mean(ordered))
    else:
        assert np.isnan(auc(truth, values))


def _table(rng, patients=30):
    labels, scores = {}, {}
    for index in range(patients):
        rows = np.zeros((10, 6), np.float32)
        rows[3:6, 0] = index % 2
        labels[str(index)] = rows
        scores[str(index)] = (rng.random((10, 6)) + 0.8 * rows + 0.5 * rng.random()).astype(np.float32) / 3
    return scores, labels


def test_intervals_resample_patients_not_slices():
    scores, labels = _table(np.random.default_rng(0))
    everyone = list(scores)
    one = interval(slice_auc(scores, labels, 0), everyone, rounds=300)
    assert one.low < one.value < one.high
    assert one == interval(slice_auc(scores, labels, 0), everyone, rounds=300)
    copies = {p: np.repeat(s, 20, axis=0) for p, s in scores.items()}
    truth = {p: np.repeat(r, 20, axis=0) for p, r in labels.items()}
    many = interval(slice_auc(copies, truth, 0), everyone, rounds=300)
    assert many.high - many.low == pytest.approx(one.high - one.low), "20 times the slices, not a patient more"


def test_scan_scores_are_maxima():
    labels = {"a": np.eye(6, dtype=np.float32)[[0, 1]], "b": np.zeros((2, 6), np.float32)}
    scores = {"a": np.array([[0.1] * 6, [0.9] * 6], np.float32), "b": np.full((2, 6), 0.5, np.float32)}
    assert scan_auc(scores, labels, 0)(["a", "b"]) == 1
    assert slice_auc(scores, labels, 0)(["a", "b"]) == 0


@pytest.mark.parametrize(("target", "expected"), [(1.0, 0.2), (0.75, 0.4), (0.7, 0.4), (0.5, 0.6), (0.01, 0.8)])
def test_the_threshold_reaches_its_sensitivity_and_is_the_highest_that_does(target, expected):
    truth = np.array([True] * 4 + [False] * 3)
    scores = np.array([0.8, 0.6, 0.4, 0.2, 0.5, 0.1, 0.9], np.float32)
    threshold = threshold_for(target, truth, scores)
    assert threshold == pytest.approx(expected)
    assert sensitivity_specificity(threshold, truth, scores)[0] >= target


def test_a_subtype_never_turns_a_quiet_scan_positive():
    scores, labels = _table(np.random.default_rng(1))
    thresholds = thresholds_from(scores, labels, 0.9)
    for patient, rows in scores.items():
        top = rows.max(axis=0)
        if not labels[patient].any() and top[0] < thresholds["any"]:
            assert all(top[column] < thresholds[name] for column, name in enumerate(CLASSES) if column)


def test_a_threshold_is_never_nought():
    """A network that gives bleeding scans next to nothing has a card all the same, which says so."""
    scores, labels = _table(np.random.default_rng(1))
    assert thresholds_from({name: rows * 1e-6 for name, rows in scores.items()}, labels, 0.9)["any"] == 0.001


def test_the_command_goes_from_a_folder_of_pictures_to_a_bundle(tmp_path):
    from ichnode_training.__main__ import main

    data, bundle = tmp_path / "data", tmp_path / "bundle"
    data.mkdir()
    write_ct_ich(data, tuple((p, n, int(p % 2 and n == 2)) for p in range(1, 9) for n in (1, 2, 3)))
    threads = str(torch.get_num_threads())
    imported(data)
    arguments = ["first", str(data / "planes"), "--into", str(bundle), "--scores", str(tmp_path / "scores.npz")]
    arguments += ["--work", str(tmp_path / "work"), "--set", "optimisation.steps=1", "--threads", threads]
    assert main(arguments) == 0
    card = load_bundle(bundle).card
    assert card["metrics"]["patients"] == 8
    assert card["architecture"]["backbone"] == "tf_efficientnet_lite0"
    assert card["provenance"]["data"] and card["provenance"]["split"].startswith("4 folds")
    assert not list((tmp_path / "work").rglob("checkpoint*")), "what is finished is not gone on with"
    with np.load(tmp_path / "scores.npz") as scores:
        assert sorted(scores.files, key=int) == [str(p) for p in range(1, 9)]
    document = tmp_path / "card.md"
    assert main(["card", str(bundle), "--into", str(document)]) == 0
    assert "Research use only" in document.read_text()
