"""What a run learns from: brought onto the grid once, kept on disk, refused where nothing is known of it."""

from dataclasses import replace

import numpy as np
import pytest
from ichnode_training.heads import Head, head_from
from ichnode_training.kept import KeptArray
from ichnode_training.material import Material
from ichnode_training.plane_writer import PlaneWriter
from ichnode_training.planes import DataSetError, open_planes
from ichnode_training.publish import thresholds_from
from ichnode_training.recipe import Recipe
from ichnode_training.recipe_file import changed, read_recipe
from ichnode_training.run import operating_points

from ichnode.core.findings import CLASSES

from .heads_for_tests import SMALL, scan, scan_of
from .small_data import write_data, write_recipe

ARRAYS = ("hu", "lesion", "inside", "depth_mm")


@pytest.fixture(scope="module")
def bleeding():
    return scan(0, bleeds=True, slices=8)


def recipe_of(tmp_path, kind="balanced"):
    return changed(read_recipe(write_recipe(tmp_path / "recipe.toml")), {"sampling.kind": kind})


def test_a_mixture_keeps_its_heads_on_disk_and_not_in_memory(tmp_path, monkeypatch):
    data, recipe = write_data(tmp_path / "planes"), recipe_of(tmp_path, "mixture")
    first = Material.of(data, recipe, tmp_path / "cache", lambda done, of: None)
    monkeypatch.setattr("ichnode_training.heads.prepare", None)
    again = Material.of(data, recipe, tmp_path / "cache", lambda done, of: None)
    for one, two in zip((*first.learned, *first.kept), (*again.learned, *again.kept), strict=True):
        assert isinstance(two, Head)
        for name in ARRAYS:
            assert isinstance(getattr(two, name), KeptArray), name
            np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    assert len(list((tmp_path / "cache" / "heads").iterdir())) == len(data.of("train", "validation"))


def test_what_is_kept_of_a_head_is_what_is_made_of_it(bleeding, tmp_path):
    made, kept = head_from(bleeding, SMALL), head_from(bleeding, SMALL, tmp_path)
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(made, name), getattr(kept, name))
        assert getattr(made, name)[:].dtype == getattr(kept, name)[:].dtype
    assert kept.pixel_mm == made.pixel_mm and kept.lesion[:].any()


def test_outlines_of_a_thin_scan_are_those_of_its_slabs(bleeding):
    """Each slice four times, at a quarter of the distance: the slabs are the slices of the thick one."""
    thick = head_from(bleeding, SMALL)
    hu, lesion = (np.repeat(planes, 4, axis=0) for planes in (bleeding.hu(), bleeding.lesion()))
    lesion[1::4] = lesion[2::4] = lesion[3::4] = False  # outlined on one slice of each slab
    thin = scan_of(hu, lesion, np.repeat(bleeding.labels, 4, axis=0))
    head = head_from(replace(thin, positions_mm=np.arange(len(hu)) * 1.25), SMALL)
    assert head.lesion.shape == head.hu.shape == thick.hu.shape
    np.testing.assert_array_equal(head.lesion, thick.lesion)
    assert (head.lesion.any(axis=(1, 2)) == (head.labels[:, 0] > 0)).all()


@pytest.mark.parametrize("kind", ["balanced", "mixture"])
def test_pictures_of_which_nothing_is_known_teach_nothing(tmp_path, kind):
    data, recipe = write_data(tmp_path / "planes", patients=4, slices=2), recipe_of(tmp_path, kind)
    with PlaneWriter(data.folder, data.about) as writer:
        for one in data[1:]:
            writer.relabel(replace(one, labels=np.full_like(one.labels, np.nan), scan_labels=np.full(6, np.nan)))
    (data.folder / "split.json").write_text('{"0": "train", "1": "train", "2": "train", "3": "validation"}')
    (only,) = Material.of(open_planes(data.folder), recipe, tmp_path / "cache", lambda done, of: None).learned
    assert only.patient == "0"
    with PlaneWriter(data.folder, data.about) as writer:
        writer.relabel(replace(data[0], labels=data[1].labels * np.nan, scan_labels=np.full(6, np.nan)))
    with pytest.raises(DataSetError, match="No label of any scan to learn from is known"):
        Material.of(open_planes(data.folder), recipe, tmp_path / "cache", lambda done, of: None)


def test_a_scan_of_which_nothing_is_known_sets_no_threshold():
    scores = np.full((6, len(CLASSES)), 0.1, np.float32)
    labels = np.zeros((6, len(CLASSES)), np.float32)
    scores[:3, 0], labels[:3, 0] = 0.9, 1
    scores[5, 1:], labels[5] = 0.97, np.nan  # quiet by `any`, and nobody knows of what
    found = operating_points(scores, labels, 0.9)
    rows = [{str(at): one[None] for at, one in enumerate(table[:5])} for table in (scores, labels)]
    assert found == thresholds_from(*rows, 0.9) and found["subdural"] == 0.5
    assert operating_points(scores[3:], labels[3:], 0.9) == dict.fromkeys(CLASSES, 0.5)


def test_the_threshold_of_any_finds_the_share_that_is_aimed_at():
    bleeds = np.array([0.9, 0.7, 0.5, 0.3, 0.1], np.float32)
    scores = np.zeros((8, 6), np.float32)
    scores[:, 0] = [*bleeds, 0.6, 0.2, 0.05]
    labels = np.zeros((8, 6), np.float32)
    labels[:5, :2] = 1
    for target, expected in ((0.4, 0.7), (0.8, 0.3), (1.0, 0.1)):
        aimed = operating_points(scores, labels, target)["any"]
        assert np.mean(bleeds >= aimed) == pytest.approx(target) and aimed == pytest.approx(expected, abs=0.002)
    with pytest.raises(ValueError, match="target_sensitivity is a share"):
        Recipe("none is found", target_sensitivity=0.0)
