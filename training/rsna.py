"""Importer of the RSNA Intracranial Hemorrhage Detection set of 2019, as the competition's archive unpacks.

``stage_2_train.csv`` (``ID_…_subtype,Label``, six lines an image, some images twice), ``stage_2_train/*.dcm`` and
``stage_2_test/*.dcm``, the latter without labels. UIDs are pseudonyms (``ID_…``), and the SOP Class stands in the file
meta information only. Flanders et al., Radiology: Artificial Intelligence 2020, 2(3):e190211.

Files are grouped by StudyInstanceUID and SeriesInstanceUID and ordered by their place along the slice normal. Files
with values that wrapped around in 12 bits are repaired and marked (``WRAP_12BIT_REPAIRED``). The split is by PatientID;
who has an image in ``stage_2_test`` is in the part test with all images.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from ichnode.core.findings import CLASSES

from .dicom_series import Entry, by_series, catalogue, described, headers_of, read_series
from .importing import Material, Refused, Source
from .labels import Row, agreed, labelled
from .planes import DataSetError, Scan

ABOUT = {
    "name": "RSNA Intracranial Hemorrhage Detection 2019",
    "licence": "non-commercial use only (RSNA)",
    "citation": "Flanders A. E. et al., Radiology: Artificial Intelligence 2020, 2(3):e190211",
}
TRAIN, TEST = "stage_2_train", "stage_2_test"


def sources(
    folder: Path, into: Path, tell: Callable[[int, int], None]
) -> tuple[list[Source], tuple[Refused, ...], dict[str, str]]:
    """Return the series to import, what was refused already, and the parts of the split that are given.

    Raises
    ------
    DataSetError
        The folder is not the unpacked archive.
    """
    table = folder / f"{TRAIN}.csv"
    if not table.exists() or not (folder / TRAIN).is_dir():
        raise DataSetError(f"{folder} is not the unpacked archive: {TRAIN}.csv or {TRAIN}/ is not there.")
    rows, refused = read_labels(table)
    files = [file for part in (TRAIN, TEST) for file in sorted((folder / part).glob("*.dcm"))]
    groups, unread = by_series(catalogue(files, into, tell))
    found = [_source(key, entries, rows) for key, entries in groups.items()]
    absent = rows.keys() - {file.stem for file in files}
    if absent:
        refused += (Refused(table.name, f"{len(absent)} labelled images are not here, {min(absent)} among them"),)
    fixed = {
        entry.patient: "test"
        for entries in groups.values()
        for entry in entries
        if Path(entry.file).parent.name == TEST
    }
    return found, (*refused, *unread), fixed


def _source(key: tuple[str, str], entries: list[Entry], rows: dict[str, Row]) -> Source:
    files = [Path(entry.file) for entry in entries]
    study, series = key

    def read() -> Material:
        headers = headers_of(files, pseudonyms=True)
        material = read_series(headers, entries[0].patient, study, series, True, lambda file, _: file.stem)
        return described(material, files[0].parent.name)

    return Source(f"series {series} of study {study}", study, series, read, partial(_labelled, rows))


def _labelled(rows: dict[str, Row], scan: Scan) -> Scan:
    return labelled(scan, rows)


def read_labels(table: Path) -> tuple[dict[str, Row], tuple[Refused, ...]]:
    """Read ``stage_2_train.csv`` to a row of labels for each image.

    Lines that are there twice count once; where two of them contradict, the label is unknown and listed.

    Raises
    ------
    DataSetError
        The table has another form.
    """
    known: dict[str, list[int]] = {}  # per image: which classes are said to be present, which absent (bits)
    with table.open(newline="", encoding="utf-8") as lines:
        reader = csv.reader(lines)
        if [name.strip() for name in next(reader, [])] != ["ID", "Label"]:
            raise DataSetError(f"{table} has to begin with the line ID,Label.")
        for number, line in enumerate(reader, 2):
            image, _, name = line[0].rpartition("_") if line else ("", "", "")
            if len(line) != 2 or name not in CLASSES or line[1].strip() not in ("0", "1"):
                raise DataSetError(f"Line {number} of {table} is not ID_…_class,0 or 1.")
            known.setdefault(image, [0, 0])[int(line[1])] |= 1 << CLASSES.index(name)
    rows: dict[str, Row] = {}
    refused: list[Refused] = []
    shared: dict[tuple[int, int], tuple[Row, bool]] = {}  # few patterns, many images
    for image, (absent, present) in known.items():
        if (absent, present) not in shared:
            shared[absent, present] = agreed([_row(absent, 0.0), _row(present, 1.0)])
        rows[image], contradicted = shared[absent, present]
        if contradicted:
            refused.append(Refused(f"{table.name}: {image}", "its labels contradict each other and are not used"))
    return rows, tuple(refused)


def _row(bits: int, value: float) -> Row:
    return np.array([value if bits >> column & 1 else np.nan for column in range(len(CLASSES))], np.float32)
