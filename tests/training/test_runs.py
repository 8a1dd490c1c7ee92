"""Runs from the command line, in real processes: killed and gone on with, shared by two, short of memory."""

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from ichnode_training.__main__ import main
from ichnode_training.planes import open_planes
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ichnode import __version__
from ichnode.inference.bundle import load_bundle
from ichnode.inference.engine import Engine
from tests.peers import free_port, wait_until

from .small_data import RECIPE, write_data, write_recipe

PASSIVE = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("data") / "planes").folder


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def command(recipe: str, data: Path, out: Path, *more: str) -> list[str]:
    return ["train", "--recipe", recipe, "--data", str(data), "--out", str(out), "--device", "cpu", *more]


def curve(folder: Path) -> list[float]:
    """The loss of every step, as TensorBoard shows it."""
    events = EventAccumulator(str(folder))
    events.Reload()
    found = {event.step: event.value for event in events.Scalars("loss")}
    return [found[step] for step in sorted(found)]


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    """The run that nobody disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    recipe = write_recipe(folder / "recipe.toml")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    assert main(command(recipe, data, folder / "bundle")) == 0
    torch.set_num_threads(threads)
    return folder


def test_a_run_makes_a_bundle_that_the_node_reads(whole, data, capsys):
    bundle = load_bundle(whole / "bundle")
    losses = curve(whole / "bundle.run")
    assert len(losses) == 8 and np.isfinite(losses).all()
    assert bundle.card["training"]["recipe"]["sampling"]["length"] == 4
    assert bundle.card["metrics"]["weighted_log_loss"] > 0
    assert bundle.card["metrics"]["scans"] == 4
    figure = bundle.card["metrics"]["auc_scans"]["any"]
    low, high = bundle.card["metrics"]["intervals"]["auc_scans"]["any"]
    assert low <= figure <= high
    told, planes = bundle.card["provenance"], open_planes(data)
    assert told["data"] == planes.digest and told["code"] == f"ichnode {__version__}"
    assert {part: facts["scans"] for part, facts in told["split"].items()} == {"train": 6, "validation": 4, "test": 2}
    scores = Engine.load(bundle.folder, "cpu").score(np.full((3, 40, 40), 30, np.int16), [0, 5, 10], (1, 1))
    assert scores.shape == (3, 6)


@pytest.mark.crash
def test_what_cannot_come_to_a_bundle_is_said_before_anything_is_learned(data, tmp_path, capsys):
    recipe = write_recipe(tmp_path / "recipe.toml")
    (tmp_path / "file").write_text("accession,any\nA00049,1\n")
    begun = [
        (("--out", str(tmp_path / "file")), "is a file: --out is the folder of the bundle."),
        (("--out", str(tmp_path / "file" / "bundle")), "cannot be made: "),
        (("--device", "cuda:99"), "The device cuda:99 is not there"),
        (("--init", str(tmp_path / "file")), "is no file of weights that can be read safely."),
    ]
    for more, said in begun:
        assert main(command(recipe, data, tmp_path / "bundle", *more)) != 0
        assert said in capsys.readouterr().err
    assert not (tmp_path / "bundle").exists()


def test_a_killed_run_goes_on_to_the_same_curve_and_the_same_bundle(whole, data, tmp_path):
    recipe, out = write_recipe(tmp_path / "recipe.toml"), tmp_path / "bundle"
    arguments = command(recipe, data, out, "--checkpoint-every", "0")
    checkpoint = tmp_path / "bundle.run" / "checkpoint.pt"
    with subprocess.Popen(
        [sys.executable, "-m", "ichnode_training", *arguments], env=PASSIVE, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        wait_until(lambda: checkpoint.exists() or process.poll() is not None, 240, "the first checkpoint")
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, "it ended before it could be killed"
    assert not out.exists()
    before = torch.load(checkpoint, weights_only=True)["step"]
    assert 1 <= before < 8
    assert main(arguments) == 0
    assert curve(tmp_path / "bundle.run") == curve(whole / "bundle.run")
    assert load_bundle(out).digest == load_bundle(whole / "bundle").digest


def test_a_checkpoint_of_another_run_is_refused(whole, data, capsys):
    recipe = str(whole / "recipe.toml")
    assert main(command(recipe, data, whole / "bundle", "--seed", "1")) == 1
    assert "holds a run of another recipe" in capsys.readouterr().err


def on_two_hosts(arguments, tmp_path):
    """Run the two commands of the documentation, each as its host would, and return what they ended with and said."""
    port = str(free_port())
    endpoint = ["--nnodes", "2", "--nproc-per-node", "1", "--master-addr", "127.0.0.1", "--master-port", port]
    hosts = []
    for rank in range(2):
        torchrun = [sys.executable, "-m", "torch.distributed.run", *endpoint, "--node-rank", str(rank), "-m"]
        with (tmp_path / f"host{rank}.log").open("wb") as log:
            hosts.append(
                subprocess.Popen([*torchrun, "ichnode_training", *arguments[rank]], env=PASSIVE, stdout=log, stderr=log)
            )
    try:
        ended = [host.wait(280) for host in hosts]
    finally:
        for host in hosts:
            host.kill()
            host.wait()
    return ended, [(tmp_path / f"host{rank}.log").read_text() for rank in range(2)]


def test_two_hosts_take_the_steps_of_one(whole, data, tmp_path):
    recipe = write_recipe(tmp_path / "recipe.toml")
    shared = command(recipe, data, tmp_path / "bundle")
    ended, said = on_two_hosts([shared, shared], tmp_path)
    assert ended == [0, 0], said[0][-2000:] + said[1][-2000:]
    np.testing.assert_allclose(curve(tmp_path / "bundle.run"), curve(whole / "bundle.run"), rtol=2e-4)
    assert load_bundle(tmp_path / "bundle").card["metrics"]["scans"] == 4


def test_hosts_that_see_different_checkpoints_are_refused(monkeypatch):
    from ichnode_training.processes import Processes, ProcessesError

    steps = [3, 0]
    monkeypatch.setattr(Processes, "added", lambda self, value: float(sum(steps)))
    with pytest.raises(ProcessesError, match="a disk that all of them share"):
        Processes(0, 2).agree(steps[0])
    steps = [3, 3]
    Processes(0, 2).agree(3)


def test_groups_that_cannot_be_shared_are_refused():
    from ichnode_training.processes import Processes, ProcessesError

    assert Processes(1, 2).share(4) == [1, 3]
    with pytest.raises(ProcessesError, match="3 processes cannot share 2 groups"):
        Processes(0, 3).share(2)


@pytest.mark.parametrize("room", [4, 8])
def test_short_of_memory_the_parts_get_smaller_and_the_step_stays(data, tmp_path, monkeypatch, room):
    """Memory for `room` slices at a time; without batch statistics the step is the same to rounding."""
    from ichnode_training import learner as module

    calm = RECIPE.replace("layers = 1", "layers = 1\nslice_head = true") + "frozen_cnn = true\n"
    recipe = write_recipe(tmp_path / "recipe.toml", calm)
    assert main(command(recipe, data, tmp_path / "roomy")) == 0
    real = module.learning_part
    seen = []

    def narrow(cnn, maps, stages):
        if len(maps) > room:
            raise torch.OutOfMemoryError("too much")
        seen.append(len(maps))
        return real(cnn, maps, stages)

    monkeypatch.setattr(module, "learning_part", narrow)
    assert main(command(recipe, data, tmp_path / "narrow")) == 0
    assert max(seen) <= room and sum(seen) == 8 * 2 * 3 * 4
    np.testing.assert_allclose(curve(tmp_path / "narrow.run"), curve(tmp_path / "roomy.run"), rtol=1e-4)


def test_no_room_for_the_pictures_of_a_group_is_tried_again(data, tmp_path, monkeypatch):
    from ichnode_training.pictures import Pictures

    real, tried = Pictures.batch, []

    def short(self, drawn, device):
        tried.append(device)
        if len(tried) == 2:
            raise torch.OutOfMemoryError("too much")
        return real(self, drawn, device)

    monkeypatch.setattr(Pictures, "batch", short)
    recipe = write_recipe(tmp_path / "recipe.toml", RECIPE.replace("steps = 8", "steps = 2"))
    assert main(command(recipe, data, tmp_path / "bundle")) == 0
    assert len(tried) == 2 * 2 + 2 and len(curve(tmp_path / "bundle.run")) == 2


def test_no_room_for_what_the_optimiser_keeps_is_said_plainly(data, tmp_path, monkeypatch, capsys):
    def full(self, share):
        raise torch.OutOfMemoryError("too much")

    monkeypatch.setattr("ichnode_training.learner.Learner.update", full)
    assert main(command(write_recipe(tmp_path / "recipe.toml"), data, tmp_path / "bundle")) == 1
    assert "Memory ran out" in capsys.readouterr().err


def test_not_even_one_sequence_is_said_plainly(data, tmp_path, monkeypatch, capsys):
    from ichnode_training import learner as module

    def never(cnn, maps, stages):
        raise torch.OutOfMemoryError("too much")

    monkeypatch.setattr(module, "learning_part", never)
    assert main(command(write_recipe(tmp_path / "recipe.toml"), data, tmp_path / "bundle")) == 1
    assert "Memory ran out" in capsys.readouterr().err


def test_compiling_is_only_a_switch(data, tmp_path, monkeypatch):
    """The graph is captured and run as it is: making machine code of it takes minutes and is torch's own business."""
    from torch._dynamo.utils import counters

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    recipe = write_recipe(tmp_path / "recipe.toml", RECIPE.replace("steps = 8", "steps = 2"))
    assert main(command(recipe, data, tmp_path / "eager")) == 0
    counters.clear()
    assert main(command(recipe, data, tmp_path / "compiled", "--compile")) == 0
    assert counters["stats"]["calls_captured"] > 20
    np.testing.assert_allclose(curve(tmp_path / "compiled.run"), curve(tmp_path / "eager.run"), rtol=1e-3)
