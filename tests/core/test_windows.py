import numpy as np
import pytest

from ichnode.core.windows import BONE, BRAIN, PAPER, SUBDURAL, Window


def test_the_papers_windows():
    assert [(w.level, w.width) for w in PAPER] == [(40, 80), (75, 215), (600, 2800)]
    assert (BRAIN.lowest, SUBDURAL.lowest, BONE.lowest) == (0, -32.5, -800)


def test_linear_and_clipped():
    got = BRAIN.apply(np.array([-1000, 0, 20, 40, 80, 3000], np.int16))
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, [0, 0, 0.25, 0.5, 1, 1])


@pytest.mark.parametrize("width", [0, -5, float("nan")])
def test_a_window_needs_a_width(width):
    with pytest.raises(ValueError, match="width"):
        Window(40, width)
