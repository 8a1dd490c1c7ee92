"""Importer of CQ500: ``CQ500CT66 CQ500CT66/Unknown Study/CT Plain/*.dcm`` and ``reads.csv``.

Chilamkurthy et al., Lancet 2018, 392(10162):2388-2396.

One series of each study is read: the one that the node would choose (`ichnode.core.eligibility`,
`ichnode.core.selection`): plain, axial, soft-tissue kernel, whole head, 2.5 to 6 mm before thinner before thicker, then
the nearest to 5 mm; where its pixels do not decode, the next. The folder's name counts as the series description where
the header has none, so that ``CT CONTRAST`` is left out, and ``CT C``, which these folders write for it. The published
code took whichever folder came first, which was never said.

``reads.csv`` holds the votes of three readers; a class is present where two of them say so. Labels are those of the
whole scan: 205 of 491 have an intracranial haemorrhage.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from ichnode.core.eligibility import judge
from ichnode.core.geometry import measure
from ichnode.core.selection import Candidate, choose, preference
from ichnode.errors import BadObject

from .dicom_series import Headers, by_series, catalogue, described, headers_of, read_series
from .importing import Material, Refused, Source
from .labels import Row, labelled
from .planes import DataSetError, Scan

ABOUT = {
    "name": "CQ500",
    "licence": "CC BY-NC-SA 4.0",
    "citation": "Chilamkurthy S. et al., Lancet 2018, 392(10162):2388-2396",
}
_READ_AS = ("ICH", "IPH", "IVH", "SAH", "SDH", "EDH")  # in the order of CLASSES
_READERS = ("R1", "R2", "R3")
_CONTRAST = re.compile(r"(^|\s)C($|\s)")
_STUDY = re.compile(r"CQ500[-_ ]?CT[-_ ]?([0-9]+)\b")


def sources(
    folder: Path, reads: Path, into: Path, tell: Callable[[int, int], None]
) -> tuple[list[Source], tuple[Refused, ...]]:
    """Return the studies to import, one series each, and what was refused already.

    Raises
    ------
    DataSetError
        There is no ``reads.csv``, it has other columns, or no folder is named as those of CQ500 are.
    """
    rows = read_majority(reads)
    of: dict[str, list[Path]] = {}
    for file in sorted(folder.rglob("*.dcm")):
        named = next((found for part in file.relative_to(folder).parts if (found := _STUDY.match(part))), None)
        if named:
            of.setdefault(f"CQ500-CT-{int(named[1])}", []).append(file)
    if not of:
        raise DataSetError(f"No folder below {folder} is named as those of CQ500 are, like 'CQ500CT66 CQ500CT66'.")
    entries = iter(catalogue([file for files in of.values() for file in files], into, tell))
    studies: list[Source] = []
    refused: list[Refused] = []
    for name, files in of.items():
        groups, unread = by_series([next(entries) for _ in files])
        refused += unread
        if name not in rows:
            refused.append(Refused(name, f"{reads.name} does not have it"))
            continue
        series = [[Path(entry.file) for entry in group] for group in groups.values()]
        studies.append(Source(name, name, name, partial(_read, name, series), partial(_labelled, rows[name])))
    if absent := sorted(rows.keys() - of.keys()):
        refused.append(Refused(reads.name, f"{len(absent)} of its studies are not here, {absent[0]} among them"))
    return studies, tuple(refused)


def _labelled(row: Row, scan: Scan) -> Scan:
    return labelled(scan, {}, row)


def _read(name: str, series: list[list[Path]]) -> Material:
    candidates: list[tuple[Headers, str]] = []
    why = []
    for files in series:
        folder = files[0].parent.name
        try:
            headers = headers_of(files)
        except BadObject as error:
            why.append(f"{folder}: {error.sentence}")
            continue
        slices = tuple(replace(s, series_description=s.series_description or folder) for s in headers.slices)
        verdict = judge(slices, measure(slices))
        if _CONTRAST.search(folder):
            why.append(f"{folder}: by its name with contrast medium.")
        elif verdict.reason is None:
            candidates.append((replace(headers, slices=slices), folder))
        else:
            why.append(f"{folder}: {verdict.reason.sentence}")
    ranked = [Candidate(i, preference(one.slices, measure(one.slices))) for i, (one, _) in enumerate(candidates)]
    while (chosen := choose(ranked).chosen) is not None:
        headers, folder = candidates[chosen]
        try:
            return described(read_series(headers, name, name, name), folder)
        except BadObject as error:  # its headers were good, its pixels are not
            why.append(f"{folder}: {error.sentence}")
            ranked = [one for one in ranked if one.key != chosen]
    raise BadObject("No series of the study can be read. " + " ".join(why), "ANOTHER_SERIES_CHOSEN")


def read_majority(reads: Path) -> dict[str, Row]:
    """Read ``reads.csv``: a class is present where at least two of three readers say so.

    Returns
    -------
    dict of name (``CQ500-CT-66``) to array of shape (6,), in the order of `CLASSES`

    Raises
    ------
    DataSetError
    """
    columns = [[f"{reader}:{name}" for reader in _READERS] for name in _READ_AS]
    rows: dict[str, Row] = {}
    try:
        with reads.open(newline="", encoding="utf-8") as lines:
            for line in csv.DictReader(lines):
                votes = [[float(line[column]) for column in of_class] for of_class in columns]
                rows[line["name"]] = (np.mean(votes, axis=1) > 0.5).astype(np.float32)
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise DataSetError(f"{reads} is missing, or has not the columns name, R1:ICH and so on of 0 and 1.") from error
    return rows
