"""Bleeds with known volume: where they lie, how they are shaped, how bright they are, what they push aside.

Volumes and Hounsfield units are drawn from percentiles of 1,873 lesions of the BHSD data set in 192 scans, measured on
the tables that accompany DIDSR's framework for synthetic intracranial haemorrhage (CC0). The shapes follow the rules
radiologists use: a lens between dura and bone, a crescent over the convexity, a lobulated clot with oedema around it, a
level in the hind part of the ventricles, blood in sulci and cisterns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from .fields import Field, Noise, Points, ellipsoid, soft

PERCENTILES = (1, 5, 10, 25, 50, 75, 90, 95, 99)
STATISTICS: dict[str, tuple[tuple[float, ...], tuple[float, ...], tuple[int, int]]] = {
    # volume in mL, mean HU, lesions of this kind in one scan (fewest, most)
    "intraparenchymal": (
        (0.03, 0.05, 0.08, 0.22, 1.24, 7.5, 34, 56, 102), (29, 34, 37, 42, 48, 54, 58, 60, 66), (1, 2),
    ),
    "intraventricular": (
        (0.03, 0.05, 0.08, 0.16, 0.54, 2.0, 6.5, 12.7, 48), (22, 26, 30, 34, 40, 45, 51, 54, 62), (1, 4),
    ),
    "subarachnoid": (
        (0.01, 0.02, 0.04, 0.08, 0.18, 0.47, 1.4, 2.6, 12.3), (26, 32, 34, 39, 43, 49, 54, 57, 65), (3, 15),
    ),
    "subdural": (
        (0.02, 0.03, 0.06, 0.16, 0.54, 2.5, 14.4, 42, 85), (18, 29, 36, 44, 51, 58, 64, 68, 75), (1, 4),
    ),
    "epidural": (
        (0.07, 0.10, 0.14, 0.50, 3.9, 11.2, 19.9, 37, 106), (37, 39, 42, 51, 57, 62, 66, 68, 76), (1, 1),
    ),
}  # fmt: skip
SUBTYPES = tuple(STATISTICS)
COMBINATIONS: dict[tuple[str, ...], int] = {
    ("intraparenchymal", "intraventricular", "subarachnoid"): 28, ("intraparenchymal", "intraventricular"): 27,
    ("intraparenchymal", "subarachnoid", "subdural"): 17, ("intraparenchymal", "subarachnoid"): 14,
    ("intraparenchymal", "intraventricular", "subarachnoid", "subdural"): 13, ("intraparenchymal",): 11,
    ("epidural",): 11, ("subdural",): 10, ("intraventricular",): 9, ("subarachnoid",): 9,
    ("intraventricular", "subarachnoid", "subdural"): 9, ("intraventricular", "subarachnoid"): 8,
    ("intraparenchymal", "intraventricular", "subdural"): 6, ("intraparenchymal", "subdural"): 4,
}  # fmt: skip
"""What bleeds together, and in how many of the 192 scans; rarer combinations are left out."""
SMALLEST_ML = 0.5
"""No subtype is drawn smaller than this: a reader would not see it on 5 mm slices."""

DILUTION_HU = {
    "intraparenchymal": 3.5, "intraventricular": 3.5, "subarachnoid": 10.0, "subdural": 0.0, "epidural": 0.0,
}  # fmt: skip
"""How much denser the blood itself is than the mean over its mask in an image, where its pixels are shared with CSF and
brain; the table above holds such means. Extra-axial blood shares its pixels with bone, which makes up for it."""

_SITES: tuple[tuple[tuple[float, float, float], float], ...] = (
    ((27, -2, 3), 4), ((13, 18, 8), 2), ((34, -36, 22), 2), ((38, 46, 38), 2), ((48, 18, -14), 1.5), ((28, 76, 8), 1),
    ((24, 62, -36), 1), ((2, 25, -30), 0.4),
)  # fmt: skip
"""Putamen, thalamus, frontal, parietal, temporal and occipital lobe, cerebellum, pons; and how often."""
CENTRE: tuple[float, float, float] = (0.0, 16.0, 6.0)
"""Middle of the braincase."""


@dataclass(frozen=True)
class Lesion:
    """One bleed: its subtype, the volume asked for (mL) and its density (HU)."""

    subtype: str
    volume_ml: float
    hu: float


def combination(rng: np.random.Generator) -> tuple[str, ...]:
    """Draw what bleeds together in one scan, as often as it was counted."""
    counts = np.array(list(COMBINATIONS.values()))
    return list(COMBINATIONS)[int(rng.choice(len(counts), p=counts / counts.sum()))]


def density_at(subtype: str, percentile: float) -> float:
    """Return the mean density (HU) that this share of the measured bleeds of a subtype stays below."""
    return float(np.interp(percentile, PERCENTILES, STATISTICS[subtype][1]))


def draw(
    rng: np.random.Generator, subtype: str, volumes_ml: Mapping[str, float], densities_hu: Mapping[str, float]
) -> Lesion:
    """Draw volume and density of all blood of one subtype in one scan; what is given stands."""
    volumes, _, (fewest, most) = STATISTICS[subtype]
    count = int(rng.integers(fewest, most + 1))
    ranks = rng.uniform(PERCENTILES[0], PERCENTILES[-1], count)
    total = float(np.exp(np.interp(ranks, PERCENTILES, np.log(volumes))).sum())
    # Larger bleeds are denser in the same tables: partial volume takes its share of small ones.
    rank = float(np.clip(rng.normal(60, 17), 15, PERCENTILES[-1]))
    hu = densities_hu.get(subtype, density_at(subtype, rank))
    return Lesion(subtype, volumes_ml.get(subtype, max(total, SMALLEST_ML)), hu)


def grow(level: Field, room: Field, voxels: float, width: float) -> Field:
    """Cut a field at the level that encloses a volume.

    Parameters
    ----------
    level : (n,) array
        High where blood lies first.
    room : (n,) array
        The share of each voxel that blood can fill, 0..1.
    voxels : float
        The volume, in voxels.
    width : float
        Width of the soft edge, in units of `level`.

    Returns
    -------
    fraction : (n,) array
        The share of each voxel that is blood.
    """
    keep = np.flatnonzero(room > 0.01)
    inside, space = level[keep], room[keep]
    low, high = float(inside.min()) - width, float(inside.max()) + width
    for _ in range(24):
        threshold = (low + high) / 2
        if float((soft(inside - threshold, width) * space).sum()) > voxels:
            low = threshold
        else:
            high = threshold
    fraction = np.zeros(level.shape, np.float32)
    fraction[keep] = soft(inside - high, width) * space
    return fraction


@dataclass(frozen=True)
class Case:
    """The voxels of the braincase before any bleed, as flat arrays.

    Attributes
    ----------
    at : Points
        Where they lie.
    depth, vault : (n,) arrays
        Depth (mm) below the inner skull, and below that of the vault alone.
    index : (n,) array of int
        Their places in the flattened grid of shape `shape`, with voxels of `step_mm` along z, y, x.
    """

    at: Points
    depth: Field
    vault: Field
    index: npt.NDArray[np.intp]
    shape: tuple[int, ...]
    step_mm: tuple[float, float, float]

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in mL."""
        return float(np.prod(self.step_mm)) / 1000


