"""The Structured Report for machines: TID 1500, for every outcome, positive, negative or not analysed."""

from __future__ import annotations

from collections.abc import Sequence

import pydicom.config
from pydicom.uid import ComprehensiveSRStorage

from ichnode.reporting.document import document_header
from ichnode.reporting.facts import Answer, ReportIdentity, ReportReference
from ichnode.reporting.part10 import as_file

SERIES_DESCRIPTION = "ICH AI result (investigational)"


def build_sr(answer: Answer, identity: ReportIdentity, predecessors: Sequence[ReportReference]) -> bytes:
    """Return the report as the bytes of a PS3.10 file: a Comprehensive SR (1.2.840.10008.5.1.4.1.1.88.33), TID 1500.

    Parameters
    ----------
    answer : Answer
    identity : ReportIdentity
    predecessors : sequence of ReportReference
        The reports that this one replaces.

    Returns
    -------
    bytes
        The same for the same input.

    Raises
    ------
    BadObject
        The header has no Study or Series Instance UID.
    ValueError
        A score is no number from 0 to 1, or a key slice is not among the evidence.
    """
    from ichnode.reporting.tree import report_tree

    # A CT with an illegal value (a sex of "Male", a birth date in words) is reported on all the same, as it is.
    with pydicom.config.disable_value_validation():
        report = document_header(answer, identity, predecessors, ComprehensiveSRStorage, SERIES_DESCRIPTION)
        report.update(report_tree(answer))
        return as_file(report, answer.device)
