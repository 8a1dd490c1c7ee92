"""DICOM files on disk as series to import: found by their headers, put in order by the node's own geometry."""

from __future__ import annotations

import json
import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from ichnode.core.geometry import Geometry, measure
from ichnode.core.slices import Slice
from ichnode.dicom.dataset import header_dataset
from ichnode.dicom.header import parse_file
from ichnode.dicom.pixels import read_volume
from ichnode.dicom.tags import PATIENT_ID, SERIES_INSTANCE_UID, STUDY_INSTANCE_UID
from ichnode.errors import BadObject

from .importing import Material, Refused
from .labels import UNKNOWN
from .planes import Scan

_CATALOGUE = "files.jsonl"
_TOGETHER = 500
NameOf = Callable[[Path, Slice], str]


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of the source: where it is and to whom it belongs; `refused` says why not, where it does not."""

    file: str
    size: int
    patient: str = ""
    study: str = ""
    series: str = ""
    refused: str = ""


def catalogue(files: Sequence[Path], keep_in: Path, tell: Callable[[int, int], None]) -> list[Entry]:
    """Read to whom each file belongs, up to its pixels; what was read before a kill is not read again.

    Parameters
    ----------
    files : sequence of Path
    keep_in : Path
        Folder of the data set: what was read is kept in it, by name and size.
    tell : callable
        Called now and then with (done, of).
    """
    path = keep_in / _CATALOGUE
    known = {entry.file: entry for entry in catalogued(keep_in)}
    if path.exists():
        os.truncate(path, path.read_bytes().rfind(b"\n") + 1)  # a last line that a kill cut short
    entries: list[Entry] = []
    with path.open("a", encoding="utf-8") as kept:
        for done, file in enumerate(files, 1):
            size = file.stat().st_size if file.exists() else -1
            entry = known.get(str(file))
            if entry is None or entry.size != size or entry.refused:  # what was wrong may be right now
                entry = _entry(file, size)
                kept.write(json.dumps(asdict(entry)) + "\n")
            entries.append(entry)
            if done % _TOGETHER == 0 or done == len(files):
                kept.flush()
                tell(done, len(files))
    return entries


def catalogued(folder: Path) -> Iterator[Entry]:
    """Yield what an import has kept of its files in the folder of a data set; of two of one file the last counts."""
    path = folder / _CATALOGUE
    if path.exists():
        *lines, _ = path.read_bytes().split(b"\n")
        yield from (Entry(**json.loads(line)) for line in lines)


def _entry(file: Path, size: int) -> Entry:
    if size < 0:
        return Entry(str(file), size, refused="there is no such file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what is not DICOM pydicom warns before it gives up
            header = header_dataset(file)
        found = [_text(header, tag) for tag in (PATIENT_ID, STUDY_INSTANCE_UID, SERIES_INSTANCE_UID)]
    except (BadObject, ArithmeticError, AttributeError, LookupError, TypeError, ValueError, NotImplementedError):
        return Entry(str(file), size, refused="the file is not DICOM")
    if not found[1] or not found[2]:
        return Entry(str(file), size, refused="the file is not DICOM, or has no Study and Series Instance UID")
    return Entry(str(file), size, *found)


def _text(header: Dataset, tag: int) -> str:
    """Return a value as its bytes are: pydicom complains of each UID that is a pseudonym."""
    value = getattr(header.get_item(tag), "value", None) or b""
    return (value.decode("latin-1") if isinstance(value, bytes) else str(value)).strip(" \0")


def by_series(entries: Iterable[Entry]) -> tuple[dict[tuple[str, str], list[Entry]], tuple[Refused, ...]]:
    """Group files by (study, series), and list those that belong nowhere."""
    groups: dict[tuple[str, str], list[Entry]] = {}
    refused = []
    for entry in entries:
        if entry.refused:
            refused.append(Refused(entry.file, entry.refused))
        else:
            groups.setdefault((entry.study, entry.series), []).append(entry)
    return groups, tuple(refused)


@dataclass(frozen=True, slots=True)
class Headers:
    """The slices of one series with the file of each, those that can lie in one volume, and the files that cannot."""

    slices: tuple[Slice, ...]
    files: tuple[Path, ...]
    refused: tuple[Refused, ...]

    def without(self, bad: set[Path], why: str) -> Headers:
        """Return the rest."""
        kept = [i for i, file in enumerate(self.files) if file not in bad]
        said = tuple(Refused(str(file), why) for file in sorted(bad))
        return Headers(tuple(self.slices[i] for i in kept), tuple(self.files[i] for i in kept), (*self.refused, *said))


def headers_of(files: Sequence[Path], pseudonyms: bool = False) -> Headers:
    """Read the headers of a series; a file that cannot be read, or of another matrix than most, is refused.

    Raises
    ------
    BadObject
        No file is left.
    """
    slices: list[Slice] = []
    places: list[Path] = []
    refused: list[Refused] = []
    for file in files:
        try:
            found = parse_file(file, pseudonyms).slices
        except (BadObject, OSError) as error:
            refused.append(Refused(str(file), error.sentence if isinstance(error, BadObject) else "cannot be read"))
            continue
        slices += found
        places += [file] * len(found)
    headers = Headers(tuple(slices), tuple(places), tuple(refused))
    sizes = Counter((s.rows, s.columns) for s in slices)
    if len(sizes) > 1:
        usual = sizes.most_common(1)[0][0]
        odd = {file for file, s in zip(places, slices, strict=True) if (s.rows, s.columns) != usual}
        headers = headers.without(odd, "its matrix is not that of the other slices of its series")
    if not headers.slices:
        why = f"; the first: {refused[0].why}" if refused else ": there is no file."
        raise BadObject(f"No slice of the series can be read{why}", "PIXELS_UNREADABLE")
    return headers


def read_series(
    headers: Headers, patient: str, study: str, series: str, pseudonyms: bool = False,
    name_of: NameOf = lambda _, one: instance_name(one),
) -> Material:  # fmt: skip
    """Decode a series to Hounsfield units in the node's order.

    A file whose pixels do not decode is refused and the rest is read. Slices at the place of another one are left out
    and named as duplicates of it.

    Raises
    ------
    BadObject
        No single ordered volume can be made of it: see `ichnode.core.geometry`; or nothing decodes.
    """
    while True:
        geometry = measure(headers.slices)
        if geometry.refusal is not None:
            raise BadObject(geometry.refusal.sentence, geometry.refusal.code)
        order = geometry.order
        ordered, files = [headers.slices[i] for i in order], [headers.files[i] for i in order]
        try:
            hu, warned = read_volume(ordered, files, pseudonyms)
            break
        except BadObject:
            bad = {file for one, file in zip(ordered, files, strict=True) if not _decodes(one, file, pseudonyms)}
            if not bad or len(bad) == len(set(files)):
                raise
            headers = headers.without(bad, "its pixel data cannot be decoded")
    first = ordered[0]
    if first.pixel_spacing_mm is None:
        raise BadObject("The series does not say how large its pixels are.", "NO_POSITIONS")
    scan = Scan(
        patient, study, series, tuple(name_of(file, one) for file, one in zip(files, ordered, strict=True)),
        first.pixel_spacing_mm, np.array(geometry.positions_mm), np.tile(UNKNOWN, (len(hu), 1)), UNKNOWN,
        geometry.thickness_mm, "\\".join(first.kernel), first.manufacturer or "", first.model_name or "",
        duplicates=_duplicates(headers, geometry, name_of),
        warnings=tuple(dict.fromkeys(w.code for w in (*geometry.warnings, *warned))),
    )  # fmt: skip
    return Material(scan, hu, refused=headers.refused)


def instance_name(one: Slice) -> str:
    """Return the SOP Instance UID; of the second and later frames of an object with ``#`` and their number."""
    return one.sop_instance_uid + (f"#{one.frame}" if one.frame > 1 else "")


def _decodes(one: Slice, file: Path, pseudonyms: bool) -> bool:
    try:
        read_volume([one], [file], pseudonyms)
    except BadObject:
        return False
    return True


def _duplicates(headers: Headers, geometry: Geometry, name_of: NameOf) -> tuple[tuple[str, int], ...]:
    found = []
    normal = np.array(geometry.normal)
    for index in geometry.dropped:
        one = headers.slices[index]
        if one.position_mm is not None and one.has_pixels:
            away = np.abs(np.array(geometry.positions_mm) - float(normal @ np.array(one.position_mm)))
            if away.min() < 0.1:
                found.append((name_of(headers.files[index], one), int(away.argmin())))
    return tuple(found)


def described(material: Material, description: str) -> Material:
    """Return it with a description of its series."""
    return replace(material, scan=replace(material.scan, description=description))
