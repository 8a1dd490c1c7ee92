"""What differs between heads, and the grid a head is made on.

Axes are the patient's (PS3.3 C.7.6.2.1.1): x to the left, y to the back, z to the top; the origin lies in the anterior
commissure. Hounsfield units from the MIDA and InSilicoICH tissue tables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from .fields import Field, Points, waves
from .mimics import draw_mimics

X_MM, Y_MM, Z_MM = (-94.0, 94.0), (-102.0, 120.0), (-80.0, 97.0)
CENTRE_MM = (0.0, 13.0, 11.0)
"""Where a scan is centred."""


@dataclass(frozen=True)
class Traits:
    """What differs from one head to the next; drawn once per seed."""

    scale: tuple[float, float, float]
    age: float
    """0 (young) to 1 (old): ventricles and sulci widen together, as atrophy does."""
    skull_mm: float
    scalp_mm: float
    ventricle_mm: float
    """How far the walls of the ventricles stand back from the template's."""
    sulcus: float
    """Share of tissue below which a voxel of the template counts as liquor."""
    white_hu: float
    grey_hu: float
    csf_hu: float
    sinus: tuple[float, float]
    """Size of the frontal sinus, right and left, 0 for none."""
    mimics: frozenset[str]
    """What it has of `ichnode_training.mimics.MIMICS`."""

    @classmethod
    def draw(cls, rng: np.random.Generator, mimics: Iterable[str] | None) -> Traits:
        """Draw a head; mimics that are given stand."""
        age, drawn = float(rng.beta(2, 2)), draw_mimics(rng)
        size = rng.normal(0.945, 0.025)
        return cls(
            scale=tuple(float(np.clip(size * rng.normal(1, 0.02), 0.86, 1.02)) for _ in range(3)),  # type: ignore[arg-type]
            age=age,
            skull_mm=float(rng.uniform(5.2, 7.8)),
            scalp_mm=float(rng.uniform(4.5, 7.5)),
            ventricle_mm=float(np.clip(-0.6 + 4.0 * age**1.5 + rng.normal(0, 0.5), -0.8, 4.2)),
            sulcus=float(np.clip(0.5 + 0.36 * age + rng.normal(0, 0.03), 0.45, 0.88)),
            white_hu=float(rng.normal(28.5, 0.7)),
            grey_hu=float(rng.normal(38, 0.8)),
            csf_hu=float(rng.uniform(4, 9)),
            sinus=(float(rng.uniform(0, 1.2)), float(rng.uniform(0, 1.2))),
            mimics=drawn if mimics is None else frozenset(mimics),
        )


@dataclass(frozen=True)
class Grid:
    """The head's own grid: coordinates (mm) of voxel centres, each broadcastable to (z, y, x)."""

    x: Field
    y: Field
    z: Field
    step_mm: tuple[float, float, float]
    """Voxel size along z, y, x."""

    @classmethod
    def make(cls, step_mm: float, deeper_mm: float = 0.0) -> Grid:
        """Cover a head with voxels of `step_mm` in plane and 1.5 times that along z; `deeper_mm` adds neck."""
        z_mm = (Z_MM[0] - deeper_mm, Z_MM[1])
        x, y, z = (
            np.arange(*span, step, dtype=np.float32)
            for span, step in ((X_MM, step_mm), (Y_MM, step_mm), (z_mm, 1.5 * step_mm))
        )
        return cls(x[None, None], y[None, :, None], z[:, None, None], (1.5 * step_mm, step_mm, step_mm))

    @property
    def axes(self) -> Points:
        """The three axes of coordinates."""
        return Points(self.x, self.y, self.z)

    def coarser(self) -> Grid:
        """Return a grid with voxels three times as large that covers this one."""

        def stretched(axis: Field) -> Field:
            flat = axis.reshape(-1)
            step = 3 * (flat[1] - flat[0])
            return np.asarray(
                (flat[0] + step * np.arange(-(-(len(flat) - 1) // 3) + 1)).reshape(
                    [-1 if n > 1 else 1 for n in axis.shape]
                ),
                np.float32,
            )

        a, b, c = self.step_mm
        return Grid(stretched(self.x), stretched(self.y), stretched(self.z), (3 * a, 3 * b, 3 * c))

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in mL."""
        return float(np.prod(self.step_mm)) / 1000


def posed(grid: Grid, traits: Traits, rng: np.random.Generator) -> Points:
    """Return where in the template each voxel lies: size, asymmetry of a few millimetres, a slight twist."""
    sx, sy, sz = traits.scale
    bend = 1 + 0.018 * waves(rng, grid.axes)
    twist = rng.normal(0, 0.015)
    return Points(
        (grid.x / sx * bend + twist * grid.y).astype(np.float32),
        (grid.y / sy * bend).astype(np.float32),
        (grid.z / sz * (2 - bend)).astype(np.float32),
    )


def wobbled(at: Points, depth: Field, own: Callable[[float], Field]) -> Points:
    """Return points moved a few millimetres, less at the skull and the falx: no two brains fold alike.

    `own` gives a smooth random field of a wavelength (mm) at the points.
    """
    loose = np.clip((depth + 2) / 14, 0, 1)
    x, y, z = (axis + loose * (2.6 * own(62) + 1.3 * own(30)) for axis in at)
    return Points(at.x + (x - at.x) * np.clip(np.abs(at.x) / 18, 0.1, 1), y, z)
