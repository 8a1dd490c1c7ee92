"""``scan-level DATA --bundle B``: maximum, learned pooling and random forest side by side on the test scans.

The forest learns on the validation scans, which the network was not trained on; with ``--learn`` on those of another
data set: CQ500 is all test.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ichnode.core.findings import CLASSES
from ichnode.inference.bundle import default_bundle_path, load_bundle
from ichnode.inference.network import CnnLstm

from ..features import Features, features_of
from ..figures import Draws, Samples
from ..judging import network_of, score
from ..planes import DataSetError, open_planes
from ..scan_level import Forest, highest
from ..telling import say


def add(command: argparse.ArgumentParser) -> None:
    """Say what it takes."""
    command.add_argument("data", type=Path, help="data set of planes, split")
    command.add_argument("--learn", type=Path, metavar="DATA", help="data set whose validation scans teach the forest")
    command.add_argument("--bundle", type=Path, default=default_bundle_path(), help="default: the shipped one")
    command.add_argument("--cache", type=Path, help="folder of the features; default: in the data set")
    command.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1")


def run(given: argparse.Namespace) -> int:
    """Read, fit, print the table."""
    teaching = given.learn or given.data
    learned, judged = open_planes(teaching).of("validation"), open_planes(given.data).of("test")
    if not learned:
        raise DataSetError(f"{teaching} has no validation scans for the forest: split it, or give others with --learn.")
    if not judged:
        raise DataSetError(f"{given.data} has no test scans: split it.")
    bundle = load_bundle(given.bundle)
    cache = (given.cache or given.data / "cache") / "features"
    read, _ = features_of(bundle, [*learned, *judged], cache, given.device)
    network = network_of(bundle)
    slices = [score(network, one, bundle.preprocessing)[one.slab_of] for one in read]
    labels = np.stack([one.scan_labels for one in read])
    known = slice(0, sum(one.scan.split == "validation" for one in read))
    new = slice(known.stop, None)
    ways = {"maximum": highest(slices[new])}
    if network.attention is not None:
        ways["learned pooling"] = pooled(network, read[new])
    ways["random forest"] = Forest(slices[known], labels[known])(slices[new])
    patients = [one.patient for one in read[new]]
    say("| class | " + " | ".join(ways) + " |\n" + "| --- " * (len(ways) + 1) + "|")
    for column, name in enumerate(CLASSES):
        figures = [_auc(labels[new, column], found[:, column], patients) for found in ways.values()]
        say(f"| {name} | " + " | ".join(figures) + " |")
    return 0


def pooled(network: CnnLstm, read: Sequence[Features]) -> NDArray[np.float32]:
    """Return the scans' scores by the network's own pooling, the mean over their views, shape (scans, 6)."""
    found = []
    with torch.no_grad():
        for one in read:
            views = torch.from_numpy(np.array(one.views, np.float32))
            logits = torch.cat([network.read_scans(view, [len(view)])[1] for view in views])
            found.append(torch.sigmoid(logits).mean(0).numpy())
    return np.stack(found)


def _auc(labels: NDArray[np.float32], scores: NDArray[np.float32], patients: Sequence[str]) -> str:
    rows = np.isfinite(labels)
    samples = Samples(labels[rows] > 0.5, scores[rows].astype(np.float64))
    if not samples.truth.any() or samples.truth.all():
        return "-"
    figure = Draws.of(patients, 1000).interval(samples.auc, rows)
    return f"{figure.value:.3f} ({figure.low:.3f} to {figure.high:.3f})"
