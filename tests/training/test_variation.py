"""What sequences look like when the network gets them: the paper's list, whole sequences, CutMix, neighbours, order."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from ichnode_training.augment import vary
from ichnode_training.cutmix import box, mix
from ichnode_training.grid import GridScan
from ichnode_training.paper_augment import spoil, warp
from ichnode_training.pictures import Batch, Pictures
from ichnode_training.recipe import Augmentation
from ichnode_training.recipe_file import changed, read_recipe
from ichnode_training.sequences import Drawing

PAPER = changed(read_recipe("paper-resnet50"), {"preprocessing.matrix": 32, "start": "nothing"})
CPU = torch.device("cpu")


def scans(count=7, slices=34):
    """Scans whose HU tell the scan and the slice."""
    made = []
    for number in range(count):
        hu = np.broadcast_to((100 * number + np.arange(slices))[:, None, None], (slices, 32, 32)).astype(np.int16)
        labels = np.zeros((slices, 6), np.float32)
        labels[:, 0] = number % 2
        made.append(GridScan(str(number), hu, labels, labels[0], None))
    return made


def test_every_scan_comes_once_an_epoch_as_ten_adjacent_slices():
    drawing = Drawing(scans(10), PAPER, seed=0)
    for step in range(3):
        seen = [one for group in range(2) for one in drawing.group(step, group)]
        assert sorted(int(next(iter(one.sources))) for one in seen) == list(range(10))
        for one in seen:
            inside = one.hu[:, 0, 0] % 100
            assert len(inside) == 10 and inside.diff().eq(1).all()


def test_how_often_slices_are_drawn_is_as_in_the_paper():
    """For 34 slices the ends are in 15 to 18 % of the sequences, the middle in 29 %."""
    recipe = changed(PAPER, {"sampling.sequences": 40, "sampling.groups": 1})
    drawing = Drawing(scans(1), recipe, seed=1)
    count = np.zeros(34)
    for step in range(40):
        for one in drawing.group(step, 0):
            count[one.hu[:, 0, 0].int().numpy()] += 1
    share = count / 1600
    assert 0.12 < share[33] < 0.21 and 0.12 < share[0] < 0.21
    assert 0.25 < share[17] < 0.33
    assert 0.37 < share[9] < 0.50


def test_a_short_scan_is_taken_whole_and_once():
    drawn = Drawing(scans(1, slices=4), PAPER, seed=0).group(0, 0)
    assert all(one.hu[:, 0, 0].tolist() == [0, 1, 2, 3] for one in drawn)
    assert all(torch.equal(one.scan_labels, torch.zeros(6)) for one in drawn)


def test_neighbours_are_those_of_the_scan_also_at_the_ends_of_a_sequence():
    recipe = changed(
        PAPER,
        {
            "preprocessing.neighbours": 1, "architecture.channels": 9, "augmentation.kind": "none",
            "augmentation.per_slice": False, "augmentation.cutmix": "off",
        },
    )  # fmt: skip
    for one in Drawing(scans(3), recipe, seed=2).group(0, 0):
        around = one.hu[:, 0, 0][one.rows] % 100
        middle = around[:, 1]
        assert torch.equal(around[:, 0], (middle - 1).clamp(min=0)) and torch.equal(
            around[:, 2], (middle + 1).clamp(max=33)
        )
    source = Pictures(scans(3), recipe, 2)
    assert source.batch(source.draw(0, 0), CPU).seen.shape == (50, 9, 32, 32)


@pytest.mark.parametrize("kind", ["paper", "head"])
@pytest.mark.parametrize("per_slice", [False, True])
def test_a_sequence_is_varied_as_a_whole_or_slice_by_slice(kind, per_slice):
    y, x = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    plane = torch.stack((100 * (x > 12) + 3 * y - 20, (x > 12).float()))
    planes = plane.expand(6, -1, -1, -1).clone()
    recipe = replace(PAPER, augmentation=Augmentation(kind, per_slice, "off"))
    alike = []
    for seed in range(12):
        _, blood, _ = vary(planes, recipe, 100 * seed)
        again = vary(planes, recipe, 100 * seed)[1]
        assert torch.equal(blood, again)
        alike.append(all(torch.equal(blood[0], other) for other in blood))
    assert all(alike) if not per_slice else not any(alike)


def test_the_papers_chances_and_that_nothing_leaves_its_range():
    torch.manual_seed(0)
    planes = torch.rand(1, 2, 32, 32) + 1
    flat = torch.full((1, 3, 32, 32), 0.5)
    moved, noisy, state = 0, 0, torch.get_rng_state()
    for seed in range(300):
        warped = warp(planes, seed)
        assert warped.shape == planes.shape and float(warped.max()) <= 2 and float(warped.min()) >= 0
        moved += bool((warped == 0).any())  # only shift and rotation bring in what is outside
        noisy += not torch.equal(spoil(flat, (1.0, 1.0, 1.0), seed), flat)
    assert torch.equal(state, torch.get_rng_state()), "torch's own generator is left alone"
    assert 0.06 < moved / 300 < 0.2  # one of four, half of the time
    assert 0.25 < noisy / 300 < 0.42  # two of three, half of the time; blur does nothing to a flat picture


def batch(lengths, names="abcdef"):
    count = sum(lengths)
    seen = torch.arange(float(count))[:, None, None, None].expand(count, 3, 16, 16).clone()
    labels = torch.zeros(count, 6)
    labels[:, 0] = torch.arange(count) % 2
    owners = tuple(frozenset(names[at]) for at in range(len(lengths)))
    return Batch(seen, labels, torch.zeros(len(lengths), 6), tuple(lengths), None, torch.ones(count), owners)


@pytest.mark.parametrize("how", ["slices", "sequences"])
def test_cutmix_mixes_labels_by_the_share_of_the_box(how):
    before = batch([4, 4, 3])
    for seed in range(30):
        after = mix(before, how, seed)
        own = torch.arange(11.0)
        foreign = after.seen[:, 0] != own[:, None, None]
        boxes = [one for one in foreign if one.any()]
        assert all(torch.equal(one, boxes[0]) for one in boxes), "one box for the batch"
        for row in range(11):
            partners = after.seen[row, 0][foreign[row]].unique()
            assert len(partners) <= 1
            if len(partners):
                share = float(foreign[row].float().mean())
                expected = (1 - share) * before.labels[row, 0] + share * before.labels[int(partners[0]), 0]
                assert float(after.labels[row, 0]) == pytest.approx(float(expected), abs=1e-6)
        if how == "sequences" and boxes:
            rows, columns = torch.nonzero(boxes[0])[0].tolist()
            taken = after.seen[:4, 0, rows, columns]
            assert taken.diff().ge(0).all() and len({int(value) >= 8 for value in taken}) == 1, (
                "in order, from one scan"
            )
    assert mix(before, "off", 0) is before


def test_a_box_takes_a_share_that_is_uniform_before_it_is_cut_off():
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(2000):
        rows, columns = box(64, 64, rng)
        assert 0 <= rows.start <= rows.stop <= 64 and 0 <= columns.start <= columns.stop <= 64
        shares.append((rows.stop - rows.start) * (columns.stop - columns.start) / 4096)
    assert 0.2 < np.mean(shares) < 0.4 and np.max(shares) > 0.8


def test_unknown_labels_stay_unknown_through_cutmix_and_teach_nothing():
    from ichnode_training.learner import counts

    before = batch([4, 4])
    before.labels[2] = torch.nan
    after = mix(before, "slices", 3)
    assert after.scan_labels.isnan().all(), "a mixed slice says nothing of a whole scan"
    assert int(after.labels[:, 0].isnan().sum()) in (1, 2)
    assert counts(before) == (42.0, 8.0, 12.0)
