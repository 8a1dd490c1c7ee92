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
``split``                                         train, validation or test for the patient of this line's study; the
                                                  same for all studies of a patient, else the table is refused
================================================  =================================================================

Only series that the node would read are imported, by its own rules, unless all are asked for: a network should learn
from what it will see. Of the Patient ID an HMAC-SHA-256 is kept, under a key that lies in the data set's folder: of a
plain digest one can tell by trying whose it is.
"""

from __future__ import annotations

import csv
import hmac
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from ichnode.core.eligibility import judge
from ichnode.core.findings import CLASSES
from ichnode.core.geometry import measure
from ichnode.errors import BadObject
from ichnode.storage.atomic import write_durable

from .dicom_series import Entry, by_series, catalogue, headers_of, read_series
from .importing import Material, Refused, Source
from .labels import UNKNOWN, Row, agreed, labelled
from .planes import INDEX, SPLITS, DataSetError, Scan

KEY = "patients.key"
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
    own = labels.resolve() if labels else None
    files = table.files or [
        file
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name != "DICOMDIR" and file.resolve() != own
    ]
    groups, unread = by_series(catalogue(files, into, tell))
    patients = Pseudonyms(into)
    found = [_source(key, entries, table, every_series, patients) for key, entries in groups.items()]
    fixed: dict[str, str] = {}
    for (study, _), entries in groups.items():
        if study in table.splits and table.splits[study] != fixed.setdefault(patients(entries[0]), table.splits[study]):
            raise DataSetError(f"{labels}: the patient of study {study} is given to two parts of the split: take one.")
    named = {*table.studies} - {study for study, _ in groups} | {*table.series} - {series for _, series in groups}
    if labels and named:
        refused += (Refused(labels.name, f"{len(named)} labelled studies or series are not here: {min(named)} …"),)
    return found, (*refused, *unread), fixed


class Pseudonyms:
    """Names of patients under the key of a data set, which is made with its first patient and then stays.

    Parameters
    ----------
    folder : Path
        Of the data set.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / KEY
        if not path.exists():
            index = folder / INDEX
            if index.exists() and index.stat().st_size:
                raise DataSetError(
                    f"{path} is missing, and with it the names of its patients: import into a new folder."
                )
            write_durable(path, secrets.token_bytes(32))
        self._key = path.read_bytes()

    def __call__(self, entry: Entry) -> str:
        """Return the name of whose file it is; of their study where nobody says who they are."""
        return hmac.new(self._key, (entry.patient or entry.study).encode(), "sha256").hexdigest()[:16]


def unplaced(labels: Path, folder: Path, scans: Iterable[Scan]) -> tuple[Refused, ...]:
    """List the labelled slices that no scan holds."""
    held = {name for scan in scans for name in (*scan.instances, *(name for name, _ in scan.duplicates))}
    lost = sorted(read_table(labels, folder)[0].instances.keys() - held)
    if not lost:
        return ()
    return (Refused(labels.name, f"{len(lost)} labelled slices are in no scan of the data set: {lost[0]} …"),)


def _source(
    key: tuple[str, str], entries: list[Entry], table: Table, every_series: bool, patients: Pseudonyms
) -> Source:
    files = [Path(entry.file) for entry in entries]
    read = partial(_read, files, patients(entries[0]), *key, every_series)
    return Source(f"series {key[1]}", *key, read, table.label)


def _read(files: list[Path], patient: str, study: str, series: str, every_series: bool) -> Material:
    headers = headers_of(files)
    if not every_series:
        verdict = judge(headers.slices, measure(headers.slices))
        if verdict.reason is not None:
            raise BadObject(f"The node would not read it. {verdict.reason.sentence}", verdict.reason.code)
    return read_series(headers, patient, study, series)


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
        if table.splits.setdefault(uids[0], line["split"]) != line["split"]:
            raise DataSetError(f"{where}: study {uids[0]} is given to two parts of the split: take one.")
