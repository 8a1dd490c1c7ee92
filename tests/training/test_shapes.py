"""How many shapes the CNN meets, and that what fills a batch up changes nothing that it should not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from ichnode_training.grid import GridScan
from ichnode_training.judging import logits_of
from ichnode_training.loop import Setting, train
from ichnode_training.pictures import Pictures
from ichnode_training.recipe import Augmentation, Optimisation, Recipe, Sampling
from ichnode_training.shapes import STEPS

from ichnode.inference.bundle import Architecture, Preprocessing
from ichnode.inference.network import CnnLstm

TINY = Architecture("test_resnet", hidden=4, layers=1)
HOW = Preprocessing(matrix=32)


def scans(lengths):
    rng = np.random.default_rng(0)
    made = []
    for number, count in enumerate(lengths):
        labels = np.zeros((count, 6), np.float32)
        labels[: count // 2, 0] = number % 2
        hu = rng.integers(-50, 90, (count, 32, 32)).astype(np.int16)
        made.append(GridScan(str(number), hu, labels, labels.max(axis=0), None))
    return made


def recipe(length, sequences, groups=1, frozen_statistics=False, steps=6):
    return Recipe(
        "shapes", TINY, HOW, Sampling("scans", length=length, sequences=sequences, groups=groups),
        Augmentation("none", per_slice=False, cutmix="off"),
        Optimisation(steps=steps, frozen_statistics=frozen_statistics), start="nothing", precision="fp32",
    )  # fmt: skip


@pytest.fixture
def met(monkeypatch):
    """Shapes of what goes into the CNN of any network that learns."""
    met, build = [], CnnLstm.build.__func__

    def watched(cls, architecture):
        network = build(cls, architecture)
        network.cnn.conv1.register_forward_pre_hook(lambda module, seen: met.append(tuple(seen[0].shape)))
        return network

    monkeypatch.setattr(CnnLstm, "build", classmethod(watched))
    return met


def learned(source, how, held_out=(frozenset(),), **setting):
    return train(source, how, how.optimisation.steps, 0, held_out, setting=Setting(**setting))


def test_folds_that_leave_out_now_two_sequences_and_now_three_meet_one_shape(met):
    how = recipe(4, 6, steps=4)
    source = Pictures(scans([9] * 12), how, 0)
    folds = [frozenset(map(str, range(start, 12, 4))) for start in range(4)]
    learned(source, how, folds, shaped=False)
    assert len(set(met)) > 2, "or this test could not tell"
    met.clear()
    learned(source, how, folds, shaped=True)
    assert set(met) == {(24, 3, 32, 32)}
    met.clear()
    learned(source, how, folds, shaped=True, part=4)  # six sequences are four and two
    assert set(met) == {(16, 3, 32, 32)}


def test_whole_scans_of_all_lengths_meet_few_shapes(met):
    how = recipe(64, 2, steps=14)
    source = Pictures(scans(range(20, 60)), how, 0)
    learned(source, how, shaped=False)
    assert len(set(met)) > STEPS
    met.clear()
    learned(source, how, shaped=True)
    assert len({shape[0] for shape in met}) <= STEPS
    assert all(shape[0] % (128 // STEPS) == 0 for shape in met)


def test_by_default_a_cpu_computes_nothing_in_vain(met):
    how = recipe(64, 2, steps=2)
    learned(Pictures(scans([20, 21, 22, 23]), how, 0), how)
    assert {shape[0] for shape in met} <= {2 * 20 + n for n in range(7)}


@pytest.mark.parametrize(("length", "frozen"), [(4, False), (64, True)])
def test_what_fills_a_batch_up_teaches_nothing(length, frozen):
    """Full sequences need no filling; and where statistics are not learned, filling is no more than rounding."""
    how = recipe(length, 3, frozen_statistics=frozen)
    source = Pictures(scans([9, 12, 17, 10]), how, 0)
    told = {shaped: [] for shaped in (False, True)}
    for shaped, losses in told.items():
        learned(source, how, shaped=shaped, tell=lambda step, steps, loss, rate, kept=losses: kept.append(loss))
    np.testing.assert_allclose(told[True], told[False], rtol=1e-4)
    assert len(set(told[True])) > 1


def test_validation_meets_one_shape_and_says_the_same(met, monkeypatch):
    monkeypatch.setattr("ichnode_training.judging._PIXELS", 8 * 32 * 32)
    torch.manual_seed(0)
    network, how = CnnLstm.build(TINY).eval(), replace(HOW, mirrored=True)
    those = scans([5, 8, 13, 30])
    plain = [logits_of(network, one, how, shaped=False) for one in those]
    assert {shape[0] for shape in met} == {5, 8, 6}
    met.clear()
    filled = [logits_of(network, one, how, shaped=True) for one in those]
    assert set(met) == {(8, 3, 32, 32)}
    for one, other in zip(filled, plain, strict=True):
        assert one.shape == other.shape
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
