from __future__ import annotations

import highdicom
import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from ichnode.core.geometry import measure, whole
from ichnode.dicom.header import parse_dataset
from tests.dicom.made_ct import ct_dataset, encode, enhanced_ct, item


def frames_of(ds: Dataset, syntax: str = ExplicitVRLittleEndian):
    return parse_dataset(encode(ds, syntax), syntax).slices


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_enhanced_ct_has_a_slice_for_every_frame(syntax):
    slices = frames_of(enhanced_ct(28), syntax)
    assert [s.frame for s in slices] == list(range(1, 29))
    assert {s.sop_instance_uid for s in slices} == {"1.2.826.0.1.3680043.8.498.1"}
    assert [s.position_mm for s in slices] == [(-115.0, -115.0, 5.0 * k) for k in range(28)]
    assert [s.rescale_intercept for s in slices] == [-1024.0 - k for k in range(28)]
    assert {s.orientation for s in slices} == {(1.0, 0.0, 0.0, 0.0, 1.0, 0.0)}
    assert {(s.pixel_spacing_mm, s.thickness_mm) for s in slices} == {((0.45, 0.45), 5.0)}
    assert {s.kernel for s in slices} == {("Hr40", "BRAIN")}
    assert {(s.body_part, s.gantry_tilt_deg, s.acquisition_number) for s in slices} == {("HEAD", 3.5, 4)}
    assert {s.image_type for s in slices} == {("ORIGINAL", "PRIMARY", "VOLUME", "NONE")}
    assert {(s.rows, s.bits_stored, s.has_pixels) for s in slices} == {(64, 12, True)}
    assert whole(measure(slices))


def test_a_frame_stands_before_what_is_shared():
    ds = enhanced_ct(3)
    ds.PerFrameFunctionalGroupsSequence[1].PixelMeasuresSequence = [item(PixelSpacing=[1, 1], SliceThickness="2")]
    assert [s.thickness_mm for s in frames_of(ds)] == [5.0, 2.0, 5.0]


def test_a_macro_stands_before_what_was_converted_as_it_was():
    ds = enhanced_ct(2)
    ds.SharedFunctionalGroupsSequence[0].UnassignedSharedConvertedAttributesSequence = [
        item(SliceThickness="9", ProtocolName="Head")
    ]
    assert {(s.thickness_mm, s.protocol_name) for s in frames_of(ds)} == {(5.0, "Head")}


def test_frames_without_an_item_and_items_without_a_frame_are_left_out():
    assert len(frames_of(enhanced_ct(5, NumberOfFrames=3))) == 3
    assert len(frames_of(enhanced_ct(5, NumberOfFrames=2**31 - 1))) == 5


def test_without_functional_groups_one_slice_of_unknown_place_is_left():
    ds = enhanced_ct(5)
    del ds.PerFrameFunctionalGroupsSequence
    del ds.SharedFunctionalGroupsSequence
    (one,) = frames_of(ds)
    assert one.position_mm is None and one.has_pixels


@pytest.mark.parametrize(("administered", "agent"), [("YES", "present"), ("NO", None), (None, "present")])
def test_contrast_counts_for_the_frames_it_was_given_in(administered, agent):
    ds = enhanced_ct(2, ContrastBolusAgentSequence=[item(CodeMeaning="Iodine")])
    if administered:
        ds.PerFrameFunctionalGroupsSequence[1].ContrastBolusUsageSequence = [
            item(ContrastBolusAgentNumber=1, ContrastBolusAgentAdministered=administered)
        ]
    assert [s.contrast_agent for s in frames_of(ds)] == ["present", agent]


def test_legacy_converted_as_highdicom_writes_it():
    instances = []
    for k in range(5):
        ds = ct_dataset(
            InstanceNumber=k + 1,
            SOPInstanceUID=f"1.2.826.0.1.3680043.8.498.1.{k}",
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
            ImagePositionPatient=[-115, -115, 4.8 * k],
            StudyID="1",
            PositionReferenceIndicator="",
            KVP="120",
        )
        ds.file_meta = Dataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        instances.append(ds)
    converted = highdicom.legacy.LegacyConvertedEnhancedCTImage(
        instances, series_instance_uid="1.2.5", series_number=9, sop_instance_uid="1.2.6", instance_number=1
    )
    slices = frames_of(converted)
    classic = [parse_dataset(encode(ds), ExplicitVRLittleEndian).slices[0] for ds in instances]
    assert len(slices) == 5
    kept = ["position_mm", "orientation", "pixel_spacing_mm", "thickness_mm", "rescale_intercept", "rescale_slope",
            "kernel", "gantry_tilt_deg", "rows", "columns", "bits_stored", "body_part", "protocol_name", "scan_options",
            "image_type"]  # fmt: skip
    for name in kept:
        found = [getattr(s, name) for s in sorted(slices, key=lambda s: s.position_mm[2])]
        expected = [getattr(s, name) for s in classic]
        if name == "image_type":  # the converter says that they are derived from something
            found, expected = [v[1:3] for v in found], [v[1:3] for v in expected]
        assert found == expected, name


def test_five_hundred_frames_are_read_in_a_moment():
    import time

    encoded = encode(enhanced_ct(500))
    start = time.process_time()
    slices = parse_dataset(encoded, ExplicitVRLittleEndian).slices
    assert time.process_time() - start < 0.5
    assert np.allclose([s.position_mm[2] for s in slices], 5 * np.arange(500))
