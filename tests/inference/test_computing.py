"""The fast ways to compute the CNN: they say what fp32 says, or they are not used."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from ichnode.core.eligibility import SelectionPolicy
from ichnode.dicom.pixels import read_volume
from ichnode.inference import engine as engine_module
from ichnode.inference import openvino_cnn
from ichnode.inference.agreement import MOST_OFF, compare, drawn_head
from ichnode.inference.bundle import default_bundle_path
from ichnode.inference.computing import Computing, TorchCnn, best_precision, faster_than_plain
from ichnode.inference.engine import Engine
from ichnode.inference.openvino_cnn import has_openvino
from ichnode.steps.explain import explain
from tests.conftest import missing

from .test_engine import head, positions

VOLUME = head(11), positions(11), (0.8, 0.8)


@pytest.fixture(scope="module")
def plain(tiny_bundle):
    return Engine.load(tiny_bundle.folder, "cpu")


class Slow:
    """Stands for a way to compute the CNN that goes wrong in some manner."""

    name, one_size = "made up", False

    def __init__(self, network, wrong):
        self._cnn, self._wrong = TorchCnn(network), wrong

    def __call__(self, pictures):
        return self._wrong(*self._cnn(pictures))


def offered(monkeypatch, *wrongs):
    """Let the engine be offered ways that are wrong as said, and nothing else."""
    monkeypatch.setattr(
        engine_module, "faster_than_plain",
        lambda bundle, network, *_: [lambda wrong=wrong: Slow(network, wrong) for wrong in wrongs],
    )  # fmt: skip


def test_what_says_the_same_is_used(tiny_bundle, plain, monkeypatch):
    offered(monkeypatch, lambda features, maps: (features + 1e-4, maps))
    fast = Engine.load(tiny_bundle.folder, "cpu")
    assert fast.computed_by == "cpu, made up"
    assert np.abs(fast.score(*VOLUME) - plain.score(*VOLUME)).max() < MOST_OFF


def broken(features, maps):
    raise RuntimeError("no compiler")


@pytest.mark.parametrize(
    "wrong",
    [
        lambda features, maps: (features * 100 + 9, maps),
        lambda features, maps: (features * float("nan"), maps),
        broken,
    ],
)
def test_what_says_something_else_or_nothing_is_not_used(wrong, tiny_bundle, plain, monkeypatch, capsys):
    offered(monkeypatch, wrong)
    fast = Engine.load(tiny_bundle.folder, "cpu")
    assert fast.computed_by == "cpu, torch fp32"
    assert fast.score(*VOLUME).tobytes() == plain.score(*VOLUME).tobytes()


def test_the_next_one_is_tried(tiny_bundle, monkeypatch):
    offered(monkeypatch, broken, lambda features, maps: (features, maps))
    assert Engine.load(tiny_bundle.folder, "cpu").computed_by == "cpu, made up"


def test_another_call_is_no_agreement_however_near_it_is(tiny_bundle):
    scores = np.full((3, 6), 0.4999, np.float32)
    assert compare(scores, scores, tiny_bundle).holds
    assert not compare(scores, scores + np.float32(0.0002), tiny_bundle).holds
    assert not compare(scores, scores[:2], tiny_bundle).holds


def test_the_drawn_head_is_always_the_same_and_a_head():
    (volume, where, _), (again, _, _) = drawn_head(), drawn_head()
    assert volume.tobytes() == again.tobytes()
    assert len(where) == len(volume)
    assert (volume > 500).any() and ((volume > 55) & (volume < 80)).any() and (volume < -900).any()


def test_what_is_offered(tiny_bundle, plain):
    def names(runtime, precision):
        ways = faster_than_plain(tiny_bundle, plain._network, torch.device("cpu"), 1, Computing(runtime, precision))
        return [getattr(way.func, "__name__", "") + str(way.args[-1] is True) for way in ways]

    assert names("torch", "fp32") == []
    assert names("torch", "bf16") == ["TorchCnnFalse"]
    assert names("compiled", "fp32") == ["TorchCnnTrue"]
    assert names("openvino", "fp32") == ["OpenVinoCnnFalse"]
    assert names("openvino", "bf16") == ["OpenVinoCnnFalse"] * 2, "in fp32, too: it is faster than torch"
    assert best_precision(torch.device("cpu")) in ("bf16", "fp32")


def test_torch_in_bf16_says_the_same(tiny_bundle, plain):
    half = Engine.load(tiny_bundle.folder, "cpu", 1, Computing("torch", "bf16"))
    assert half.computed_by in ("cpu, torch bf16", "cpu, torch fp32")
    assert np.abs(half.score(*VOLUME) - plain.score(*VOLUME)).max() < MOST_OFF
    half._cnn = TorchCnn(half._network, "bf16")
    scores = half.score(*VOLUME)
    assert 0 < np.abs(scores - plain.score(*VOLUME)).max() < 0.1


def test_a_compiler_that_is_not_there_costs_nothing_but_speed(tiny_bundle, monkeypatch):
    def compiles(function, **_):
        def run(_pictures):
            raise RuntimeError("Failed to find C compiler")

        return run

    monkeypatch.setattr(torch, "compile", compiles)
    assert Engine.load(tiny_bundle.folder, "cpu", 1, Computing("compiled", "fp32")).computed_by == "cpu, torch fp32"


class Small:
    """A device with memory for `most` slices."""

    name = "a small device"

    def __init__(self, network, most, one_size=False):
        self._cnn, self._most, self.seen = TorchCnn(network), most, []
        self.one_size = one_size

    def __call__(self, pictures):
        if len(pictures) > self._most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
        self.seen.append(len(pictures))
        return self._cnn(pictures)


@pytest.mark.parametrize("most", [1, 2, 3])
def test_out_of_memory_splits_the_batch(most, tiny_bundle, plain):
    engine = Engine.load(tiny_bundle.folder, "cpu")
    engine._cnn = small = Small(engine._network, most)
    reading = engine.read(*VOLUME)
    np.testing.assert_allclose(reading.scores, plain.score(*VOLUME), atol=1e-6)
    assert sum(small.seen) == 11 and max(small.seen) <= most
    small.seen.clear()
    np.testing.assert_allclose(engine.score(*VOLUME), plain.score(*VOLUME), atol=1e-6)
    assert len(small.seen) <= -(-11 // max(1, most - most % 2)), "what did not fit is not tried again and again"
    assert engine.activations(reading, [(3, 0)]).shape == (1, 256, 256)


@pytest.mark.parametrize(("most", "size"), [(4, 4), (3, 2), (2, 2), (1, 1)])
def test_where_each_number_of_pictures_costs_anew_there_is_one(most, size, tiny_bundle, plain):
    """Series of any length, and the maps of single slices; 11 and 3 are no multiples of four."""
    engine = Engine.load(tiny_bundle.folder, "cpu")
    engine._cnn = small = Small(engine._network, most, one_size=True)
    hu, positions_mm, spacing_mm = VOLUME
    readings = [engine.read(hu[:count], positions_mm[:count], spacing_mm) for count in (11, 3)]
    for count, reading in zip((11, 3), readings, strict=True):
        np.testing.assert_allclose(reading.scores, plain.score(hu[:count], positions_mm[:count], spacing_mm), atol=1e-6)
    wanted = [(2, 0), (1, 3)]
    shown = engine.activations(replace(readings[0], maps=()), wanted)
    np.testing.assert_allclose(shown, plain.activations(plain.read(*VOLUME), wanted), atol=1e-5)
    assert set(small.seen) == {size}


def test_without_memory_for_one_slice_the_cpu_goes_on(tiny_bundle, plain, capsys):
    engine = Engine.load(tiny_bundle.folder, "cpu")
    engine._cnn = Small(engine._network, 0)
    assert engine.score(*VOLUME).tobytes() == plain.score(*VOLUME).tobytes()
    assert engine.computed_by == "cpu, torch fp32"


def test_a_cpu_without_memory_says_so(plain, monkeypatch):
    def none_left(pictures):
        raise torch.OutOfMemoryError("no memory")

    monkeypatch.setattr(plain._network.cnn, "forward", none_left)
    with pytest.raises(torch.OutOfMemoryError):
        plain.score(*VOLUME)


@pytest.fixture(scope="module")
def compiled(tiny_bundle, tmp_path_factory):
    """OpenVINO's way, and where it keeps what it compiled."""
    if not has_openvino():
        missing("openvino is not installed: pip install 'ichnode[openvino]'")
    cache = tmp_path_factory.mktemp("data") / "compiled"
    return Engine.load(tiny_bundle.folder, "cpu", 1, Computing("openvino", "fp32", cache)), cache