@dataclass(frozen=True)
class Spread:
    """Blood of one subtype: its fraction of each voxel, and where it came to lie."""

    lesion: Lesion
    fraction: Field
    oedema: Field | None = None
    fresh: bool = True
    """False for a chronic collection, which is no haemorrhage to find."""


def _triple(values: Field) -> tuple[float, float, float]:
    first, second, third = (float(value) for value in values)
    return first, second, third


def clot(case: Case, lesion: Lesion, rng: np.random.Generator) -> tuple[Spread, tuple[float, float, float], float]:
    """Return an intraparenchymal clot with oedema, its centre, and the radius (mm) of a ball of its volume."""
    weights = np.array([weight for _, weight in _SITES])
    site, side = _SITES[int(rng.choice(len(_SITES), p=weights / weights.sum()))][0], rng.choice([-1, 1])
    centre = _triple(np.array(site) * (side, 1, 1) + rng.normal(0, 3, 3))
    radius = (lesion.volume_ml * 1000 * 3 / (4 * np.pi)) ** (1 / 3)
    lobes = []
    for _ in range(3):
        middle = np.array(centre) + rng.normal(0, 0.35 * radius, 3)
        axes = radius * np.array([rng.uniform(0.55, 0.85), rng.uniform(0.8, 1.3), rng.uniform(0.7, 1.0)])
        lobes.append(ellipsoid(*case.at, _triple(middle), _triple(axes), reach_mm=500))
    level = np.maximum.reduce(lobes) + 0.18 * radius * Noise(rng, max(0.9 * radius, 6)).at(*case.at)
    fraction = grow(level, soft(case.depth - 3, 2), lesion.volume_ml / case.voxel_ml, 1.5)
    solid = np.zeros(case.shape, bool)
    solid.reshape(-1)[case.index] = fraction > 0.5
    box = tuple(
        slice(max(s.start - int(14 / d), 0), s.stop + int(14 / d))
        for s, d in zip(ndimage.find_objects(solid.astype(np.uint8))[0], case.step_mm, strict=True)
    )
    away = np.full(case.shape, 99, np.float32)
    away[box] = ndimage.distance_transform_edt(~solid[box], case.step_mm)
    reach = rng.uniform(2, 4) + 0.22 * radius
    ring = np.clip(1.25 - away.reshape(-1)[case.index] / reach, 0, 1) * (1 - fraction)
    return Spread(lesion, fraction, ring.astype(np.float32)), centre, float(radius)


