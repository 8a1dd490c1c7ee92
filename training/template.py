"""The average adult brain of MNI (ICBM 152, 2009a, symmetric) as nilearn ships it, made ready for phantoms.

Grey and white matter come from 152 people's MRI (Fonov et al., NeuroImage 2011; 54(1):313-327); the inner surface of
the skull follows from them. The maps are symmetric, so one half is kept. Lengths in mm; axes are the patient's: x to
the left, y to the back, z to the top, the origin in the anterior commissure.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .fields import Field, Points, capsule, soft

_SHAPE = (197, 233, 189)
_ORIGIN_VOXEL = (98, 134, 72)
"""Voxel of the anterior commissure along the file's x (to the right), y (to the front), z (to the top); 1 mm voxels."""
_COARSE_MM = 2
_ROOM_MM = 60
"""How far the smooth fields reach beyond the file's box."""

_VENTRICLES: tuple[tuple[tuple[float, float, float], tuple[float, float, float], float, float], ...] = (
    ((9, -36, -2), (12, -26, 6), 5, 9),  # frontal horn
    ((12, -26, 6), (12, -4, 20), 9, 9),
    ((12, -4, 20), (18, 26, 20), 9, 9),  # body
    ((18, 26, 20), (27, 44, 8), 9, 10),  # atrium
    ((27, 44, 8), (24, 76, 4), 9, 5),  # occipital horn
    ((27, 42, 6), (36, 24, -14), 7, 5),  # temporal horn
    ((36, 24, -14), (30, 6, -22), 5, 4),
)


@dataclass(frozen=True, eq=False)
class Template:
    """Fields on one half of the head, the other half its mirror.

    Attributes
    ----------
    grey, white : (x, y, z) arrays at 1 mm
        Share of each voxel.
    cavity : (x, y, z) array at 2 mm
        Depth below the inner surface of the skull, negative outside (mm).
    hull : (x, y, z) array at 2 mm
        Depth below the braincase's convex outline.
    vault : (x, y, z) array at 2 mm
        Depth below its outline as seen from above.
    swelling : (3, x, y, z) array at 2 mm
        Unit steps towards the ventricles, fading with distance: where tissue was before they grew.
    """

    grey: Field
    white: Field
    cavity: Field
    hull: Field
    vault: Field
    swelling: Field

    def read(self, field: Field, at: Points) -> Field:
        """Read one field of the template at points (mm); beyond its box the nearest value holds."""
        fine = field.shape == self.grey.shape
        step, room = (1, 0) if fine else (_COARSE_MM, _ROOM_MM)
        x, y, z = np.broadcast_arrays(np.abs(at.x), at.y, at.z)
        where = np.stack([x, y + (_SHAPE[1] - 1 - _ORIGIN_VOXEL[1] + room), z + (_ORIGIN_VOXEL[2] + room)])
        where *= np.float32(1 / step)
        read: Field = ndimage.map_coordinates(field, where, order=1, mode="nearest", output=np.float32)
        return read


@cache
def template() -> Template:
    """Load the maps and derive the rest; once a process, about a second."""
    grey, white = _map("gm"), _map("wm")
    step = _COARSE_MM
    tissue = (grey + white)[::step, ::step, ::step]
    room = _ROOM_MM // step
    tissue = np.pad(tissue, ((0, room), (room, room), (room, room)))
    x, y, z = _axes(tissue.shape)
    px, py, pz = (np.broadcast_to(axis, tissue.shape).reshape(-1) for axis in (x, y, z))
    cord = np.maximum(
        capsule(px, py, pz, ((0, 38, -50), (0, 48, -76)), (10, 8)),
        capsule(px, py, pz, ((0, 48, -76), (0, 46, -140)), (8, 8)),
    )
    brain = (tissue > 0.5) | (cord.reshape(tissue.shape) > 0)
    closed = _shrunk(_grown(brain, 7), 5.5)  # over sulci, not over the bone between fossae; 1.5 mm of liquor
    bridged = _signed(_shrunk(_grown(brain, 30), 28.3), 3.0)  # above the base the skull bridges the great fissures
    high = np.clip((z - np.where(y > 50, -18, np.where(y > 20, -8, -16))) / 10, 0, 1)
    near, rough = bridged * high, _signed(closed, 0.8)
    cavity = near + np.where(high > 0, np.maximum(rough, bridged), rough) * (1 - high)
    column = np.logical_or.accumulate(ndimage.binary_fill_holes(closed)[:, :, ::-1], axis=2)[:, :, ::-1]
    vault = _signed(_shrunk(_grown(column, 30), 30), 3.0)
    inside = np.maximum.reduce([capsule(px, py, pz, (start, end), (r0, r1)) for start, end, r0, r1 in _VENTRICLES])
    inside = inside.reshape(tissue.shape)
    near = ndimage.gaussian_filter(soft(inside + 4, 2), 3, mode="nearest")
    pull = np.stack([np.gradient(near, step, axis=axis) for axis in range(3)])
    size = np.sqrt((pull**2).sum(0))
    swelling = pull / (size + 0.25 * size.max())
    return Template(grey, white, cavity, bridged, vault, swelling.astype(np.float32))