def test_openvino_says_the_same(compiled, plain):
    fast, _ = compiled
    assert fast.computed_by == "cpu, OpenVINO fp32"
    for slices in (1, 4, 11):  # it computes batches of four: the last one is filled up
        volume = head(slices), positions(slices), (0.8, 0.8)
        expected = plain.read(*volume)
        reading = fast.read(*volume)
        np.testing.assert_allclose(reading.scores, expected.scores, atol=1e-5)
        np.testing.assert_allclose(
            fast.activations(reading, [(0, 0)]), plain.activations(expected, [(0, 0)]), atol=1e-3
        )  # fmt: skip
    assert fast.score(*VOLUME).tobytes() == fast.score(*VOLUME).tobytes()


def test_what_openvino_compiled_is_kept_and_may_be_broken(compiled, tiny_bundle, monkeypatch):
    _, cache = compiled
    (file,) = cache.iterdir()
    wanted = Computing("openvino", "fp32", cache)
    with monkeypatch.context() as patch:
        patch.setattr(openvino_cnn, "_converted", lambda *_: pytest.fail("it was kept"))
        assert Engine.load(tiny_bundle.folder, "cpu", 1, wanted).computed_by == "cpu, OpenVINO fp32"
    file.write_bytes(file.read_bytes()[: len(file.read_bytes()) // 2])
    assert Engine.load(tiny_bundle.folder, "cpu", 1, wanted).computed_by == "cpu, OpenVINO fp32"
    for number in range(openvino_cnn.MOST_KEPT + 2):
        (cache / f"{number}.blob").touch()
        openvino_cnn.forget_oldest(cache)
    assert len(list(cache.iterdir())) == openvino_cnn.MOST_KEPT


def test_openvino_tells_nobody(compiled):
    """Its package would report each import to its makers."""
    assert sys.modules["openvino_telemetry"] is None


def test_a_model_that_openvino_cannot_convert_is_read_by_torch(tiny_bundle, monkeypatch, compiled):
    monkeypatch.setattr(openvino_cnn, "_core", lambda: (_ for _ in ()).throw(RuntimeError("no conversion rule")))
    assert Engine.load(tiny_bundle.folder, "cpu", 1, Computing("openvino", "fp32")).computed_by == "cpu, torch fp32"


@pytest.mark.data
def test_the_shipped_model_says_the_same_of_a_real_head(test_data, compiled):
    """In whatever precision it is computed: bf16 is asked for, and taken only if it agrees on the drawn head."""
    (series, *_) = explain(test_data / "ge_head_ct", SelectionPolicy()).series
    middle = series.look.geometry.order[8:18]
    slices = [series.look.slices[i] for i in middle]
    volume, _ = read_volume(slices, [series.files[i] for i in middle])
    spacing = slices[0].pixel_spacing_mm
    assert spacing is not None
    whole = volume, series.look.geometry.positions_mm[8:18], spacing
    expected = Engine.load(default_bundle_path(), "cpu", 1).score(*whole)
    fast = Engine.load(default_bundle_path(), "cpu", 1, Computing("openvino", "bf16"))
    assert compare(expected, fast.score(*whole), fast.bundle).holds, fast.computed_by
    assert fast.computed_by.startswith("cpu, OpenVINO")
