"""Export: series that the node read, de-identified, with what readers said of them, for use elsewhere."""

from __future__ import annotations

import csv
import secrets
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread

from ichnode.core.findings import CLASSES
from ichnode.core.pseudonyms import Pseudonyms
from ichnode.core.slices import Slice
from ichnode.core.test_set import TEST
from ichnode.dicom.dataset import encoded
from ichnode.dicom.deidentified import Options, deidentified
from ichnode.errors import BadObject, ConfigError
from ichnode.steps.assemble import look_at
from ichnode.steps.export_outcomes import Joined, join
from ichnode.steps.labels import gather, patient_digest, split
from ichnode.steps.node import Node
from ichnode.steps.outcomes import read_outcomes
from ichnode.steps.report import installation_id
from ichnode.storage.atomic import write_durable
from ichnode.worklist import assembly, audit, feedback, lab, views
from ichnode.worklist.assembly import Filed
from ichnode.worklist.feedback import Taught

KEY_FILE = "export.key"
LABELS = "labels.csv"
_UIDS = ("study_instance_uid", "series_instance_uid", "sop_instance_uid")


@dataclass(frozen=True, slots=True)
class Exported:
    """What was done.

    Attributes
    ----------
    series, files : int
        That were written.
    analysed : int
        Series that there were to write.
    labels : int
        Lines of the labels' table.
    refused : tuple of (int, str)
        Number of the study in the worklist, and why something of it was left out.
    outcomes : Joined
        What became of the reports' outcomes.
    """

    series: int
    files: int
    analysed: int
    labels: int
    refused: tuple[tuple[int, str], ...]
    outcomes: Joined


def export_key(node: Node, file: Path | None) -> Pseudonyms:
    """Return the pseudonyms of this node, or those of a key file; made where neither is there yet.

    Raises
    ------
    ConfigError
        The file is no key.
    """
    path = file or node.settings.node.data.resolve() / KEY_FILE
    if not path.exists():
        write_durable(path, secrets.token_bytes(32).hex().encode())
    try:
        return Pseudonyms(bytes.fromhex(path.read_text(encoding="ascii").strip()))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} is no key: 64 hexadecimal digits or more are.") from error


def check_stays(out: Path, *files: Path | None) -> None:
    """Refuse a key, or a table of outcomes, that lies in the folder that leaves.

    Raises
    ------
    ConfigError
    """
    for file in files:
        if file is not None and file.resolve().is_relative_to(out.resolve()):
            raise ConfigError(
                f"{file} lies in the folder that leaves, and has to stay: move it, or take another --out."
            )


