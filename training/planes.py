"""A data set on disk: one lossless int16 Hounsfield plane for each slice, and an index.

::

    <folder>/data-set.json         name, licence, citation: what a bundle's card has to say
    <folder>/index.jsonl           one series a line; of two lines of one series the last counts
    <folder>/split.json            patient to train, validation or test; once given it stays
    <folder>/hu/<name>.npy         (slices, rows, columns) int16, from inferior to superior, memory-mappable
    <folder>/lesions/<name>.npy    (slices, rows, columns) bool, where somebody outlined the haemorrhage

Windows are applied where the network runs (`ichnode.inference.preprocess`): one plane is a third of the bytes of three
windows of 8 bit, loses nothing, and the windows can still be changed. `ichnode_training.plane_writer` makes such a
folder.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ichnode.core.findings import CLASSES
from ichnode.core.identity import digest_of
from ichnode.core.kernels import Kernel, kernel_of
from ichnode.core.slices import Slice
from ichnode.errors import PermanentError

from .kept import mapped

ABOUT, INDEX, SPLIT = "data-set.json", "index.jsonl", "split.json"
SPLITS = ("train", "validation", "test")


class DataSetError(PermanentError):
    """A folder is not a data set, or its parts do not fit together."""

    code = "DATA_SET"


@dataclass(frozen=True, slots=True, eq=False)
class Scan:
    """One series of a data set; slices from inferior to superior.

    Attributes
    ----------
    patient, study, series : str
        Names by which slices belong together; UIDs or pseudonyms of the source.
    instances : tuple of str
        The source's name of each slice: SOP Instance UID, or file name.
    spacing_mm : (float, float)
        Between rows, between columns.
    positions_mm : float64 array of shape (slices,)
        Along the slice normal, ascending.
    labels : float32 array of shape (slices, 6)
        Columns as `CLASSES`; NaN where unknown.
    scan_labels : float32 array of shape (6,)
        Of the whole scan; NaN where unknown.
    thickness_mm : float or None
    kernel, manufacturer, model : str
        As the header says; empty where it does not.
    description : str
        Part of the source, or folder of the series: empty where that may name a person.
    lesion_ml : float32 array of shape (6,)
        Outlined or simulated volume of each class; NaN where nobody measured it.
    duplicates : tuple of (str, int)
        Slices of the source that lie where another one does, and the index of that one.
    warnings : tuple of str
        Codes of `ichnode.core.reasons`: what was corrected or tolerated at import.
    split : str or None
        One of `SPLITS`; None before the data set was split.
    digest : str
        SHA-256 of the planes' bytes.
    folder : Path
    """

    patient: str
    study: str
    series: str
    instances: tuple[str, ...]
    spacing_mm: tuple[float, float]
    positions_mm: NDArray[np.float64]
    labels: NDArray[np.float32]
    scan_labels: NDArray[np.float32]
    thickness_mm: float | None = None
    kernel: str = ""
    manufacturer: str = ""
    model: str = ""
    description: str = ""
    lesion_ml: NDArray[np.float32] = None  # type: ignore[assignment]
    duplicates: tuple[tuple[str, int], ...] = ()
    warnings: tuple[str, ...] = ()
    split: str | None = None
    digest: str = ""
    folder: Path = Path()

    def __post_init__(self) -> None:
        if self.lesion_ml is None:
            object.__setattr__(self, "lesion_ml", np.full(len(CLASSES), np.nan, np.float32))
        count = len(self.instances)
        shapes = (self.positions_mm.shape, self.labels.shape, self.scan_labels.shape, self.lesion_ml.shape)
        if count == 0 or shapes != ((count,), (count, len(CLASSES)), (len(CLASSES),), (len(CLASSES),)):
            raise DataSetError(f"A scan of {count} slices has arrays of shapes {shapes}.")
        if not np.all(np.diff(self.positions_mm) > 0) or not all(step > 0 for step in self.spacing_mm):
            raise DataSetError("Slice positions have to ascend, and the pixel spacing has to be above 0 mm.")

    def hu(self) -> NDArray[np.int16]:
        """Return the memory-mapped planes, int16 of shape (slices, rows, columns)."""
        return self._mapped("hu")

    def lesion(self) -> NDArray[np.bool_] | None:
        """Return the memory-mapped outlines, bool of the shape of `hu`; None where there are none at all."""
        return self._mapped("lesions") if self.outlined else None

    @property
    def outlined(self) -> bool:
        """Whether haemorrhage was outlined in this scan. What is positive need not be outlined on every slice."""
        return (self.folder / "lesions" / self.file).exists()

    @property
    def file(self) -> str:
        """Name of its arrays; derived, since names of a source may be anything."""
        return f"{digest_of(self.study.encode(), b'/', self.series.encode())[:32]}.npy"

    @property
    def scanner(self) -> str:
        """Manufacturer and model, for subgroups."""
        return f"{self.manufacturer} {self.model}".strip() or "unknown"

    @property
    def kernel_kind(self) -> Kernel:
        """Soft tissue, bone or unknown, by the node's own table."""
        named = tuple(self.kernel.split("\\")) if self.kernel else ()
        return kernel_of(Slice("", "", kernel=named, manufacturer=self.manufacturer))

    def _mapped(self, kind: str) -> Any:
        path = self.folder / kind / self.file
        try:
            planes = mapped(path)
        except (OSError, ValueError, EOFError) as error:
            raise DataSetError(f"{path} is missing or damaged: import this series again.") from error
        if len(planes) != len(self.instances):
            raise DataSetError(f"{path} has {len(planes)} slices and its index {len(self.instances)}: import it again.")
        return planes


