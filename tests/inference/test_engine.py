import numpy as np
import pytest
import torch

from ichnode.errors import BadObject, BundleError, ConfigError
from ichnode.inference.bundle import default_bundle_path, load_bundle, write_bundle
from ichnode.inference.engine import Engine
from ichnode.inference.network import CnnLstm

from .conftest import SMALL_PICTURE, TINY, card


def head(slices: int = 11, rows: int = 256, columns: int = 256, spacing: float = 0.8) -> np.ndarray:
    """A ball of bone with tissue in it, different in every slice."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:rows, :columns]
    radius = np.hypot((y - rows / 2) * spacing, (x - columns / 2) * spacing)
    volume = np.full((slices, rows, columns), -1000, np.int16)
    for index in range(slices):
        volume[index][radius < 75] = 1000
        volume[index][radius < 70] = 30 + index
        volume[index] += rng.integers(-5, 6, (rows, columns)).astype(np.int16)
    return volume


def positions(count: int, step: float = 5.0) -> list[float]:
    return [step * index for index in range(count)]


@pytest.fixture(scope="module")
def engine(tiny_bundle):
    return Engine.load(tiny_bundle.folder, device="cpu")


@pytest.mark.parametrize("slices", [1, 2, 11, 33])
def test_six_scores_for_every_slice(engine, slices):
    scores = engine.score(head(slices), positions(slices), (0.8, 0.8))
    assert scores.shape == (slices, 6)
    assert scores.dtype == np.float32
    assert np.all((scores > 0) & (scores < 1))
    if slices > 1:
        assert len(np.unique(scores[:, 0])) == slices


def test_same_input_same_bits_also_after_a_fresh_load(engine, tiny_bundle):
    volume = head()
    first = engine.score(volume, positions(11), (0.8, 0.8))
    engine.warm()
    assert first.tobytes() == engine.score(volume, positions(11), (0.8, 0.8)).tobytes()
    again = Engine.load(tiny_bundle.folder, device="cpu").score(volume, positions(11), (0.8, 0.8))
    assert first.tobytes() == again.tobytes()


def test_scores_come_back_in_the_order_of_the_slices(engine):
    volume, where = head(), positions(11)
    scores = engine.score(volume, where, (0.8, 0.8))
    backwards = engine.score(volume[::-1], where[::-1], (0.8, 0.8))
    np.testing.assert_array_equal(scores, backwards[::-1])


def test_thin_slices_share_the_scores_of_their_slab(engine):
    thick = head(6)
    thin = np.repeat(thick, 4, axis=0)
    scores = engine.score(thin, positions(24, 1.25), (0.8, 0.8))
    np.testing.assert_array_equal(scores, np.repeat(engine.score(thick, positions(6), (0.8, 0.8)), 4, axis=0))


def test_the_engine_is_the_network_and_nothing_else(tiny_bundle, engine):
    """The engine's micro-batches give what one pass through the network gives."""
    from safetensors.torch import load_file

    from ichnode.inference.preprocess import channels, prepare

    network = CnnLstm.build(TINY).eval()
    network.load_state_dict(load_file(tiny_bundle.weights))
    volume = head()
    hu = prepare(volume, positions(11), (0.8, 0.8), SMALL_PICTURE).hu
    with torch.inference_mode():
        expected = torch.sigmoid(network(channels(hu, SMALL_PICTURE), [11])).numpy()
    np.testing.assert_allclose(engine.score(volume, positions(11), (0.8, 0.8)), expected, atol=2e-6)


def test_the_mirrored_reading_makes_left_and_right_equal(tmp_path):
    from dataclasses import replace

    torch.manual_seed(3)
    how = replace(SMALL_PICTURE, mirrored=True)
    folder = write_bundle(tmp_path, card(TINY, how), CnnLstm.build(TINY).state_dict()).folder
    volume = head()
    volume[4, 100:140, 60:90] = 70
    scores = Engine.load(folder, device="cpu").score(volume, positions(11), (0.8, 0.8))
    mirrored = Engine.load(folder, device="cpu").score(volume[:, :, ::-1], positions(11), (0.8, 0.8))
    np.testing.assert_allclose(scores, mirrored, atol=1e-6)


def test_memory_is_bounded_by_the_micro_batch(tiny_bundle, monkeypatch):
    """However long the series, the CNN never sees more than four slices at once."""
    engine = Engine.load(tiny_bundle.folder, device="cpu")
    seen = []
    forward = engine._network.cnn.forward
    monkeypatch.setattr(engine._network.cnn, "forward", lambda x: seen.append(len(x)) or forward(x))
    engine.score(head(31), positions(31), (0.8, 0.8))
    assert sum(seen) == 31
    assert max(seen) <= 4


def test_weights_of_another_network_are_refused(tmp_path):
    folder = write_bundle(tmp_path, card(TINY, SMALL_PICTURE), {"lstm.weight_ih_l0": torch.zeros(3)}).folder
    with pytest.raises(BundleError, match="do not fit"):
        Engine.load(folder, device="cpu")


@pytest.mark.parametrize(
    ("shape", "count", "spacing"),
    [((4, 8, 8), 3, (0.5, 0.5)), ((0, 8, 8), 0, (0.5, 0.5)), ((8, 8), 8, (0.5, 0.5)), ((4, 8, 8), 4, (0.0, 0.5))],
)
def test_what_is_no_volume_is_refused(engine, shape, count, spacing):
    with pytest.raises(BadObject):
        engine.score(np.zeros(shape, np.int16), positions(count), spacing)


@pytest.mark.parametrize("device", ["cuda:99", "gpu", "meta"])
def test_a_device_that_is_not_there_is_a_sentence(tiny_bundle, device):
    with pytest.raises(ConfigError, match=f"{device}.*say auto"):
        Engine.load(tiny_bundle.folder, device)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_agrees_with_the_cpu(tiny_bundle, engine):
    cuda = Engine.load(tiny_bundle.folder)
    assert cuda.device.startswith("cuda")
    volume = head()
    first = cuda.score(volume, positions(11), (0.8, 0.8))
    assert first.tobytes() == cuda.score(volume, positions(11), (0.8, 0.8)).tobytes()
    np.testing.assert_allclose(first, engine.score(volume, positions(11), (0.8, 0.8)), atol=1e-3)


def test_the_shipped_bundle_loads_and_scores():
    bundle = load_bundle(default_bundle_path())
    scores = Engine.load(bundle.folder, device="cpu").score(head(5), positions(5), (0.8, 0.8))
    assert scores.shape == (5, 6)
    assert np.all(np.isfinite(scores))
