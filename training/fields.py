"""Soft edges and smooth random fields: the two bricks the head phantom is made of. Lengths in mm."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Field = npt.NDArray[np.floating[Any]]


class Points(NamedTuple):
    """Coordinates in mm: x to the patient's left, y to the back, z to the top; arrays that broadcast together."""

    x: Field
    y: Field
    z: Field


def soft(distance_mm: Field, width_mm: float = 1.6) -> Field:
    """Return the fraction of a voxel inside a surface: 1 well inside (positive distance), 0 well outside."""
    return np.clip(np.asarray(distance_mm, np.float32) / np.float32(width_mm) + np.float32(0.5), 0, 1)


def blend(below: Field, above: Field | float, fraction: Field) -> Field:
    """Return `below` with `above` laid over it where `fraction` says so."""
    return below + (above - below) * fraction


def ellipsoid(
    x: Field, y: Field, z: Field, centre: tuple[float, float, float], radii: tuple[float, float, float]
) -> Field:
    """Return the approximate signed distance (mm) to an axis-aligned ellipsoid, positive inside."""
    (cx, cy, cz), (rx, ry, rz) = centre, radii
    level = np.sqrt(((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 + ((z - cz) / rz) ** 2)
    return ((1 - level) * min(radii)).astype(np.float32)


def capsule(
    x: Field,
    y: Field,
    z: Field,
    ends: tuple[tuple[float, float, float], tuple[float, float, float]],
    radii: tuple[float, float],
) -> Field:
    """Return the signed distance (mm) to a tube between two points, its radius going from one to the other."""
    (start, end), (r0, r1) = ends, radii
    along = np.subtract(end, start)
    t = ((x - start[0]) * along[0] + (y - start[1]) * along[1] + (z - start[2]) * along[2]) / float(along @ along)
    t = np.clip(t, 0, 1)
    gap = (x - start[0] - t * along[0]) ** 2 + (y - start[1] - t * along[1]) ** 2 + (z - start[2] - t * along[2]) ** 2
    return (r0 + (r1 - r0) * t - np.sqrt(gap)).astype(np.float32)


def bump(x: Field, y: Field, centre: tuple[float, float], width: tuple[float, float]) -> Field:
    """Return a Gaussian hill of height 1."""
    return np.exp(-(((x - centre[0]) / width[0]) ** 2) - ((y - centre[1]) / width[1]) ** 2)


def waves(rng: np.random.Generator, at: Points, wavelength_mm: float = 180.0, count: int = 4) -> Field:
    """Return a sum of plane waves of unit variance in random directions: noise so smooth that it needs no lattice."""
    total = np.zeros(np.broadcast_shapes(*(axis.shape for axis in at)), np.float32)
    for _ in range(count):
        way = rng.standard_normal(3)
        kx, ky, kz = (
            np.float32(k) for k in way / np.linalg.norm(way) * 2 * np.pi / (wavelength_mm * rng.uniform(0.7, 1.4))
        )
        total += np.cos(kx * at.x + ky * at.y + kz * at.z + np.float32(rng.uniform(0, 2 * np.pi)))
    return total * np.float32(np.sqrt(2 / count))


class Noise:
    """A smooth random field of mean 0 and variance 1, the same wherever and however finely it is read.

    Parameters
    ----------
    rng : numpy Generator
    wavelength_mm : float
        Typical distance from one crest to the next.
    """

    extent_mm = 256.0

    def __init__(self, rng: np.random.Generator, wavelength_mm: float) -> None:
        self.step = wavelength_mm / 6
        size = min(96, int(self.extent_mm / self.step) + 1)
        lattice = ndimage.gaussian_filter(rng.standard_normal((size,) * 3).astype(np.float32), 1.35, mode="wrap")
        self.lattice: Field = (lattice - lattice.mean()) / lattice.std()

    def at(self, x: Field, y: Field, z: Field) -> Field:
        """Read the field at points (mm); it repeats beyond its extent."""
        return self._read(self.lattice, x, y, z)

    def distance(self, x: Field, y: Field, z: Field) -> Field:
        """Return the distance (mm, first order) of points to the field's nearest zero surface."""
        slopes = np.gradient(self.lattice, self.step)
        slope = np.sqrt(sum(part**2 for part in slopes)).astype(np.float32)
        return np.abs(self.at(x, y, z)) / (self._read(slope, x, y, z) + 0.25 * float(slope.mean()))

    def _read(self, lattice: Field, x: Field, y: Field, z: Field) -> Field:
        where = np.stack([np.broadcast_to(axis, np.broadcast_shapes(x.shape, y.shape, z.shape)) for axis in (z, y, x)])
        where = where / np.float32(self.step) + np.float32(lattice.shape[0] / 2)
        read: Field = ndimage.map_coordinates(lattice, where, order=1, mode="grid-wrap", output=np.float32)
        return read
