"""The face and the soft parts below the skull base, where the lowest slices of a head CT lie."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .anatomy import Traits
from .fields import Field, Points, blend, capsule, ellipsoid, soft


@dataclass(frozen=True)
class Face:
    """The face at flat arrays of points.

    Attributes
    ----------
    depth : (n,) array
        Depth (mm) below the skin of nose, cheeks and ears; negative outside them.
    """

    at: Points
    depth: Field

    def laid(self, hu: Field, inside: Field, grain: Field, fine: Field) -> Field:
        """Lay muscles, bones, orbits and air spaces over fat; `inside` is the depth (mm) below the skin."""
        x, y, z = self.at
        low = np.flatnonzero(z < -4)
        at = Points(x[low], y[low], z[low])
        hu[low] = _laid(hu[low], at, inside[low], grain[low], fine[low])
        return hu


def face(at: Points, head: Field, traits: Traits) -> Face:
    """Return the outline of a face that sticks out of a head; `head` is the depth (mm) below the head's own skin."""
    x, y, z = at
    ax = np.abs(x)
    depth = np.full(x.shape, -99, np.float32)
    low = np.flatnonzero((z < 4) & (head > -40))
    px, py, pz = ax[low], y[low], z[low]
    nose = capsule(px, py, pz, ((0, -82, -20), (0, -93, -56)), (7, 11))
    cheeks = ellipsoid(px, py, pz, (0, -36, -66), (64, 54, 54))
    depth[low] = np.maximum(nose, cheeks)
    ear = capsule(px, py, pz, ((81, 24, -52), (88, 34, -26)), (4, 3.5)) - 1.5 * (grain_of(py, pz))
    depth[low] = np.maximum(depth[low], ear)
    return Face(at, depth)


def grain_of(y: Field, z: Field) -> Field:
    """Return the folds of the ear's shell."""
    return np.asarray(np.cos(y * 0.7) * np.cos(z * 0.4), np.float32)


def _laid(hu: Field, at: Points, inside: Field, grain: Field, fine: Field) -> Field:
    x, y, z = at
    ax = np.abs(x)
    wall = soft(inside - 4)
    soft_hu = (52 + 4 * fine).astype(np.float32)
    # masseter and temporal muscle, pterygoids, tongue and pharynx, long muscles before the spine
    for part in (
        ellipsoid(ax, y, z, (60, -4, -70), (8, 20, 26)),
        ellipsoid(ax, y, z, (56, -10, -40), (8, 18, 16)),
        ellipsoid(ax, y, z, (36, -4, -64), (11, 16, 17)),
        ellipsoid(ax, y, z, (0, -6, -82), (24, 36, 16)),
        capsule(ax, y, z, ((10, 24, -66), (12, 28, -120)), (9, 9)),
        capsule(ax, y, z, ((50, 62, -62), (44, 40, -130)), (9, 11)),
    ):
        hu = blend(hu, soft_hu, soft(part + 0.8 * grain, 2) * wall)
    hu = blend(hu, -1000, soft(ellipsoid(ax, y, z, (0, 8, -70), (14, 7, 14))))  # nasopharynx
    # mandible: condyle, ramus; zygomatic arch and the lateral wall of the orbit
    ramus = np.minimum(capsule(ax, y, z, ((53, 12, -50), (50, 4, -112)), (5, 7)), 3.4 - np.abs(ax - 52))
    coronoid = capsule(ax, y, z, ((50, -12, -56), (50, 0, -80)), (3.5, 4))
    arch = capsule(ax, y, z, ((66, 10, -46), (62, -36, -50)), (3, 4))
    malar = capsule(ax, y, z, ((62, -36, -50), (42, -62, -52)), (4, 5))
    lateral = capsule(ax, y, z, ((52, -54, -50), (52, -56, -14)), (3.5, 5))
    wing = capsule(ax, y, z, ((52, -50, -34), (26, -18, -34)), (2.4, 3.5))
    wings = np.minimum(wing + 6, 1.8 - np.abs((ax - 39) * 0.78 - (-34 - y) * 0.62))
    bones = np.maximum.reduce([ramus, coronoid, arch, malar, lateral, np.minimum(wings, 12 - np.abs(z + 36))])
    hu = _bone(hu, bones, fine, wall)
    # maxilla with its sinus, hard palate and teeth, nasal cavity with septum and turbinates
    maxilla = ellipsoid(ax - 0.25 * (y + 48), y, z, (29, -48, -62), (14, 19, 17)) + 0.6 * grain
    hu = _bone(hu, np.minimum(maxilla + 1.6, 3.2 - maxilla), fine, wall)
    hu = blend(hu, -1000, soft(maxilla) * wall)
    palate = ellipsoid(ax, y, z, (0, -52, -84), (34, 34, 7))
    hu = _bone(hu, palate, fine, wall)
    cavity = ellipsoid(ax, y, z, (0, -52, -56), (14, 38, 26))
    hu = blend(hu, -1000, soft(cavity) * soft(inside - 3))
    turbinate = np.maximum(
        capsule(ax, y, z, ((7, -74, -66), (7, -26, -66)), (3.4, 3.4)),
        capsule(ax, y, z, ((6, -68, -52), (6, -28, -52)), (2.6, 2.6)),
    )
    hu = blend(hu, 60, soft(np.minimum(turbinate, cavity + 1)))
    cells = np.minimum(ellipsoid(ax, y, z, (0, -50, -32), (15, 30, 14)), 12 - np.abs(z + 32))
    septa = np.abs(np.sin(y / 3.4 + 0.8 * grain) * np.cos((ax - 1) / 3.4 + 0.8 * grain))
    ethmoid = np.where(septa < 0.16, np.float32(250), np.float32(-980))
    hu = blend(hu, ethmoid, soft(cells) * soft(inside - 4))
    hu = blend(hu, 420, soft(0.7 - ax) * soft(np.maximum(cavity, cells)) * soft(inside - 4))
    nasal = capsule(ax, y, z, ((3, -84, -22), (4, -92, -40)), (2, 2.2))
    hu = _bone(hu, nasal, fine, soft(inside - 2))
    near = np.flatnonzero((y < -12) & (np.abs(z + 37) < 26) & (ax < 62))
    hu[near] = _orbit(hu[near], Points(x[near], y[near], z[near]), inside[near])
    # pterygoid plates, atlas with the dens, vessels
    plate = np.minimum(
        capsule(ax, y, z, ((15, -12, -48), (16, -6, -76)), (6, 7)), 1.1 - np.abs(ax - 16 + 0.3 * (y + 10))
    )
    hu = _bone(hu, plate, fine, wall)
    ring = np.hypot(ax / 1.1, y - 44) - 17
    atlas = np.minimum(4.5 - np.abs(ring), 6 - np.abs(z + 80))
    mass = ellipsoid(ax, y, z, (22, 38, -76), (9, 10, 11))
    dens = capsule(ax, y, z, ((0, 32, -74), (0, 34, -120)), (5, 6.5))
    hu = _bone(hu, np.maximum.reduce([atlas, mass, dens]), fine, wall)
    vessel = np.maximum(
        capsule(ax, y, z, ((27, 18, -54), (28, 20, -120)), (3, 3.4)),
        capsule(ax, y, z, ((32, 28, -54), (33, 28, -120)), (5, 5)),
    )
    return blend(hu, 45, soft(vessel) * wall)


