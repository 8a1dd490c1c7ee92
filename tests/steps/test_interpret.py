"""One series in, one outcome and its images out."""

from dataclasses import replace

import numpy as np
from ichnode_training.phantom import make_head
from ichnode_training.phantom_dicom import write_dicom

from ichnode.core.eligibility import SelectionPolicy
from ichnode.core.explained import MOST_MAPS, explained
from ichnode.core.findings import CLASSES, Verdict, findings_from
from ichnode.inference.engine import Engine
from ichnode.steps.explain import explain
from ichnode.steps.interpret import interpret, with_heat

POLICY = SelectionPolicy(min_slices=5, min_extent_mm=40.0)
HALF = dict.fromkeys(CLASSES, 0.5)


def interpretation_of(folder, bundle, thresholds=None):
    engine = Engine.load(bundle.folder, "cpu", 1)
    engine.bundle = replace(engine.bundle, thresholds=thresholds or bundle.thresholds)
    (series,) = explain(folder, POLICY).series
    assert series.reason is None
    return interpret(engine, series.look, series.files)


def chosen(rows, thresholds=HALF):
    return explained(rows, findings_from(rows, thresholds))


def row(value, **others):
    return [value, *(others.get(name, 0.0) for name in CLASSES[1:])]


def test_nothing_found_nothing_explained():
    assert chosen([row(0.49, subdural=0.49)] * 20) == {}


def test_every_slice_over_a_threshold_and_no_other():
    rows = [row(0.1), row(0.5), row(0.4), row(0.9), row(0.2, epidural=0.6)]
    assert chosen(rows) == {1: "any", 3: "any", 4: "epidural"}


def test_any_is_explained_before_a_subtype_even_a_higher_one_and_else_the_highest():
    rows = [row(0.6, subdural=0.99), row(0.4, subdural=0.7, epidural=0.8)]
    assert chosen(rows) == {0: "any", 1: "epidural"}
    assert chosen(rows, {**HALF, "epidural": 0.9}) == {0: "any", 1: "subdural"}


def test_at_most_twelve_key_slices_first_then_the_highest():
    rows = [row(0.6 + 0.01 * index) for index in range(30)]
    rows[2] = row(0.1, epidural=0.9)
    keys = {index for finding in findings_from(rows, HALF) for index in finding.key_slices}
    assert 2 in keys
    maps = chosen(rows)
    assert len(maps) == MOST_MAPS == 12
    assert keys <= set(maps)
    assert list(maps) == sorted(maps)
    assert set(maps) == {2, *range(19, 30)}
    assert maps[2] == "epidural"


def test_a_positive_series_has_maps_and_the_time_they_took(head_ct, tiny_bundle):
    low = dict.fromkeys(CLASSES, 0.0)
    found = interpretation_of(head_ct, tiny_bundle, low)
    assert found.outcome.verdict is Verdict.POSITIVE
    assert found.images.heat == {}, "the answer waits for none"
    found = with_heat(Engine.load(tiny_bundle.folder, "cpu", 1), found)
    assert set(found.seconds) == {"load", "inference", "explain"}
    assert found.seconds["explain"] > 0
    images = found.images
    assert len(images.heat) == MOST_MAPS
    assert set(images.heat) == set(images.heat_class)
    keys = {index for finding in found.outcome.findings for index in finding.key_slices}
    assert len(keys) <= MOST_MAPS
    assert keys <= set(images.heat)
    stack = np.stack(list(images.heat.values()))
    assert stack.shape[1:] == images.volume.shape[1:] == (256, 256)
    assert stack.dtype == np.float32
    assert stack.min() == 0 and stack.max() == 1


def test_a_negative_series_has_its_volume_and_no_maps(head_ct, tiny_bundle):
    found = interpretation_of(head_ct, tiny_bundle, dict.fromkeys(CLASSES, 1.0))
    assert found.outcome.verdict is Verdict.NEGATIVE
    assert "explain" not in found.seconds
    assert found.images.heat == found.images.heat_class == {}


def test_the_images_are_the_slices_of_the_outcome_in_its_order(head_ct, tiny_bundle):
    from pydicom import dcmread

    found = interpretation_of(head_ct, tiny_bundle)
    images, order = found.images, found.outcome.order
    assert len(images.volume) == len(images.positions_mm) == len(order) == 32
    by_uid = {ds.SOPInstanceUID: ds for ds in map(dcmread, head_ct.iterdir())}
    for plane, position, (uid, _) in zip(images.volume, images.positions_mm, order, strict=True):
        ds = by_uid[uid]
        np.testing.assert_allclose(position, ds.ImagePositionPatient)
        hounsfield = ds.pixel_array * float(ds.RescaleSlope) + float(ds.RescaleIntercept)
        np.testing.assert_array_equal(plane, hounsfield.astype(np.int16))
    np.testing.assert_allclose(images.spacing_mm, ds.PixelSpacing)
    np.testing.assert_allclose(images.orientation, ds.ImageOrientationPatient)


def test_without_a_brain_there_are_the_slices_and_no_maps(tiny_bundle, tmp_path):
    phantom = make_head(6, (), matrix=128)
    water = np.where((phantom.hu > -300) & (phantom.hu < 150), 0, phantom.hu).astype(np.int16)
    write_dicom(replace(phantom, hu=water), tmp_path)
    found = interpretation_of(tmp_path, tiny_bundle)
    assert found.outcome.verdict is Verdict.NOT_ANALYSED
    assert found.outcome.reason.code == "NO_BRAIN_SEEN"
    assert found.images.volume.shape == (32, 128, 128)
    assert found.images.heat == {}
    assert set(found.seconds) == {"load"}
