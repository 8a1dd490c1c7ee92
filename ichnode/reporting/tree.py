"""The content tree of TID 1500 (PS3.16), written as it reads.

All containers are SEPARATE: of a CONTINUOUS one, viewers print the values without their names. Nothing hangs under a
NUM, since some viewers then drop its name, and no region is drawn: the network finds slices, not outlines. There is no
image library (TID 1600), since the evidence lists every slice. Presence stands in each group, where programs look for
it, and once more in the qualitative evaluations, where people do. What was not analysed has no measurements at all.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

from highdicom.sr.value_types import (
    CodeContentItem,
    ContainerContentItem,
    ContentItem,
    ContentSequence,
    ImageContentItem,
    NumContentItem,
    TextContentItem,
    UIDRefContentItem,
)
from pydicom.sr.coding import Code

from ichnode.core.findings import CLASSES, Finding, Outcome
from ichnode.core.identity import derived_uid
from ichnode.reporting import codes
from ichnode.reporting.facts import Answer, DeviceFacts, ModelFacts
from ichnode.reporting.key_slices import slice_reference
from ichnode.reporting.sentences import ascii_only, remarks, verdict_sentence

CONTAINS, CONCEPT_MOD, OBS_CONTEXT = "CONTAINS", "HAS CONCEPT MOD", "HAS OBS CONTEXT"


def report_tree(answer: Answer) -> ContainerContentItem:
    """Return the root container of the report.

    A finding's tracking UID is derived from the analysed series, and so outlives a revision.

    Raises
    ------
    ValueError
        A score that is not within 0..1, or a key slice that is not among the evidence.
    """
    outcome = answer.outcome
    items = [
        CodeContentItem(codes.LANGUAGE, codes.ENGLISH, CONCEPT_MOD),
        *observer(answer.device),
        CodeContentItem(codes.PROCEDURE_REPORTED, codes.CT_UNSPECIFIED, CONCEPT_MOD),
    ]
    if answer.model is not None:
        groups = _measurement_groups(outcome, answer.sop_classes, str(answer.header.SeriesInstanceUID))
        items.append(container(codes.IMAGING_MEASUREMENTS, [*_algorithm(answer.model), *groups]))
    items.append(container(codes.QUALITATIVE_EVALUATIONS, _evaluations(outcome)))
    return container(codes.IMAGING_MEASUREMENT_REPORT, items, relationship=None, template="1500")


def observer(device: DeviceFacts) -> Iterator[ContentItem]:
    """TID 1002 with TID 1004: a device speaks, not a person."""
    yield CodeContentItem(codes.OBSERVER_TYPE, codes.DEVICE, OBS_CONTEXT)
    yield UIDRefContentItem(codes.DEVICE_UID, device.observer_uid, OBS_CONTEXT)
    for name, value in (
        (codes.DEVICE_NAME, device.name),
        (codes.DEVICE_MANUFACTURER, device.manufacturer),
        (codes.DEVICE_MODEL, device.model),
        (codes.DEVICE_SERIAL, device.serial),
    ):
        yield TextContentItem(name, ascii_only(value), OBS_CONTEXT)


def _algorithm(model: ModelFacts) -> Iterator[ContentItem]:
    """TID 4019, once for all groups."""
    thresholds = ", ".join(f"{name} {model.thresholds[name]:.4g}" for name in CLASSES)
    yield TextContentItem(codes.ALGORITHM_NAME, ascii_only(model.name), CONCEPT_MOD)
    yield TextContentItem(codes.ALGORITHM_VERSION, ascii_only(model.version), CONCEPT_MOD)
    for parameter in (
        f"weights sha256:{model.digest}",
        f"preprocessing {model.preprocessing}",
        f"thresholds {thresholds}",
    ):
        yield TextContentItem(codes.ALGORITHM_PARAMETERS, ascii_only(parameter), CONCEPT_MOD)
    yield CodeContentItem(codes.ALGORITHM_FAMILY, codes.ARTIFICIAL_INTELLIGENCE, CONCEPT_MOD)


def _measurement_groups(outcome: Outcome, sop_classes: Mapping[str, str], series: str) -> Iterator[ContentItem]:
    """TID 1501: one group a class for the series, then one for each key slice of a class, with that slice's score."""
    for finding in outcome.findings:
        images = [image_reference(outcome, index, sop_classes) for index in finding.key_slices]
        tracking = (f"ICH {finding.name}", derived_uid("tracking", series, finding.name))
        yield _group(finding, finding.score, tracking, images)
    for finding in outcome.findings:
        for index in finding.key_slices:
            instance, frame = outcome.order[index]
            score = outcome.scores[index][CLASSES.index(finding.name)]
            uid = derived_uid("tracking", series, finding.name, instance, str(frame))
            tracking = (f"ICH {finding.name}, image {index + 1} of {len(outcome.order)}", uid)
            yield _group(finding, score, tracking, [image_reference(outcome, index, sop_classes)])


def _group(
    finding: Finding, score: float, tracking: tuple[str, str], images: Iterable[ContentItem]
) -> ContainerContentItem:
    if not (math.isfinite(score) and 0 <= score <= 1):
        raise ValueError(f"the score of {finding.name} is {score}, not a number from 0 to 1")
    present = codes.PRESENT if score >= finding.threshold else codes.ABSENT
    return container(
        codes.MEASUREMENT_GROUP,
        [
            TextContentItem(codes.TRACKING_IDENTIFIER, tracking[0], OBS_CONTEXT),
            UIDRefContentItem(codes.TRACKING_UID, tracking[1], OBS_CONTEXT),
            CodeContentItem(codes.FINDING, codes.HEMORRHAGE[finding.name], CONTAINS),
            CodeContentItem(codes.FINDING_SITE, codes.BRAIN, CONCEPT_MOD),
            NumContentItem(codes.CERTAINTY, round(score * 100, 2), codes.PERCENT, relationship_type=CONTAINS),
            CodeContentItem(codes.PRESENCE, present, CONTAINS),
            *images,
        ],
        template="1501",
    )


def image_reference(
    outcome: Outcome, index: int, sop_classes: Mapping[str, str], name: Code = codes.SOURCE_OF_MEASUREMENT
) -> ImageContentItem:
    """Return the IMAGE item of a slice, by its place in the order; with its frame where the image has many.

    Raises
    ------
    ValueError
        The slice has no place in the order, or is not among the evidence.
    """
    sop_class, instance, frame = slice_reference(outcome, index, sop_classes)
    frames = None if frame is None else [frame]
    return ImageContentItem(name, sop_class, instance, frames, relationship_type=CONTAINS)


def _evaluations(outcome: Outcome) -> Iterator[ContentItem]:
    """TID 1500 row 12: each class at a glance, then the remarks. Not analysed is undetermined, never absent."""
    answers: dict[str, Code] = dict.fromkeys(CLASSES, codes.UNDETERMINED)
    answers.update({f.name: codes.PRESENT if f.present else codes.ABSENT for f in outcome.findings})
    for name in CLASSES:
        yield CodeContentItem(codes.HEMORRHAGE[name], answers[name], CONTAINS)
    for sentence in (verdict_sentence(outcome), *remarks(outcome)):
        yield TextContentItem(codes.COMMENT, sentence, CONTAINS)


def container(
    name: Code, items: Iterable[ContentItem], relationship: str | None = CONTAINS, template: str | None = None
) -> ContainerContentItem:
    """Return a SEPARATE container of `items`."""
    made = ContainerContentItem(name, False, template, relationship)
    made.ContentSequence = ContentSequence(list(items))
    return made
