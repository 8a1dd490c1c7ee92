import numpy as np
import pytest

from ichnode.core.brain import brain_ml, no_brain_seen

SPACING = (0.45, 0.45)


def ball(inside_hu: int, shell_hu: int = 1000, slices: int = 28, noise: float = 0) -> tuple[np.ndarray, list[float]]:
    """A head-sized ball: a shell 6 mm thick around something; 5 mm slices."""
    y, x = (np.mgrid[:512, :512] - 255.5) * 0.45
    positions = [5.0 * (i - slices / 2) for i in range(slices)]
    rng = np.random.default_rng(0)
    planes = []
    for z in positions:
        radius = np.sqrt(x**2 + y**2 + z**2)
        plane = np.where(radius < 72, inside_hu, np.where(radius < 78, shell_hu, -1000)).astype(float)
        planes.append(plane + noise * rng.normal(size=plane.shape))
    return np.rint(planes).astype(np.int16), positions


def test_the_volume_of_a_known_ball():
    volume, positions = ball(35)
    known = 4 / 3 * np.pi * 7.2**3  # mL, a little less is covered by the slices
    assert brain_ml(volume, positions, SPACING) == pytest.approx(known, rel=0.15)
    assert no_brain_seen(volume, positions, SPACING) is None


def test_noise_of_thin_slices_does_not_hide_the_brain():
    volume, positions = ball(35, noise=40)
    assert no_brain_seen(volume, positions, SPACING) is None


def test_descending_positions_and_coarse_pixels():
    volume, positions = ball(35)
    assert brain_ml(volume[::-1], positions[::-1], SPACING) == pytest.approx(brain_ml(volume, positions, SPACING))
    coarse = brain_ml(volume[:, ::2, ::2], positions, (0.9, 0.9))
    assert coarse == pytest.approx(brain_ml(volume, positions, SPACING), rel=0.1)


@pytest.mark.parametrize(
    ("inside", "shell"),
    [(-1000, 1000), (-100, 1000), (0, 1000), (150, 1000), (35, 35)],
    ids=["empty skull", "fat", "water", "plastic", "no skull"],
)
def test_what_is_no_brain_in_a_skull_is_said(inside, shell):
    volume, positions = ball(inside, shell)
    warned = no_brain_seen(volume, positions, SPACING)
    assert warned is not None
    assert warned.code == "NO_BRAIN_SEEN"


def test_one_slice_and_tiny_images():
    assert brain_ml(np.zeros((1, 3, 3), np.int16), [0.0], SPACING) == 0
    assert no_brain_seen(np.full((2, 512, 512), 30, np.int16), [0, 5], SPACING) is not None
