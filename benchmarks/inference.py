"""Slices a second through the CNN: as one would write it by hand, and in every way that the node can compute it.

The networks are those of the paper, with random weights, at 512 x 512, and the shipped bundle. By hand means: PyTorch
as it comes, fp32, eight slices at a time, C library as it is; it runs in a process of its own, since the node tells the
C library to keep its memory. Rounds are interleaved. Whether a way may be used is told by the scores, not by its speed:
how far they are off from fp32 is in the note, for the shipped bundle on the drawn head that every bundle is tried on.

On a GPU the note also says which share that is of the arithmetic that the same GPU does in a large bf16 matrix product.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch.utils.flop_counter import FlopCounterMode

from ichnode.inference.agreement import compare, drawn_head
from ichnode.inference.bundle import Architecture, Bundle, Preprocessing, default_bundle_path, load_bundle
from ichnode.inference.computing import CPU_BATCH, CUDA_BATCH, NOT_HERE, Cnn, TorchCnn
from ichnode.inference.engine import Engine
from ichnode.inference.memory import keep_memory
from ichnode.inference.network import CnnLstm, load_state
from ichnode.inference.openvino_cnn import OpenVinoCnn

from .record import Record, median

NETWORKS = {
    "resnet50": 512, "seresnext50_32x4d": 512, "shipped": load_bundle(default_bundle_path()).preprocessing.matrix,
}  # fmt: skip
GOALS = {"resnet50": 7, "seresnext50_32x4d": 4}
SLICES = 8
_COMMAND = "python -m benchmarks inference"
_BY_HAND = "torch, by hand"


def measure(folder: Path, rounds: int, say: Callable[[str], None]) -> list[Record]:
    """Measure each network in each way."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    ceiling = _ceiling(device) if device.type == "cuda" else 0.0
    records = []
    for name, side in NETWORKS.items():
        bundle, network = _network(name, device)
        by_hand = _ByHand(name) if device.type == "cpu" else None
        ways = dict(_ways(bundle, network, device))
        speeds: dict[str, list[float]] = {}
        for turn in range(rounds):
            if by_hand is not None:
                speeds.setdefault(_BY_HAND, []).append(by_hand.speed())
            for way, cnn in ways.items():
                speeds.setdefault(way, []).append(_speed(bundle, cnn, device))
            say(f"{name}, round {turn + 1}: " + ", ".join(f"{way} {values[-1]:.1f}" for way, values in speeds.items()))
        if by_hand is not None:
            by_hand.end()
        first = next(iter(speeds))
        plain = median("", speeds[first], "slices/s", "").value
        off = _off(ways, device) if name == "shipped" else {}
        operations = _operations(bundle, network)
        for way, values in speeds.items():
            note = f"{side} x {side}" + (f"; scores off by {off[way]} on the drawn head" if way in off else "")
            if ceiling:
                done = statistics.median(values) * operations / 1e12
                note += f"; {done:.0f} TFLOP/s, {done / ceiling:.0%} of the {ceiling:.0f} of a matrix product"
            records.append(
                median(
                    f"inference.{name}.{device.type}.{way.replace(', ', '-').replace(' ', '-').lower()}", values,
                    "slices/s", _COMMAND, note=note, ratio=round(median("", values, "", "").value / plain, 2),
                    against=first,
                )
            )  # fmt: skip
        del ways, network
    return records


def _network(name: str, device: torch.device) -> tuple[Bundle, CnnLstm]:
    keep_memory()
    bundle = load_bundle(default_bundle_path())
    if name != "shipped":
        bundle = replace(bundle, architecture=Architecture(name), preprocessing=Preprocessing())
    torch.manual_seed(0)
    network = CnnLstm.build(bundle.architecture).eval().requires_grad_(False)
    if name == "shipped":
        load_state(network, load_file(bundle.weights))
    return bundle, network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]


def _ways(bundle: Bundle, network: CnnLstm, device: torch.device) -> Iterator[tuple[str, Cnn]]:
    made: list[Callable[[], Cnn]] = [lambda: TorchCnn(network), lambda: TorchCnn(network, "bf16")]
    if device.type == "cpu":
        for one in ("fp32", "bf16"):
            made.append(lambda one=one: OpenVinoCnn(bundle, network, one, CPU_BATCH, None, None))  # type: ignore[misc]
    else:
        made.append(lambda: TorchCnn(network, "bf16", compiled=True))
    for make in made:
        try:
            cnn = make()
            _speed(bundle, cnn, device)  # memory, kernels
        except NOT_HERE:
            continue
        yield cnn.name, cnn


def _speed(bundle: Bundle, cnn: Cnn, device: torch.device) -> float:
    how, batch = bundle.preprocessing, CUDA_BATCH if device.type == "cuda" else CPU_BATCH
    slices = SLICES if device.type == "cpu" else 16 * batch
    pictures = torch.randn(batch, how.channels, how.matrix, how.matrix, device=device)
    pictures = pictures.contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        began = time.perf_counter()
        for _ in range(slices // batch):
            features, _ = cnn(pictures)
        features.cpu()
    return slices / (time.perf_counter() - began)


def _ceiling(device: torch.device) -> float:
    """Return the TFLOP/s of a product of two 8192 x 8192 matrices in bf16, the median of ten."""
    one, other = (torch.randn(8192, 8192, device=device, dtype=torch.bfloat16) for _ in range(2))
    took = []
    for _ in range(13):
        torch.cuda.synchronize()
        began = time.perf_counter()
        one @ other
        torch.cuda.synchronize()
        took.append(time.perf_counter() - began)
    return 2 * 8192**3 / statistics.median(took[3:]) / 1e12


def _operations(bundle: Bundle, network: CnnLstm) -> int:
    """Count the floating-point operations of the CNN for one slice; a multiplication and an addition are two."""
    how = bundle.preprocessing
    picture = torch.zeros(1, how.channels, how.matrix, how.matrix, device=next(network.parameters()).device)
    with FlopCounterMode(display=False) as counted, torch.no_grad():
        network.cnn(picture)
    return int(counted.get_total_flops())


def _off(ways: dict[str, Cnn], device: torch.device) -> dict[str, str]:
    engine = Engine.load(default_bundle_path(), str(device))
    plain = engine.score(*drawn_head())
    found = {}
    for way, cnn in ways.items():
        engine._cnn = cnn
        found[way] = f"{compare(plain, engine.score(*drawn_head()), engine.bundle).off:.4f}"
    return found


class _ByHand:
    """A process that computes as one would at first."""

    def __init__(self, name: str) -> None:
        command = [sys.executable, "-m", "benchmarks.inference", name]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.speed()

    def speed(self) -> float:
        """Return slices a second of one round."""
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write("go\n")
        process.stdin.flush()
        return float(json.loads(process.stdout.readline()))

    def end(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)


def _by_hand(name: str) -> None:
    bundle = load_bundle(default_bundle_path())
    backbone = bundle.architecture.backbone if name == "shipped" else name
    side = NETWORKS[name]
    network = CnnLstm(backbone, hidden=8).eval().cnn
    pictures = torch.randn(8, 3, side, side)
    for _ in sys.stdin:
        with torch.no_grad():
            began = time.perf_counter()
            for _ in range(SLICES // 8):
                network(pictures)
        print(json.dumps(SLICES / (time.perf_counter() - began)), flush=True)


if __name__ == "__main__":
    _by_hand(sys.argv[1])
