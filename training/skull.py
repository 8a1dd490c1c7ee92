"""A head without its brain: skull, skull base, air spaces, scalp and neck, laid around the template's braincase."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .anatomy import Traits
from .face import face
from .fields import Field, Points, blend, bump, capsule, ellipsoid, soft

WATER = 8.0


def crests(at: Points) -> Field:
    """Return the depth (mm) inside bone that rises into the braincase: pyramids, clivus, lesser wings, crista galli."""
    x, y, z = np.abs(at.x), at.y, at.z
    return np.maximum.reduce(
        [
            capsule(x, y, z, ((12, 19, -41), (50, 36, -40)), (5.5, 9)),
            capsule(x, y, z, ((0, 6, -33), (0, 27, -62)), (4, 4)) - 0.25 * np.maximum(x - 5, 0),
            capsule(x, y, z, ((0, 7, -30), (8, 7, -30)), (1.6, 1.6)),  # dorsum sellae
            capsule(x, y, z, ((11, -10, -28), (42, -16, -22)), (2.2, 1.5)),  # lesser wings
            capsule(x, y, z, ((0, -58, -28), (0, -58, -18)), (1.8, 1.2)),  # crista galli
        ]
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Outline:
    """Depths (mm) at points, negative outside.

    Attributes
    ----------
    cavity, rising : (n,) arrays
        Inside the braincase, and inside the bone that rises into it (`crests`).
    hull, vault : (n,) arrays
        Inside the braincase's convex outline, and inside its outline as seen from above.
    """

    cavity: Field
    rising: Field
    hull: Field
    vault: Field


def shell_hu(at: Points, outline: Outline, traits: Traits, own: Callable[[float], Field]) -> Field:
    """Return everything but the brain in HU, at flat arrays of points; the braincase is filled with water.

    `own` gives a smooth random field of a wavelength (mm) at the points.
    """
    cavity, rising, vault = outline.cavity, outline.rising, outline.vault
    x, y, z = at
    ax = np.abs(x)
    coarse, grain, fine = own(60), own(9), own(5)
    temple = bump(y, z, (-4, -14), (30, 26)) * np.clip((ax - 40) / 18, 0, 1)
    forehead, occiput = bump(x, z, (0, -8), (34, 24)) * (y < 0), bump(x, z, (0, -18), (26, 16)) * (y > 60)
    bone_mm = traits.skull_mm * (1 + 0.1 * coarse - 0.5 * temple + 0.5 * forehead + 0.35 * occiput)
    for side, size in zip((-1, 1), traits.sinus, strict=True):
        bone_mm = bone_mm + 7 * size * bump(side * x, z, (12, -12 + 4 * size), (11, 11)) * (y < -40)
    low = np.clip((-14 - z) / 26, 0, 1)
    behind = np.clip((y + 12) / 70, 0, 1)
    # Behind, the skin follows the skull down to the neck's muscles; the cheeks draw in below the arches.
    spare = 26 * np.clip((-30 - z) / 34, 0, 1) + 60 * (1 - behind) ** 2
    outer = cavity + np.clip((y - 8) / 30, 0, 1) * np.maximum(outline.hull - cavity, 0)  # grooves are inside only
    outside = np.maximum(-vault, -outer - spare) + 0.4 * np.maximum(-46 - z, 0) * (1 - behind)
    skin = bone_mm + traits.scalp_mm * (1 + 0.12 * coarse) + 8 * temple + 4 * low * (1 - behind)
    profile = face(at, skin - outside, traits)
    inside = np.maximum(skin - outside, profile.depth)

    hu = np.full(cavity.shape, -1000, np.float32)
    hu = blend(hu, 40, soft(inside))  # skin
    hu = blend(hu, -98 + 10 * grain, soft(inside - 2))  # fat
    galea = soft(0.8 - np.abs(inside - 3.6)) * (z > -10)
    hu = blend(hu, 30, 0.6 * galea)
    layers = np.maximum(soft((temple - 0.2) * 16, 4), soft(-30 - z, 10) * soft(y + 10, 10))
    muscle = soft(inside - 4.5 + 1.2 * coarse) * layers
    fascia = soft(0.9 - np.abs(own(26)) * 9, 1)
    hu = blend(hu, blend(56 + 4 * fine, -70, fascia), muscle)  # temporal muscle, muscles of the neck
    hu = profile.laid(hu, inside, grain, fine)

    under = np.clip((vault - cavity) / 5, 0, 1)  # bone of the base
    thick = bone_mm * (1 - 0.35 * under) + 1.5 * under * coarse
    bone = np.minimum(thick + outer, inside - 2.5)
    core = np.minimum(-cavity, bone)
    bone = np.maximum(bone, np.minimum(rising + 1, inside - 4))
    body = ellipsoid(x, y, z, (0, -8, -42), (24, 24, 12))  # of the sphenoid
    block = np.maximum(capsule(ax, y, z, ((12, 19, -46), (54, 36, -44)), (9, 12)), body)
    bone = np.maximum(bone, np.minimum(block, inside - 5))
    core = np.maximum(core, np.minimum(rising, 3))
    diploe = np.clip(560 + 150 * fine + 60 * coarse, 250, 900)
    texture = blend(np.clip(1180 + 60 * grain, 900, 1400), diploe, soft(core - 1.5, 1.2))
    texture = blend(texture, 1500, soft(capsule(ax, y, z, ((16, 22, -42), (34, 30, -42)), (4, 5))))  # otic capsule
    hu = blend(hu, texture, soft(bone) * soft(-np.minimum(cavity, -rising)))
    mastoid = np.minimum(ellipsoid(ax, y, z, (56, 44, -46), (11, 16, 18)), inside - 5)
    air = np.where(fine > 0.1, np.float32(-900), np.float32(300))
    hu = blend(hu, air, soft(mastoid) * soft(-2 - np.maximum(cavity, -50)))
    canal = capsule(ax, y, z, ((48, 27, -42), (84, 23, -43)), (2.2, 3.4))
    hu = blend(hu, -1000, soft(canal))  # ear canal
    hu = blend(hu, -990, soft(np.minimum(ellipsoid(ax, y, z, (8, -20, -38), (7.5, 11, 8)), ax - 0.9)))  # sphenoid sinus
    for side, size in zip((-1, 1), traits.sinus, strict=True):
        if size > 0.15:
            sinus = ellipsoid(side * x, y, z, (13, -74, -12 + 8 * size), (15 * size, 20, 16 * size))
            between = np.minimum(-cavity - 2, thick + cavity - 2.2)
            hu = blend(hu, -980, soft(np.minimum.reduce([sinus, side * x - 1, between])))
    inner = np.minimum(cavity, -rising)
    return blend(hu, WATER, soft(inner))
