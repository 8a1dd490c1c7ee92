"""The CNN in int8, which the node does not offer: how fast it would be, and what becomes of the scores.

    pip install nncf        # Apache-2.0, of Intel; for this measurement only
    python -m benchmarks.int8 --planes planes/ct-ich

Weights and activations are quantised after training (NNCF's defaults), the ranges of the activations taken from the
drawn head or, with ``--planes``, from the first scans of a data set; the others of it are read with both. The speed is
that of ResNet-50 at 512 x 512 with random weights, beside the same by hand.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

import click
import numpy as np
import torch
from ichnode_training.planes import open_planes
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from ichnode.inference.agreement import compare, drawn_head
from ichnode.inference.bundle import Bundle, default_bundle_path
from ichnode.inference.computing import CPU_BATCH
from ichnode.inference.engine import Engine
from ichnode.inference.network import CnnLstm
from ichnode.inference.openvino_cnn import _converted, _core

from .inference import _BY_HAND, _ByHand, _network, _speed
from .record import Record, median, show, write

LATEST = Path(__file__).with_name("latest.json")
COMMAND = "python -m benchmarks.int8"
TO_LEARN = 8
"""Scans that the ranges are taken from."""
_Volume = tuple[NDArray[np.int16], list[float], tuple[float, float]]


class Int8Cnn:
    """The CNN quantised after training, computed by OpenVINO in batches of one size."""

    name = "OpenVINO int8"

    def __init__(self, bundle: Bundle, network: CnnLstm, pictures: list[NDArray[np.float32]]) -> None:
        nncf = importlib.import_module("nncf")
        side = bundle.preprocessing.matrix
        self._shape = (CPU_BATCH, bundle.preprocessing.channels, side, side)
        model = _converted(network, self._shape)
        quantised = nncf.quantize(model, nncf.Dataset(pictures), subset_size=len(pictures))
        threads = len(os.sched_getaffinity(0))
        compiled = _core().compile_model(
            quantised, "CPU", {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
        )
        self._request = compiled.create_infer_request()

    def __call__(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Return features and maps."""
        count = len(pictures)
        filled = torch.cat((pictures, pictures.new_zeros((self._shape[0] - count, *self._shape[1:]))))
        self._request.infer([filled.contiguous().numpy()])
        features, maps = (torch.from_numpy(self._request.get_output_tensor(n).data[:count].copy()) for n in range(2))
        return features, maps


def _pictures(engine: Engine, volumes: list[_Volume]) -> list[NDArray[np.float32]]:
    """Return what the CNN sees of some volumes, in whole batches."""
    prepared = (engine.prepare(*volume).hu for volume in volumes)
    rows = ((hu, part) for hu in prepared for part in torch.arange(len(hu)).split(CPU_BATCH) if len(part) == CPU_BATCH)
    return [engine._pictures(hu, part, False).contiguous().numpy() for hu, part in rows]


def _speeds(rounds: int) -> Iterator[Record]:
    bundle, network = _network("resnet50", torch.device("cpu"))
    for layer in network.modules():  # timm begins with residual branches of zero, which int8 would leave out
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.weight, 0.5, 1.0)
    noise = [np.random.default_rng(n).normal(size=(CPU_BATCH, 3, 512, 512)).astype(np.float32) for n in range(8)]
    cnn, by_hand = Int8Cnn(bundle, network, noise), _ByHand("resnet50")
    _speed(bundle, cnn, torch.device("cpu"))
    slow, fast = [], []
    for _ in range(rounds):
        slow.append(by_hand.speed())
        fast.append(_speed(bundle, cnn, torch.device("cpu")))
    by_hand.end()
    found, plain = (median("", values, "", "").value for values in (fast, slow))
    yield median("int8.resnet50.by-hand", slow, "slices/s", COMMAND, note="512 x 512, random weights")
    yield median("int8.resnet50.openvino-int8", fast, "slices/s", COMMAND, ratio=round(found / plain, 2),
                 against=_BY_HAND, note="512 x 512, random weights; not offered by the node")  # fmt: skip


def _scores(planes: Path | None) -> Iterator[Record]:
    engine = Engine.load(default_bundle_path(), "cpu")
    scans = open_planes(planes) if planes else []
    volumes = [(scan.hu()[:], list(scan.positions_mm), scan.spacing_mm) for scan in islice(scans, TO_LEARN)]
    plain, fast = engine._cnn, Int8Cnn(engine.bundle, engine._network, _pictures(engine, volumes or [drawn_head()]))

    def both(volume: _Volume) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        engine._cnn = plain
        before = engine.score(*volume)
        engine._cnn = fast
        return before, engine.score(*volume)

    off = compare(*both(drawn_head()), engine.bundle).off
    yield median("int8.shipped.off-on-the-drawn-head", [off], "", COMMAND, note="largest difference of a score to fp32")
    rest = list(scans)[TO_LEARN:]
    if not rest:
        return
    read = [both((scan.hu()[:], list(scan.positions_mm), scan.spacing_mm)) for scan in rest]
    before, after = (np.concatenate(of) for of in zip(*read, strict=True))
    labels = np.concatenate([scan.labels for scan in rest])[:, 0]
    known, apart = ~np.isnan(labels), np.abs(before - after)
    within = f"largest {apart.max():.2f}, 99 of 100 within {np.quantile(apart, 0.99):.2f}"
    note = f"{len(rest)} scans of {planes and planes.name}; {within}"
    yield median("int8.shipped.mean-difference-of-a-score", [float(apart.mean())], "", COMMAND, note=note)
    for name, scores in (("fp32", before), ("int8", after)):
        auc = float(roc_auc_score(labels[known], scores[known, 0]))
        yield median(f"int8.shipped.auc-of-slices.{name}", [auc], "", COMMAND, note="of any; on what was learned from")


@click.command()
@click.option("--planes", type=click.Path(exists=True, file_okay=False, path_type=Path), help="A data set.")
@click.option("--rounds", default=3, show_default=True, help="Rounds of the speed; medians are kept.")
def main(planes: Path | None, rounds: int) -> None:
    """Measure speed and scores, and write the figures beside the others."""
    if importlib.util.find_spec("nncf") is None:
        raise click.ClickException("NNCF is not installed: pip install nncf")
    records = []
    for record in chain(_speeds(rounds), _scores(planes)):  # each is written as soon as it is measured
        write([record], LATEST)
        records.append(record)
    show(records)


if __name__ == "__main__":
    main()
