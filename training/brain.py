"""The brain in its case: folded cortex, deep nuclei, ventricles, cisterns, falx, tentorium, cerebellum.

All functions work on flat arrays, one entry a voxel of the braincase. Coordinates are those of the undisturbed brain;
a bleed's mass effect is a displacement of these coordinates, so ventricles and midline follow without further words.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .anatomy import Traits
from .fields import Field, Noise, Points, blend, capsule, ellipsoid, soft

Point = tuple[float, float, float]

_VENTRICLE: tuple[tuple[Point, Point, float, float], ...] = (
    ((10, -35, 2), (11, -20, 10), 3.0, 5.0),  # frontal horn
    ((11, -20, 10), (13, 2, 20), 5.0, 4.5),
    ((13, 2, 20), (19, 22, 17), 4.5, 5.5),  # body
    ((19, 22, 17), (26, 36, 7), 5.5, 7.0),  # atrium
    ((26, 36, 7), (24, 56, 4), 6.0, 2.0),  # occipital horn
    ((26, 36, 5), (34, 14, -16), 4.5, 2.0),  # temporal horn
    ((34, 14, -16), (31, -6, -24), 2.0, 1.5),
)


@dataclass(frozen=True)
class Brain:
    """HU of the braincase's voxels, and the spaces that blood can enter, as fractions of each voxel."""

    hu: Field
    ventricles: Field
    subarachnoid: Field
    tissue: Field


def tentorium_height(x: Field, y: Field) -> Field:
    """Return the height (mm) of the tent over the cerebellum."""
    return (2 - 0.36 * np.abs(x) - 0.006 * x**2 * 0.3 - 0.28 * np.maximum(y - 22, 0)).astype(np.float32)


def make_brain(at: Points, depth: Field, traits: Traits, rng: np.random.Generator) -> Brain:
    """Build the brain.

    Parameters
    ----------
    at : Points, (n,) arrays
        After asymmetry and mass effect.
    depth : (n,) array
        Depth below the inner skull in mm, counted from the surface a collection of blood has pushed in.
    """
    x, y, z = at
    ax = np.abs(x)
    white, grey, csf = traits.white_hu, traits.grey_hu, traits.csf_hu
    folds, ripple, texture = Noise(rng, 21), Noise(rng, 30), Noise(rng, 14)
    gap = 1.0 + 0.9 * traits.sulcus_mm

    below = soft(tentorium_height(x, y) - z, 1.5) * soft(np.maximum(y - 14 - 0.40 * ax, -9), 2)
    stem = np.maximum(
        capsule(x, y, z, ((0, 9, -12), (0, 8, -24)), (13.5, 13)),
        np.maximum(
            capsule(x, y, z, ((0, 9, -32), (0, 14, -44)), (14, 12)),
            capsule(x, y, z, ((0, 18, -50), (0, 36, -80)), (9, 7)),
        ),
    )

    # Sulci run inwards from the surface: the folding field is read near the surface, whatever the depth.
    radius = np.sqrt(x**2 + y**2 + (z + 4) ** 2) + 1
    out = (np.maximum(radius, 1) + np.maximum(depth, 0) * 0.8) / radius
    wander = 1.5 * ripple.at(x, y, z)
    sulcus = folds.distance(x * out + wander, y * out, (z + 4) * out - wander)
    mid = midline(x, y, z)
    medial = ax - 0.6 * gap  # cortex also lines the great fissure
    sulcus_mm = 19 + 4 * ripple.at(z, x, y)
    into = np.minimum(depth - gap, np.where(mid > 0, np.maximum(medial, -2), 99))
    width = traits.sulcus_mm * np.clip(1.25 - into / sulcus_mm, 0, 1)
    open_sulcus = np.where(into < sulcus_mm, 0.5 * width - sulcus, -9)
    insula, sylvian = _sylvian(ax, y + 1.5 * wander, z, traits)
    fissures = np.maximum(insula, sylvian)
    rim = np.minimum(np.where(into < sulcus_mm, sulcus - 0.5 * width, sulcus_mm / 3), into)
    ribbon = 3.4 - np.minimum(rim, -fissures)

    hu = np.full(x.shape, white, np.float32) + 0.8 * texture.at(x, y, z)
    hu = blend(hu, grey, soft(ribbon, 2))
    for centre, radii, value in _nuclei():
        hu = blend(hu, value + grey - 38, soft(ellipsoid(ax, y, z, centre, radii), 2))
    folia = np.sin((z + 0.35 * y) * 1.3 + wander)
    cerebellum = grey - 2 + 2.0 * folia - 5 * soft(ellipsoid(ax, y, z, (16, 42, -38), (15, 13, 10)), 8)
    hu = blend(hu, cerebellum.astype(np.float32), below)
    hu = blend(hu, white + 3, soft(stem))

    cistern = _cisterns(x, y, z, stem, traits)
    surface = soft(gap * np.where(below > 0.5, 0.9, 1) - depth, 1.5)
    fissure = soft(0.6 * gap - ax, 1.5) * soft(np.minimum(mid, 4))
    cortex = (1 - below) * (1 - soft(stem + 4, 3))
    space = np.maximum.reduce(
        [
            surface,
            fissure * (1 - soft(stem + 2)),
            soft(open_sulcus, 1.2) * cortex,
            soft(fissures, 1.2) * cortex,
            cistern,
        ]
    )
    ventricles = _ventricles(x, y, z, traits)
    space = np.minimum(space, 1 - ventricles)
    hu = blend(hu, csf, space)
    hu = blend(hu, csf + 3, ventricles)
    hu = _dura(hu, at, depth, traits, rng)
    return Brain(hu, ventricles, space.astype(np.float32), (1 - np.maximum(space, ventricles)).astype(np.float32))