def ventricular(at: Points) -> Field:
    """Return where cerebrospinal fluid is that of the ventricles: depth (mm) inside a loose hull around them."""
    x, y, z = np.abs(at.x), at.y, at.z
    best = np.full(x.shape, -99, np.float32)
    near = np.flatnonzero((x < 48) & (np.abs(y - 18) < 70) & (np.abs(z + 5) < 48))
    px, py, pz = x[near], y[near], z[near]
    parts = [capsule(px, py, pz, (start, end), (r0, r1)) for start, end, r0, r1 in _VENTRICLES]
    parts.append(capsule(px, py, pz, ((0, 4, 0), (0, 22, 2)), (6, 7)))  # third ventricle
    parts.append(capsule(px, py, pz, ((0, 2, -10), (0, 8, -4)), (4, 5)))
    parts.append(capsule(px, py, pz, ((0, 28, -6), (0, 36, -22)), (2.5, 3)))  # aqueduct
    parts.append(capsule(px, py, pz, ((0, 40, -28), (0, 46, -42)), (9, 8)))  # fourth ventricle
    best[near] = np.maximum.reduce(parts)
    return best


def _map(tissue: str) -> Field:
    """Read one map of nilearn's wheel: gzipped NIfTI-1, unsigned bytes, (x, y, z) in Fortran order.

    nilearn itself is not imported: that takes seconds, and one header of 352 bytes is all there is to skip.
    """
    found = find_spec("nilearn")
    assert found is not None
    assert found.origin is not None
    path = Path(found.origin).parent / "datasets" / "data" / f"mni_icbm152_{tissue}_tal_nlin_sym_09a_converted.nii.gz"
    with gzip.open(path) as stream:
        values = np.frombuffer(stream.read()[352:], np.uint8).reshape(_SHAPE, order="F")
    half = values[_ORIGIN_VOXEL[0] :, ::-1].astype(np.float32) / np.float32(255)
    return np.ascontiguousarray(half)


def _axes(shape: tuple[int, ...]) -> tuple[Field, Field, Field]:
    x, y, z = (np.arange(size, dtype=np.float32) * _COARSE_MM for size in shape)
    front, low = _SHAPE[1] - 1 - _ORIGIN_VOXEL[1] + _ROOM_MM, _ORIGIN_VOXEL[2] + _ROOM_MM
    return x[:, None, None], (y - front)[None, :, None], (z - low)[None, None]


def _distance(mask: NDArray[np.bool_]) -> Field:
    """Distance (mm) of every set voxel to the nearest one that is not; the half's mirror counts."""
    mirrored = np.concatenate([mask[12:0:-1], mask])
    return np.asarray(ndimage.distance_transform_edt(mirrored, _COARSE_MM)[12:], np.float32)


def _grown(mask: NDArray[np.bool_], by_mm: float) -> NDArray[np.bool_]:
    return np.asarray(_distance(~mask) <= by_mm)


def _shrunk(mask: NDArray[np.bool_], by_mm: float) -> NDArray[np.bool_]:
    return np.asarray(_distance(mask) > by_mm)


def _signed(mask: NDArray[np.bool_], smooth: float) -> Field:
    signed = _distance(mask) - _distance(~mask)
    mirrored = np.concatenate([signed[12:0:-1], signed])
    return np.asarray(ndimage.gaussian_filter(mirrored, smooth, mode="nearest")[12:], np.float32)
