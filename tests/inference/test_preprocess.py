from dataclasses import replace

import numpy as np
import pytest
import torch

from ichnode.inference.bundle import Preprocessing
from ichnode.inference.preprocess import AIR_HU, centre_of_head, channels, prepare

CUT_OUT = Preprocessing(matrix=128, field_of_view_mm=200.0)
PAPER = Preprocessing()


def skull(rows: int, columns: int, spacing: tuple[float, float], centre_mm: tuple[float, float]) -> np.ndarray:
    """One slice: an upright ellipse of bone with 40 HU inside, centred at `centre_mm` from the first row and column."""
    y, x = np.mgrid[:rows, :columns].astype(float)
    down, right = (y + 0.5) * spacing[0] - centre_mm[0], (x + 0.5) * spacing[1] - centre_mm[1]
    inside = np.hypot(down / 85, right / 65)
    return np.where(inside < 0.92, 40, np.where(inside < 1, 900, -1000)).astype(np.int16)


def extent(plane: np.ndarray) -> tuple[float, float, float, float]:
    """Middle and size of the bone in a prepared slice, in pixels: rows, columns."""
    rows = np.flatnonzero((plane > 300).any(axis=1))
    columns = np.flatnonzero((plane > 300).any(axis=0))
    return (
        (rows[0] + rows[-1] + 1) / 2, (columns[0] + columns[-1] + 1) / 2,
        rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "columns", "spacing", "centre"),
    [
        (512, 512, (0.45, 0.45), (115.2, 115.2)),
        (512, 512, (0.45, 0.45), (100.0, 125.0)),
        (256, 256, (0.9, 0.9), (110.0, 120.0)),
        (768, 768, (0.4, 0.4), (180.0, 140.0)),
        (512, 512, (0.977, 0.977), (300.0, 200.0)),
        (400, 300, (0.6, 0.8), (120.0, 120.0)),
        (340, 300, (0.55, 0.5), (93.0, 75.0)),
    ],
)
def test_any_matrix_and_field_of_view_gives_the_same_head_in_the_middle(rows, columns, spacing, centre):
    volume = np.stack([skull(rows, columns, spacing, centre)] * 2)
    plane = prepare(volume, [0, 5], spacing, CUT_OUT).hu[0].numpy()
    assert plane.shape == (128, 128)
    middle_row, middle_column, high, wide = extent(plane)
    assert abs(middle_row - 64) <= 1.5 and abs(middle_column - 64) <= 1.5
    assert abs(high - 170 / 200 * 128) <= 2.5
    assert abs(wide - 130 / 200 * 128) <= 2.5
    assert abs(plane[64, 64] - 40) < 1


def test_the_square_is_the_same_for_the_whole_series():
    """Slices that jumped against each other would hide what neighbours say."""
    volume = np.stack([skull(512, 512, (0.45, 0.45), (115, 115)), np.full((512, 512), -1000, np.int16)])
    volume[1, 100:110, 100:110] = 1000
    hu = prepare(volume, [0, 5], (0.45, 0.45), CUT_OUT).hu.numpy()
    one = prepare(volume[:1], [0], (0.45, 0.45), CUT_OUT).hu.numpy()
    assert abs(extent(hu[0])[0] - extent(one[0])[0]) <= 1
    assert extent(hu[1])[0] < 40


def test_outside_the_image_is_air():
    plane = prepare(skull(300, 300, (0.5, 0.5), (75, 75))[None], [0], (0.5, 0.5), CUT_OUT).hu[0].numpy()
    assert plane[0, 0] == pytest.approx(AIR_HU)


def test_the_paper_keeps_the_scanners_pixels():
    volume = np.random.default_rng(0).integers(-1000, 2000, (3, 512, 512)).astype(np.int16)
    np.testing.assert_array_equal(prepare(volume, [0, 5, 10], (0.45, 0.45), PAPER).hu.numpy(), volume)


@pytest.mark.parametrize("side", [256, 500, 600, 640])
def test_the_paper_cuts_or_fills_other_matrices(side):
    volume = np.full((1, side, side), 50, np.int16)
    plane = prepare(volume, [0], (0.45, 0.45), PAPER).hu[0].numpy()
    assert plane.shape == (512, 512)
    assert np.count_nonzero(plane == 50) == min(side, 512) ** 2
    assert plane[256, 256] == 50


def test_the_paper_shrinks_only_what_is_far_too_large():
    volume = np.full((1, 1024, 800), 50, np.int16)
    plane = prepare(volume, [0], (0.25, 0.25), PAPER).hu[0].numpy()
    assert plane.shape == (512, 512)
    assert 0.98 < np.count_nonzero(plane == 50) / (512 * 400) < 1.01


def test_windows_and_normalisation_by_hand():
    hu = torch.tensor([[[-1024.0, 0.0, 20.0, 40.0, 80.0, 300.0, 3071.0]]])
    got = channels(hu, PAPER)[0, :, 0]
    brain = torch.tensor([0, 0, 0.25, 0.5, 1, 1, 1])
    subdural = ((hu[0, 0] + 32.5) / 215).clamp(0, 1)
    bone = ((hu[0, 0] + 800) / 2800).clamp(0, 1)
    expected = torch.stack([(brain - 0.485) / 0.229, (subdural - 0.456) / 0.224, (bone - 0.406) / 0.225])
    torch.testing.assert_close(got, expected)


def test_metal_and_padding_do_not_leak_into_their_neighbours():
    volume = np.full((1, 512, 512), 40, np.int16)
    volume[0, 100:200, 100:200] = 900
    tame = prepare(volume, [0], (0.4, 0.4), CUT_OUT).hu
    volume[0, 300, 300] = 30000
    volume[0, 310, 310] = -3024
    wild = prepare(volume, [0], (0.4, 0.4), CUT_OUT).hu
    assert float((wild - tame).abs().max()) < 3100


def test_thin_series_become_slabs_and_map_back():
    volume = (np.arange(20, dtype=np.int16) * 10)[:, None, None] * np.ones((1, 512, 512), np.int16)
    prepared = prepare(volume, [1.25 * i for i in range(20)], (0.45, 0.45), PAPER)
    assert prepared.hu[:, 0, 0].tolist() == [15, 55, 95, 135, 175]
    assert prepared.slab_of.tolist() == sorted(list(range(5)) * 4)


def test_shuffled_slices_are_put_in_order():
    volume = np.stack([np.full((512, 512), 10 * i, np.int16) for i in range(6)])
    order = [3, 0, 5, 1, 4, 2]
    prepared = prepare(volume[order], [5.0 * i for i in order], (0.45, 0.45), PAPER)
    assert prepared.hu[:, 0, 0].tolist() == [0, 10, 20, 30, 40, 50]
    assert prepared.slab_of.tolist() == order


def test_centre_without_a_skull():
    body = np.full((1, 200, 200), -1000, np.float32)
    body[0, 50:90, 100:140] = 20
    assert abs(centre_of_head(body)[0] - 70) < 1.5 and abs(centre_of_head(body)[1] - 120) < 1.5
    assert centre_of_head(np.full((1, 200, 100), -1000, np.float32)) == (100, 50)


def test_the_input_is_left_alone():
    volume = np.full((2, 512, 512), 5000, np.int16)
    prepare(volume, [0, 5], (0.45, 0.45), replace(PAPER, field_of_view_mm=200.0))
    assert (volume == 5000).all()
