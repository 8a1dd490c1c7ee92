"""A synthetic non-contrast head CT whose truth is known to the voxel. A phantom is not a patient.

Its brain is bent from a published average, the rest is drawn, and all of it follows from the seed: the same seed is the
same head, whatever protocol scans it. It serves tests of the whole chain, the demonstration, and training; a detector's
figures on it say nothing about patients.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ichnode.core.findings import CLASSES

from .acquisition import Protocol, enlarge, expose, sample
from .anatomy import Grid, Traits
from .fields import Field
from .head import build
from .lesions import SUBTYPES, Lesion, combination, draw
from .mimics import MIMICS

SEEN = 0.4
"""Share of a pixel that blood has to fill to count as seen."""
SMALLEST_SEEN_MM2 = 4.0


@dataclass(frozen=True)
class Phantom:
    """A scanned head.

    Attributes
    ----------
    hu : (slices, rows, columns) int16
        Hounsfield units, from the lowest slice up.
    labels : (slices, 6) uint8
        Columns as `ichnode.core.findings.CLASSES`; 1 exactly where a mask has a pixel in that slice.
    masks : dict of subtype to (slices, rows, columns) bool
        Only the subtypes that were asked for.
    volumes_ml : dict of subtype to float
        Blood in the head, before scanning.
    positions_mm : (slices, 3)
        ImagePositionPatient.
    """

    hu: npt.NDArray[np.int16]
    labels: npt.NDArray[np.uint8]
    masks: dict[str, npt.NDArray[np.bool_]]
    volumes_ml: dict[str, float]
    lesions: tuple[Lesion, ...]
    positions_mm: npt.NDArray[np.float64]
    protocol: Protocol
    traits: Traits
    seed: int

    @property
    def pixel_spacing_mm(self) -> tuple[float, float]:
        """Distance between rows, and between columns."""
        return (self.protocol.pixel_mm, self.protocol.pixel_mm)


def make_head(
    seed: int,
    lesions: Sequence[str] | None = None,
    *,
    slices: int = 32,
    thickness_mm: float = 5.0,
    spacing_mm: float | None = None,
    matrix: int = 512,
    tilt_deg: float = 0.0,
    sheared: bool = True,
    kernel: str = "soft",
    noise_hu: float | None = None,
    volumes_ml: Mapping[str, float] | None = None,
    densities_hu: Mapping[str, float] | None = None,
    mimics: Sequence[str] | None = None,
) -> Phantom:
    """Make a head and scan it.

    Parameters
    ----------
    seed : int
        Decides the head, its bleeds and the noise.
    lesions : sequence of str, optional
        Subtypes of `CLASSES` (without "any"); empty for none; None lets the seed decide: half of the heads have none.
    slices, thickness_mm, spacing_mm, matrix, tilt_deg, sheared, kernel
        The protocol, see `Protocol`; `spacing_mm` defaults to the thickness, `kernel` is "soft" or "bone".
    noise_hu : float, optional
        Standard deviation of the noise at 5 mm; drawn from 3 to 5 by default.
    volumes_ml : mapping of subtype to float, optional
        Volumes that are to be made instead of drawn.
    densities_hu : mapping of subtype to float, optional
        Mean densities that are to be made instead of drawn.

    mimics : sequence of str, optional
        Of `ichnode_training.mimics.MIMICS`: dense or dark without being a fresh bleed. None lets the seed decide.

    Raises
    ------
    ValueError
        For a subtype, mimic or kernel that does not exist.
    """
    if kernel not in ("soft", "bone"):
        raise ValueError(f"kernel is soft or bone, not {kernel!r}")
    anatomy_rng, lesion_rng, scan_rng = (np.random.default_rng([seed, part]) for part in range(3))
    if lesions is None:
        with_blood = lesion_rng.random() < 0.5
        lesions = combination(lesion_rng) if with_blood else ()
    if unknown := set(lesions) - set(SUBTYPES):
        raise ValueError(f"no such subtype of haemorrhage: {', '.join(sorted(unknown))}")
    if unknown := set(mimics or ()) - set(MIMICS):
        raise ValueError(f"no such mimic: {', '.join(sorted(unknown))}")
    pixel = scan_rng.uniform(0.43, 0.52)
    protocol = Protocol(
        slices=slices, thickness_mm=thickness_mm, spacing_mm=spacing_mm or thickness_mm, matrix=matrix,
        pixel_mm=round(pixel * 512 / matrix, 4), tilt_deg=tilt_deg, sheared=sheared, kernel=kernel,
        noise_hu=scan_rng.uniform(3, 5) if noise_hu is None else noise_hu, yaw_deg=scan_rng.normal(0, 2.5),
        roll_deg=scan_rng.normal(0, 2), offset_mm=(scan_rng.normal(0, 3), scan_rng.normal(0, 4)),
    )  # fmt: skip
    drawn = tuple(draw(lesion_rng, name, volumes_ml or {}, densities_hu or {}) for name in SUBTYPES if name in lesions)
    deeper_mm = 110 * abs(float(np.sin(np.radians(tilt_deg))))  # where tilted slices reach
    grid = Grid.make(float(np.clip(240 / matrix, 1.0, 2.0)), deeper_mm)
    head = build(grid, drawn, mimics, anatomy_rng, lesion_rng)

    raster = min(matrix, 256)
    slabs = sample(head.hu, head.grid, protocol, raster, -1000.0)
    image = _with_holder(expose(slabs, protocol, scan_rng), protocol)
    masks = {
        name: _seen(sample(blood, head.grid, protocol, raster, 0.0), protocol) for name, blood in head.blood.items()
    }
    labels = np.zeros((slices, len(CLASSES)), np.uint8)
    for name, mask in masks.items():
        labels[:, CLASSES.index(name)] = mask.any((1, 2))
    labels[:, 0] = labels[:, 1:].max(1)
    return Phantom(
        hu=np.clip(np.rint(image), -1024, 3071).astype(np.int16), labels=labels, masks=masks,
        volumes_ml={name: float(blood.sum()) * head.grid.voxel_ml for name, blood in head.blood.items()},
        lesions=drawn, positions_mm=protocol.positions(), protocol=protocol, traits=head.traits, seed=seed,
    )  # fmt: skip


def _seen(share: Field, protocol: Protocol) -> npt.NDArray[np.bool_]:
    mask: npt.NDArray[np.bool_] = enlarge(share, protocol.matrix) >= SEEN
    area = mask.sum((1, 2)) * protocol.pixel_mm**2
    mask[area < SMALLEST_SEEN_MM2] = False
    return mask


def _with_holder(image: Field, protocol: Protocol) -> Field:
    """Lay the head rest behind the head: a shallow trough, air-like foam in a thin shell."""
    half = protocol.matrix / 2
    along = (np.arange(protocol.matrix, dtype=np.float32) - half + 0.5) * protocol.pixel_mm
    ring = np.hypot(along[None], along[:, None] + 22) - 128
    below = (along[:, None] > 20) & (np.abs(along[None]) < 105)
    image = np.where((np.abs(ring) < 1.3) & below & (image < -700), image + 650, image)
    return np.where(beyond_field(protocol.matrix), np.float32(-1024), image)


def beyond_field(matrix: int) -> npt.NDArray[np.bool_]:
    """Return which pixels of a slice lie outside the circle that a scanner reconstructs."""
    along = np.arange(matrix) - (matrix - 1) / 2
    return np.asarray(np.hypot(along[None], along[:, None]) > matrix / 2)