def _bone(hu: Field, depth: Field, fine: Field, within: Field) -> Field:
    near = np.flatnonzero(depth > -1)
    texture = 1050 + (120 * fine[near] - 550) * soft(depth[near] - 1.8)
    hu[near] = blend(hu[near], texture, soft(depth[near]) * within[near])
    return hu


def _orbit(hu: Field, at: Points, inside: Field) -> Field:
    x, y, z = at
    ax = np.abs(x)
    axis = ax - 33 + 0.34 * np.maximum(-62 - y, -50) * -1  # the cone leans inwards to the apex
    reach = np.clip((-14 - y) / 44, 0, 1)
    cone = np.minimum(17.5 * np.sqrt(reach) - np.hypot(axis, (z + 37) * 0.95), np.minimum(-14 - y, inside - 3))
    hu = blend(hu, 850, soft(np.minimum(cone + 2.0, 2.6 - cone)) * soft(-y - 22) * soft(inside - 7))
    hu = blend(hu, -92, soft(cone))
    for dx, dz in ((-8, 0), (8, 0), (0, 8), (0, -8)):  # rectus muscles
        spread = np.clip((-20 - y) / 30, 0, 1)
        muscle = np.hypot(axis - dx * 1.35 * spread, (z + 37) - dz * 1.35 * spread)
        hu = blend(hu, 50, soft(np.minimum(2.4 - muscle, np.minimum(-20 - y, y + 62))))
    nerve = np.hypot(axis - 1, z + 37)
    hu = blend(hu, 40, soft(np.minimum(2.1 - nerve, np.minimum(-18 - y, y + 60))))
    globe = ellipsoid(ax, y, z, (33, -67, -37), (12.2, 12.2, 12.2))
    hu = blend(hu, 55, soft(globe))
    hu = blend(hu, 11, soft(globe - 1.7))
    hu = blend(hu, 85, soft(ellipsoid(ax, y, z, (33, -75.5, -37), (4.8, 2.2, 4.8))))  # lens
    lid = np.minimum(14 - np.hypot(ax - 33, z + 37), 2 - np.abs(globe + 1.5))
    return blend(hu, 45, soft(lid) * (y < -70))
