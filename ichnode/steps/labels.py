"""Labels: what readers and reports say of series that this node has answered, as the lab takes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ichnode.core.feedback import SliceKey
from ichnode.core.findings import CLASSES
from ichnode.core.identity import digest_of
from ichnode.core.test_set import TEST, assign
from ichnode.errors import PermanentError
from ichnode.steps.assemble import look_at
from ichnode.steps.node import Node
from ichnode.steps.outcomes import read_outcomes
from ichnode.steps.report import installation_id
from ichnode.worklist import feedback, lab
from ichnode.worklist.lab import Answered

ANY = CLASSES[0]


@dataclass(frozen=True, slots=True)
class Labelled:
    """A series, whose it is (a digest), and what is known of it; a class that is not named is not known."""

    series: Answered
    patient: str
    scan: Mapping[str, bool]
    slices: Mapping[SliceKey, Mapping[str, bool]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Gathered:
    """All labels there are.

    Attributes
    ----------
    labelled : tuple of Labelled
    contradictory : tuple of int
        Numbers of the studies of which reader and report say different things; they are left out.
    shared : tuple of int
        Numbers of the studies of several patients that one accession number of the outcomes names; what the report
        says of one of them is left out.
    without_answer : int
        Labels of studies that this node has no current answer for, or that readers gave before more slices came; they
        are left out.
    """

    labelled: tuple[Labelled, ...]
    contradictory: tuple[int, ...]
    shared: tuple[int, ...]
    without_answer: int

    @property
    def bleeds(self) -> dict[str, bool]:
        """For every patient of whom it is known, whether any scan shows haemorrhage."""
        found: dict[str, bool] = {}
        for one in self.labelled:
            found[one.patient] = found.get(one.patient, False) or one.scan[ANY]
        return found


def gather(node: Node, outcomes: Path | None) -> Gathered:
    """Bring together what readers said (`ichnode.worklist.feedback`) and what reports said (`outcomes`).

    Series of which it is not known whether there is any haemorrhage are no use and left out.

    Raises
    ------
    ConfigError
        The CSV cannot be used.
    """
    rows = read_outcomes(outcomes) if outcomes is not None else []
    with node.worklist.read() as tx:
        said = {one.series_id: one.truth for one in feedback.taught(tx)}
        outdated = feedback.outdated(tx)
        studies = [(lab.named(tx, accession=r.accession, study_instance_uid=r.study_instance_uid), r) for r in rows]
        shared = {one.study_id for named, _ in studies if _several(named) for one in named}
        reported = [([one.series_id for one in named if one.series_id is not None], r)
                    for named, r in studies if not _several(named)]  # fmt: skip
        wanted = {*said, *(key for keys, _ in reported for key in keys)}
        answered = {one.series_id: one for one in lab.answered(tx, wanted)}
    missing = (
        len(said.keys() - answered.keys())
        + len(outdated)
        + sum(not set(keys) & answered.keys() for keys, _ in reported)
    )
    words: dict[int, list[Mapping[str, bool]]] = {key: [said[key].scan] for key in said if key in answered}
    for keys, row in reported:
        for key in keys:
            if key in answered:
                words.setdefault(key, []).append(row.scan)
    owner = installation_id(node.settings.node.data.resolve())
    labelled, contradictory = [], []
    for key, given in sorted(words.items()):
        scan = _together(given)
        if scan is None:
            contradictory.append(answered[key].study_id)
        elif ANY in scan:
            slices = said[key].slices if key in said else {}
            patient = patient_digest(owner, answered[key].patient_id, answered[key].study_instance_uid)
            labelled.append(Labelled(answered[key], patient, scan, slices))
    return Gathered(tuple(labelled), tuple(contradictory), tuple(sorted(shared)), missing)


def split(node: Node, gathered: Gathered) -> dict[str, str]:
    """Return every patient's part; those that are new get theirs now, for ever."""
    with node.worklist.write() as tx:
        kept = lab.parts(tx)
        new = assign(gathered.bleeds, kept, node.settings.retrain.test_share)
        lab.keep_parts(tx, node.now(), new)
    return {**kept, **new}


def check_enough(gathered: Gathered, least_positives: int, least_negatives: int) -> None:
    """Refuse to learn from too little.

    Raises
    ------
    PermanentError
        ``TOO_FEW_LABELS``, with what there is and what is needed.
    """
    positives = sum(gathered.bleeds.values())
    negatives = len(gathered.bleeds) - positives
    if positives < least_positives or negatives < least_negatives:
        raise PermanentError(
            f"There are labels of {positives} patients with haemorrhage and {negatives} without; a retraining needs "
            f"{least_positives} and {least_negatives} (retrain.least_positives, retrain.least_negatives). "
            "Let readers give feedback, or name a CSV of report outcomes.",
            "TOO_FEW_LABELS",
        )


def manifest(node: Node, gathered: Gathered, parts: Mapping[str, str], *, only_test: bool = False) -> dict[str, Any]:
    """Return what the lab is told: files of the spool, where each slice lies, and the labels. Nobody's identity."""
    series = [
        _entry(node, one, parts[one.patient])
        for one in gathered.labelled
        if not only_test or parts[one.patient] == TEST
    ]
    return {"version": 1, "series": series}


def _entry(node: Node, one: Labelled, part: str) -> dict[str, Any]:
    filed = one.series.filed
    look = look_at(tuple(f.slice for f in filed), node.selection)
    ordered = [filed[index] for index in look.geometry.order]
    keys = [(f.slice.sop_instance_uid, f.slice.frame) for f in ordered]
    return {
        "key": str(one.series.series_id),
        "patient": one.patient,
        "part": part,
        "content": digest_of(*(f"{f.file} {f.slice.frame}\n".encode() for f in ordered)),
        "files": [str(node.spool.path(f.file)) for f in ordered],
        "frames": [f.slice.frame for f in ordered],
        "positions_mm": [float(position) for position in look.geometry.positions_mm],
        "spacing_mm": list(ordered[0].slice.pixel_spacing_mm or ()),
        "scan": dict(one.scan),
        "slices": {str(keys.index(key)): dict(said) for key, said in one.slices.items() if key in keys},
    }


def _several(named: Sequence[lab.Named]) -> bool:
    return len({one.patient for one in named}) > 1


def _together(words: Sequence[Mapping[str, bool]]) -> dict[str, bool] | None:
    scan: dict[str, bool] = {}
    for word in words:
        for name, present in word.items():
            if scan.setdefault(name, present) != present:
                return None
    return scan


def patient_digest(owner: str, patient_id: str, study_instance_uid: str) -> str:
    """Return what tells patients apart on the installation `owner`, and says nothing anywhere else."""
    return digest_of(f"{owner}\n{patient_id or study_instance_uid}".encode())
