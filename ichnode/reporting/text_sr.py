"""The Structured Report for people: plain text that every SR viewer shows, for every outcome.

Some viewers show nothing of a TID 1500 report that draws no outlines; of this one they show every line. It claims no
template, and its title is a CAD's summary, so that nobody takes it for the radiologist's report. Value types and
relationships are those that Basic Text SR permits (PS3.3 A.35.1.3.1), hence Enhanced and Comprehensive SR do as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import pydicom.config
from pydicom.sr.coding import Code
from pydicom.uid import EnhancedSRStorage

from ichnode.core.findings import Finding, Outcome, Verdict
from ichnode.reporting import codes
from ichnode.reporting.document import document_header
from ichnode.reporting.facts import Answer, ReportIdentity, ReportReference
from ichnode.reporting.key_slices import COUNTED, KeySlice, key_slices
from ichnode.reporting.part10 import as_file
from ichnode.reporting.sentences import NEW_LINE, UNREAD, ascii_only, headline, remarks

if TYPE_CHECKING:
    from highdicom.sr.value_types import ContainerContentItem, ContentItem

SERIES_DESCRIPTION = "ICH AI report, readable (investigational)"


def build_text_sr(answer: Answer, identity: ReportIdentity, predecessors: Sequence[ReportReference]) -> bytes:
    """Return the report as the bytes of a PS3.10 file: an Enhanced SR (1.2.840.10008.5.1.4.1.1.88.22) in words.

    Parameters
    ----------
    answer : Answer
    identity : ReportIdentity
    predecessors : sequence of ReportReference
        The readable reports that this one replaces.

    Returns
    -------
    bytes
        The same for the same input.

    Raises
    ------
    BadObject
        The header has no Study or Series Instance UID.
    ValueError
        A key slice is not among the evidence.
    """
    with pydicom.config.disable_value_validation():
        report = document_header(answer, identity, predecessors, EnhancedSRStorage, SERIES_DESCRIPTION)
        report.update(readable_tree(answer))
        return as_file(report, answer.device)


def readable_tree(answer: Answer) -> ContainerContentItem:
    """Return the root container: the answer, then the scores, the key images, and what gave the answer."""
    from highdicom.sr.value_types import CodeContentItem

    from ichnode.reporting.tree import CONCEPT_MOD, container, observer

    outcome, shown = answer.outcome, key_slices(answer.outcome)
    items: list[ContentItem] = [container(codes.SUMMARY, _summary(outcome))]
    if outcome.findings:
        items.append(container(codes.FINDINGS, [_text(codes.FINDING, *_table(outcome))]))
    if shown:
        items.append(container(codes.KEY_IMAGES, _key_images(answer, shown)))
    if answer.model is not None:
        items.append(container(codes.PROCEDURE_DESCRIPTIONS, _algorithm(answer)))
    # Viewers show items in their order; what modifies the root comes last, since it is the answer that is read.
    items += [CodeContentItem(codes.LANGUAGE, codes.ENGLISH, CONCEPT_MOD), *observer(answer.device)]
    return container(codes.CAD_SUMMARY, items, relationship=None)


def _summary(outcome: Outcome) -> Iterator[ContentItem]:
    yield _text(codes.SUMMARY, headline(outcome))
    if outcome.verdict is Verdict.NOT_ANALYSED:
        yield _text(codes.COMMENT, UNREAD)
    for sentence in remarks(outcome):
        yield _text(codes.COMMENT, sentence)


def _table(outcome: Outcome) -> Iterator[str]:
    """One line a class, in columns, for a viewer that sets it in a fixed pitch; still readable where none does."""
    widest = max(len(finding.name) for finding in outcome.findings)
    for finding in outcome.findings:
        yield f"{finding.name:<{widest}}  {_row(finding, len(outcome.order))}"
    if any(finding.key_slices for finding in outcome.findings):
        yield COUNTED


def _row(finding: Finding, slices: int) -> str:
    answer = "present" if finding.present else "absent "
    said = f"{answer}  score {finding.score:.3f}  threshold {finding.threshold:.3f}"
    if not finding.key_slices:
        return said
    numbers = ", ".join(str(index + 1) for index in finding.key_slices)
    return f"{said}  image{'s' if len(finding.key_slices) > 1 else ' '} {numbers} of {slices}"


def _key_images(answer: Answer, shown: Sequence[KeySlice]) -> Iterator[ContentItem]:
    """A line of text for each image in the order of the images: some viewers show nothing of an IMAGE item."""
    from ichnode.reporting.tree import image_reference

    lines = [slice_.caption(len(answer.outcome.order)) for slice_ in shown]
    yield _text(codes.KEY_OBJECT_DESCRIPTION, *lines)
    for slice_ in shown:
        yield image_reference(answer.outcome, slice_.index, answer.sop_classes, codes.BEST_ILLUSTRATION)


def _algorithm(answer: Answer) -> Iterator[ContentItem]:
    model = answer.model
    assert model is not None
    yield _text(codes.ALGORITHM_NAME, ascii_only(model.name))
    yield _text(codes.ALGORITHM_VERSION, ascii_only(model.version))
    yield _text(codes.ALGORITHM_PARAMETERS, f"weights sha256:{model.digest[:12]}")


def _text(name: Code, *lines: str) -> ContentItem:
    from highdicom.sr.value_types import TextContentItem

    from ichnode.reporting.tree import CONTAINS

    return TextContentItem(name, NEW_LINE.join(lines), CONTAINS)
