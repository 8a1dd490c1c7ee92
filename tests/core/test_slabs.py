import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ichnode.core.slabs import average_slabs, slab_indices


@pytest.mark.parametrize(
    ("step", "count", "per_slab"),
    [(0.5, 40, 10), (0.625, 32, 8), (1.0, 20, 5), (1.25, 16, 4), (2.0, 10, 2), (2.5, 12, 2), (3.0, 10, 2), (3.5, 9, 1)],
)
def test_about_five_millimetres(step, count, per_slab):
    sizes = np.bincount(slab_indices([step * i - 700.3 for i in range(count)], 5.0))
    assert set(sizes.tolist()) == {per_slab}


@pytest.mark.parametrize("step", [4.0, 5.0, 7.38, 10.0])
def test_thick_slices_are_left_alone(step):
    assert slab_indices([step * i for i in range(7)], 5.0).tolist() == list(range(7))


def test_never_across_a_gap():
    positions = [0, 1.25, 2.5, 3.75, 30, 31.25, 32.5, 33.75, 35]
    assert slab_indices(positions, 5.0).tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 2]


def test_one_and_none():
    assert slab_indices([3.0], 5.0).tolist() == [0]
    assert slab_indices([], 5.0).tolist() == []


def test_descending_is_refused():
    with pytest.raises(ValueError, match="ascending"):
        slab_indices([2.0, 1.0], 5.0)


@given(st.lists(st.floats(0.1, 12), min_size=1, max_size=80), st.floats(-1000, 1000))
def test_every_slice_has_a_slab_without_holes_and_in_order(steps, first):
    positions = (first + np.cumsum(steps)).tolist()
    indices = slab_indices(positions, 5.0)
    assert len(indices) == len(positions)
    assert sorted(set(indices.tolist())) == list(range(int(indices[-1]) + 1))
    assert (np.diff(indices) >= 0).all()


def test_averages_are_means_in_hounsfield_units():
    volume = np.array([0, 10, 20, 31], np.int16)[:, None, None] * np.ones((1, 2, 3), np.int16)
    assert average_slabs(volume, np.array([0, 0, 1, 1]))[:, 0, 0].tolist() == [5.0, 25.5]


def test_no_overflow_of_16_bit():
    volume = np.full((100, 2, 2), 3000, np.int16)
    assert average_slabs(volume, np.zeros(100, np.intp))[0, 0, 0] == 3000
