"""From slices to scans."""

import json
from types import SimpleNamespace

import numpy as np
import torch
from ichnode_training.__main__ import main
from ichnode_training.commands.scan_level import pooled
from ichnode_training.scan_level import Forest, described, highest

from ichnode.inference.network import CnnLstm
from tests.bundles import write_tiny_bundle

from .small_data import write_data


def test_a_forest_reads_scans_of_any_length_by_how_their_slices_score():
    rng = np.random.default_rng(0)
    labels = np.full((60, 6), np.nan, np.float32)
    labels[:, 0] = np.arange(60) % 2
    labels[:, 1] = 0
    scans = []
    for bleeds in labels[:, 0]:
        scores = rng.uniform(0, 0.4, (int(rng.integers(12, 40)), 6)).astype(np.float32)
        scores[int(rng.integers(len(scores))), 0] = 0.95  # one bright artefact in every scan: the maximum sees nothing
        if bleeds:
            scores[3:8, 0] = rng.uniform(0.5, 0.8, 5)
        scans.append(scores)
    found = Forest(scans[:40], labels[:40])(scans[40:])
    truth = labels[40:, 0] > 0
    assert found[truth, 0].min() > found[~truth, 0].max()
    np.testing.assert_array_equal(found[:, 1:], highest(scans[40:])[:, 1:])
    assert described(scans[0]).shape == described(scans[1][:3]).shape


def test_learned_pooling_is_the_attentions_mean_of_the_slices_over_both_readings():
    torch.manual_seed(0)
    network = CnnLstm("test_resnet", hidden=4, layers=1, attention=True).eval()
    rng = np.random.default_rng(0)
    read = [SimpleNamespace(views=rng.normal(size=(2, n, network.features)).astype(np.float32)) for n in (3, 7)]
    found = pooled(network, read)
    for one, scores in zip(read, found, strict=True):
        both = []
        for view in torch.from_numpy(one.views):
            hidden, _ = network.lstm(view)
            weights = network.attention(hidden).softmax(0)
            both.append(torch.sigmoid((weights * network.head(hidden)).sum(0)))
        np.testing.assert_allclose(scores, torch.stack(both).mean(0).detach().numpy(), atol=1e-6)
    assert found.shape == (2, 6)


def test_the_forest_may_learn_on_another_data_set(tmp_path, capsys):
    learned = write_data(tmp_path / "learned", patients=12, slices=3)
    judged = write_data(tmp_path / "judged", patients=12, slices=3)
    (judged.folder / "split.json").write_text(json.dumps(dict.fromkeys(judged.patients, "test")))  # as CQ500 is
    bundle = write_tiny_bundle(tmp_path / "bundle").folder
    command = ["scan-level", str(judged.folder), "--bundle", str(bundle), "--device", "cpu"]
    assert main(command) == 1
    assert "give others with --learn" in capsys.readouterr().err
    assert main([*command, "--learn", str(learned.folder)]) == 0
    (anything,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("| any |"))
    assert " to " in anything.split("|")[-2]
