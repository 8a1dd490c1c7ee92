"""Interpret: one series of readable slices in, one outcome out. The same for the worker and for `ichnode analyse`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ichnode.core.brain import no_brain_seen
from ichnode.core.findings import Outcome, Verdict, Warned, findings_from, verdict_of
from ichnode.core.reasons import because
from ichnode.core.slices import Slice
from ichnode.dicom.pixels import read_hounsfield
from ichnode.errors import BadObject
from ichnode.inference.engine import Engine
from ichnode.steps.assemble import Look


@dataclass(frozen=True, slots=True)
class Interpretation:
    """An outcome and how long its stages took, in seconds."""

    outcome: Outcome
    seconds: dict[str, float]


def interpret(
    engine: Engine, look: Look, files: Sequence[Path], missing: str | None = None, conflicts: int = 0
) -> Interpretation:
    """Decode, score and judge one eligible series.

    Parameters
    ----------
    look : Look
        Headers, geometry and eligibility; eligible.
    files : sequence of Path
        The file of each slice in `look.slices`.
    missing : str or None
        What is missing of a partial series.
    conflicts : int
        How many instances came again with other content.

    Raises
    ------
    BadObject
        Pixels do not decode, or the network's scores are not numbers.
    """
    begun = time.perf_counter()
    slices = [look.slices[i] for i in look.geometry.order]
    volume, pixel_warnings = _volume(slices, [files[i] for i in look.geometry.order])
    spacing = slices[0].pixel_spacing_mm
    if spacing is None:
        raise BadObject("The series has no PixelSpacing.", "NO_POSITIONS")
    loaded = time.perf_counter()
    warnings = _once([*look.geometry.warnings, *look.eligibility.warnings, *pixel_warnings])
    if missing is not None:
        warnings += (because("PARTIAL_SERIES", missing),)
    if conflicts:
        warnings += (because("CONFLICTING_INSTANCE", f"{conflicts} instance(s); the content that came first was read"),)
    order = tuple((s.sop_instance_uid, s.frame) for s in slices)
    empty = no_brain_seen(volume, look.geometry.positions_mm, spacing)
    if empty is not None:
        outcome = Outcome(Verdict.NOT_ANALYSED, warnings=warnings, reason=empty, missing=missing)
        return Interpretation(outcome, {"load": loaded - begun})
    scores = engine.score(volume, look.geometry.positions_mm, spacing)
    if scores.shape != (len(slices), 6) or not np.isfinite(scores).all():
        raise BadObject("The network gave scores that are not numbers.", "ANALYSIS_FAILED")
    scored = time.perf_counter()
    rows = tuple(tuple(float(value) for value in row) for row in scores)
    findings = findings_from(rows, engine.bundle.thresholds)
    outcome = Outcome(verdict_of(findings), rows, findings, warnings, None, missing, order)
    return Interpretation(outcome, {"load": loaded - begun, "inference": scored - loaded})


def _volume(slices: Sequence[Slice], files: Sequence[Path]) -> tuple[NDArray[np.int16], list[Warned]]:
    first = slices[0]
    volume = np.empty((len(slices), first.rows or 0, first.columns or 0), np.int16)
    warnings: list[Warned] = []
    frames_of: dict[Path, list[int]] = {}
    for index, file in enumerate(files):
        frames_of.setdefault(file, []).append(index)
    for file, indices in frames_of.items():
        planes, said = read_hounsfield(file, [slices[i].frame for i in indices])
        if planes.shape[1:] != volume.shape[1:]:
            raise BadObject("A slice has another matrix than its header says.", "PIXELS_UNREADABLE")
        volume[indices] = planes
        warnings += said
    return volume, warnings


def _once(warnings: list[Warned]) -> tuple[Warned, ...]:
    seen: dict[str, Warned] = {}
    for warning in warnings:
        seen.setdefault(warning.code, warning)
    return tuple(seen.values())
