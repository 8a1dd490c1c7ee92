from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ichnode.core.hounsfield import AIR_HU, DENSEST_HU, NotHounsfieldError, to_hounsfield
from tests.core.made import codes, series

ONE = series(1)[0]
SIGNED = replace(ONE, pixel_representation=1, bits_stored=16, rescale_intercept=0.0)


def head(size: int = 64) -> np.ndarray:
    """HU of a slice: air around, a ring of bone, brain inside, a bleed."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    radius = np.hypot(x, y) / size
    hu = np.full((size, size), -1000, np.int32)
    hu[radius < 0.45] = 1200
    hu[radius < 0.40] = 35
    hu[radius < 0.08] = 70
    return hu


HEAD = head()


def stored(hu: np.ndarray, intercept: int = -1024, dtype: str = "uint16") -> np.ndarray:
    return (hu - intercept).astype(dtype)


def test_unsigned_with_the_usual_offset():
    hu, warned = to_hounsfield(stored(HEAD), ONE)
    assert np.array_equal(hu, HEAD) and warned == ()
    assert hu.dtype == np.int16


def test_signed_without_offset():
    hu, warned = to_hounsfield(HEAD.astype(np.int16), SIGNED)
    assert np.array_equal(hu, HEAD) and warned == ()


@given(st.floats(0.25, 4), st.integers(-2000, -100))
def test_any_slope_is_rounded_to_the_nearest(slope, intercept):
    raw = np.clip(np.rint((HEAD - intercept) / slope), 0, 65535).astype(np.uint16)
    one = replace(ONE, rescale_slope=slope, rescale_intercept=float(intercept), bits_stored=16)
    expected = np.clip(np.rint(raw * slope + intercept), AIR_HU, DENSEST_HU)
    assert np.array_equal(to_hounsfield(raw, one)[0], expected)


def test_out_of_range_is_clamped():
    extreme = HEAD.copy()
    extreme[0, 0], extreme[32, 32] = -3024, 30000
    hu, _ = to_hounsfield(extreme.astype(np.int16), SIGNED)
    assert hu[0, 0] == -1024 and hu[32, 32] == 3071


def test_the_input_is_left_alone():
    raw = stored(HEAD)
    before = raw.copy()
    to_hounsfield(raw, replace(ONE, pixel_padding=24))
    assert np.array_equal(raw, before)


class TestPadding:
    def test_padding_becomes_air(self):
        raw = HEAD.astype(np.int16)
        raw[:4] = -2000
        hu, warned = to_hounsfield(raw, replace(SIGNED, pixel_padding=-2000))
        assert (hu[:4] == AIR_HU).all() and warned == ()

    def test_dense_padding_becomes_air(self):
        raw = stored(HEAD)
        raw[:4] = 63536  # -2000 as unsigned
        hu, warned = to_hounsfield(raw, replace(ONE, pixel_padding=63536))
        assert (hu[:4] == AIR_HU).all() and warned == ()

    @pytest.mark.parametrize("limits", [(-2100, -1900), (-1900, -2100)])
    def test_a_range_of_padding(self, limits):
        raw = HEAD.astype(np.int16)
        raw[:4], raw[4:6] = -2000, -2100
        one = replace(SIGNED, pixel_padding=limits[0], pixel_padding_range_limit=limits[1])
        assert (to_hounsfield(raw, one)[0][:6] == AIR_HU).all()

    def test_a_padding_value_of_water_does_not_punch_holes(self):
        raw = HEAD.astype(np.int16)
        raw[30:34, 30:34] = 0
        hu, warned = to_hounsfield(raw, replace(SIGNED, pixel_padding=0))
        assert (hu[30:34, 30:34] == 0).all()
        assert codes(warned) == {"PADDING_IGNORED"}

    def test_an_unused_padding_value_says_nothing(self):
        assert to_hounsfield(HEAD.astype(np.int16), replace(SIGNED, pixel_padding=0))[1] == ()


class TestWrap:
    def wrapped(self):
        return (HEAD & 0xFFF).astype(np.uint16)

    @pytest.mark.parametrize("intercept", [0.0, -1.0, None])
    def test_wrapped_12_bit_values_are_put_back_and_named(self, intercept):
        hu, warned = to_hounsfield(self.wrapped(), replace(ONE, rescale_intercept=intercept))
        assert np.array_equal(hu, HEAD)
        assert codes(warned) == {"WRAP_12BIT_REPAIRED"}

    @pytest.mark.parametrize(
        "facts",
        [{"rescale_intercept": -1024.0}, {"pixel_representation": 1}, {"bits_stored": 16}],
        ids=lambda facts: next(iter(facts)),
    )
    def test_only_what_can_have_wrapped_is_repaired(self, facts):
        one = replace(ONE, **{"rescale_intercept": 0.0, **facts})
        assert "WRAP_12BIT_REPAIRED" not in codes(to_hounsfield(self.wrapped(), one)[1])

    def test_without_high_values_nothing_has_wrapped(self):
        raw = np.clip(HEAD, 0, None).astype(np.uint16)
        hu, warned = to_hounsfield(raw, replace(ONE, rescale_intercept=0.0))
        assert np.array_equal(hu, np.clip(HEAD, 0, None))
        assert codes(warned) == {"HU_IMPLAUSIBLE"}


class TestMissingRescale:
    @pytest.mark.parametrize("slope", [None, 0.0])
    def test_unsigned_is_taken_to_have_the_usual_offset(self, slope):
        hu, warned = to_hounsfield(stored(HEAD), replace(ONE, rescale_slope=slope, rescale_intercept=None))
        assert np.array_equal(hu, HEAD) and codes(warned) == {"MISSING_RESCALE"}

    def test_signed_is_taken_to_have_none(self):
        one = replace(SIGNED, rescale_slope=None, rescale_intercept=None)
        hu, warned = to_hounsfield(HEAD.astype(np.int16), one)
        assert np.array_equal(hu, HEAD) and codes(warned) == {"MISSING_RESCALE"}

    def test_a_missing_slope_keeps_the_intercept(self):
        hu, warned = to_hounsfield(stored(HEAD), replace(ONE, rescale_slope=None))
        assert np.array_equal(hu, HEAD) and codes(warned) == {"MISSING_RESCALE"}

    def test_values_that_cannot_be_hounsfield_are_refused(self):
        raw = np.full((64, 64), 30000, np.uint16)
        with pytest.raises(NotHounsfieldError):
            to_hounsfield(raw, replace(ONE, bits_stored=16, rescale_slope=None, rescale_intercept=None))


class TestMonochrome1:
    def test_it_does_not_change_hounsfield_units(self):
        hu, warned = to_hounsfield(stored(HEAD), replace(ONE, photometric="MONOCHROME1"))
        assert np.array_equal(hu, HEAD) and warned == ()

    def test_values_that_were_inverted_are_turned_back(self):
        raw = (4095 - stored(HEAD)).astype(np.uint16)
        hu, warned = to_hounsfield(raw, replace(ONE, photometric="MONOCHROME1"))
        assert np.array_equal(hu, HEAD) and codes(warned) == {"MONOCHROME1_INVERTED"}

    def test_signed_values_that_were_inverted_are_turned_back(self):
        raw = (-1 - HEAD).astype(np.int16)
        hu, warned = to_hounsfield(raw, replace(SIGNED, photometric="MONOCHROME1"))
        assert np.array_equal(hu, HEAD) and codes(warned) == {"MONOCHROME1_INVERTED"}
