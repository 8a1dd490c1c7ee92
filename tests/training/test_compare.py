"""Recipes side by side: an ablation of a tiny one, and that nothing of another run is shown as new."""

import pytest
import torch
from ichnode_training.__main__ import main
from ichnode_training.comparison import SWITCHES, ablations
from ichnode_training.recipe_file import read_recipe

from .small_data import RECIPE, write_data, write_recipe

SWITCHED = (
    RECIPE.replace("layers = 1", "layers = 1\nslice_head = true").replace("steps = 8", "steps = 1")
    + """
averaging = 0.5

[augmentation]
kind = "none"
per_slice = false
cutmix = "off"
"""
)


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_an_ablation_turns_off_what_a_recipe_does_and_no_more(tmp_path):
    expected = set(ablations(read_recipe(write_recipe(tmp_path / "tiny.toml", SWITCHED))))
    assert {"all of it", "no LSTM", "no slice head", "no running average"} <= expected
    assert not {"no mirrored reading", "no CutMix"} & expected


def test_an_ablation_trains_each_and_shows_nothing_stale(tmp_path, capsys, monkeypatch):
    recipe, out = write_recipe(tmp_path / "tiny.toml", SWITCHED), tmp_path / "out"
    two = ("no LSTM", "no mirrored reading")
    monkeypatch.setattr("ichnode_training.comparison.SWITCHES", {name: SWITCHES[name] for name in two})
    expected = ["all of it", "no LSTM"]
    data = write_data(tmp_path / "data", patients=8, slices=4)
    other = write_data(tmp_path / "other", patients=8, slices=5)

    def command(*more, folder=data.folder):
        return main(
            [
                "compare",
                "--data",
                str(folder),
                "--out",
                str(out),
                "--ablate",
                recipe,
                "--device",
                "cpu",
                "--rounds",
                "20",
                *more,
            ]
        )

    assert command() == 0
    rows = [line.split("|")[1].strip() for line in (out / "table.md").read_text().splitlines()[2:]]
    assert rows == expected
    made = {path: path.stat().st_mtime_ns for path in out.glob("*/card.json")}
    assert len(made) == len(expected)
    assert command() == 0
    assert made == {path: path.stat().st_mtime_ns for path in made}, "what is trained is taken as it is"
    for changed, folder in ((("--set", "sampling.length=3"), data), (("--seed", "1"), data), ((), other)):
        capsys.readouterr()
        assert command(*changed, folder=folder.folder) == 1
        assert "was trained by other settings, on other data" in capsys.readouterr().err


def test_missing_first_weights_are_said_before_anything_is_trained(tmp_path, capsys):
    data, out = write_data(tmp_path / "data", patients=8, slices=4), tmp_path / "out"
    first = write_recipe(tmp_path / "tiny.toml", SWITCHED)
    last = write_recipe(tmp_path / "last.toml", SWITCHED.replace('start = "nothing"', 'start = "imagenet"'))
    command = ["compare", "--data", str(data.folder), "--out", str(out), "--recipes", first, last, "--device", "cpu"]
    assert main(command) == 1
    assert "ImageNet weights of test_resnet are not at hand" in capsys.readouterr().err
    assert not out.exists()
