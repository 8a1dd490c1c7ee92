"""The key images as a Key Object Selection, which a viewer lists, flags or jumps to."""

from __future__ import annotations

from collections.abc import Sequence

import pydicom.config

from ichnode.reporting import codes
from ichnode.reporting.document import evidence_item
from ichnode.reporting.facts import Answer, ReportIdentity, ReportReference
from ichnode.reporting.header import result_header
from ichnode.reporting.key_object_selection import key_object_selection, reference_item
from ichnode.reporting.key_slices import COUNTED, key_slices, slice_reference
from ichnode.reporting.part10 import as_file
from ichnode.reporting.sentences import NEW_LINE, NOTICE, headline

SERIES_DESCRIPTION = "ICH AI key images (investigational)"


def build_kos(answer: Answer, identity: ReportIdentity, predecessors: Sequence[ReportReference]) -> bytes | None:
    """Return the key images of all classes, the highest score first, as the bytes of a PS3.10 file.

    Parameters
    ----------
    answer : Answer
    identity : ReportIdentity
    predecessors : sequence of ReportReference
        Not used: a Key Object Selection has nowhere to name what it replaces.

    Returns
    -------
    bytes or None
        The same for the same input; None without a key slice, for a selection of nothing is not valid.

    Raises
    ------
    BadObject
        The header has no Study or Series Instance UID.
    ValueError
        A key slice is not among the evidence.
    """
    outcome, header = answer.outcome, answer.header
    shown = key_slices(outcome)
    if not shown:
        return None
    slices = [slice_reference(outcome, slice_.index, answer.sop_classes) for slice_ in shown]
    captions = [slice_.caption(len(outcome.order)) for slice_ in shown]
    description = NEW_LINE.join([headline(outcome), *captions, COUNTED, NOTICE])
    with pydicom.config.disable_value_validation():
        made = result_header(answer, identity, "KO", SERIES_DESCRIPTION)
        instances = {instance: sop_class for sop_class, instance, _ in slices}
        evidence = evidence_item(str(header.StudyInstanceUID), str(header.SeriesInstanceUID), instances)
        references = [reference_item("IMAGE", *referenced) for referenced in slices]
        selection = key_object_selection(
            made, header, codes.OF_INTEREST, description, references, [evidence], answer.device
        )  # fmt: skip
        return as_file(selection, answer.device)
