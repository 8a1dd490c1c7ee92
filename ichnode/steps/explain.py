"""Explain: read the headers below a path and say what the node would do with each series, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ichnode.core.eligibility import SelectionPolicy
from ichnode.core.findings import Warned
from ichnode.core.reasons import because
from ichnode.core.selection import Candidate, choose
from ichnode.core.slices import StudyFacts
from ichnode.dicom.header import InstanceHeader, parse_file
from ichnode.errors import BadObject
from ichnode.steps.assemble import Look, look_at

_Key = tuple[str, str]
_Looked = tuple[StudyFacts, Look, tuple[Path, ...]]


@dataclass(frozen=True, slots=True)
class ExplainedSeries:
    """What the node would do with one series.

    Attributes
    ----------
    reason : Warned or None
        Why it would not be analysed; None when it would.
    files : tuple of Path
        The file of each slice in `look.slices`.
    """

    study: StudyFacts
    look: Look
    reason: Warned | None
    files: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """All series below a path, and the files that are not DICOM images with the reason code."""

    series: tuple[ExplainedSeries, ...]
    unread: tuple[tuple[Path, Warned], ...]


def files_below(path: Path) -> Iterator[Path]:
    """Yield `path` itself when it is a file, else every file below it in a stable order."""
    if path.is_file():
        yield path
        return
    yield from (p for p in sorted(path.rglob("*")) if p.is_file())


def explain(path: Path, policy: SelectionPolicy, read: Callable[[], None] = lambda: None) -> Explanation:
    """Apply the node's own rules to what lies below a path; nothing is stored or sent.

    Parameters
    ----------
    read : callable
        Called after each file, for a progress bar.
    """
    return explain_files(files_below(path), policy, read)


def explain_files(
    files: Iterable[Path], policy: SelectionPolicy, read: Callable[[], None] = lambda: None
) -> Explanation:
    """Apply the node's own rules to some files; as `explain`."""
    groups: dict[tuple[str, str], dict[str, tuple[Path, InstanceHeader]]] = {}
    unread: list[tuple[Path, Warned]] = []
    for file in files:
        try:
            header = parse_file(file)
        except BadObject as error:
            unread.append((file, Warned(error.code, error.sentence)))
        else:
            key = (header.study.study_instance_uid, header.study.series_instance_uid)
            groups.setdefault(key, {}).setdefault(header.sop_instance_uid, (file, header))
        read()
    looks = {key: _look(list(members.values()), policy) for key, members in groups.items()}
    read_ones = set(_chosen(looks))
    return Explanation(tuple(_judged(looks[key], key in read_ones) for key in looks), tuple(unread))


def _look(members: list[tuple[Path, InstanceHeader]], policy: SelectionPolicy) -> _Looked:
    slices = tuple(s for _, header in members for s in header.slices)
    files = tuple(file for file, header in members for _ in header.slices)
    return members[0][1].study, look_at(slices, policy), files


def _chosen(looks: dict[_Key, _Looked]) -> Iterator[_Key]:
    """Yield the series that is read of each study."""
    keys = list(looks)
    for study in dict.fromkeys(study for study, _ in keys):
        eligible = [i for i, key in enumerate(keys) if key[0] == study and looks[key][1].eligibility.eligible]
        choice = choose(Candidate(i, tuple(looks[keys[i]][1].preference["rank"])) for i in eligible)
        if choice.chosen is not None:
            yield keys[choice.chosen]


def _judged(looked: _Looked, chosen: bool) -> ExplainedSeries:
    facts, look, files = looked
    reason = look.eligibility.reason if not look.eligibility.eligible else None
    if reason is None and not chosen:
        reason = because("ANOTHER_SERIES_CHOSEN")
    return ExplainedSeries(facts, look, reason, files)


def in_words(series: ExplainedSeries) -> dict[str, Any]:
    """Return what there is to say of one series as plain values; no patient is named."""
    geometry, reason = series.look.geometry, series.reason
    warnings = (*geometry.warnings, *series.look.eligibility.warnings)
    return {
        "study_instance_uid": series.study.study_instance_uid,
        "series_instance_uid": series.study.series_instance_uid,
        "description": series.look.slices[0].series_description if series.look.slices else None,
        "slices": len(series.look.slices),
        "extent_mm": round(geometry.extent_mm, 1),
        "spacing_mm": None if geometry.spacing_mm is None else round(geometry.spacing_mm, 3),
        "tilt_deg": round(geometry.tilt_deg, 1),
        "would": "not analyse" if reason else "analyse",
        "code": reason.code if reason else None,
        "sentence": reason.sentence if reason else None,
        "warnings": [{"code": w.code, "sentence": w.sentence} for w in warnings],
    }
