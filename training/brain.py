"""The brain in its case: grey and white matter, ventricles and sulci from the template; dura and vessels drawn.

All functions work on flat arrays, one entry a voxel of the braincase. Coordinates are those of the undisturbed brain;
a bleed's mass effect is a displacement of these coordinates, so ventricles and midline follow without further words.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .anatomy import Traits
from .fields import Field, Noise, Points, blend, capsule, soft
from .mimics import with_mimics
from .template import Template, ventricular


@dataclass(frozen=True)
class Brain:
    """HU of the braincase's voxels, and the spaces that blood can enter, as fractions of each voxel."""

    hu: Field
    ventricles: Field
    subarachnoid: Field
    tissue: Field


def tentorium_height(x: Field, y: Field) -> Field:
    """Return the height (mm) of the tent over the cerebellum."""
    return (2 - 0.26 * np.maximum(y - 42, 0) - 0.36 * np.abs(x)).astype(np.float32)


def falx_reach(y: Field, z: Field) -> Field:
    """Return how far (mm) a point of the median plane lies inside the falx: off the corpus callosum, over the tent."""
    callosum = np.hypot((y - 4) / 45, (z - 4) / 30)
    free = (callosum - 1) * 30 - 3 + 6 * np.clip((-y - 10) / 40, -1, 0)
    floor = np.where(y > 20, z - tentorium_height(np.zeros_like(y), y), z + 16)
    return np.minimum(free, floor).astype(np.float32)


def make_brain(
    at: Points, depth: Field, pressed: Field, template: Template, traits: Traits, own: Callable[[float], Field],
    rng: np.random.Generator,
) -> Brain:  # fmt: skip
    """Build the brain.

    Parameters
    ----------
    at : Points, (n,) arrays
        In the template, after asymmetry and mass effect.
    depth : (n,) array
        Depth below the inner skull in mm, counted from the surface a collection of blood has pushed in.
    pressed : (n,) array
        How thick (mm) that collection is over each point: under it the sulci are closed.
    own : callable
        Gives a smooth random field of a wavelength (mm) at the points.
    """
    folds = Noise(rng, 17)
    steps = _swelling(at, template, traits.ventricle_mm)
    inner = Points(at.x + steps.x * np.sign(at.x), at.y + steps.y, at.z + steps.z)
    grey, white = template.read(template.grey, inner), template.read(template.white, inner)
    tissue = grey + white
    hull = ventricular(inner)
    effaced = np.clip(pressed / 5, 0, 1)
    open_at = traits.sulcus - 0.3 * effaced + 0.05 * own(32) - 0.18 * np.clip((depth - 12) / 20, 0, 1)
    open_at = np.where(hull > 0, np.float32(0.5), open_at)
    matter = np.clip((tissue - open_at) * 3.2 + 0.5, 0, 1)
    # The average brain has lost its smaller folds: they are drawn near the surface, where it has no sulcus of its own.
    sulcal = folds.distance(at.x, at.y, at.z)
    gap = (0.15 + 1.1 * traits.age) * (1 - effaced) * np.clip(1.3 - depth / 13, 0, 1)
    cortical = soft(at.z - tentorium_height(at.x, at.y) - 4, 4) * (hull < -3)
    matter = matter * (1 - 0.75 * soft(gap - sulcal, 1.0) * cortical * soft(depth - 1, 2))
    reach = falx_reach(at.y, at.z)
    fissure = soft(0.7 + 0.9 * traits.age - np.abs(at.x), 1.6) * soft(reach + 5, 4) * (hull < -2)
    matter = matter * (1 - fissure)
    matter = matter * soft(depth - (0.4 + 1.6 * traits.age) * (1 - 0.8 * effaced), 1.6)

    share = np.clip((grey / np.maximum(tissue, 0.05) - 0.5) * 1.5 + 0.5, 0, 1)
    rim = soft(3.6 - np.minimum(sulcal + 6 * np.clip(depth / 13 - 0.8, 0, 9), 99), 2) * cortical
    share = np.maximum(share, 0.8 * rim * (depth < 22))
    hu = np.float32(traits.white_hu) + (traits.grey_hu - traits.white_hu) * share + 0.7 * own(14)
    hindbrain = soft(tentorium_height(at.x, at.y) - at.z, 4) * soft(at.y - 30, 6)
    hu = hu - 2.0 * hindbrain * share
    inside = soft(hull + 0.5, 2.5) * soft(depth - 14, 4)
    fluid = 1 - matter
    ventricles = fluid * inside
    subarachnoid = fluid * (1 - inside)
    hu = blend(hu, traits.csf_hu + 2, subarachnoid)
    hu = blend(hu, traits.csf_hu + 4, ventricles)
    hu = _dura(hu, at, depth, reach, 66 if "dense-sinus" in traits.mimics else 51)
    hu = with_mimics(hu, at, depth, traits.mimics, rng)
    return Brain(hu, ventricles.astype(np.float32), subarachnoid.astype(np.float32), matter.astype(np.float32))


def _swelling(at: Points, template: Template, by_mm: float) -> Points:
    """Return how far (mm) towards the ventricles the tissue of each point lies when they have not grown yet."""
    near = np.flatnonzero((np.abs(at.x) < 60) & (np.abs(at.y - 18) < 82) & (np.abs(at.z + 2) < 58))
    close = Points(*(axis[near] for axis in at))
    steps = []
    for part in template.swelling:
        step = np.zeros(at.x.shape, np.float32)
        step[near] = np.float32(by_mm) * template.read(part, close)
        steps.append(step)
    return Points(*steps)


def _dura(hu: Field, at: Points, depth: Field, reach: Field, sinus_hu: float) -> Field:
    x, y, z = at
    ax = np.abs(x)
    hu = blend(hu, 52, soft(0.8 - ax, 1.2) * soft(reach, 3))  # falx
    sagittal = soft(5.0 - 0.75 * ax - depth, 1.5) * soft(reach - 4) * soft(z + 10 + 0.9 * np.minimum(y + 40, 0) * -1)
    hu = blend(hu, sinus_hu, sagittal * (y > -66))
    sheet = np.abs(z - tentorium_height(x, y)) * 0.9
    notch = np.hypot(ax / 16, (y - 28) / 18) - 1
    tent = soft(0.7 - sheet, 1.2) * soft(notch * 16, 2) * (y > 22)
    hu = blend(hu, 47, 0.8 * tent)
    straight = capsule(ax, y, z, ((0, 44, 2), (0, 94, -12)), (2, 2.6))
    hu = blend(hu, sinus_hu, soft(straight, 2))
    transverse = soft(4.2 - np.hypot(z - tentorium_height(x, y) + 2, np.maximum(depth - 1.5, 0)), 1.5) * soft(y - 46, 4)
    hu = blend(hu, sinus_hu, transverse)
    sigmoid = np.minimum(capsule(ax, y, z, ((56, 48, -28), (44, 42, -60)), (4, 4)), 5 - depth)
    hu = blend(hu, sinus_hu, soft(sigmoid))
    arteries = np.maximum.reduce(
        [
            capsule(x, y, z, ((0.6, 11, -32), (0, 12, -20)), (1.7, 1.7)),  # basilar
            capsule(ax, y, z, ((9, -2, -26), (11, -6, -18)), (2, 2)),  # internal carotid
            capsule(ax, y, z, ((11, -6, -17), (34, -4, -14)), (1.5, 1.3)),  # middle cerebral
        ]
    )
    hu = blend(hu, 44, soft(arteries, 1.2))
    return hu.astype(np.float32)
