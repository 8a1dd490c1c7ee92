"""The slices of a series as a browser gets them: in order, turned, exact, whatever they were sent in."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from pydicom.uid import EnhancedCTImageStorage, JPEG2000Lossless, JPEGLSLossless, RLELossless

from ichnode.core.identity import digest_of
from ichnode.core.planes import decode
from ichnode.dicom.decoding import Decoders
from ichnode.dicom.part10 import part10_prefix
from ichnode.errors import BadObject
from ichnode.steps.stack import part_of, stack_of
from ichnode.worklist import schema
from tests.dicom.made_ct import UNCOMPRESSED, ct_dataset, encode, enhanced_ct, head_hu
from tests.made import rows
from tests.steps.spooled import started

EXPLICIT = UNCOMPRESSED[1]
SYNTAXES = (EXPLICIT, UNCOMPRESSED[2], RLELossless, JPEG2000Lossless, JPEGLSLossless)
AXIAL = [1, 0, 0, 0, 1, 0]


def arrive(node, *datasets, syntax=EXPLICIT):
    """Slices in the spool and in rows."""
    for ds in datasets:
        if syntax not in UNCOMPRESSED:
            ds.file_meta = pydicom.dataset.FileMetaDataset()
            ds.file_meta.TransferSyntaxUID = EXPLICIT
            ds.compress(syntax, generate_instance_uid=False)
        data = encode(ds, syntax)
        node.spool.put_slice(
            part10_prefix(ds.SOPClassUID, ds.SOPInstanceUID, syntax, "CT"), data, digest_of(data)
        )  # fmt: skip
    started(node)
    return rows(node.worklist, schema.series)[-1]["id"]


def slice_at(index, **attributes):
    hu = head_hu() + index * 10
    facts = {
        "ImagePositionPatient": [-115, -115, 5 * index],
        "ImageOrientationPatient": AXIAL,
        "InstanceNumber": 9 - index,
    }
    return ct_dataset(hu, SOPInstanceUID=f"2.25.{index + 1}", **{**facts, **attributes})


def planes_of(node, stack):
    """Every plane as `part_of` gives it; None where it gives none."""
    planes = []
    for part in range(stack.parts):
        (content, _), at = part_of(node, stack, part), 0
        while at < len(content):
            length = int.from_bytes(content[at : at + 4], "little")
            one = stack.slices[len(planes)]
            planes.append(decode(content[at + 4 : at + 4 + length], one.rows, one.columns) if length else None)
            at += 4 + length
    return planes


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda uid: uid.name)
def test_planes_are_exact_and_lie_from_the_lowest_up_whatever_came_first(make_node, syntax):
    node = make_node()
    series_id = arrive(node, *(slice_at(index) for index in (3, 0, 5, 1, 4, 2)), syntax=syntax)
    stack = stack_of(node, series_id)
    assert [one.position_mm for one in stack.slices] == [0, 5, 10, 15, 20, 25]
    assert (stack.part, stack.parts) == (4, 2)
    for index, plane in enumerate(planes_of(node, stack)):
        np.testing.assert_array_equal(plane, np.clip(head_hu() + index * 10, -1024, 3071))


def test_frames_of_an_enhanced_ct_are_slices(make_node):
    node = make_node()
    stack = stack_of(node, arrive(node, enhanced_ct(20)))
    assert rows(node.worklist, schema.instances)[0]["sop_class_uid"] == EnhancedCTImageStorage
    assert (len(stack.slices), stack.part, stack.parts) == (20, 16, 2)
    for plane in planes_of(node, stack):
        np.testing.assert_array_equal(plane, head_hu())


def test_the_patients_right_is_on_the_left_and_the_front_on_top(make_node):
    node = make_node()
    upside_down = slice_at(
        0, ImageOrientationPatient=[0, -1, 0, -1, 0, 0], Rows=64, Columns=64, PixelSpacing=[0.4, 0.5]
    )
    (one,) = (stack := stack_of(node, arrive(node, upside_down))).slices
    assert (one.view.left, one.view.right, one.view.top, one.view.bottom) == ("R", "L", "A", "P")
    assert one.pixel_mm == (0.5, 0.4)
    np.testing.assert_array_equal(planes_of(node, stack)[0], head_hu().T[::-1, ::-1])


def test_a_slice_without_readable_pixels_leaves_the_others_in_their_places(make_node):
    node = make_node()
    broken = slice_at(1)
    broken.PixelData = broken.PixelData[:100]
    broken["PixelData"].VR = "OW"
    stack = stack_of(node, arrive(node, slice_at(0), broken, slice_at(2)))
    planes = planes_of(node, stack)
    assert [plane is None for plane in planes] == [False, True, False]


def test_a_decoder_without_time_is_asked_once_for_all_frames_and_not_again_for_each(make_node, monkeypatch):
    node = make_node()
    stack = stack_of(node, arrive(node, enhanced_ct(16)))
    asked = []

    def late(self, path, frames, syntax):
        asked.append(frames)
        raise BadObject("It took too long.", "PIXELS_UNREADABLE") from TimeoutError("it takes too long")

    with monkeypatch.context() as patch:
        patch.setattr(Decoders, "read_hounsfield", late)
        assert part_of(node, stack, 0) == (bytes(4 * 16), False)
    assert len(asked) == 1
    content, is_whole = part_of(node, stack, 0)
    assert is_whole and len(content) > 4 * 16


def test_what_no_volume_can_be_made_of_is_shown_by_number(make_node):
    node = make_node()
    nowhere = {"ImagePositionPatient": None, "ImageOrientationPatient": None, "PixelSpacing": None}
    stack = stack_of(node, arrive(node, slice_at(0, **nowhere), slice_at(1, **nowhere)))
    assert [one.filed.slice.instance_number for one in stack.slices] == [8, 9]
    assert [one.position_mm for one in stack.slices] == [None, None]
    assert all(plane is not None for plane in planes_of(node, stack))


def test_the_digest_names_what_is_shown(make_node):
    node = make_node()
    series_id = arrive(node, slice_at(0), slice_at(1))
    first = stack_of(node, series_id)
    assert stack_of(node, series_id).digest == first.digest
    arrive(node, slice_at(2))
    assert stack_of(node, series_id).digest != first.digest
    assert stack_of(node, 99).slices == ()
