"""The Key Object Selection document: a title, a sentence, and the objects that it points at (PS3.3 A.35.4, TID 2010).

Written without the convenience class of highdicom, which names the purpose of every image although TID 2010 forbids it.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy

from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import KeyObjectSelectionDocumentStorage

from ichnode.reporting import codes
from ichnode.reporting.document import referenced_requests
from ichnode.reporting.facts import DeviceFacts


def key_object_selection(
    made: Dataset,
    header: Dataset,
    title: Code,
    description: str,
    references: Sequence[Dataset],
    evidence: Sequence[Dataset],
    device: DeviceFacts,
) -> Dataset:
    """Add the modules of a Key Object Selection to the header of an object.

    Parameters
    ----------
    made : Dataset
        From `ichnode.reporting.header`; changed and returned.
    header : Dataset
        The object that `made` was made from, whose requests are referenced.
    title : Code
        From CID 7010.
    description : str
        ASCII; its lines end with CR LF.
    references : sequence of Dataset
        From `reference_item`.
    evidence : sequence of Dataset
        The very objects that are referenced, and no others (PS3.3 C.17.6.2).
    """
    from highdicom.sr.value_types import CodeContentItem, TextContentItem

    from ichnode.reporting.tree import CONCEPT_MOD, CONTAINS, container, observer

    made.SOPClassUID = KeyObjectSelectionDocumentStorage
    made.ReferencedPerformedProcedureStepSequence = []
    requests = [deepcopy(item) for item in header.get("ReferencedRequestSequence") or referenced_requests(header)]
    if requests:
        made.ReferencedRequestSequence = requests
    made.CurrentRequestedProcedureEvidenceSequence = list(evidence)
    said = [
        CodeContentItem(codes.LANGUAGE, codes.ENGLISH, CONCEPT_MOD),
        *observer(device),
        TextContentItem(codes.KEY_OBJECT_DESCRIPTION, description, CONTAINS),
    ]
    made.update(container(title, said, relationship=None, template="2010"))
    made.ContentSequence = [*made.ContentSequence, *references]
    return made


def reference_item(value_type: str, sop_class_uid: str, sop_instance_uid: str, frame: int | None = None) -> Dataset:
    """Return the content item that points at an object, without a purpose: TID 2010 forbids one.

    Parameters
    ----------
    value_type : str
        IMAGE or COMPOSITE.
    frame : int or None
        Counted from 1; None for all of the object.
    """
    item, referenced = Dataset(), Dataset()
    referenced.ReferencedSOPClassUID, referenced.ReferencedSOPInstanceUID = sop_class_uid, sop_instance_uid
    if frame is not None:
        referenced.ReferencedFrameNumber = frame
    item.RelationshipType, item.ValueType, item.ReferencedSOPSequence = "CONTAINS", value_type, [referenced]
    return item
