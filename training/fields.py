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


REACH_MM = 8.0
"""How far outside a shape its distance is worked out; beyond, `FAR` stands."""
FAR = np.float32(-99)


def ellipsoid(
    x: Field,
    y: Field,
    z: Field,
    centre: tuple[float, float, float],
    radii: tuple[float, float, float],
    reach_mm: float = REACH_MM,
) -> Field:
    """Return the approximate signed distance (mm) to an axis-aligned ellipsoid, positive inside."""
    low, high = np.subtract(centre, radii), np.add(centre, radii)
    distance, near = _within(x, y, z, low, high, reach_mm)
    (cx, cy, cz), (rx, ry, rz) = (np.float32(v) for v in centre), (np.float32(v) for v in radii)
    level = np.sqrt(((x[near] - cx) / rx) ** 2 + ((y[near] - cy) / ry) ** 2 + ((z[near] - cz) / rz) ** 2)
    distance[near] = (1 - level) * np.float32(min(radii))
    return distance


def capsule(
    x: Field,
    y: Field,
    z: Field,
    ends: tuple[tuple[float, float, float], tuple[float, float, float]],
    radii: tuple[float, float],
    reach_mm: float = REACH_MM,
) -> Field:
    """Return the signed distance (mm) to a tube between two points, its radius going from one to the other."""
    (start, end), (r0, r1), most = ends, radii, max(radii)
    distance, near = _within(x, y, z, np.minimum(start, end) - most, np.maximum(start, end) + most, reach_mm)
    (ax, ay, az), (lx, ly, lz) = (np.float32(v) for v in start), (np.float32(v) for v in np.subtract(end, start))
    dx, dy, dz = x[near] - ax, y[near] - ay, z[near] - az
    t = np.clip((dx * lx + dy * ly + dz * lz) / (lx * lx + ly * ly + lz * lz), 0, 1)
    gap = np.sqrt((dx - t * lx) ** 2 + (dy - t * ly) ** 2 + (dz - t * lz) ** 2)
    distance[near] = np.float32(r0) + np.float32(r1 - r0) * t - gap
    return distance


def _within(
    x: Field, y: Field, z: Field, low: Field, high: Field, reach_mm: float
) -> tuple[Field, npt.NDArray[np.intp]]:
    """Return `FAR` for every point of flat arrays, and the indices of those in a box."""
    (x0, y0, z0), (x1, y1, z1) = (low - reach_mm).tolist(), (high + reach_mm).tolist()
    inside = (z > z0) & (z < z1)
    inside &= (y > y0) & (y < y1)
    inside &= (x > x0) & (x < x1)
    return np.full(x.shape, FAR, np.float32), np.flatnonzero(inside)


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

    def over(self, axes: Points) -> Field:
        """Read the field on a grid of three axes: as `at`, many times faster."""
        size, values = self.lattice.shape[0], self.lattice
        for number, axis in enumerate((axes.z, axes.y, axes.x)):
            place = axis.reshape(-1) / np.float32(self.step) + np.float32(size / 2)
            low = np.floor(place).astype(int)
            values = _between(values, number, low % size, (low + 1) % size, place - low)
        return values

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


def finer(values: Field, coarse: Points, fine: Points) -> Field:
    """Interpolate an array on the grid of three evenly spaced axes to a finer grid."""
    for number, (old, new) in enumerate(zip(reversed(coarse), reversed(fine), strict=True)):
        at = old.reshape(-1)
        place = np.clip((new.reshape(-1) - at[0]) / (at[1] - at[0]), 0, len(at) - 1)
        low = np.minimum(place.astype(int), len(at) - 2)
        values = _between(values, number, low, low + 1, place - low)
    return values


def _between(values: Field, axis: int, low: npt.NDArray[np.intp], high: npt.NDArray[np.intp], share: Field) -> Field:
    """Interpolate along one axis: `share` of `high`, the rest of `low`."""
    first, second = np.take(values, low, axis), np.take(values, high, axis)
    second -= first
    second *= share.astype(np.float32).reshape([-1 if n == axis else 1 for n in range(3)])
    second += first
    return second
