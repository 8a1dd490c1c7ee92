"""One list of key slices out of those of six classes."""

from __future__ import annotations

import dataclasses

import pytest
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage

from ichnode.core.findings import CLASSES, Outcome, Verdict, findings_from
from ichnode.reporting.key_slices import KeySlice, key_slices, slice_reference
from tests.reporting import corpus


def outcome(*scores: tuple[float, ...]) -> Outcome:
    order = tuple((f"2.25.{number}", 1) for number in range(len(scores)))
    return Outcome(Verdict.POSITIVE, scores, findings_from(scores, dict.fromkeys(CLASSES, 0.5)), order=order)


def test_a_slice_that_shows_several_classes_stands_once_with_each_of_its_own_scores() -> None:
    found = key_slices(outcome((0.9, 0, 0.95, 0, 0, 0), (0,) * 6, (0.6, 0, 0.2, 0, 0.97, 0)))
    assert found == (
        KeySlice(2, (("subdural", 0.97), ("any", 0.6))),
        KeySlice(0, (("intraventricular", 0.95), ("any", 0.9))),
    )
    assert found[0].caption(3) == "image 3 of 3: subdural 0.970, any 0.600"


def test_of_equal_scores_the_lower_slice_and_the_first_class_come_first() -> None:
    found = key_slices(outcome((0.7,) * 6, (0,) * 6, (0.7,) * 6))
    assert [slice_.index for slice_ in found] == [0, 2]
    assert [name for name, _ in found[0].shows] == list(CLASSES)


@pytest.mark.parametrize("kind", ["negative", "localizer"])
def test_where_nothing_is_present_there_are_none(kind: str) -> None:
    assert key_slices(corpus.outcome_of(kind, corpus.named("ascii"))[0]) == ()


def test_a_slice_is_referenced_with_its_frame_only_where_the_image_has_frames() -> None:
    one = dataclasses.replace(outcome((0.7,) * 6), order=(("2.25.1", 7),))
    assert slice_reference(one, 0, {"2.25.1": EnhancedCTImageStorage}) == (EnhancedCTImageStorage, "2.25.1", 7)
    assert slice_reference(one, 0, {"2.25.1": CTImageStorage}) == (CTImageStorage, "2.25.1", None)


def test_a_slice_without_place_or_evidence_is_refused() -> None:
    with pytest.raises(ValueError, match="no place in the order of 1 slices"):
        slice_reference(outcome((0.7,) * 6), 1, {})
    with pytest.raises(ValueError, match="not among the evidence"):
        slice_reference(outcome((0.7,) * 6), 0, {})