def midline(x: Field, y: Field, z: Field) -> Field:
    """Return how far (mm) a point near the midline lies off the corpus callosum: there the great fissure runs."""
    callosum = np.sqrt((np.maximum(np.abs(y + 2) - 22, 0)) ** 2 + (np.maximum(np.abs(z - 6), 0)) ** 2)
    reach = callosum - 17 - 5 * (y > 30)
    return np.where((z > -24) & ((y < 20) | (z > -2)), reach, -1).astype(np.float32)


def _sylvian(ax: Field, y: Field, z: Field, traits: Traits) -> tuple[Field, Field]:
    half = 0.5 + 0.55 * traits.sulcus_mm
    island = np.abs(ax - 40 + 0.010 * (y + 4) ** 2 * 0.8 + 0.006 * (z - 3) ** 2)
    insula = np.minimum(half - island, np.minimum(21 - np.abs(y + 4), 15 - np.abs(z - 2)))
    lid = np.abs(z - 1 - 0.9 * (y + 6)) * 0.74
    sylvian = np.minimum(half * 1.1 - lid, np.minimum(ax - 37, 20 - np.abs(y + 4)))
    return insula.astype(np.float32), sylvian.astype(np.float32)


def _nuclei() -> tuple[tuple[Point, Point, float], ...]:
    return (
        ((13.5, -22, 5), (6, 9, 10), 38),  # head of the caudate
        ((17, -4, 19), (3, 16, 4), 37),  # its body
        ((26, -4, 1), (6.5, 17, 11), 37.5),  # lentiform nucleus
        ((19.5, 1, -1), (4.5, 9, 7), 35),  # pallidum
        ((11, 13, 5), (9, 14, 10), 36.5),  # thalamus
    )


