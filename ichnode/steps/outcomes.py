"""Outcomes: what radiologists' reports said of studies, from a CSV that a RIS or a reading list exports.

One row a study: ``accession`` or ``study_instance_uid``, and a column for each class that is known, named as
`ichnode.core.findings.CLASSES`: 1 or 0 (yes or no, true or false), empty where the report does not tell.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from ichnode.core.feedback import ContradictionError, Feedback, Label, truth
from ichnode.core.findings import CLASSES, Verdict
from ichnode.core.identity import is_uid
from ichnode.errors import ConfigError

KEYS = ("study_instance_uid", "accession")
_SAID = {"1": True, "yes": True, "true": True, "0": False, "no": False, "false": False}


@dataclass(frozen=True, slots=True)
class Reported:
    """What one row says. Exactly one of `accession` and `study_instance_uid` is given; never log either.

    Attributes
    ----------
    scan : dict of class to bool
        With what follows: a subtype that is there means that `any` is, no `any` means no subtype.
    """

    line: int
    accession: str
    study_instance_uid: str
    scan: dict[str, bool]


def read_outcomes(file: Path) -> list[Reported]:
    """Read the CSV.

    Raises
    ------
    ConfigError
        The file, a column or a row cannot be used; the sentence names the line and never what stands in it.
    """
    try:
        with file.open(newline="", encoding="utf-8-sig") as lines:
            reader = csv.reader(lines, strict=True)
            columns = [name.strip().lower() for name in next(reader, [])]
            _check(file, columns)
            rows = [(reader.line_num, [value.strip() for value in row]) for row in reader if row]
    except OSError as error:
        raise ConfigError(f"The outcomes {file} cannot be read: {error.strerror}.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(
            f"The outcomes {file} are not CSV in UTF-8 ({type(error).__name__}): save them as that, with commas."
        ) from None
    for line, row in rows:
        if len(row) > len(columns):
            raise ConfigError(
                f"Line {line} of the outcomes {file} has more values than there are columns: a value with a comma "
                "in it has to stand in quotation marks."
            )
    return [_reported(file, line, dict(zip(columns, row, strict=False))) for line, row in rows]


def _check(file: Path, names: list[str]) -> None:
    columns = {name for name in names if name}
    if len(columns) == 1 and ";" in names[0]:
        raise ConfigError(f"The outcomes {file} have semicolons between their columns: save them with commas.")
    if not columns & set(KEYS):
        raise ConfigError(f"The outcomes {file} have no column accession or study_instance_uid.")
    if not columns & set(CLASSES):
        raise ConfigError(f"The outcomes {file} have no column of a class: {', '.join(CLASSES)}.")
    if unknown := columns - {*KEYS, *CLASSES}:
        raise ConfigError(f"The outcomes {file} have the column {sorted(unknown)[0]!r}, which is not known: delete it.")
    if twice := sorted(name for name in columns if names.count(name) > 1):
        raise ConfigError(f"The outcomes {file} have the column {twice[0]} twice: keep one.")


def _reported(file: Path, line: int, row: dict[str, str]) -> Reported:
    where = f"Line {line} of the outcomes {file}"
    uid, accession = row.get("study_instance_uid", ""), row.get("accession", "")
    if uid and not is_uid(uid):
        raise ConfigError(f"{where}: study_instance_uid is no UID.")
    if not uid and not accession:
        raise ConfigError(f"{where} names no study.")
    labels = []
    for name in CLASSES:
        word = row.get(name, "").lower()
        if word and word not in _SAID:
            raise ConfigError(f"{where}: {name} has to be 1, 0 or empty.")
        if word:
            labels.append(Label(name, _SAID[word]))
    try:
        said = truth(Verdict.NOT_ANALYSED, Feedback(agrees=True, labels=tuple(labels)))
    except ContradictionError:
        raise ConfigError(f"{where} contradicts itself: it has a kind of haemorrhage, and none at all.") from None
    return Reported(line, "" if uid else accession, uid, dict(said.scan))
