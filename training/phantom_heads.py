"""Phantoms as training heads: they bear what a small data set lacks, every subtype and what is taken for blood."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ichnode.core.findings import CLASSES
from ichnode.core.identity import digest_of
from ichnode.inference.bundle import Preprocessing
from ichnode.inference.preprocess import centre_of_head, in_plane, prepare

from .grid import GridScan
from .kept import keep_array, kept_array
from .lesions import SUBTYPES, combination
from .phantom import make_head

FIRST_SEED = 500_000_000
"""Far from the seeds of tests and pictures, and below the phantom suite's."""


def phantom_heads(
    count: int, how: Preprocessing, cache: Path, tell: Callable[[int, int], None] = lambda done, of: None
) -> list[GridScan]:
    """Make phantoms on the network's grid, or find them where they were kept.

    Of ten, four have no blood, three one subtype in turn, and three what bleeds together in patients. Mimics come
    as the seeds decide.

    Parameters
    ----------
    count : int
    how : Preprocessing
    cache : Path
        Folder in which they are kept.
    tell : callable
        Called after each with how many there are, and of how many.
    """
    heads = []
    for number in range(count):
        heads.append(_head(number, how, cache))
        tell(number + 1, count)
    return heads


def _head(number: int, how: Preprocessing, cache: Path) -> GridScan:
    told = Preprocessing.from_json(how.as_json()).as_json()  # 40 and 40.0 are one
    grid = json.dumps([told, FIRST_SEED + number, _matrix(how)])
    stem = cache / "phantoms" / digest_of(grid.encode())[:32]
    paths = [stem.with_suffix(f".{part}.npy") for part in ("hu", "blood", "labels")]
    if not all(path.exists() for path in paths):
        for path, array in zip(paths, _made(number, how), strict=True):
            keep_array(path, array)
    hu, blood, labels = (kept_array(path) for path in paths)
    known = np.array(labels)
    return GridScan(f"phantom {number}", hu, known, known.max(axis=0), blood)


def _made(number: int, how: Preprocessing) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    turn, kind = divmod(number, 10)
    lesions: tuple[str, ...] = ()
    seed = FIRST_SEED + number
    if kind in (1, 4, 7):
        lesions = (SUBTYPES[(3 * turn + kind // 3) % len(SUBTYPES)],)
    elif kind in (2, 5, 8):
        lesions = combination(np.random.default_rng((seed, 9)))
    phantom = make_head(seed, lesions, matrix=_matrix(how))
    along = (phantom.protocol.spacing_mm * np.arange(len(phantom.hu))).tolist()
    prepared = prepare(phantom.hu, along, phantom.pixel_spacing_mm, how)
    blood = np.zeros(phantom.hu.shape, np.float32)
    for mask in phantom.masks.values():
        blood[mask] = 1
    centre = centre_of_head(phantom.hu.astype(np.float32))
    outlined = in_plane(blood, phantom.pixel_spacing_mm, how, centre, outside=0).numpy() > 0.5
    labels = phantom.labels.astype(np.float32)
    assert labels.shape[1] == len(CLASSES)
    return np.rint(prepared.hu.numpy()).astype(np.int16), outlined, labels


def _matrix(how: Preprocessing) -> int:
    """Return the phantom's own matrix: never coarser than the grid, or its blur would tell it from a patient."""
    return 256 if how.matrix <= 256 else 512