def _cisterns(x: Field, y: Field, z: Field, stem: Field, traits: Traits) -> Field:
    ax = np.abs(x)
    width = 1.8 + 1.2 * traits.sulcus_mm
    ring = np.minimum(width / 2 - np.abs(stem + width / 2), np.minimum(9 - np.abs(z + 20), y - 1))
    star = ellipsoid(x, y, z, (0, -15, -29), (12, 9, 6))
    arms = np.maximum(
        capsule(ax, y, z, ((6, -20, -28), (34, -24, -20)), (2.4, 2.6)),
        np.maximum(
            capsule(ax, y, z, ((0, -20, -27), (0, -40, -22)), (2.5, 2)),
            capsule(ax, y, z, ((6, -10, -28), (15, 4, -25)), (2.5, 2)),
        ),
    )
    pons = np.minimum(np.minimum(width / 2 - np.abs(stem + width / 2), -2 - y + 6), 14 - np.abs(z + 40))
    quad = ellipsoid(x, y, z, (0, 26, -9), (11, 4.5, 5))
    magna = ellipsoid(x, y, z, (0, 62, -54), (11, 7, 8))
    return soft(np.maximum.reduce([ring, star, arms, pons, quad, magna]).astype(np.float32), 1.5)


def _ventricles(x: Field, y: Field, z: Field, traits: Traits) -> Field:
    grow, ax = traits.ventricle, np.abs(x)
    inside = np.full(x.shape, -99, np.float32)
    near = np.flatnonzero((ax < 48) & (np.abs(y - 10) < 62) & (np.abs(z) < 38))
    px, py, pz = ax[near], y[near], z[near]
    best = inside[near]
    for start, end, r0, r1 in _VENTRICLE:
        best = np.maximum(best, capsule(px, py, pz, (start, end), (r0 * grow, r1 * grow)))
    septum = np.where(py < 12, px - 0.9, 9.0)
    best = np.minimum(best, septum)
    third = ellipsoid(px, py, pz, (0, 4, -5), (1.7 * grow + 0.4, 15, 10))
    fourth = ellipsoid(px, py, pz, (0, 31, -37), (6.5 * grow, 5 * grow, 9))
    aqueduct = capsule(px, py, pz, ((0, 18, -12), (0, 28, -30)), (1.0, 1.2))
    inside[near] = np.maximum.reduce([best, third * 0.9, fourth, aqueduct])
    return soft(inside, 1.2)


def _dura(hu: Field, at: Points, depth: Field, traits: Traits, rng: np.random.Generator) -> Field:
    x, y, z = at
    ax = np.abs(x)
    reach = midline(x, y, z)
    falx = soft(0.75 - ax, 1.0) * soft(np.minimum(reach - 4, np.where(y < 0, 34 - depth, 60 - depth) / 2))
    hu = blend(hu, 52, falx)
    sinus = (
        soft(5.5 - 0.9 * ax - depth, 1.5) * soft((z + 12) + np.where(y < 30, -8, 0)) * soft(np.maximum(reach, 0) - 1)
    )
    hu = blend(hu, 50, sinus)
    sheet = np.abs(z - tentorium_height(x, y)) * 0.85
    tent = soft(0.8 - sheet, 1.0) * soft(np.minimum(y - 16 - 0.4 * ax, np.hypot(ax, (y - 12) * 0.8) - 18))
    hu = blend(hu, 50, tent * (y > 10))
    transverse = soft(4.5 - sheet - np.maximum(depth - 1, 0), 1.5) * (y > 35)
    hu = blend(hu, 50, transverse)
    plexus, pineal, ossified = traits.calcified
    if plexus:
        for side in (-1, 1):
            spot = ellipsoid(x, y, z, (side * rng.uniform(23, 26), rng.uniform(36, 40), rng.uniform(5, 9)), (2.4, 4, 3))
            hu = blend(hu, float(rng.uniform(110, 190)), soft(spot))
    if pineal:
        hu = blend(hu, 120, soft(ellipsoid(x, y, z, (0, 24, -3), (2, 2.6, 2.2))))
    if ossified:
        hu = blend(hu, 250, soft(ellipsoid(x, y, z, (0.5, -48, 34), (1.6, 6, 7))))
    return hu.astype(np.float32)
