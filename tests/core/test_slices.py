"""A slice's facts survive the trip through JSON that a row is."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ichnode.core.slices import Slice

NUMBER = st.floats(allow_nan=False, allow_infinity=False)
TEXT = st.none() | st.text(max_size=20)
SLICES = st.builds(
    Slice,
    sop_instance_uid=st.just("1.2.3"),
    sop_class_uid=st.just("1.2.840.10008.5.1.4.1.1.2"),
    frame=st.integers(1, 500),
    image_type=st.lists(st.text(max_size=8), max_size=4).map(tuple),
    instance_number=st.none() | st.integers(),
    position_mm=st.none() | st.tuples(NUMBER, NUMBER, NUMBER),
    orientation=st.none() | st.tuples(*[NUMBER] * 6),
    pixel_spacing_mm=st.none() | st.tuples(NUMBER, NUMBER),
    rescale_slope=st.none() | NUMBER,
    pixel_padding=st.none() | st.integers(-32768, 65535),
    has_pixels=st.booleans(),
    series_description=TEXT,
    kernel=st.lists(st.text(max_size=8), max_size=2).map(tuple),
    contrast_agent=TEXT,
)


@given(SLICES)
def test_json_and_back(one):
    assert Slice.from_json(json.loads(json.dumps(one.as_json()))) == one


def test_absent_facts_take_no_room():
    assert Slice("1.2", "1.3").as_json() == {"sop_instance_uid": "1.2", "sop_class_uid": "1.3", "frame": 1,
                                             "transfer_syntax_uid": "", "has_pixels": True}  # fmt: skip


def test_zero_and_empty_text_are_facts():
    facts = Slice("1.2", "1.3", rescale_intercept=0.0, instance_number=0, contrast_agent="").as_json()
    assert facts["rescale_intercept"] == 0.0
    assert facts["instance_number"] == 0
    assert facts["contrast_agent"] == ""


def test_facts_of_a_newer_version_are_left_out():
    assert Slice.from_json({"sop_instance_uid": "1.2", "sop_class_uid": "1.3", "spectral": [1, 2]}) == Slice(
        "1.2", "1.3"
    )


def test_a_slice_does_not_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Slice("1.2", "1.3").frame = 2  # type: ignore[misc]
