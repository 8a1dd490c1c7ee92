"""Whether a work item is for this node, and what it says of how far it is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ichnode.core.reasons import because
from ichnode.core.workitem import (
    CodedEntry,
    Completed,
    Discontinued,
    Output,
    Progress,
    Standing,
    Workitem,
    judged,
)

OURS, OTHER = CodedEntry("ICH", "99TEST"), CodedEntry("ICH", "DCM")
HERE = CodedEntry("NODE", "99TEST")
FOR_US = Workitem("1.2", "SCHEDULED", codes=(OTHER, replace(OURS, meaning="in words")), stations=(HERE,))
SENT = Output("1", "2", "3", "4", "pacs")


def test_it_is_for_whoever_has_its_code_and_is_its_station():
    assert FOR_US.is_for([OURS], HERE)
    assert FOR_US.is_for([], HERE)
    assert FOR_US.is_for([OURS], None)
    assert not FOR_US.is_for([CodedEntry("X", "99TEST")], None)
    assert not FOR_US.is_for([OURS], OTHER)
    assert not replace(FOR_US, codes=()).is_for([], HERE), "no code could be said to be performed"


@pytest.mark.parametrize(
    "other", [{"state": "IN PROGRESS"}, {"state": ""}, {"readiness": "INCOMPLETE"}, {"stations": ()}, {"codes": ()}]
)
def test_it_is_not_where_it_does_not_wait_or_does_not_say(other):
    assert not replace(FOR_US, **other).is_for([OURS], HERE)


def test_the_most_urgent_comes_first():
    items = [replace(FOR_US, priority=text) for text in ("LOW", "", "HIGH")]
    assert [one.priority for one in sorted(items, key=lambda one: one.rank)] == ["HIGH", "", "LOW"]


@pytest.mark.parametrize(
    ("stands", "how"),
    [
        (Standing(0), Discontinued(because("NO_INPUT"))),
        (Standing(3, awaited=2, unanswered=True), Progress(20, "1 of 3 series are here")),
        (Standing(3, unanswered=True, analysed=True), Progress(50, "The images are being analysed")),
        (Standing(3, unsent=1, analysed=True, outputs=(SENT,)), Progress(90, "The results are being delivered")),
        (Standing(3, analysed=True, outputs=(SENT,), reasons=(because("LOCALIZER"),)), Completed((SENT,))),
        (Standing(3, analysed=True), Discontinued(because("NOT_DELIVERED"))),
        (Standing(3, outputs=(SENT,), reasons=(because("LOCALIZER"),)), Discontinued(because("LOCALIZER"))),
        (
            Standing(3, not_fetched=(because("ARCHIVE_GAVE_NONE"),), reasons=(because("LOCALIZER"),)),
            Discontinued(because("ARCHIVE_GAVE_NONE")),
        ),
        (
            Standing(3, analysed=True, outputs=(SENT,), not_fetched=(because("ARCHIVE_GAVE_LESS"),)),
            Discontinued(because("ARCHIVE_GAVE_LESS")),
        ),
        (Standing(3), Discontinued(because("NO_ANSWER"))),
    ],
)
def test_how_far_it_is_or_how_it_ends(stands, how):
    assert judged(stands) == how
