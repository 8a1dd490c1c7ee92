"""Class activation: the right gradient, in the right place."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from ichnode.errors import BundleError
from ichnode.inference.activation import class_activation, on_image, pulls, stage_maps, stage_of
from ichnode.inference.bundle import Architecture, Bundle, Preprocessing, write_bundle
from ichnode.inference.computing import CPU_BATCH
from ichnode.inference.engine import BLANK, Engine
from ichnode.inference.network import CnnLstm
from ichnode.inference.preprocess import Field, channels, prepare

from .conftest import SMALL_PICTURE, TINY, card
from .test_engine import head, positions

SPACING = (0.8, 0.8)


@pytest.fixture(scope="module")
def engine(tiny_bundle):
    return Engine.load(tiny_bundle.folder, device="cpu")


@pytest.fixture(scope="module")
def reading(engine):
    return engine.read(head(), positions(11), SPACING)


def test_a_map_for_each_slice_and_class_from_0_to_1(engine, reading):
    maps = engine.activations(reading, [(3, 0), (7, 0), (3, 5), (3, 0)])
    assert maps.shape == (4, 256, 256)
    assert maps.dtype == np.float32
    assert maps.min() == 0
    assert maps.max() == 1
    assert all(one.any() for one in maps)
    np.testing.assert_array_equal(maps[0], maps[3])
    assert (maps[0] != maps[1]).any() and (maps[0] != maps[2]).any()


def test_nothing_wanted_nothing_made(engine, reading):
    assert engine.activations(reading, []).shape == (0, 256, 256)


def test_same_input_same_bits_and_the_scores_stay_as_they_were(engine, reading, tiny_bundle):
    wanted = [(index, index % 6) for index in range(11)]
    first = engine.activations(reading, wanted)
    assert first.tobytes() == engine.activations(reading, wanted).tobytes()
    again = engine.read(head(), positions(11), SPACING)
    assert again.scores.tobytes() == reading.scores.tobytes()
    assert first.tobytes() == engine.activations(again, wanted).tobytes()
    fresh = Engine.load(tiny_bundle.folder, device="cpu")
    assert first.tobytes() == fresh.activations(fresh.read(head(), positions(11), SPACING), wanted).tobytes()


@pytest.mark.parametrize(
    "backbone", ["resnet10t", "tf_efficientnet_lite0", "seresnet33ts", "mobilenetv3_small_100", "densenet121"]
)
def test_it_is_the_gradient_of_the_whole_network(backbone):
    """The short way (sequence layers first, then one slice) gives what autograd gives through everything at once."""
    torch.manual_seed(1)
    network = CnnLstm.build(Architecture(backbone, hidden=8, layers=2, slice_head=True)).eval()
    pictures = channels(prepare(head(5), positions(5), SPACING, SMALL_PICTURE).hu, SMALL_PICTURE)
    stage, width = stage_of(network)
    seen = []

    def keep(_module, _inputs, maps):
        seen.append(maps)
        return maps.clone()

    hook = stage.register_forward_hook(keep)
    logits = network(pictures, [5])
    hook.remove()
    assert seen[0].shape[1] == width
    for slab, column in [(0, 0), (3, 2), (4, 5)]:
        (gradient,) = torch.autograd.grad(logits[slab, column], seen[0], retain_graph=True)
        expected = (gradient[slab] * seen[0][slab]).sum(0).detach()
        assert expected.abs().max() > 0
        with torch.no_grad(), stage_maps(network) as kept:
            pull = pulls(network, network.cnn(pictures), [(slab, column)])
        found = class_activation(network, kept[0][slab : slab + 1], pull, torch.zeros(1, 3, BLANK, BLANK))[0]
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))


def test_memory_is_bounded_by_the_micro_batch(tiny_bundle, monkeypatch):
    engine = Engine.load(tiny_bundle.folder, device="cpu")
    kept = engine.read(head(31), positions(31), SPACING)
    monkeypatch.setattr("ichnode.inference.engine.MOST_KEPT", sum(maps.nbytes for maps in kept.maps) - 1)
    reading = engine.read(head(31), positions(31), SPACING)
    assert kept.maps and not reading.maps
    seen = []
    forward = engine._network.cnn.forward
    monkeypatch.setattr(engine._network.cnn, "forward", lambda x: seen.append((len(x), bool(x.any()))) or forward(x))
    wanted = [(index, 0) for index in range(31)]
    made_again = engine.activations(reading, wanted)
    assert max(count for count, _ in seen) <= CPU_BATCH
    assert sum(count for count, shows in seen if shows) == 31
    seen.clear()
    assert engine.activations(kept, wanted).tobytes() == made_again.tobytes()
    assert set(seen) == {(1, False)}, "only the end of the CNN was run"


def test_thin_slices_share_the_map_of_their_slab(engine):
    thick = head(6)
    thin = engine.read(np.repeat(thick, 4, axis=0), positions(24, 1.25), SPACING)
    maps = engine.activations(thin, [(8, 0), (11, 0), (12, 0)])
    np.testing.assert_array_equal(maps[0], maps[1])
    assert (maps[0] != maps[2]).any()
    of_thick = engine.activations(engine.read(thick, positions(6), SPACING), [(2, 0), (3, 0)])
    np.testing.assert_allclose(maps[[0, 2]], of_thick, atol=1e-6)


def test_a_backbone_without_feature_maps_is_refused_when_it_is_loaded(tmp_path):
    how = Preprocessing(matrix=224, field_of_view_mm=200.0)
    tokens = Architecture("vit_tiny_patch16_224", hidden=8, layers=2)
    folder = write_bundle(tmp_path, card(tokens, how), CnnLstm.build(tokens).state_dict()).folder
    with pytest.raises(BundleError, match="use a convolutional network"):
        Engine.load(folder, device="cpu")


def test_maps_in_another_order_are_refused_when_the_engine_warms(tiny_bundle):
    """A worker warms its engine before it takes a series: windowed transformers keep channels last."""
    engine = brightness_engine(CUT_OUT, tiny_bundle)
    engine._network.cnn.stage = nn.Sequential(nn.AvgPool2d(8), Turned(0, 2, 3, 1))
    engine._network.cnn.last = Turned(0, 3, 1, 2)
    with pytest.raises(BundleError, match="use a convolutional network"):
        engine.warm()


class Turned(nn.Module):
    def __init__(self, *order: int) -> None:
        super().__init__()
        self.order = order

    def forward(self, maps):
        return maps.permute(*self.order)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_agrees_with_the_cpu(tiny_bundle, engine, reading):
    cuda = Engine.load(tiny_bundle.folder)
    on_cuda = cuda.read(head(), positions(11), SPACING)
    first = cuda.activations(on_cuda, [(3, 0), (7, 2)])
    assert first.tobytes() == cuda.activations(on_cuda, [(3, 0), (7, 2)]).tobytes()
    np.testing.assert_allclose(first, engine.activations(reading, [(3, 0), (7, 2)]), atol=5e-3)


class Brightness(nn.Module):
    """A CNN made by hand: its stage is the brightness of 8 x 8 pixels, its feature the mean of that."""

    num_features = 1
    feature_info = (
        {"module": "stage", "reduction": 8, "num_chs": 1},
        {"module": "last", "reduction": 16, "num_chs": 1},
    )

    def __init__(self) -> None:
        super().__init__()
        self.stage = nn.AvgPool2d(8)
        self.last = nn.AvgPool2d(2)

    def forward(self, pictures):
        return self.last(self.stage(pictures[:, :1])).mean((2, 3))


def brightness_engine(how: Preprocessing, bundle: Bundle, sign: float = 1.0) -> Engine:
    """A network that knows its answer: the brighter the slice, the higher every score."""
    network = CnnLstm.build(replace(TINY, slice_head=True))
    network.cnn, network.features = Brightness(), 1
    network.lstm = nn.LSTM(1, 8, num_layers=2, bidirectional=True, batch_first=True)
    network.slice_head = nn.Linear(1, 6)
    for name, parameter in network.named_parameters():
        nn.init.constant_(parameter, sign if name == "slice_head.weight" else 0.0)
    network.eval().requires_grad_(False)
    return Engine(replace(bundle, preprocessing=how), network, torch.device("cpu"))


CUT_OUT = Preprocessing(matrix=128, field_of_view_mm=200.0, mean=(0, 0, 0), std=(1, 1, 1))
NATIVE = Preprocessing(matrix=128, mean=(0, 0, 0), std=(1, 1, 1))
# rows, columns, spacing, preprocessing, blob (row, column): all of it a multiple of nothing
FIELDS = [
    (256, 256, (0.9, 0.9), CUT_OUT, (131, 88)),
    (256, 256, (0.9, 0.9), replace(CUT_OUT, mirrored=True), (101, 160)),
    (400, 300, (0.6, 0.8), CUT_OUT, (150, 190)),
    (300, 420, (0.8, 0.5), replace(CUT_OUT, mirrored=True), (120, 260)),
    (300, 300, (0.5, 0.5), CUT_OUT, (80, 200)),  # the field is larger than the image
    (140, 150, (0.9, 0.9), NATIVE, (90, 61)),  # cut around the middle
    (90, 100, (0.9, 0.9), NATIVE, (40, 70)),  # filled up with air
    (320, 200, (0.9, 0.9), NATIVE, (220, 80)),  # resampled
]


@pytest.mark.parametrize(("rows", "columns", "spacing", "how", "blob"), FIELDS)
def test_the_map_lies_on_what_is_seen(tiny_bundle, rows, columns, spacing, how, blob):
    volume = np.full((3, rows, columns), -1000, np.int16)
    y, x = np.mgrid[:rows, :columns]
    volume[0][np.hypot((y - rows / 2) * spacing[0], (x - columns / 2) * spacing[1]) < 60] = 900  # the skull elsewhere
    down, across = (y - blob[0]) * spacing[0], (x - blob[1]) * spacing[1]
    volume[1][np.hypot(down, across) < 15] = 90
    engine = brightness_engine(how, tiny_bundle)
    reading = engine.read(volume, positions(3), spacing)
    (heat,) = engine.activations(reading, [(1, 0)])
    assert heat.shape == (rows, columns)
    centre = [(heat * axis).sum() / heat.sum() for axis in (y, x)]
    field = reading.prepared.field
    pixel = [extent / how.matrix for extent in field.size]  # image pixels per network pixel
    assert abs(centre[0] - blob[0]) <= 1.5 * max(1, pixel[0])
    assert abs(centre[1] - blob[1]) <= 1.5 * max(1, pixel[1])
    assert volume[1][np.unravel_index(heat.argmax(), heat.shape)] == 90
    assert (heat > 0.5).sum() <= 2.5 * (volume[1] == 90).sum(), "it is a blob, too"


def test_what_lowers_the_score_is_not_shown(tiny_bundle):
    volume = np.full((2, 256, 256), -1000, np.int16)
    volume[:, 60:200, 60:200] = 60
    engine = brightness_engine(CUT_OUT, tiny_bundle, sign=-1.0)
    assert not engine.activations(engine.read(volume, positions(2), (0.9, 0.9)), [(0, 0), (1, 3)]).any()


def test_the_brightest_of_a_series_is_1_and_the_others_keep_their_proportion(tiny_bundle):
    volume = np.full((3, 256, 256), -1000, np.int16)
    for index, hu in enumerate((20, 40, 80)):
        volume[index, 60:200, 60:200] = hu
    engine = brightness_engine(CUT_OUT, tiny_bundle)
    maps = engine.activations(engine.read(volume, positions(3), (0.9, 0.9)), [(0, 0), (1, 0), (2, 0)])
    np.testing.assert_allclose(maps.max((1, 2)), (0.25, 0.5, 1), atol=0.02)


def test_outside_the_field_it_is_0():
    inside = on_image(np.ones((1, 4, 4), np.float32), Field((10, -5), (20, 30)), 50, 40)[0]
    assert (inside[10:30, :25] == 1).all()
    assert inside.sum() == 20 * 25
