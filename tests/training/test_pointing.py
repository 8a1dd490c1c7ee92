"""The pointing game: the sums, and a seeded part of it with the shipped model."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from ichnode_training.__main__ import main
from ichnode_training.pointing import MARGIN_MM, Pointed, hits, on_held_out, on_phantoms, on_scans, point, table
from ichnode_training.recipe import Augmentation, Optimisation, Recipe, Sampling

from ichnode.core.findings import CLASSES
from ichnode.inference.bundle import Architecture, default_bundle_path
from ichnode.inference.engine import Engine

from .heads_for_tests import SMALL, imported, scan_of, write_ct_ich


@pytest.fixture(scope="module")
def shipped():
    return Engine.load(default_bundle_path(), "cpu")


def pointed(miss_mm, kind="epidural", rule="largest"):
    return Pointed(kind, rule, 0.9, miss_mm, 0.03)


def test_hits_are_counted_where_there_is_a_map():
    played = [pointed(0.0), pointed(7.9), pointed(8.1), pointed(None)]
    assert hits(played, 0) == pytest.approx(1 / 3)
    assert hits(played, MARGIN_MM) == pytest.approx(2 / 3)
    assert math.isnan(hits([pointed(None)], 0))


def test_the_table_has_a_line_for_each_kind_and_the_sum():
    played = [
        pointed(0.0),
        pointed(9.0, "subdural"),
        pointed(None, "subdural"),
        pointed(0.0, "CT-ICH", "1 cm² or more"),
    ]
    assert table(played).splitlines()[2:] == [
        "| subdural | largest | 2 | 1 | 0.00 | 0.00 | 0.03 |",
        "| epidural | largest | 1 | 1 | 1.00 | 1.00 | 0.03 |",
        "| all | largest | 3 | 2 | 0.50 | 0.50 | 0.03 |",
        "| CT-ICH | 1 cm² or more | 1 | 1 | 1.00 | 1.00 | 0.03 |",
    ]


class Pointing:
    """An engine that points at one pixel, so that the referee can be judged."""

    def __init__(self, engine, at):
        self.bundle, self.at, self.read = engine.bundle, at, self._read

    def _read(self, hu, _positions, _spacing):
        scores = np.full((len(hu), 6), 0.9, np.float32)
        scores[0] = 0.1
        return type("Read", (), {"scores": scores})()

    def activations(self, _reading, wanted):
        maps = np.zeros((len(wanted), 40, 50), np.float32)
        maps[:, self.at[0], self.at[1]] = 1
        return maps


@pytest.mark.parametrize(("at", "miss_mm"), [((20, 25), 0), ((20, 40), 4.5), ((31, 25), 1.2)])
def test_how_far_the_maximum_is_from_the_lesion(shipped, at, miss_mm):
    hu, lesion = np.full((3, 40, 50), 30, np.int16), np.zeros((3, 40, 50), np.bool_)
    lesion[:, 10:30, 20:32] = True
    referee = Pointing(shipped, at)
    reading = referee.read(hu, [0, 5, 10], (0.6, 0.5))
    played = list(point(referee, reading, hu, lesion, (0.6, 0.5), [(0, "a"), (2, "b")], "epidural"))
    assert played[0].miss_mm is None, "under the threshold there is no map"
    assert played[1].miss_mm == pytest.approx(miss_mm)
    assert played[1].chance == pytest.approx(20 * 12 / (40 * 50))


def test_scans_are_played_on_their_outlined_slices(shipped):
    hu = np.full((6, 40, 50), 30, np.int16)
    lesion = np.zeros(hu.shape, np.bool_)
    lesion[2, 5:9, 5:9] = lesion[3, 2:34, 2:34] = True
    labels = np.zeros((6, 6), np.float32)
    told = []
    scans = [scan_of(hu, None, labels), scan_of(hu, lesion, labels)]
    played = on_scans(Pointing(shipped, (6, 6)), scans, told.append)
    assert [(one.kind, one.rule, one.miss_mm) for one in played] == [
        ("CT-ICH", "less than 1 cm²", 0.0), ("CT-ICH", "1 cm² or more", 0.0),
    ]  # fmt: skip
    assert told == [1, 2]


def test_networks_are_judged_on_patients_they_have_not_seen(shipped, tmp_path):
    """Four patients, two of them bleeding in one slice of four, in two folds: each fold has one of each."""
    write_ct_ich(
        tmp_path, tuple((who, number, int(who < 3 and number == 2)) for who in (1, 2, 3, 4) for number in range(1, 5))
    )
    recipe = Recipe(
        "two steps", Architecture("resnet10t", hidden=8, layers=2), SMALL, Sampling("scans", length=4, groups=1),
        Augmentation("none", per_slice=False, cutmix="off"),
        optimisation=Optimisation(steps=2), start="nothing",
    )  # fmt: skip
    always = replace(shipped.bundle, thresholds=dict.fromkeys(CLASSES, 1e-6))
    steps = []
    played = on_held_out(
        always, imported(tmp_path), recipe, 2, [0, 1], 0, tmp_path, lambda step, *_: steps.append(step)
    )
    assert steps == [0, 1]
    assert [(one.kind, one.rule) for one in played] == [("CT-ICH", "1 cm² or more")] * 2
    assert all(one.miss_mm is not None and one.score > 0 for one in played)


def test_the_command_prints_the_table(capsys):
    threads = str(torch.get_num_threads())  # it sets them for the whole process
    assert main(["pointing", "--phantoms", "1", "--first-seed", "20004", "--threads", threads]) == 0
    assert "| epidural | largest | 1 | 1 |" in capsys.readouterr().out


def test_held_out_folds_need_the_data(capsys):
    assert main(["pointing", "--held-out", "0"]) == 2
    assert "--held-out needs --ct-ich" in capsys.readouterr().err


@pytest.mark.timeout(900)
def test_the_shipped_model_points_at_lesions_of_over_5_ml(shipped):
    """The first 12 phantoms of ``python -m ichnode_training pointing``; all 100 are in docs/data-scientist.md."""
    played = [one for one in on_phantoms(shipped, range(20_000, 20_012)) if one.rule == "largest"]
    assert len(played) >= 10
    assert sum(one.miss_mm is not None for one in played) >= 5
    assert hits(played, 0) >= 0.8
