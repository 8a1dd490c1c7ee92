"""Phantoms among the heads of a training: what they bear, how often they are drawn."""

from dataclasses import replace

import numpy as np
import pytest
from ichnode_training.phantom_heads import phantom_heads
from ichnode_training.recipe import Augmentation, Optimisation, Recipe, RecipeError, Sampling
from ichnode_training.recipe_file import changed, read_recipe
from ichnode_training.sequences import Drawing
from ichnode_training.source import source_of

from ichnode.inference.bundle import Architecture

from .heads_for_tests import SMALL, head

RECIPE = Recipe(
    "mixed", Architecture("resnet10t", hidden=8, layers=1, slice_head=True), SMALL,
    Sampling("mixture", length=4, sequences=3, groups=1, real=0.4, added=0.3, phantoms=0.3, phantom_heads=2),
    Augmentation("head", per_slice=False, cutmix="off"), Optimisation(steps=4), start="nothing",
)  # fmt: skip


@pytest.fixture(scope="module")
def heads():
    return [head(patient, bleeds=patient % 2 == 0) for patient in range(4)]


def test_phantoms_bear_known_blood_and_are_found_again(heads, tmp_path):
    told = []
    clean, bled = phantom_heads(2, SMALL, tmp_path, lambda done, of: told.append((done, of)))
    assert told == [(1, 2), (2, 2)]
    assert not clean.positive and not clean.lesion[:].any()
    assert bled.positive and bled.labels[:, 1:].max(0).sum() == 1, "the second has one subtype"
    assert bool((bled.lesion[:].any((1, 2)) <= (bled.labels[:, 0] > 0)).all())
    assert 30 < float(np.median(bled.hu[bled.lesion[:]])) < 90
    files = {path: path.stat().st_ino for path in tmp_path.rglob("*.npy")}
    source = source_of(heads, RECIPE, 0, tmp_path)
    assert {path: path.stat().st_ino for path in tmp_path.rglob("*.npy")} == files, "a run makes no others"
    drawn = [one for step in range(80) for one in source.draw(step, 0)]
    phantoms = [one for one in drawn if any(name.startswith("phantom") for name in one.sources)]
    assert 0.2 < len(phantoms) / len(drawn) < 0.4
    assert {name for one in phantoms for name in one.sources} == {"phantom 0", "phantom 1"}, "they mix with no patient"


def test_without_phantoms_the_draws_are_the_same_as_ever(heads):
    plain = replace(RECIPE, sampling=replace(RECIPE.sampling, phantoms=0, phantom_heads=0))
    rare = replace(RECIPE, sampling=replace(RECIPE.sampling, phantoms=1e-9))
    one, other = Drawing(heads, plain, 0).group(3, 0), Drawing(heads, rare, 0, heads[:1]).group(3, 0)
    assert all(np.array_equal(a.hu, b.hu) and a.seed == b.seed for a, b in zip(one, other, strict=True))


def test_a_share_of_phantoms_needs_phantoms(heads):
    with pytest.raises(RecipeError, match="phantom_heads"):
        changed(read_recipe("shipped"), {"sampling.phantoms": 0.1})
    with pytest.raises(ValueError, match="there are none"):
        Drawing(heads, RECIPE, 0)
