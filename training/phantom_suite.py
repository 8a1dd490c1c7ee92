"""The phantom suite: what a bundle finds on heads whose truth is known, by subtype, volume, density and mimic.

The heads are the same for every bundle and for ever (a suite has a version). They show that a network still sees what
its predecessor saw, and where its sight fades; they say nothing about patients. Heads and bleeds come in pairs: each
head is read with and without blood, so what a bleed adds is not confused with what the head looks like.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ichnode.core.findings import CLASSES
from ichnode.inference.engine import Engine

from .evaluation import auc
from .lesions import SUBTYPES, density_at
from .phantom import Phantom, make_head

VERSION = 1
FIRST_SEED = 1_000_000_000
"""Seeds from here on are the suite's: no training takes them."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How many heads a suite has.

    Attributes
    ----------
    volumes_ml : tuple of float
        Rungs of the ladder of every subtype, up to the subtype's own largest.
    heads : int
        Heads on each rung; each is read without blood, too, and half of the heads have mimics.
    """

    volumes_ml: tuple[float, ...]
    heads: int
    matrix: int = 256
    slices: int = 32


SIZES = {
    "small": Plan((1.5, 6.0, 25.0), heads=1),
    "full": Plan((0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0), heads=3),
}
"""small: 13 heads, each with blood and without; full: 108. About 2.5 minutes of one core, and about 20."""
_LARGEST_ML = {"subarachnoid": 20.0, "intraventricular": 20.0}
_DENSITY_RANKS = (30, 50, 70, 90)


@dataclass(frozen=True, slots=True)
class Case:
    """One phantom as it was read.

    Attributes
    ----------
    kind : str
        Subtype of its blood; "none".
    volume_ml, hu : float
        Of the blood that was made; 0 without.
    labels, scores : arrays of shape (slices, 6)
        Columns as `ichnode.core.findings.CLASSES`.
    """

    seed: int
    kind: str
    volume_ml: float
    hu: float
    mimics: tuple[str, ...]
    labels: NDArray[np.uint8]
    scores: NDArray[np.float32]

    @property
    def peak(self) -> NDArray[np.float32]:
        """The scan's score of every class: the maximum over slices, as the node takes it."""
        return np.asarray(self.scores.max(0))


@dataclass(frozen=True, slots=True)
class Judged:
    """A bundle's figures on a suite. All shares are at the bundle's own thresholds.

    Attributes
    ----------
    sensitivity : dict of subtype to float
        Share of the heads with this blood in which `any` reaches its threshold; "any" is all of them.
    named : dict of subtype to float
        Share in which the subtype's own score reaches its threshold, too.
    specificity : dict of class to float
        Share of the heads without this blood in which the class stays below its threshold; for "any", of the heads
        without blood.
    auc_scan, auc_slice : dict of class to float
    """

    bundle: str
    size: str
    thresholds: dict[str, float]
    cases: tuple[Case, ...]
    sensitivity: dict[str, float]
    named: dict[str, float]
    specificity: dict[str, float]
    auc_scan: dict[str, float]
    auc_slice: dict[str, float]

    def as_json(self) -> dict[str, Any]:
        """Return all of it in plain values, to three decimals; scores are the scan's, None is what cannot be told."""

        def rounded(figures: dict[str, float]) -> dict[str, float | None]:
            return {name: None if np.isnan(value) else round(value, 3) for name, value in figures.items()}

        return {
            "suite": VERSION, "size": self.size, "bundle": self.bundle,
            "use": "research use only; phantoms, not patients",
            "thresholds": self.thresholds, "sensitivity": rounded(self.sensitivity), "named": rounded(self.named),
            "specificity": rounded(self.specificity), "auc_scan": rounded(self.auc_scan),
            "auc_slice": rounded(self.auc_slice),
            "cases": [
                {"seed": c.seed, "kind": c.kind, "volume_ml": round(c.volume_ml, 3), "hu": round(c.hu, 1),
                 "mimics": list(c.mimics), "scores": rounded(dict(zip(CLASSES, map(float, c.peak), strict=True)))}
                for c in self.cases
            ],
        }  # fmt: skip


