"""What a picture was made from, and what was lost before (PS3.3 C.7.6.1.1.4, C.7.6.1.1.5)."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy

from pydicom.dataset import Dataset

from ichnode.reporting import codes
from ichnode.reporting.facts import Answer
from ichnode.reporting.header import code_item
from ichnode.reporting.key_slices import slice_reference


def source_images(answer: Answer, indices: Iterable[int]) -> list[Dataset]:
    """Return the items of a Source Image Sequence (0008,2112) for slices by their places in the order.

    Raises
    ------
    ValueError
        A slice has no place in the order, or is not among the evidence.
    """
    items = []
    for index in indices:
        item = image_item(*slice_reference(answer.outcome, index, answer.sop_classes))
        item.PurposeOfReferenceCodeSequence = [code_item(codes.SOURCE_IMAGE)]
        items.append(item)
    return items


def image_item(sop_class_uid: str, sop_instance_uid: str, frame: int | None = None) -> Dataset:
    """Return the Image SOP Instance Reference (PS3.3 10.3) of an image, or of one frame counted from 1."""
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class_uid, sop_instance_uid
    if frame is not None:
        item.ReferencedFrameNumber = frame
    return item


def say_how_lossy(made: Dataset, header: Dataset) -> None:
    """Say whether the pixels were ever compressed with loss: what was lost in the CT stays lost."""
    lossy = str(header.get("LossyImageCompression") or "00") == "01"
    made.LossyImageCompression = "01" if lossy else "00"
    for keyword in ("LossyImageCompressionRatio", "LossyImageCompressionMethod") if lossy else ():
        if header.get(keyword):
            made[keyword] = deepcopy(header[keyword])