def export(
    node: Node, study_ids: Sequence[int], out: Path, pseudonyms: Pseudonyms, options: Options,
    tell: Callable[[int, int], None], reports: Path | None = None,
) -> Exported:  # fmt: skip
    """Write the analysed series of some studies, one folder a patient and series, and ``labels.csv``.

    Each series is entered in the audit journal before it is written. What is written is the same every time, so that an
    export that was stopped is simply started again. An object that may not leave is left out with its reason, and the
    rest goes on. Patients of the frozen test set are marked as such (``split``), so that they teach nothing elsewhere
    that is to be judged here; whoever of the labelled has no part yet gets one before the labels leave.

    Parameters
    ----------
    study_ids : sequence of int
    out : Path
        Folder; made where it does not exist.
    tell : callable
        Called after each series with (done, of).
    reports : Path or None
        CSV of what reports said of studies, see `ichnode.steps.outcomes`; of exported ones it goes into ``labels.csv``.

    Raises
    ------
    ConfigError
        The CSV cannot be used; nothing is written then.
    OSError
        The folder cannot be made or written to.
    """
    reported = read_outcomes(reports) if reports else []
    parts = split(node, gather(node, reports))
    out.mkdir(parents=True, exist_ok=True)
    with node.worklist.read() as tx:
        series = views.analysed_series(tx, study_ids)
        words = {one.series_id: one for one in feedback.taught(tx)}
        whose = lab.patients_of(tx, [study_id for study_id, _ in series])
    owner = installation_id(node.settings.node.data.resolve())
    judges = {study for study, named in whose.items() if parts.get(patient_digest(owner, *named)) == TEST}
    rows: list[Mapping[str, str]] = []
    refused: list[tuple[int, str]] = []
    files, there = 0, set[int]()
    for done, (study_id, series_id) in enumerate(series, 1):
        with node.worklist.write() as tx:
            filed = assembly.filed_slices(tx, series_id)
            audit.record(tx, node.now(), audit.terminal().name, "study.exported", study_id, options=list(options.names))
        written, why = _series(node, filed, out, pseudonyms, options)
        files += written
        there |= {series_id} if written else set()
        refused += [(study_id, reason) for reason in why]
        if series_id in words and written:
            rows += _labels(words[series_id], pseudonyms)
        if study_id in judges and written:
            rows.append({"study_instance_uid": pseudonyms.uid(whose[study_id][1]), "split": TEST})
        tell(done, len(series))
    outcomes = join(node, reported, there, pseudonyms)
    rows += outcomes.rows
    _write_labels(out / LABELS, rows)
    return Exported(len(there), files, len(series), len(rows), tuple(refused), outcomes)


def _series(
    node: Node, filed: Sequence[Filed], out: Path, pseudonyms: Pseudonyms, options: Options
) -> tuple[int, list[str]]:
    """Write the slices that were read, in their order; scouts, dose pages and the like stay here."""
    slices: tuple[Slice, ...] = tuple(f.slice for f in filed)
    names = dict.fromkeys(filed[index].file for index in look_at(slices, node.selection).geometry.order)
    written, refused = 0, dict[str, list[int]]()
    for number, name in enumerate(names, 1):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of values that are not as the standard has them; most are left behind
                source = dcmread(node.spool.path(name))
                copy = deidentified(source, pseudonyms, options)
                content = encoded(copy)
        except (BadObject, OSError, ValueError, AttributeError, NotImplementedError) as error:
            why = error.sentence if isinstance(error, BadObject) else "The object cannot be written anew."
            refused.setdefault(why, []).append(number)
            continue
        folder = out / str(copy.PatientID) / str(copy.SeriesInstanceUID).rpartition(".")[2]
        folder.mkdir(parents=True, exist_ok=True)
        write_durable(folder / f"{number:04d}.dcm", content)
        written += 1
    return written, [f"{_slices(numbers, len(names))}: {why}" for why, numbers in refused.items()]


def _slices(numbers: Sequence[int], of: int) -> str:
    if len(numbers) == of:
        return f"all {of} slices"
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    said = ", ".join(f"{one[0]} to {one[-1]}" if len(one) > 1 else str(one[0]) for one in runs)
    return f"slice{'s' * (len(numbers) > 1)} {said}"


def _labels(word: Taught, pseudonyms: Pseudonyms) -> list[Mapping[str, str]]:
    study, series = pseudonyms.uid(word.study_instance_uid), pseudonyms.uid(word.series_instance_uid)
    of_scan = {"study_instance_uid": study, "series_instance_uid": series, **_said(word.truth.scan)}
    of_slices = [
        {
            "study_instance_uid": study,
            "series_instance_uid": series,
            "sop_instance_uid": pseudonyms.uid(uid) + (f"#{frame}" if frame > 1 else ""),
            **_said(row),
        }
        for (uid, frame), row in word.truth.slices.items()
    ]
    return [of_scan, *of_slices]


def _said(known: Mapping[str, bool]) -> dict[str, str]:
    return {name: str(int(known[name])) for name in CLASSES if name in known}


def _write_labels(path: Path, rows: Sequence[Mapping[str, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, (*_UIDS, *CLASSES, "split"), restval="", lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
