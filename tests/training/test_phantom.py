"""The head phantom: the same seed is the same head, and its truth is the truth."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ichnode_training.lesions import DILUTION_HU, SMALLEST_ML, STATISTICS, SUBTYPES, draw
from ichnode_training.mimics import MIMICS
from ichnode_training.phantom import SMALLEST_SEEN_MM2, Phantom, make_head
from ichnode_training.phantom_dicom import TAG_VARIANTS, write_dicom
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
    RLELossless,
)
from scipy import ndimage

from ichnode.core.eligibility import SelectionPolicy
from ichnode.core.findings import CLASSES
from ichnode.core.identity import is_uid
from ichnode.dicom.pixels import read_volume
from ichnode.steps.explain import explain

VALIDATOR = Path(sys.executable).with_name("dciodvfy")
VOLUMES = {"epidural": 20, "subdural": 30, "intraparenchymal": 20, "intraventricular": 5, "subarachnoid": 8}


@cache
def head(seed: int, *lesions: str, **protocol: object) -> Phantom:
    options = {"matrix": 128, "volumes_ml": VOLUMES} | protocol
    return make_head(seed, lesions, **options)


def without_and_with(subtype: str, seed: int = 5) -> tuple[np.ndarray, Phantom]:
    quiet = {"noise_hu": 0.0}
    return head(seed, **quiet).hu.astype(int), head(seed, subtype, **quiet)


def test_same_seed_same_head_and_another_seed_another_head():
    first = make_head(3, matrix=64, slices=8)
    again, other = make_head(3, matrix=64, slices=8), make_head(4, matrix=64, slices=8)
    assert (first.hu == again.hu).all()
    assert first.lesions == again.lesions
    assert (first.hu != other.hu).mean() > 0.2


def test_shape_type_and_range():
    phantom = head(1)
    assert phantom.hu.shape == (32, 128, 128)
    assert phantom.hu.dtype == np.int16
    assert phantom.labels.shape == (32, len(CLASSES))
    assert phantom.hu.min() >= -1024
    assert phantom.hu.max() <= 3071


def test_tissues_have_their_hounsfield_units():
    phantom = make_head(1, (), matrix=256, noise_hu=0)
    traits, middle = phantom.traits, phantom.hu[15:24].astype(int)
    air = phantom.hu[:, :8, 60:200]
    assert abs(np.median(air) + 1000) < 30
    bone = middle > 600
    assert 900 < np.percentile(middle[bone], 90) < 1250
    cavity = np.stack(
        [ndimage.binary_erosion(ndimage.binary_fill_holes(s > 300) & (s < 300), iterations=6) for s in middle]
    )
    brain = middle[cavity]
    assert traits.white_hu - 4 < np.percentile(brain, 25) < np.percentile(brain, 75) < traits.grey_hu + 4
    assert 3 < np.percentile(brain, 1) < 24  # CSF, thinned by slabs of 5 mm
    fat = phantom.hu[(phantom.hu > -130) & (phantom.hu < -60)]
    assert fat.size > 2000


def test_ventricles_hold_csf_and_the_vault_is_closed():
    phantom = make_head(2, (), matrix=128, noise_hu=0)
    middle = phantom.hu[17:21].astype(int)
    assert (middle[:, 44:84, 44:84] < 20).sum() > 30
    assert all(ndimage.binary_fill_holes(s > 300)[64, 64] for s in middle)


def test_labels_are_where_the_masks_are():
    phantom = head(6, "intraparenchymal", "intraventricular", "subarachnoid")
    for column, name in enumerate(CLASSES[1:], start=1):
        expected = phantom.masks[name].any((1, 2)) if name in phantom.masks else np.zeros(32, bool)
        assert (phantom.labels[:, column] == expected).all()
    assert (phantom.labels[:, 0] == phantom.labels[:, 1:].max(1)).all()
    area = np.concatenate([m.sum((1, 2)) for m in phantom.masks.values()]) * phantom.protocol.pixel_mm**2
    assert (area[area > 0] >= SMALLEST_SEEN_MM2).all()


def test_no_bleed_no_label():
    phantom = head(8)
    assert not phantom.labels.any()
    assert phantom.masks == {}
    assert phantom.lesions == ()


@pytest.mark.parametrize("subtype", SUBTYPES)
def test_each_subtype_is_there_with_its_volume_and_density(subtype):
    blank, phantom = without_and_with(subtype)
    mask = phantom.masks[subtype]
    assert phantom.labels[:, CLASSES.index(subtype)].sum() >= 3
    assert phantom.volumes_ml[subtype] == pytest.approx(VOLUMES[subtype], rel=0.02)
    seen_ml = mask.sum() * phantom.protocol.pixel_mm**2 * phantom.protocol.spacing_mm / 1000
    assert seen_ml == pytest.approx(VOLUMES[subtype], rel=0.3)
    density = np.median(phantom.hu[mask])
    assert abs(density - phantom.lesions[0].hu) < 4 + DILUTION_HU[subtype]
    core = ndimage.binary_erosion(mask, iterations=1) if subtype != "subarachnoid" else mask
    assert np.median(phantom.hu[core] - blank[core]) > 8  # brighter than what was there


def test_extra_axial_blood_lies_on_the_skull_and_the_lens_is_thicker_than_the_crescent():
    thickness = {}
    for subtype in ("epidural", "subdural"):
        phantom = make_head(5, (subtype,), matrix=128, noise_hu=0, volumes_ml={subtype: 25})
        mask = phantom.masks[subtype]
        bone = ndimage.binary_dilation(phantom.hu > 250, np.ones((1, 5, 5)))
        assert all((mask[i] & bone[i]).any() for i in np.flatnonzero(mask.any((1, 2))))
        widest = mask[mask.sum((1, 2)).argmax()]
        thickness[subtype] = ndimage.distance_transform_edt(widest).max() / np.sqrt(widest.sum())
        half = phantom.hu.shape[2] / 2
        columns = np.nonzero(mask)[2]
        assert (columns < half + 8).all() or (columns > half - 8).all()  # one side only
    assert thickness["epidural"] > 1.4 * thickness["subdural"]


def test_intraventricular_blood_lies_behind_csf():
    blank, phantom = without_and_with("intraventricular")
    mask = phantom.masks["intraventricular"]
    fullest = mask.sum((1, 2)).argmax()
    csf = (phantom.hu[fullest] < 18) & (blank[fullest] < 18)
    csf[:, :40] = csf[:, 88:] = csf[:44] = csf[84:] = False
    assert np.nonzero(mask[fullest])[0].mean() > np.nonzero(csf)[0].mean() + 3


def test_a_clot_has_oedema_around_it_and_pushes_the_brain():
    blank, phantom = without_and_with("intraparenchymal")
    mask = phantom.masks["intraparenchymal"]
    ring = ndimage.binary_dilation(mask, np.ones((1, 7, 7))) & ~ndimage.binary_dilation(mask, np.ones((1, 3, 3)))
    assert np.median(phantom.hu[ring]) < np.median(blank[ring]) - 3
    far = ~ndimage.binary_dilation(mask, np.ones((1, 15, 15)))
    assert (np.abs(phantom.hu[far] - blank[far]) > 2).sum() > 400


def test_draws_stay_within_the_published_percentiles():
    rng = np.random.default_rng(0)
    for subtype, (volumes, densities, (_, most)) in STATISTICS.items():
        drawn = [draw(rng, subtype, {}, {}) for _ in range(200)]
        assert all(SMALLEST_ML <= lesion.volume_ml <= most * volumes[-1] for lesion in drawn)
        assert all(densities[0] <= lesion.hu <= densities[-1] for lesion in drawn)
        assert np.std([lesion.hu for lesion in drawn]) > 1


def test_the_seed_may_decide_about_half_of_the_heads():
    bleeding = sum(bool(make_head(seed, matrix=32, slices=2).lesions) for seed in range(8))
    assert 1 <= bleeding <= 7


MIMICKED = {  # what it does to a head: at least so many pixels, brighter or darker by at least so many HU
    "calcified-choroid": (4, 30), "calcified-pineal": (1, 25), "calcified-falx": (4, 30), "dense-sinus": (30, 8),
    "calcified-basal-ganglia": (10, 15), "old-infarct": (60, -10), "chronic-subdural": (100, -8),
}  # fmt: skip


def test_every_mimic_has_its_measure():
    assert MIMICKED.keys() == MIMICS.keys()


@pytest.mark.parametrize("mimic", MIMICKED)
def test_a_mimic_is_seen_and_is_no_bleed(mimic):
    plain, made = (head(4, noise_hu=0.0, slices=26, mimics=mimics) for mimics in ((), (mimic,)))
    change = made.hu.astype(int) - plain.hu
    pixels, by = MIMICKED[mimic]
    assert (change >= by if by > 0 else change <= by).sum() >= pixels
    assert not made.labels.any()
    assert made.masks == {}
    assert (made.traits.mimics, made.traits.age) == ({mimic}, plain.traits.age)  # the same head


@settings(max_examples=6, deadline=None, derandomize=True)
@given(subtype=st.sampled_from(SUBTYPES), volume=st.floats(1, 10), hu=st.floats(45, 70), seed=st.integers(0, 2**31))
def test_any_bleed_has_the_volume_and_density_that_were_asked_for(subtype, volume, hu, seed):
    phantom = make_head(
        seed, (subtype,), matrix=64, volumes_ml={subtype: volume}, densities_hu={subtype: hu}, noise_hu=0
    )
    made = phantom.volumes_ml[subtype]
    full = subtype in ("intraventricular", "subarachnoid")  # a young head may have no room for all of it
    assert made == pytest.approx(volume, rel=0.03) or (full and 0.3 * volume < made < volume)
    assert phantom.lesions[0].hu == hu
    assert (phantom.labels[:, 0] == phantom.labels[:, CLASSES.index(subtype)]).all()


def test_old_heads_have_wider_ventricles_and_sulci_than_young_ones():
    fluid = {}
    for seed in range(8):
        phantom = make_head(seed, (), matrix=32, slices=12, spacing_mm=8, noise_hu=0, mimics=())
        middle = phantom.hu[3:10]
        fluid[phantom.traits.age] = ((middle > 0) & (middle < 20)).mean()
    ages = sorted(fluid)
    assert np.mean([fluid[a] for a in ages[-3:]]) > 1.3 * np.mean([fluid[a] for a in ages[:3]])


def test_tilt_leans_the_slices_and_shears_the_stack():
    phantom = head(2, matrix=64, tilt_deg=18.0)
    row, column = np.array(phantom.protocol.orientation[:3]), np.array(phantom.protocol.orientation[3:])
    steps = np.diff(phantom.positions_mm, axis=0)
    normal = np.cross(row, column)
    assert np.allclose(steps @ normal, 5.0)  # distance between planes
    assert np.allclose(steps[:, :2], 0)  # the table moves along the patient
    assert np.degrees(np.arccos(normal[2])) == pytest.approx(18)
    stacked = make_head(2, (), matrix=64, tilt_deg=18.0, sheared=False, slices=4)
    assert np.allclose(np.cross(np.diff(stacked.positions_mm, axis=0), normal), 0, atol=1e-6)


def test_thin_slices_and_the_bone_kernel_are_noisier():
    def noise(**options: object) -> float:
        loud = make_head(9, (), matrix=128, slices=3, noise_hu=4, **options).hu.astype(float)
        quiet = make_head(9, (), matrix=128, slices=3, noise_hu=0, **options).hu
        return float((loud - quiet)[:, 50:78, 50:78].std())

    soft = noise()
    assert 2.5 < soft < 6
    assert noise(thickness_mm=1.25) > 1.6 * soft
    assert noise(kernel="bone") > 2.5 * soft


def test_a_name_or_kernel_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="subgaleal"):
        make_head(1, ("subgaleal",))
    with pytest.raises(ValueError, match="scar"):
        make_head(1, (), mimics=("scar",))
    with pytest.raises(ValueError, match="lung"):
        make_head(1, (), kernel="lung")


VARIANTS = {
    "as written by default": {},
    "implicit": {"transfer_syntax": ImplicitVRLittleEndian},
    "deflated": {"transfer_syntax": DeflatedExplicitVRLittleEndian},
    "RLE": {"transfer_syntax": RLELossless},
    "JPEG-LS": {"transfer_syntax": JPEGLSLossless},
    "signed 16 bits, intercept 0": {"bits_stored": 16, "intercept": 0},
    "signed 16 bits": {"bits_stored": 16},
    "no rescale type": {"RescaleType": None},
}
TAGS = {name: arguments for name, arguments in TAG_VARIANTS.items() if arguments}


@pytest.mark.parametrize("variant", TAGS)
def test_the_node_takes_every_way_of_writing_and_reads_the_same_numbers(tmp_path, variant):
    phantom = head(4, "subdural", matrix=64, slices=16)
    files = write_dicom(phantom, tmp_path, **TAGS[variant])
    report = subprocess.run([VALIDATOR, files[8]], capture_output=True, text=True, check=False)
    assert "CTImage" in report.stderr
    assert "Error" not in report.stderr, report.stderr
    (series,) = explain(tmp_path, SelectionPolicy()).series
    assert series.reason is None
    order = series.look.geometry.order
    volume, said = read_volume([series.look.slices[i] for i in order], [series.files[i] for i in order])
    lowest = -1000 if variant == "12-bit-1000" else -1024
    assert (volume == np.maximum(phantom.hu, lowest)).all()
    assert [one.code for one in said] == (["WRAP_12BIT_REPAIRED"] if variant == "12-bit-wrapped" else [])


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_dicom_series_is_valid_and_holds_the_same_numbers(tmp_path, variant):
    phantom = make_head(4, ("subdural",), matrix=96, slices=3, thickness_mm=5)
    files = write_dicom(phantom, tmp_path / "series", uid_seed="a test", **VARIANTS[variant])
    assert len(files) == 3
    for index, path in enumerate(files):
        ds = pydicom.dcmread(path)
        expected = VARIANTS[variant].get("transfer_syntax", ExplicitVRLittleEndian)
        assert ds.file_meta.TransferSyntaxUID == expected
        hu = ds.pixel_array.astype(int) * int(ds.RescaleSlope) + int(ds.RescaleIntercept)
        assert (hu == phantom.hu[index]).all()
        assert np.allclose(ds.ImagePositionPatient, phantom.positions_mm[index], atol=1e-3)
        if expected == DeflatedExplicitVRLittleEndian:  # the validator cannot inflate
            ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
            ds.save_as(path, enforce_file_format=True)
        report = subprocess.run([VALIDATOR, path], capture_output=True, text=True, check=False)
        assert "CTImage" in report.stderr
        assert "Error" not in report.stderr, report.stderr


def test_identity_is_derived(tmp_path):
    phantom = make_head(4, (), matrix=32, slices=2)

    def uids(folder: str, **options: object) -> list[tuple[str, str, str]]:
        written = [pydicom.dcmread(p) for p in write_dicom(phantom, tmp_path / folder, **options)]
        return [(d.StudyInstanceUID, d.SeriesInstanceUID, d.SOPInstanceUID) for d in written]

    first, again = uids("1", uid_seed="x"), uids("2", uid_seed="x")
    other, thin = uids("3", uid_seed="y"), uids("4", uid_seed="x", series_number=3)
    assert first == again
    assert all(is_uid(uid) for triple in first for uid in triple)
    assert first[0][0] == thin[0][0] != other[0][0]
    assert len({uid for series in (first, other, thin) for triple in series for uid in triple[1:]}) == 3 + 6


def test_a_series_that_cannot_hold_its_numbers_is_refused(tmp_path):
    with pytest.raises(ValueError, match="12 bits"):
        write_dicom(make_head(4, (), matrix=32, slices=2), tmp_path, bits_stored=12, intercept=0)
