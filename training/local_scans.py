"""A node's labelled series as its lab sees them: the manifest that the node wrote, pixels by the node's own rules."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ichnode.core.findings import CLASSES
from ichnode.dicom.pixels import read_hounsfield
from ichnode.errors import BadObject

from .planes import Scan

TEST, TRAINING = "test", "training"
"""Parts of the split, as the node names them."""


@dataclass(frozen=True, slots=True, eq=False)
class LocalScan(Scan):
    """One series of the manifest; its files lie in the spool, read where they lie.

    `patient` and `series` are the node's and say nothing elsewhere; `split` is ``test`` or ``training``; `digest` is of
    what the series is made of.
    """

    files: tuple[str, ...] = ()
    frames: tuple[int, ...] = ()

    def hu(self) -> NDArray[np.int16]:
        """Return the planes, int16 of shape (slices, rows, columns).

        Raises
        ------
        BadObject
            A file cannot be read any more, or the matrix changes within the series.
        """
        planes = []
        for file, frame in zip(self.files, self.frames, strict=True):
            if not Path(file).exists():
                raise BadObject(f"A file of series {self.series} is gone.", "FILE_GONE")
            planes.append(read_hounsfield(Path(file), [frame])[0][0])
        if len({plane.shape for plane in planes}) != 1:
            raise BadObject(f"The slices of series {self.series} have different matrices.", "PIXELS_UNREADABLE")
        return np.stack(planes).astype(np.int16)


def read_manifest(file: Path) -> list[LocalScan]:
    """Read what the node wrote."""
    told = json.loads(file.read_text(encoding="utf-8"))
    return [_scan(entry) for entry in told["series"]]


def _scan(entry: dict[str, Any]) -> LocalScan:
    count = len(entry["files"])
    whole, slices = np.full(len(CLASSES), np.nan, np.float32), np.full((count, len(CLASSES)), np.nan, np.float32)
    for column, name in enumerate(CLASSES):
        whole[column] = entry["scan"].get(name, np.nan)
        for index, said in entry["slices"].items():
            slices[int(index), column] = said.get(name, np.nan)
    down, across = entry["spacing_mm"]
    return LocalScan(
        patient=entry["patient"], study=entry["key"], series=entry["key"],
        instances=tuple(str(index) for index in range(count)), spacing_mm=(down, across),
        positions_mm=np.array(entry["positions_mm"], np.float64), labels=slices, scan_labels=whole,
        split=entry["part"], digest=entry["content"],
        files=tuple(entry["files"]), frames=tuple(entry["frames"]),
    )  # fmt: skip
