"""Interpret: one series of readable slices in, one outcome out. The same for the worker and for `ichnode analyse`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ichnode.core.brain import brain_hu, no_brain_seen
from ichnode.core.explained import explained
from ichnode.core.findings import CLASSES, Outcome, Verdict, Warned, findings_from, verdict_of
from ichnode.core.hounsfield import Decode
from ichnode.core.images import SeriesImages
from ichnode.core.reasons import because
from ichnode.core.slices import Slice
from ichnode.dicom.pixels import read_volume
from ichnode.errors import BadObject
from ichnode.inference.reader import SeriesReader
from ichnode.steps.assemble import Look


@dataclass(frozen=True, slots=True, eq=False)
class Interpretation:
    """What a series is judged to be.

    Attributes
    ----------
    outcome : Outcome
    seconds : dict of stage to float
        How long each stage took: ``load`` and ``inference``; ``explain`` once heat maps were asked for.
    images : SeriesImages
        What was read, and once `with_heat` made them the heat maps; there are none where nothing was found.
    reading : `ichnode.inference.reading.Reading`, that of the pool, or None
        What it takes to make them; None where no network has read the series.
    """

    outcome: Outcome
    seconds: dict[str, float]
    images: SeriesImages
    reading: Any = None

    @property
    def explained(self) -> dict[int, str]:
        """The slices that get a heat map, and the class that each map explains; see `explained`."""
        return explained(self.outcome.scores, self.outcome.findings)


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """A series whose pixels are decoded.

    Attributes
    ----------
    images : SeriesImages
    warnings : tuple of Warned
        Of the pixels.
    empty : Warned or None
        Why no network needs to read it.
    measures : dict
        As `Outcome.measures`.
    prepared : any
        As an engine has prepared it, by the rules `prepared_by`; None where that is still to be done.
    """

    images: SeriesImages
    warnings: tuple[Warned, ...]
    empty: Warned | None
    measures: dict[str, float]
    prepared: Any = None
    prepared_by: Any = None


def load(look: Look, files: Sequence[Path], decode: Decode | None = None, lanes: int = 1) -> Loaded:
    """Decode one eligible series; parameters and errors as of `interpret` and `read_volume`."""
    slices = [look.slices[i] for i in look.geometry.order]
    volume, warnings = read_volume(slices, [files[i] for i in look.geometry.order], decode=decode, lanes=lanes)
    images = _images(slices, volume)
    empty = no_brain_seen(volume, look.geometry.positions_mm, images.spacing_mm)
    return Loaded(images, warnings, empty, {} if empty else _measures(volume, look.geometry.spacing_mm))


def interpret(
    engine: SeriesReader, look: Look, files: Sequence[Path], missing: str | None = None, conflicts: int = 0,
    loaded: Loaded | None = None,
) -> Interpretation:  # fmt: skip
    """Decode, score and judge one eligible series. Why is for `with_heat`: the answer does not wait for it.

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
    loaded : Loaded or None
        The same files, where they have been decoded already.

    Raises
    ------
    BadObject
        Pixels do not decode, or the network's scores are not numbers.
    """
    begun = time.perf_counter()
    loaded = loaded or load(look, files, engine.decode)
    images, slices = loaded.images, [look.slices[i] for i in look.geometry.order]
    read_at = time.perf_counter()
    warnings = _once([*look.geometry.warnings, *look.eligibility.warnings, *loaded.warnings])
    if missing is not None:
        warnings += (because("PARTIAL_SERIES", missing),)
    if conflicts:
        warnings += (because("CONFLICTING_INSTANCE", f"{conflicts} instance(s); the content that came first was read"),)
    order = tuple((s.sop_instance_uid, s.frame) for s in slices)
    if loaded.empty is not None:
        outcome = Outcome(Verdict.NOT_ANALYSED, warnings=warnings, reason=loaded.empty, missing=missing)
        return Interpretation(outcome, {"load": read_at - begun}, images)
    prepared = loaded.prepared if loaded.prepared_by == engine.bundle.preprocessing else None
    reading = engine.read(images.volume, look.geometry.positions_mm, images.spacing_mm, prepared)
    scores = reading.scores
    if scores.shape != (len(slices), 6) or not np.isfinite(scores).all():
        raise BadObject("The network gave scores that are not numbers.", "ANALYSIS_FAILED")
    scored = time.perf_counter()
    rows = tuple(tuple(float(value) for value in row) for row in scores)
    findings = findings_from(rows, engine.bundle.thresholds)
    outcome = Outcome(verdict_of(findings), rows, findings, warnings, None, missing, order, loaded.measures)
    return Interpretation(outcome, {"load": read_at - begun, "inference": scored - read_at}, images, reading)


def with_heat(engine: SeriesReader, read: Interpretation) -> Interpretation:
    """Add the heat maps of what was found, made by the engine that has read the series."""
    heat_class = read.explained
    if read.reading is None or not heat_class:
        return read
    begun = time.perf_counter()
    images = replace(read.images, heat=_heat(engine, read.reading, heat_class), heat_class=heat_class)
    return replace(read, images=images, seconds={**read.seconds, "explain": time.perf_counter() - begun})


def _measures(volume: NDArray[np.int16], spacing_mm: float | None) -> dict[str, float]:
    found = {"spacing_mm": spacing_mm, "brain_hu": brain_hu(volume)}
    return {name: round(value, 3) for name, value in found.items() if value is not None}


def _images(slices: Sequence[Slice], volume: NDArray[np.int16]) -> SeriesImages:
    first = slices[0]
    positions = tuple(s.position_mm for s in slices if s.position_mm is not None)
    if first.pixel_spacing_mm is None or first.orientation is None or len(positions) != len(slices):
        raise BadObject("The series has no PixelSpacing, orientation or positions.", "NO_POSITIONS")
    return SeriesImages(volume, first.pixel_spacing_mm, {}, {}, first.orientation, positions, first.thickness_mm)


def _heat(engine: SeriesReader, reading: Any, heat_class: dict[int, str]) -> dict[int, NDArray[np.float32]]:
    maps = engine.activations(reading, [(index, CLASSES.index(name)) for index, name in heat_class.items()])
    return dict(zip(heat_class, maps, strict=True))


def _once(warnings: list[Warned]) -> tuple[Warned, ...]:
    seen: dict[str, Warned] = {}
    for warning in warnings:
        seen.setdefault(warning.code, warning)
    return tuple(seen.values())
