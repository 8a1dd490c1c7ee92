"""Which series of an archive are fetched, by what a query tells."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from ichnode.core.wanted import Filters, Listed, ListedStudy, is_since, unwanted

HEAD = Listed("1.2", "1.2.3", "CT", "HEAD", "CT Schädel", "Schädel nativ 5.0 H31s", 34)


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({}, None),
        ({"images": None}, None),
        ({"images": 1}, None),  # an Enhanced CT
        ({"images": 7}, "TOO_FEW_SLICES"),
        ({"modality": "MR"}, "NOT_CT"),
        ({"modality": ""}, None),
        ({"series_description": "Topogram 0.6 T20f"}, "LOCALIZER"),
        ({"series_description": "Angio COW KM"}, "CONTRAST"),
        ({"series_description": "Thorax"}, "NOT_HEAD"),
        ({"series_description": "", "body_part": "CHEST"}, "NOT_HEAD"),
        ({"series_description": "", "body_part": "", "study_description": "CT Abdomen"}, "NOT_HEAD"),
        ({"series_description": "5 mm", "body_part": "CHEST", "study_description": "CT Head"}, "NOT_HEAD"),
        ({"series_description": "", "body_part": "", "study_description": ""}, None),  # the headers will tell
    ],
)
def test_by_what_the_archive_tells(facts, why):
    assert unwanted(replace(HEAD, **facts), Filters()) == why


@pytest.mark.parametrize(
    ("filters", "why"),
    [
        (Filters(descriptions=("schädel",)), None),
        (Filters(descriptions=("stroke", "H31")), None),
        (Filters(descriptions=("stroke",)), "FILTERED"),
        (Filters(leave_out=("NATIV",)), "FILTERED"),
        (Filters(body_parts=("head",)), None),
        (Filters(body_parts=("SKULL",)), "FILTERED"),
    ],
)
def test_by_the_hospitals_own_words(filters, why):
    assert unwanted(HEAD, filters) == why


def test_a_body_part_that_is_wanted_needs_no_name_of_a_head_and_an_empty_one_passes():
    other = replace(HEAD, body_part="NEURO1", series_description="5 mm", study_description="")
    assert unwanted(other, Filters(body_parts=("neuro1",))) is None
    assert unwanted(replace(other, body_part=""), Filters(body_parts=("neuro1",))) is None


@pytest.mark.parametrize(
    ("day", "time", "is_in"),
    [
        ("20260301", "120000.5", True),
        ("20260301", "115959", False),
        ("20260301", "", True),
        ("20260228", "", False),
        ("", "", True),
    ],
)
def test_since(day, time, is_in):
    assert is_since(ListedStudy("1.2", day, time), datetime(2026, 3, 1, 12)) is is_in
