"""The pointing game: does the highest point of a heat map lie in the lesion?

Zhang et al., "Top-down neural attention by excitation backprop", ECCV 2016. A slice is a hit where the maximum of the
map of its `any` score lies inside the expert's or the phantom's mask, or within a margin of it. That game allows 15
pixels on pictures of about 400: on the field of 212 mm that the shipped model sees, 8 mm.

Only slices count that get a map, those on which `any` reaches its threshold; how many do not is told beside. Chance is
the share of the head's soft tissue that is lesion: what a point thrown blindly into the head would hit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from ichnode.core.findings import CLASSES
from ichnode.inference.bundle import Bundle
from ichnode.inference.engine import Engine
from ichnode.inference.reading import Reading

from .crossval import folds
from .heads import head_from
from .lesions import SUBTYPES
from .loop import Setting, train
from .phantom import make_head
from .planes import Scan
from .recipe import Recipe
from .source import source_of

MARGIN_MM = 8.0
LEAST_ML = 5.0
RULES = ("largest", "highest score", "1 cm² or more", "less than 1 cm²")
"""Which slice of a phantom's lesion is played; of a scan every slice is, told apart by how much is outlined."""
_MOST_ML = {"subarachnoid": 20.0, "intraventricular": 20.0}
_SOFT_TISSUE_HU = (0, 100)


@dataclass(frozen=True, slots=True)
class Pointed:
    """One slice of one lesion.

    Attributes
    ----------
    kind : str
        Subtype, or "CT-ICH".
    rule : str
        One of `RULES`: why this slice.
    score : float
        Of `any`.
    miss_mm : float or None
        From the map's maximum to the nearest pixel of the lesion, 0 inside; None where the slice got no map.
    chance : float
        Share of the soft tissue that is lesion.
    """

    kind: str
    rule: str
    score: float
    miss_mm: float | None
    chance: float


def point(
    engine: Engine, reading: Reading, hu: NDArray[np.int16], lesion: NDArray[np.bool_],
    spacing_mm: tuple[float, float], slices: Sequence[tuple[int, str]], kind: str,
) -> Iterator[Pointed]:  # fmt: skip
    """Play on some slices of one series.

    Parameters
    ----------
    hu, lesion : arrays of shape (slices, rows, columns)
    slices : sequence of (slice, rule)
    """
    threshold = engine.bundle.thresholds["any"]
    for index, rule in slices:
        score = float(reading.scores[index, 0])
        soft = (hu[index] > _SOFT_TISSUE_HU[0]) & (hu[index] < _SOFT_TISSUE_HU[1])
        chance = float(lesion[index].sum() / max(1, (soft | lesion[index]).sum()))
        miss = None
        if score >= threshold:
            (heat,) = engine.activations(reading, [(index, CLASSES.index("any"))])
            away = ndimage.distance_transform_edt(~lesion[index], sampling=spacing_mm)
            miss = float(away[np.unravel_index(heat.argmax(), heat.shape)]) if heat.any() else float("inf")
        yield Pointed(kind, rule, score, miss, chance)


def on_phantoms(engine: Engine, seeds: Iterable[int], told: Callable[[int], None] = lambda _: None) -> list[Pointed]:
    """Play on phantoms with one lesion of over `LEAST_ML` each, the subtypes in turn.

    Phantoms take no part in the training of the shipped model, so any seed is new to it.

    Parameters
    ----------
    seeds : iterable of int
    told : callable
        Called after each phantom with how many are done.
    """
    played: list[Pointed] = []
    for done, seed in enumerate(seeds, 1):
        kind = SUBTYPES[seed % len(SUBTYPES)]
        rank = np.random.default_rng(seed).uniform(np.log(1.1 * LEAST_ML), np.log(_MOST_ML.get(kind, 50.0)))
        phantom = make_head(seed, (kind,), matrix=512, volumes_ml={kind: float(np.exp(rank))})
        lesion = phantom.masks[kind]
        area = lesion.sum((1, 2))
        if phantom.volumes_ml[kind] >= LEAST_ML and area.any():  # narrow ventricles may hold less than was asked for
            along = phantom.protocol.spacing_mm * np.arange(len(area))
            reading = engine.read(phantom.hu, along.tolist(), phantom.pixel_spacing_mm)
            highest = int(np.where(area > 0, reading.scores[:, 0], -1).argmax())
            slices = [(int(area.argmax()), RULES[0]), (highest, RULES[1])]
            played += point(engine, reading, phantom.hu, lesion, phantom.pixel_spacing_mm, slices, kind)
        told(done)
    return played


