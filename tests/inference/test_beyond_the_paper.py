"""What the network can do beyond the paper changes nothing for bundles that do not ask for it."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from ichnode.errors import BundleError
from ichnode.inference.bundle import Architecture, Preprocessing, default_bundle_path, load_bundle, write_bundle
from ichnode.inference.engine import Engine
from ichnode.inference.network import CnnLstm
from ichnode.inference.preprocess import channels, prepare, with_neighbours

from .conftest import SMALL_PICTURE, TINY, card
from .test_engine import head, positions

NEW = {"architecture": ("channels", "deltas", "attention"), "preprocessing": ("neighbours",)}


def test_a_card_written_before_still_describes_the_same_network(tmp_path):
    old = card(TINY, SMALL_PICTURE)
    for part, names in NEW.items():
        old[part] = {key: value for key, value in old[part].items() if key not in names}
    torch.manual_seed(7)
    written = write_bundle(tmp_path, old, CnnLstm.build(TINY).state_dict())
    assert (written.architecture, written.preprocessing) == (TINY, SMALL_PICTURE)
    assert Engine.load(tmp_path, "cpu").bundle.digest == written.digest
    shipped = json.loads((default_bundle_path() / "card.json").read_text())
    assert load_bundle(default_bundle_path()).digest == shipped["digest"]


def test_scores_of_the_plain_network_are_what_they_were(tmp_path):
    """The whole way written out as it was before there were neighbours, deltas and attention: equal to the bit."""
    written = write_bundle(tmp_path, card(TINY, SMALL_PICTURE), CnnLstm.build(TINY).state_dict())
    engine = Engine.load(tmp_path, "cpu")
    network = engine._network
    hu = prepare(head(7), positions(7), (0.8, 0.8), written.preprocessing).hu
    three = zip(SMALL_PICTURE.windows, SMALL_PICTURE.mean, SMALL_PICTURE.std, strict=True)
    planes = [hu.sub(w.lowest).mul_(1 / w.width).clamp_(0, 1).sub_(mean).mul_(1 / std) for w, mean, std in three]
    with torch.no_grad():
        pictures = torch.stack(planes, 1)
        parts = [part.contiguous(memory_format=torch.channels_last) for part in pictures.split(4)]
        hidden, _ = network.lstm(torch.cat([network.cnn(part) for part in parts])[None])
        expected = torch.sigmoid(network.head(hidden[0])).numpy()
    np.testing.assert_array_equal(engine.score(head(7), positions(7), (0.8, 0.8)), expected)


def test_nine_channels_are_three_slabs_with_three_windows_each():
    how = replace(SMALL_PICTURE, neighbours=1)
    hu = torch.arange(4.0)[:, None, None].expand(4, 2, 2) * 10
    rows = with_neighbours([0, 1, 3], 4, how)
    assert rows.tolist() == [[0, 0, 1], [0, 1, 2], [2, 3, 3]]
    nine = channels(hu[rows], how)
    assert nine.shape == (3, how.channels, 2, 2) and how.channels == 9
    plain = channels(hu, SMALL_PICTURE)
    for place, around in enumerate(rows.tolist()):
        torch.testing.assert_close(nine[place], torch.cat([plain[row] for row in around]))


@pytest.mark.parametrize("mirrored", [False, True])
def test_the_engine_reads_and_explains_all_of_it(tmp_path, mirrored):
    architecture = replace(TINY, channels=9, deltas=True, attention=True, slice_head=True)
    how = replace(SMALL_PICTURE, neighbours=1, mirrored=mirrored)
    write_bundle(tmp_path, card(architecture, how), CnnLstm.build(architecture).state_dict())
    engine = Engine.load(tmp_path, "cpu")
    volume = head(11)
    reading = engine.read(volume, positions(11), (0.8, 0.8))
    assert reading.scores.shape == (11, 6) and len(np.unique(reading.scores[:, 0])) == 11
    assert engine.activations(reading, [(0, 0), (10, 3)]).shape == (2, 256, 256)
    reordered = engine.score(volume[::-1], positions(11)[::-1], (0.8, 0.8))
    np.testing.assert_array_equal(reading.scores, reordered[::-1])
    changed = volume.copy()
    changed[5, 100:150, 100:150] = 300
    features = engine.read(changed, positions(11), (0.8, 0.8)).features[0]
    moved = (features - reading.features[0]).abs().amax(1) > 1e-6
    assert moved.nonzero()[:, 0].tolist() == [4, 5, 6], "a slice's features come from itself and its neighbours"


def test_a_card_whose_channels_do_not_fit_is_refused(tmp_path):
    wrong = card(TINY, replace(SMALL_PICTURE, neighbours=1))
    with pytest.raises(BundleError, match="9 channels of a slice for a network that takes 3"):
        write_bundle(tmp_path, wrong, CnnLstm.build(TINY).state_dict())


def test_every_default_is_the_papers():
    assert asdict(Architecture()) == {
        "backbone": "resnet50", "hidden": 512, "layers": 2, "slice_head": False, "channels": 3, "deltas": False,
        "attention": False,
    }  # fmt: skip
    assert Preprocessing().channels == 3