def collection(case: Case, lesion: Lesion, rng: np.random.Generator) -> tuple[Spread, Field]:
    """Return a lens (epidural) or crescent (subdural) of blood on the inner skull, and its thickness (mm) everywhere.

    The lens is thick enough to bulge into the brain; the crescent follows the skull, is longer from front to back than
    from top to bottom, and does not cross the midline.
    """
    (x, y, z), depth = case.at, case.depth
    y, z = y - CENTRE[1], z - CENTRE[2]
    epidural = lesion.subtype == "epidural"
    side = float(rng.choice([-1, 1]))
    tilt, turn = (rng.uniform(5, 40), rng.uniform(-35, 35)) if epidural else (rng.uniform(15, 50), rng.uniform(-35, 35))
    lift, around = np.radians(tilt), np.radians(turn)
    toward = np.array([side * np.cos(lift) * np.cos(around), np.cos(lift) * np.sin(around), np.sin(lift)])
    back = np.cross((0, 0, 1), toward)
    back /= np.linalg.norm(back)
    up = np.cross(toward, back)
    length = np.sqrt(x**2 + y**2 + z**2) + 1e-3
    cosine = np.clip((x * toward[0] + y * toward[1] + z * toward[2]) / length, -1, 1)
    angle = np.arccos(cosine)
    across = (x * back[0] + y * back[1] + z * back[2]) / length
    above = (x * up[0] + y * up[1] + z * up[2]) / length
    unit = angle / np.maximum(np.hypot(across, above), 1e-3) * 72
    volume = lesion.volume_ml * 1000
    if epidural:
        bulge = rng.uniform(2.0, 2.8)
        reach = (280 * volume / (np.pi * bulge)) ** 0.25
        thick = bulge * reach**2 / 140
        run = np.hypot(across, above) * unit / reach
        profile = np.clip(1 - run**2, 0, None)
    else:
        thick = float(np.clip(2.1 * lesion.volume_ml ** (1 / 3), 2.2, 14))
        reach = (3 * volume / (2 * np.pi * thick)) ** 0.5
        run = np.hypot(across / 1.35, above * 1.35) * unit / reach
        profile = np.sqrt(np.clip(1 - run**2, 0, None)) * (0.9 + 0.15 * Noise(rng, 50).at(x, y, z))
    profile *= np.clip((x * side - 2) / 6, 0, 1) * np.clip((depth - case.vault + 4) / 4, 0, 1)
    low, high = 0.2, 4.0
    touched = np.flatnonzero((profile > 0) & (depth < 60))
    d, p = depth[touched], profile[touched]
    for _ in range(20):
        factor = (low + high) / 2
        made = float((soft(factor * thick * p - d, 1.2) * soft(d) * np.clip(2 * p * thick, 0, 1)).sum()) * case.voxel_ml
        low, high = (factor, high) if made < lesion.volume_ml else (low, factor)
    thickness = (factor * thick * profile).astype(np.float32)
    fraction = soft(thickness - depth, 1.2) * soft(depth) * np.clip(2 * profile * thick, 0, 1)
    return Spread(lesion, fraction.astype(np.float32)), thickness


def layering(case: Case, ventricles: Field, lesion: Lesion, rng: np.random.Generator) -> Spread:
    """Return blood that has sunk to the back of the ventricles of a patient who lies on the back."""
    x, y, z = case.at
    bias = 8 * rng.uniform(-1, 1) * np.sign(x)  # one side usually holds more
    hind = y + bias + 0.05 * z + 0.8 * Noise(rng, 15).at(x, y, z)
    voxels = min(lesion.volume_ml / case.voxel_ml, 0.85 * float(ventricles.sum()))
    fraction = grow(hind, np.where(ventricles > 0.15, ventricles, 0), voxels, 1.5)
    return Spread(lesion, fraction)


def seep(case: Case, space: Field, depth: Field, lesion: Lesion, rng: np.random.Generator) -> Spread:
    """Return blood under the arachnoid: in the basal cisterns and Sylvian fissures, or in sulci of one convexity.

    `depth` (mm) is counted from the surface that extra-axial blood has pushed in.
    """
    x, y, z = case.at
    side = float(rng.choice([-1, 1]))
    basal = rng.random() < 0.55
    if basal:
        near = np.sqrt((x / 1.6) ** 2 + ((y - 4) / 1.1) ** 2 + ((z + 18) * 1.3) ** 2)
        near = np.minimum(near, 8 + np.sqrt(((x - side * 42) / 1.2) ** 2 + ((y + 4) / 1.5) ** 2 + (z + 2) ** 2))
    else:
        seat = (side * rng.uniform(38, 58), rng.uniform(-30, 60), rng.uniform(15, 55))
        near = np.sqrt((x - seat[0]) ** 2 + (y - seat[1]) ** 2 + (z - seat[2]) ** 2)
    level = -near - 6 * Noise(rng, 18).at(x, y, z)
    room = np.where((space > 0.2) & (depth > 0.5), space, 0)
    fraction = grow(level, room, lesion.volume_ml / case.voxel_ml, 5.0)
    return Spread(lesion, fraction)