def on_scans(engine: Engine, scans: Iterable[Scan], told: Callable[[int], None] = lambda _: None) -> list[Pointed]:
    """Play on every outlined slice of scans in the form of CT-ICH."""
    played: list[Pointed] = []
    for done, scan in enumerate(scans, 1):
        lesion = scan.lesion()
        if lesion is not None:
            area_mm2 = lesion.sum((1, 2)) * scan.spacing_mm[0] * scan.spacing_mm[1]
            outlined = [(int(index), RULES[2 if area_mm2[index] >= 100 else 3]) for index in np.flatnonzero(area_mm2)]
            hu = scan.hu()
            reading = engine.read(hu, scan.positions_mm.tolist(), scan.spacing_mm)
            played += point(engine, reading, hu, lesion, scan.spacing_mm, outlined, "CT-ICH")
        told(done)
    return played


def on_held_out(
    bundle: Bundle, scans: Sequence[Scan], recipe: Recipe, count: int, parts: Sequence[int], seed: int,
    cache: Path, tell: Callable[[int, int, float, float], None],
) -> list[Pointed]:  # fmt: skip
    """Train a network without each of some folds of CT-ICH, and play on the patients that it has not seen.

    Parameters
    ----------
    bundle : Bundle
        Its thresholds say which slices get a map.
    scans : sequence of Scan
        CT-ICH.
    recipe, count, seed
        As `cross_validate` takes them; with its values these are the folds and networks of the bundle's card.
    parts : sequence of int
        Which of the `count` folds, from 0.
    cache : Path
        Folder for what is made once, as for `cross_validate`.
    tell : callable
        Called after each step of the training with (step, steps, loss, rate).
    """
    heads = [head_from(scan, recipe.preprocessing) for scan in scans]
    unseen = [folds(heads, count, seed)[part] for part in parts]
    played: list[Pointed] = []
    source = source_of(heads, recipe, seed, cache)
    learners = train(source, recipe, recipe.steps(len(heads)), seed, unseen, setting=Setting(tell=tell))
    for learner, names in zip(learners, unseen, strict=True):
        judge = replace(bundle, architecture=recipe.architecture, preprocessing=recipe.preprocessing)
        engine = Engine(judge, learner.result().requires_grad_(False), torch.device("cpu"))
        played += on_scans(engine, (scan for scan in scans if scan.patient in names))
    return played


def table(played: Sequence[Pointed]) -> str:
    """Return the shares of hits as a Markdown table, a line for every kind and rule and one for each rule's sum."""
    lines = [
        f"| lesion | slice | slices | with a map | maximum in the lesion | within {MARGIN_MM:g} mm | by chance |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for rule in sorted({one.rule for one in played}, key=RULES.index):
        of_rule = [one for one in played if one.rule == rule]
        kinds = sorted({one.kind for one in of_rule}, key=lambda kind: (*CLASSES, kind).index(kind))
        groups = [(kind, [one for one in of_rule if one.kind == kind]) for kind in kinds]
        if len(groups) > 1:
            groups.append(("all", of_rule))
        for kind, group in groups:
            misses = np.array([one.miss_mm for one in group if one.miss_mm is not None])
            chance = np.mean([one.chance for one in group if one.miss_mm is not None]) if len(misses) else np.nan
            shares = (hits(group, 0), hits(group, MARGIN_MM), float(chance))
            figures = " | ".join("-" if np.isnan(share) else f"{share:.2f}" for share in shares)
            lines.append(f"| {kind} | {rule} | {len(group)} | {len(misses)} | {figures} |")
    return "\n".join(lines) + "\n"


def hits(played: Sequence[Pointed], margin_mm: float) -> float:
    """Return the share of the maps whose maximum lies within a margin of the lesion; NaN where there are none."""
    misses = [one.miss_mm for one in played if one.miss_mm is not None]
    return float(np.mean([miss <= margin_mm for miss in misses])) if misses else float("nan")
