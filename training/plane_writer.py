"""Writes a data set of planes: each series whole or not at all, so that an import goes on where it was killed."""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ichnode.core.findings import CLASSES
from ichnode.storage.atomic import is_leftover, write_durable

from .planes import ABOUT, INDEX, SPLIT, DataSetError, Scan, as_json, read_index, read_split
from .split import split_patients

_HU, _LESIONS = "hu", "lesions"


class PlaneWriter:
    """The one writer of a folder; a second one is refused while it is open. Threads may share it.

    Parameters
    ----------
    folder : Path
        Made where it does not exist; a data set that is there is added to.
    about : mapping
        ``name``, ``licence`` and ``citation`` of the source.

    Raises
    ------
    DataSetError
        Another process writes here, or the folder holds a data set of another name.
    """

    def __init__(self, folder: Path, about: Mapping[str, str]) -> None:
        self.folder = folder
        for kind in (_HU, _LESIONS):
            (folder / kind).mkdir(parents=True, exist_ok=True)
        self._held = (folder / ".writer").open("w")
        try:
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._held.close()
            raise DataSetError(f"Another process writes to {folder}: wait for it, or choose another folder.") from error
        try:
            self._introduce(about)
            self._there = read_index(folder)
            for leftover in folder.glob("*/.*.tmp"):
                if is_leftover(leftover):
                    leftover.unlink(missing_ok=True)
            self._index = _whole_lines(folder / INDEX)
        except BaseException:
            self._held.close()
            raise
        self._turn = Lock()

    def __enter__(self) -> PlaneWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        os.close(self._index)
        self._held.close()

    def find(self, study: str, series: str) -> Scan | None:
        """Return what the index holds of a series, None when it is not there."""
        blank = np.full((1, len(CLASSES)), np.nan, np.float32)
        key = Scan("", study, series, ("",), (1.0, 1.0), np.zeros(1), blank, blank[0]).file
        return self._there.get(key)

    def add(self, scan: Scan, hu: NDArray[np.int16], lesion: NDArray[np.bool_] | None = None) -> Scan:
        """Write a series; when this returns, it is in the data set and survives a power cut.

        Parameters
        ----------
        scan : Scan
            Its `digest`, `split` and `folder` are filled in here.
        hu : int16 array of shape (slices, rows, columns)
        lesion : bool array of the same shape, optional
            With it, and no `lesion_ml` given, the volume of ``any`` is measured.
        """
        if hu.dtype != np.int16 or hu.ndim != 3 or len(hu) != len(scan.instances):
            raise DataSetError(f"Planes of {hu.dtype} and shape {hu.shape} are none of {len(scan.instances)} slices.")
        if lesion is not None:
            if lesion.shape != hu.shape:
                raise DataSetError(f"Outlines of shape {lesion.shape} do not fit planes of shape {hu.shape}.")
            if np.isnan(scan.lesion_ml).all():
                scan = replace(scan, lesion_ml=_volume(scan, lesion))
            write_durable(self.folder / _LESIONS / scan.file, *_npy(lesion.astype(np.bool_)))
        planes = np.ascontiguousarray(hu)
        write_durable(self.folder / _HU / scan.file, *_npy(planes))
        scan = replace(scan, digest=hashlib.sha256(planes.data).hexdigest(), folder=self.folder.absolute(), split=None)
        self._enter(scan)
        return scan

    def relabel(self, scan: Scan) -> None:
        """Enter new facts or labels of a series whose planes are there already."""
        if self.find(scan.study, scan.series) is None:
            raise DataSetError("Only a series that is in the data set can get new labels.")
        self._enter(scan)

    @property
    def scans(self) -> tuple[Scan, ...]:
        """What the data set holds."""
        return tuple(self._there.values())

    def split(
        self, shares: Mapping[str, float], fixed: Mapping[str, str] | None = None, seed: int = 0
    ) -> tuple[str, ...]:
        """Split by patient, and return whom `fixed` gives to a part while they keep another one: `split_patients`."""
        before = read_split(self.folder)
        kept = {**(fixed or {}), **before}
        parts = split_patients(self._there.values(), shares, kept, seed)
        write_durable(self.folder / SPLIT, json.dumps(parts, indent=0, sort_keys=True).encode())
        return tuple(sorted(name for name, part in (fixed or {}).items() if before.get(name, part) != part))

    def _enter(self, scan: Scan) -> None:
        line = json.dumps(as_json(scan), separators=(",", ":")).encode() + b"\n"
        with self._turn:
            while line:
                line = line[os.write(self._index, line) :]
            os.fsync(self._index)
            self._there[scan.file] = scan

    def _introduce(self, about: Mapping[str, str]) -> None:
        path = self.folder / ABOUT
        if path.exists():
            name = json.loads(path.read_text(encoding="utf-8")).get("name")
            if name != about["name"]:
                raise DataSetError(f"{self.folder} holds {name}, not {about['name']}: choose another folder.")
        write_durable(path, json.dumps(dict(about), indent=1).encode())


def _whole_lines(path: Path) -> int:
    """Open the index for appending, without a last line that was cut short."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    content = path.read_bytes()
    os.ftruncate(descriptor, content.rfind(b"\n") + 1)
    return descriptor


def _npy(planes: NDArray[Any]) -> Iterable[Any]:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, np.lib.format.header_data_from_array_1_0(planes))
    return header.getvalue(), planes.data.cast("B")


def _volume(scan: Scan, lesion: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Volume of ``any``: area of each slice times the step to its neighbours."""
    positions = scan.positions_mm
    step = float(np.median(np.diff(positions))) if len(positions) > 1 else (scan.thickness_mm or 0.0)
    volume = np.full(len(CLASSES), np.nan, np.float32)
    volume[0] = lesion.sum() * scan.spacing_mm[0] * scan.spacing_mm[1] * step / 1000
    return volume
