"""What a browser gets is what was decoded, to the last unit."""

from __future__ import annotations

import zlib

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ichnode.core.planes import decode, encode


@given(arrays(np.int16, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_any_values_come_back_exactly(plane):
    before = plane.copy()
    np.testing.assert_array_equal(decode(encode(plane), *plane.shape), plane)
    np.testing.assert_array_equal(plane, before)


def test_a_turned_plane_is_read_in_the_order_in_which_it_is_shown():
    plane = np.arange(12, dtype=np.int16).reshape(3, 4).T[::-1]
    np.testing.assert_array_equal(decode(encode(plane), 4, 3), plane)


def test_a_smooth_plane_packs_smaller_than_as_it_is():
    y, x = np.mgrid[:128, :128]
    plane = (40 * np.sin(x / 9) * np.cos(y / 7) + np.random.default_rng(0).normal(0, 4, x.shape)).astype(np.int16)
    assert len(zlib.compress(encode(plane), 1)) < 0.8 * len(zlib.compress(plane.tobytes(), 1))