def judge(
    bundles: Sequence[Path], size: str = "small", *, device: str = "cpu",
    told: Callable[[int, int], None] = lambda done, of: None,
) -> list[Judged]:  # fmt: skip
    """Measure bundles side by side. The same bundle on the same machine gives the same figures, always.

    Parameters
    ----------
    bundles : sequence of Path
        Folders of the bundles; each head is made once and read by all of them, since making it costs the most.
    size : str
        "small" or "full", see `SIZES`.
    device : str
        As `Engine.load` takes it.
    told : callable
        Called after each head with how many are done, and of how many.

    Raises
    ------
    BundleError
        A bundle cannot be loaded.
    """
    engines = [Engine.load(bundle, device) for bundle in bundles]
    wanted = tuple(heads(SIZES[size]))
    cases: list[list[Case]] = [[] for _ in engines]
    for done, make in enumerate(wanted, 1):
        phantom = make()
        for engine, read in zip(engines, cases, strict=True):
            read.append(_read(engine, phantom))
        told(done, len(wanted))
    return [
        figures(read, engine.bundle.thresholds, engine.bundle.digest, size)
        for engine, read in zip(engines, cases, strict=True)
    ]


_MIMICS: tuple[tuple[str, ...], ...] = (
    ("calcified-choroid", "calcified-falx"), (), ("dense-sinus",), (), ("calcified-basal-ganglia",), (),
    ("chronic-subdural",), (), ("old-infarct", "calcified-choroid"), (),
)  # fmt: skip
"""What the heads have, in turn; a head has the same with and without blood."""


def heads(plan: Plan) -> Iterator[Callable[[], Phantom]]:
    """Yield what makes each head of a suite, the one with blood before the same head without."""
    seed = FIRST_SEED
    for kind in SUBTYPES:
        for rung, volume in enumerate(v for v in plan.volumes_ml if v <= _LARGEST_ML.get(kind, 1e9)):
            for turn in range(plan.heads):
                hu = density_at(kind, _DENSITY_RANKS[(rung + turn) % len(_DENSITY_RANKS)])
                for bled in ({kind: volume}, {}):
                    yield _maker(plan, seed, bled, {kind: hu}, _MIMICS[seed % len(_MIMICS)])
                seed += 1


def _maker(
    plan: Plan, seed: int, volumes_ml: dict[str, float], densities_hu: dict[str, float], mimics: Sequence[str]
) -> Callable[[], Phantom]:
    def make() -> Phantom:
        return make_head(
            seed, tuple(volumes_ml), matrix=plan.matrix, slices=plan.slices, volumes_ml=volumes_ml,
            densities_hu=densities_hu, mimics=mimics,
        )  # fmt: skip

    return make


def _read(engine: Engine, phantom: Phantom) -> Case:
    along = phantom.protocol.spacing_mm * np.arange(len(phantom.hu))
    scores = engine.read(phantom.hu, along.tolist(), phantom.pixel_spacing_mm).scores
    kind, volume = next(iter(phantom.volumes_ml.items()), ("none", 0.0))
    density = phantom.lesions[0].hu if phantom.lesions else 0.0
    mimics = tuple(sorted(phantom.traits.mimics))
    return Case(phantom.seed, kind, volume, density, mimics, phantom.labels, scores)


def figures(cases: Sequence[Case], thresholds: dict[str, float], bundle: str, size: str) -> Judged:
    """Return the figures of read phantoms."""
    peaks = np.stack([case.peak for case in cases])
    kinds = np.array([case.kind for case in cases])
    labels, scores = np.concatenate([c.labels for c in cases]), np.concatenate([c.scores for c in cases])
    reached = peaks >= np.array([thresholds[name] for name in CLASSES])
    bled = {name: kinds != "none" if name == "any" else kinds == name for name in CLASSES}
    columns = {name: column for column, name in enumerate(CLASSES)}
    return Judged(
        bundle=bundle, size=size, thresholds=dict(thresholds), cases=tuple(cases),
        sensitivity={name: float(reached[bled[name], 0].mean()) for name in CLASSES},
        named={name: float((reached[bled[name], 0] & reached[bled[name], c]).mean()) for name, c in columns.items()},
        specificity={name: float(1 - reached[~bled[name], c].mean()) for name, c in columns.items()},
        auc_scan={name: auc(bled[name], peaks[:, c]) for name, c in columns.items()},
        auc_slice={name: auc(labels[:, c] > 0, scores[:, c]) for name, c in columns.items()},
    )  # fmt: skip
