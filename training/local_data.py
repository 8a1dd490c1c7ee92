"""A node's labelled series as its lab sees them: the manifest, pixels by the node's own rules, features kept on disk.

What the CNN makes of a series depends on the CNN and the series alone. It is calculated once, kept, and serves every
later run, the judge included, as long as the CNN stays the same.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

from ichnode.core.findings import CLASSES
from ichnode.dicom.pixels import read_hounsfield
from ichnode.errors import BadObject
from ichnode.inference.bundle import Bundle, load_bundle
from ichnode.inference.engine import Engine
from ichnode.inference.network import CnnLstm, load_state

from .features import cnn_digest

TEST, TRAINING = "test", "training"


@dataclass(frozen=True, slots=True)
class LocalScan:
    """One series of the manifest.

    Attributes
    ----------
    key, patient : str
        Of the node; they say nothing elsewhere.
    part : str
        ``test`` or ``training``.
    content : str
        Digest of what the series is made of.
    labels : float32 array of shape (6,)
        Of the scan, columns as `CLASSES`; nan where it is not known.
    slice_labels : float32 array of shape (slices, 6)
        nan where it is not known. Where the scan shows nothing of a class, no slice does.
    """

    key: str
    patient: str
    part: str
    content: str
    files: tuple[str, ...]
    frames: tuple[int, ...]
    positions_mm: tuple[float, ...]
    spacing_mm: tuple[float, float]
    labels: NDArray[np.float32]
    slice_labels: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What a CNN makes of a scan.

    Attributes
    ----------
    views : tuple of float32 tensors of shape (slabs, features)
        Plain, and mirrored where the bundle reads that, too.
    slab_labels : float32 tensor of shape (slabs, 6)
        nan where it is not known.
    """

    scan: LocalScan
    views: tuple[Tensor, ...]
    slab_labels: Tensor


def read_manifest(file: Path) -> list[LocalScan]:
    """Read what the node wrote."""
    told = json.loads(file.read_text(encoding="utf-8"))
    return [_scan(entry) for entry in told["series"]]


def volume_of(scan: LocalScan) -> NDArray[np.int16]:
    """Read a series' Hounsfield units, shape (slices, rows, columns).

    Raises
    ------
    BadObject
        A file cannot be read any more, or the matrix changes within the series.
    """
    planes = []
    for file, frame in zip(scan.files, scan.frames, strict=True):
        if not Path(file).exists():
            raise BadObject(f"A file of series {scan.key} is gone.", "FILE_GONE")
        planes.append(read_hounsfield(Path(file), [frame])[0][0])
    if len({plane.shape for plane in planes}) != 1:
        raise BadObject(f"The slices of series {scan.key} have different matrices.", "PIXELS_UNREADABLE")
    return np.stack(planes).astype(np.int16)


def network_of(bundle: Bundle) -> CnnLstm:
    """Return a bundle's network in single precision, in evaluation mode."""
    network = CnnLstm.build(bundle.architecture)
    load_state(network, load_file(bundle.weights))
    return network.eval()


def see(
    bundle: Path, scans: Sequence[LocalScan], kept: Path, device: str, told: Callable[[int, int], None]
) -> tuple[list[Seen], list[str]]:
    """Return what a bundle's CNN makes of scans, and the keys of those that could not be read.

    Parameters
    ----------
    kept : Path
        Folder of what was calculated before.
    """
    folder = kept / cnn_digest(load_bundle(bundle))[:32]
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    engine: Engine | None = None
    seen, unread = [], []
    for number, scan in enumerate(scans, 1):
        file = folder / f"{scan.content}.npz"
        features = _load(file)
        if features is None:
            engine = engine or Engine.load(bundle, device)
            try:
                reading = engine.read(volume_of(scan), scan.positions_mm, scan.spacing_mm)
            except BadObject:
                unread.append(scan.key)
                continue
            features = torch.stack([view.cpu() for view in reading.features]).numpy(), reading.prepared.slab_of
            _keep(file, *features)
        views, slab_of = features
        labels = _by_slab(scan.slice_labels, slab_of, views.shape[1])
        seen.append(Seen(scan, tuple(torch.from_numpy(view) for view in views), torch.from_numpy(labels)))
        told(number, len(scans))
    return seen, unread


def scan_scores(network: CnnLstm, seen: Sequence[Seen]) -> NDArray[np.float32]:
    """Return every scan's scores as the node takes them, shape (scans, 6): mean of the views, highest slice."""
    network.eval()
    with torch.inference_mode():
        rows = [
            torch.stack([torch.sigmoid(network.read(view, [len(view)])) for view in one.views]).mean(0).amax(0)
            for one in seen
        ]
    return torch.stack(rows).numpy() if rows else np.zeros((0, len(CLASSES)), np.float32)


def labels_of(seen: Sequence[Seen]) -> NDArray[np.float32]:
    """Return the scans' labels, shape (scans, 6), nan where not known."""
    return np.stack([one.scan.labels for one in seen]) if seen else np.zeros((0, len(CLASSES)), np.float32)


def _scan(entry: dict[str, Any]) -> LocalScan:
    count = len(entry["files"])
    labels, slices = np.full(len(CLASSES), np.nan, np.float32), np.full((count, len(CLASSES)), np.nan, np.float32)
    for column, name in enumerate(CLASSES):
        if name in entry["scan"]:
            labels[column] = entry["scan"][name]
            if not entry["scan"][name]:
                slices[:, column] = 0
        for index, said in entry["slices"].items():
            if name in said:
                slices[int(index), column] = said[name]
    down, across = entry["spacing_mm"]
    return LocalScan(
        entry["key"], entry["patient"], entry["part"], entry["content"], tuple(entry["files"]), tuple(entry["frames"]),
        tuple(entry["positions_mm"]), (down, across), labels, slices,
    )  # fmt: skip


def _by_slab(labels: NDArray[np.float32], slab_of: NDArray[np.intp], count: int) -> NDArray[np.float32]:
    """A slab shows what one of its slices shows, and does not show what is known to be on none of them."""
    out = np.full((count, labels.shape[1]), np.nan, np.float32)
    for slab in range(count):
        rows = labels[slab_of == slab]
        out[slab] = np.where((rows == 1).any(0), 1, np.where((rows == 0).all(0), 0, np.nan))
    return out


def _load(file: Path) -> tuple[NDArray[np.float32], NDArray[np.intp]] | None:
    with contextlib.suppress(OSError, ValueError, KeyError), np.load(file) as arrays:
        return arrays["views"], arrays["slab_of"]
    return None


def _keep(file: Path, views: NDArray[np.float32], slab_of: NDArray[np.intp]) -> None:
    unfinished = file.with_suffix(f".{os.getpid()}.tmp")
    with unfinished.open("wb") as stream:
        np.savez(stream, views=views, slab_of=slab_of)
    unfinished.replace(file)


def of_part(seen: Sequence[Seen], part: str) -> list[Seen]:
    """Return the scans of one part."""
    return [one for one in seen if one.scan.part == part]


def by_patient(seen: Sequence[Seen]) -> Iterator[tuple[str, list[int]]]:
    """Yield each patient with the indices of their scans."""
    places: dict[str, list[int]] = {}
    for index, one in enumerate(seen):
        places.setdefault(one.scan.patient, []).append(index)
    yield from places.items()