@dataclass(frozen=True)
class Planes(Sequence[Scan]):
    """A data set that was opened: a sequence of its scans, ordered by patient, study and series.

    Attributes
    ----------
    folder : Path
    about : mapping
        ``name``, ``licence``, ``citation`` and whatever else the source says of itself.
    scans : tuple of Scan
    """

    folder: Path
    about: Mapping[str, str]
    scans: tuple[Scan, ...]

    def __getitem__(self, index: Any) -> Any:
        return self.scans[index]

    def __len__(self) -> int:
        return len(self.scans)

    def __iter__(self) -> Iterator[Scan]:
        return iter(self.scans)

    def of(self, *splits: str) -> tuple[Scan, ...]:
        """Return the scans of these parts of the split."""
        return tuple(scan for scan in self.scans if scan.split in splits)

    @property
    def patients(self) -> tuple[str, ...]:
        """Patients, each once, in the order of the scans."""
        return tuple(dict.fromkeys(scan.patient for scan in self.scans))

    @cached_property
    def digest(self) -> str:
        """SHA-256 over all planes and labels: what a card says of the data a network was trained on."""
        return digest_of(*(json.dumps(_identifying(scan)).encode() for scan in self.scans))


def open_planes(folder: Path) -> Planes:
    """Open a data set; planes are read when they are asked for.

    Raises
    ------
    DataSetError
        The folder holds no data set, or its index is damaged other than by a last line cut short.
    """
    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataSetError(
            f"There is no data set in {folder}: make one with python -m ichnode_training import."
        ) from error
    split = read_split(folder)
    scans = [
        replace(scan, split=split.get(scan.patient), folder=folder.absolute()) for scan in read_index(folder).values()
    ]
    order = sorted(scans, key=lambda scan: [_natural(name) for name in (scan.patient, scan.study, scan.series)])
    return Planes(folder, about, tuple(order))


def read_index(folder: Path) -> dict[str, Scan]:
    """Return what the index holds, by file name; a last line that a kill cut short is not there yet."""
    path = folder / INDEX
    if not path.exists():
        return {}
    *lines, _ = path.read_bytes().split(b"\n")
    try:
        scans = [scan_from_json(json.loads(line)) for line in lines]
    except (ValueError, KeyError, TypeError) as error:
        raise DataSetError(f"The index {path} is damaged: restore it, or import into a new folder.") from error
    return {scan.file: scan for scan in scans}


def read_split(folder: Path) -> dict[str, str]:
    """Return patient to part of the split, empty before the data set was split."""
    path = folder / SPLIT
    if not path.exists():
        return {}
    parts: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    return parts


def as_json(scan: Scan) -> dict[str, Any]:
    """Return the line of the index; `scan_from_json` reads it back."""
    return {
        **_identifying(scan),
        "instances": scan.instances,
        "spacing_mm": scan.spacing_mm,
        "positions_mm": [round(value, 4) for value in scan.positions_mm.tolist()],
        "thickness_mm": scan.thickness_mm,
        "kernel": scan.kernel,
        "manufacturer": scan.manufacturer,
        "model": scan.model,
        "description": scan.description,
        "lesion_ml": _known(scan.lesion_ml),
        "duplicates": scan.duplicates,
        "warnings": scan.warnings,
    }


def scan_from_json(line: Mapping[str, Any]) -> Scan:
    """Rebuild a scan from a line of the index."""
    return Scan(
        **{name: line[name] for name in ("patient", "study", "series", "thickness_mm", "kernel", "manufacturer")},
        instances=tuple(line["instances"]),
        spacing_mm=(float(line["spacing_mm"][0]), float(line["spacing_mm"][1])),
        positions_mm=np.array(line["positions_mm"], np.float64),
        labels=np.array(line["labels"], np.float32).reshape(-1, len(CLASSES)),
        scan_labels=np.array(line["scan_labels"], np.float32),
        model=line["model"],
        description=line["description"],
        lesion_ml=np.array(line["lesion_ml"], np.float32),
        duplicates=tuple((str(name), int(index)) for name, index in line["duplicates"]),
        warnings=tuple(line["warnings"]),
        digest=line["digest"],
    )


def _identifying(scan: Scan) -> dict[str, Any]:
    return {
        "patient": scan.patient, "study": scan.study, "series": scan.series, "digest": scan.digest,
        "labels": [_known(row) for row in scan.labels], "scan_labels": _known(scan.scan_labels),
    }  # fmt: skip


def _natural(name: str) -> list[tuple[int, str]]:
    """Order by which patient 7 comes before patient 12."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split("([0-9]+)", name)]


def _known(values: NDArray[np.float32]) -> list[float | None]:
    return [None if math.isnan(value) else round(float(value), 4) for value in values]
