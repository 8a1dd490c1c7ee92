"""Importer of any folder of DICOM, with a CSV of labels of slices, series or studies.

Columns of the CSV, all optional but one UID or ``file``; others are ignored:

================================================  =================================================================
``study_instance_uid``, ``series_instance_uid``,  whom the labels of the line are of: the narrowest that is filled
``sop_instance_uid``                              (of frame 5 of a multi-frame object: UID#5)
``any``, ``intraparenchymal``,                    1 present, 0 absent, empty unknown
``intraventricular``, ``subarachnoid``,
``subdural``, ``epidural``
``file``                                          a DICOM file, absolute or relative to the folder. Where any line
                                                  names one, exactly these files are imported, else all of the folder
``split``                                         train, validation or test for the patient of this line's study
================================================  =================================================================

Only series that the node would read are imported, by its own rules, unless all are asked for: a network should learn
from what it will see. Of the Patient ID a digest is kept.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from ichnode.core.eligibility import judge
from ichnode.core.findings import CLASSES
from ichnode.core.geometry import measure
from ichnode.core.identity import digest_of
from ichnode.errors import BadObject

from .dicom_series import Entry, by_series, catalogue, headers_of, read_series
from .importing import Material, Refused, Source
from .labels import UNKNOWN, Row, agreed, labelled
from .planes import SPLITS, DataSetError, Scan

ABOUT = {"name": "DICOM", "licence": "the owner's", "citation": ""}
_UIDS = ("study_instance_uid", "series_instance_uid", "sop_instance_uid")


@dataclass(frozen=True, slots=True)
class Table:
    """The CSV as read.

    Attributes
    ----------
    studies, series, instances : dict of UID to array of shape (6,)
    files : list of Path
        Empty where none is named.
    splits : dict of Study Instance UID to part
    """

    studies: dict[str, Row] = field(default_factory=dict)
    series: dict[str, Row] = field(default_factory=dict)
    instances: dict[str, Row] = field(default_factory=dict)
    files: list[Path] = field(default_factory=list)
    splits: dict[str, str] = field(default_factory=dict)

    def label(self, scan: Scan) -> Scan:
        """Return a scan with its labels."""
        return labelled(scan, self.instances, self.series.get(scan.series, self.studies.get(scan.study, UNKNOWN)))


def sources(
    folder: Path, labels: Path | None, every_series: bool, into: Path, tell: Callable[[int, int], None]
) -> tuple[list[Source], tuple[Refused, ...], dict[str, str]]:
    """Return the series to import, what was refused already, and the parts of the split that are given."""
    table, refused = read_table(labels, folder) if labels else (Table(), ())
    files = table.files or [
        file for file in sorted(folder.rglob("*")) if file.is_file() and file.name != "DICOMDIR" and file != labels
    ]
    groups, unread = by_series(catalogue(files, into, tell))
    found = [_source(key, entries, table, every_series) for key, entries in groups.items()]
    fixed = {_pseudonym(e[0]): table.splits[key[0]] for key, e in groups.items() if key[0] in table.splits}
    named = {*table.studies} - {study for study, _ in groups} | {*table.series} - {series for _, series in groups}
    if labels and named:
        refused += (Refused(labels.name, f"{len(named)} labelled studies or series are not here: {min(named)} …"),)
    return found, (*refused, *unread), fixed


def _source(key: tuple[str, str], entries: list[Entry], table: Table, every_series: bool) -> Source:
    files = [Path(entry.file) for entry in entries]
    read = partial(_read, files, _pseudonym(entries[0]), *key, every_series)
    return Source(f"series {key[1]}", *key, read, table.label)


def _read(files: list[Path], patient: str, study: str, series: str, every_series: bool) -> Material:
    headers = headers_of(files)
    if not every_series:
        verdict = judge(headers.slices, measure(headers.slices))
        if verdict.reason is not None:
            raise BadObject(f"The node would not read it. {verdict.reason.sentence}", verdict.reason.code)
    return read_series(headers, patient, study, series)


def _pseudonym(entry: Entry) -> str:
    return digest_of((entry.patient or entry.study).encode())[:16]


def read_table(path: Path, folder: Path) -> tuple[Table, tuple[Refused, ...]]:
    """Read the CSV; labels of the same thing that contradict each other are unknown, and listed.

    Raises
    ------
    DataSetError
        A column is missing or a value is none.
    """
    table = Table()
    said: tuple[dict[str, list[Row]], ...] = ({}, {}, {})
    try:
        with path.open(newline="", encoding="utf-8-sig") as lines:
            for number, line in enumerate(csv.DictReader(lines), 2):
                _take(table, said, {k: (v or "").strip() for k, v in line.items() if k}, folder, f"{path}:{number}")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataSetError(f"{path} cannot be read as CSV in UTF-8.") from error
    refused = []
    for level, rows in zip((table.studies, table.series, table.instances), said, strict=True):
        for uid, given in rows.items():
            level[uid], contradicted = agreed(given)
            if contradicted:
                refused.append(Refused(f"{path.name}: {uid}", "its labels contradict each other and are not used"))
    return table, tuple(refused)


def _take(table: Table, said: tuple[dict[str, list[Row]], ...], line: dict[str, str], folder: Path, where: str) -> None:
    uids = [line.get(name, "") for name in _UIDS]
    if line.get("file"):
        table.files.append(folder / line["file"])
    elif not any(uids):
        raise DataSetError(f"{where} names nothing: fill in file or one of {', '.join(_UIDS)}.")
    values = [line.get(name, "") for name in CLASSES]
    if not set(values) <= {"0", "1", ""}:
        raise DataSetError(f"{where}: a label is 1, 0 or empty.")
    if any(values):
        if not any(uids):
            raise DataSetError(f"{where} has labels and does not say of what: fill in one of {', '.join(_UIDS)}.")
        narrowest = max(i for i, uid in enumerate(uids) if uid)
        row = np.array([float(value) if value else np.nan for value in values], np.float32)
        said[narrowest].setdefault(uids[narrowest], []).append(row)
    if line.get("split"):
        if line["split"] not in SPLITS or not uids[0]:
            raise DataSetError(f"{where}: split is one of {', '.join(SPLITS)}, and needs the study_instance_uid.")
        table.splits[uids[0]] = line["split"]
