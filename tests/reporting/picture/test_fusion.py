"""Windows, and colours that mean something without being the only thing that does."""

from __future__ import annotations

import numpy as np

from ichnode.core.windows import BRAIN, SUBDURAL
from ichnode.reporting.picture.fusion import FAINTEST, fused, grey, inferno, scale_bar, window_of


def luma(colours: np.ndarray) -> np.ndarray:
    """Lightness as a grey printer makes it of colours (ITU-R BT.601)."""
    return colours @ np.array([0.299, 0.587, 0.114], np.float32)


def test_the_window_of_subdural_blood_is_wider() -> None:
    assert window_of("subdural")[1] == SUBDURAL
    assert {window_of(name)[1] for name in ("any", "epidural", "intraparenchymal", "")} == {BRAIN}


def test_greys_are_the_windows() -> None:
    stored = np.repeat(np.array([[-1000, 0, 40, 80, 1000]], np.int16), 5, 0)
    assert grey(stored, BRAIN, (5, 5))[2].tolist() == [0, 0, 128, 255, 255]


def test_the_colours_grow_lighter_and_are_colours() -> None:
    colours = inferno(np.linspace(0, 1, 101, dtype=np.float32))
    assert (np.diff(luma(colours)) > 0).all()
    assert np.ptp(colours[50]) > 100


def test_without_activation_greys_stay_and_with_it_they_are_coloured_but_shine_through() -> None:
    greys = np.tile(np.array([20.0, 200.0], np.float32), (10, 5))
    heat = np.zeros((10, 10), np.float32)
    heat[:, 5:] = 1.0
    colours = fused(greys, heat)
    assert np.ptp(colours[:, :4], axis=-1).max() == 0
    assert (colours[:, :4, 0] == greys[:, :4]).all()
    assert np.ptp(colours[:, 6:], axis=-1).min() > 30
    assert (luma(colours)[:, 7] > luma(colours)[:, 6] + 30).all(), "anatomy is seen under the map"


def test_a_map_of_another_size_is_laid_over_the_same_place() -> None:
    heat = np.zeros((4, 4), np.float32)
    heat[0, 3] = 1.0
    colours = fused(np.full((40, 40), 100, np.float32), heat)
    hot = np.ptp(colours, axis=-1)
    assert hot[5, 35] > 50 and hot[35, 5] == hot[5, 5] == 0


def test_the_scale_shows_the_colours_of_the_map() -> None:
    bar = scale_bar(100, 4)
    assert bar.shape == (4, 100, 3)
    assert np.ptp(bar[0, int(100 * FAINTEST) - 2]) == 0, "what is too faint to be seen is grey on the scale too"
    assert np.allclose(bar[0, -1], fused(np.full((1, 1), 100, np.float32), np.ones((1, 1), np.float32))[0, 0])
