"""The scores of a model on the scans of a data set; kept on disk, so that a run goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ichnode.core.findings import CLASSES
from ichnode.core.identity import digest_of
from ichnode.inference.engine import Engine
from ichnode.storage.atomic import write_durable

from .planes import Scan


def score_scans(
    engine: Engine, scans: Sequence[Scan], keep_in: Path, tell: Callable[[], None]
) -> list[NDArray[np.float32]]:
    """Score every slice of every scan as the node does.

    Parameters
    ----------
    engine : Engine
    scans : sequence of Scan
    keep_in : Path
        Folder in which the scores of each scan are kept, by model and planes: another model or other planes are scored
        anew.
    tell : callable
        Called after each scan.

    Returns
    -------
    list of arrays of shape (slices, 6)
    """
    folder = keep_in / engine.bundle.digest[:16]
    folder.mkdir(parents=True, exist_ok=True)
    scores: list[NDArray[np.float32]] = []
    for scan in scans:
        place = json.dumps([scan.digest, scan.positions_mm.tolist(), scan.spacing_mm])
        path = folder / f"{digest_of(place.encode())[:32]}.f32"
        there = np.fromfile(path, np.float32) if path.exists() else np.empty(0, np.float32)
        if there.size != len(scan.instances) * len(CLASSES):
            there = engine.score(scan.hu(), scan.positions_mm.tolist(), scan.spacing_mm).astype(np.float32)
            write_durable(path, there.tobytes())
        scores.append(there.reshape(-1, len(CLASSES)))
        tell()
    return scores
