"""Haemorrhage added to real heads without one: outlined real bleeds moved over, and simple drawn ones.

Few patients of the public set bleed, and most of those epidurally. Adding a bleed to a head that has none shows the
network the same brain with and without blood, everywhere in the skull. Shapes follow the textbook: a ball with a rough
surface in the parenchyma, a lens on the skull (epidural), a crescent along it (subdural), liquor turned to blood
outside (subarachnoid) and in the middle (intraventricular). Densities are those of acute clot, 45 to 75 HU.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import ndimage

from ichnode.core.findings import CLASSES

from .ct_ich import SLICE_STEP_MM
from .heads import Head

Mask = NDArray[np.bool_]
_LEAST_MM2 = 25.0
_LEAST_HU = 15
"""A slice bleeds from this area of blood on, on average this much brighter than what it replaces; less is left out."""
_LIQUOR_HU = 20


@dataclass(frozen=True, slots=True)
class Bled:
    """Adjacent slices of a head, with a bleed added or as they are.

    HU and blood of shape (slices, H, W), labels of (slices, 6), and the patient whose bleed it was, if any.
    """

    hu: NDArray[np.float32]
    blood: Mask
    labels: NDArray[np.float32]
    donor: str | None = None


def add_bleed(head: Head, span: slice, donors: Sequence[Head], rng: Generator) -> Bled | None:
    """Return the slices `span` of `head` with one bleed added, or None where none fitted.

    Half of the bleeds are drawn, half come from `donors` (real outlined ones).
    """
    if donors and rng.random() < 0.5:
        return _moved(head, span, donors[int(rng.integers(len(donors)))], rng)
    return _drawn(head, span, rng)


def _drawn(head: Head, span: slice, rng: Generator) -> Bled | None:
    name = str(rng.choice(list(_SHAPES), p=_SHARES))
    hu = head.hu[span]
    mask = _SHAPES[name](_Room(hu, head.inside[span], head.depth_mm[span], head.pixel_mm), rng)
    if mask is None:
        return None
    level = float(np.clip(rng.normal(60, 6), 45, 75))
    blood = np.float32(level) + 0.7 * _grain(hu, head.inside[span])
    labels = np.zeros((len(hu), len(CLASSES)), np.float32)
    labels[:, [0, CLASSES.index(name)]] = 1
    return _blend(head, span, Bled(blood, mask, labels), rng)


def _grain(hu: NDArray[np.float32], inside: Mask) -> NDArray[np.float32]:
    """Return the scan's own fine noise inside the skull; bone is kept out, or blood beside it would turn dark."""
    weight = ndimage.gaussian_filter(inside.astype(np.float32), (0, 1.5, 1.5))
    smooth = ndimage.gaussian_filter(hu * inside, (0, 1.5, 1.5)) / np.maximum(weight, 1e-3)
    return np.where(inside, np.clip(hu - smooth, -15, 15), 0)


def _moved(head: Head, span: slice, donor: Head, rng: Generator) -> Bled | None:
    """Put the outlined bleed of `donor` at the same height below the vertex and the same place in the skull."""
    offset = len(donor.hu) - len(head.hu) + int(rng.integers(-2, 3))
    hu = head.hu[span]
    blood, mask = np.zeros_like(hu), np.zeros(hu.shape, np.bool_)
    labels = np.zeros((len(hu), len(CLASSES)), np.float32)
    way = -1 if rng.random() < 0.5 else 1  # mirrored or not
    for row, index in enumerate(range(span.start, span.stop)):
        other = index + offset
        if not 0 <= other < len(donor.hu) or not head.inside[index].any():
            continue
        outline, inside = donor.lesion[other][:, ::way], donor.inside[other][:, ::way]
        if not outline.any() or not inside.any():
            continue
        scale, shift = _fit(inside, head.inside[index])
        blood[row] = ndimage.affine_transform(donor.hu[other][:, ::way], scale, shift, order=1, mode="nearest")
        mask[row] = ndimage.affine_transform(outline.astype(np.float32), scale, shift, order=1) > 0.5
        labels[row] = donor.labels[other]
    return _blend(head, span, Bled(blood, mask & head.inside[span], labels, donor.patient), rng)


def _fit(donor: Mask, target: Mask) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the scale and shift that take target coordinates to donor coordinates, box of the inside onto box."""
    scale, shift = [], []
    for axis in (0, 1):
        there = np.flatnonzero(donor.any(axis=1 - axis))[[0, -1]]
        here = np.flatnonzero(target.any(axis=1 - axis))[[0, -1]]
        ratio = float(there[1] - there[0] + 1) / float(here[1] - here[0] + 1)
        scale.append(ratio)
        shift.append(float(there[0]) - ratio * float(here[0]))
    return np.asarray(scale), np.asarray(shift)


def _blend(head: Head, span: slice, bled: Bled, rng: Generator) -> Bled | None:
    """Mix blood into the head with soft edges; slices with next to no blood stay as they are."""
    brighter = np.where(bled.blood, bled.hu - head.hu[span], 0).sum(axis=(1, 2)) * head.pixel_mm**2
    seen = (bled.blood.sum(axis=(1, 2)) * head.pixel_mm**2 >= _LEAST_MM2) & (brighter >= _LEAST_MM2 * _LEAST_HU)
    if not seen.any():
        return None
    mask = bled.blood & seen[:, None, None]
    share = ndimage.gaussian_filter(mask.astype(np.float32), (0, rng.uniform(0.5, 1.1), rng.uniform(0.5, 1.1)))
    share *= ndimage.binary_dilation(head.inside[span], np.ones((1, 3, 3), np.bool_))
    return Bled(head.hu[span] * (1 - share) + bled.hu * share, mask, bled.labels * seen[:, None], bled.donor)


@dataclass(frozen=True, slots=True)
class _Room:
    """The part of a head that a bleed may fill; see `Head` for the arrays."""

    hu: NDArray[np.float32]
    inside: Mask
    depth_mm: NDArray[np.float32]
    pixel_mm: float

    def distance_mm(self, at: NDArray[np.intp]) -> NDArray[np.float32]:
        steps = (SLICE_STEP_MM, self.pixel_mm, self.pixel_mm)
        z, y, x = (
            ((np.arange(count) - index) * step).astype(np.float32)
            for count, index, step in zip(self.hu.shape, at, steps, strict=True)
        )
        return np.asarray(np.sqrt(z[:, None, None] ** 2 + y[None, :, None] ** 2 + x[None, None, :] ** 2))

    def liquor(self) -> Mask:
        return np.asarray(self.inside & (ndimage.gaussian_filter(self.hu, (0, 0.8, 0.8)) < _LIQUOR_HU))


def _rough(shape: tuple[int, ...], rng: Generator) -> NDArray[np.float32]:
    """Return a smooth random field of mean 0 and deviation 1, to make surfaces uneven."""
    coarse = ndimage.gaussian_filter(rng.normal(size=(shape[0], 16, 16)), (0.7, 0.8, 0.8))
    coarse /= coarse.std() + 1e-6
    return np.asarray(ndimage.zoom(coarse, (1, shape[1] / 16, shape[2] / 16), order=1), np.float32)


def _somewhere(allowed: Mask, rng: Generator) -> NDArray[np.intp] | None:
    places = np.flatnonzero(allowed)
    if len(places) == 0:
        return None
    return np.asarray(np.unravel_index(places[int(rng.integers(len(places)))], allowed.shape))


def _intraparenchymal(room: _Room, rng: Generator) -> Mask | None:
    volume_ml = float(np.clip(np.exp(rng.normal(np.log(3), 1.3)), 0.3, 60))
    radius_mm = 10 * (3 * volume_ml / (4 * np.pi)) ** (1 / 3)
    at = _somewhere(room.inside & (room.depth_mm > min(radius_mm, 12.0)), rng)
    if at is None:
        return None
    return room.inside & (room.distance_mm(at) * (1 + 0.22 * _rough(room.hu.shape, rng)) < radius_mm)


def _on_skull(room: _Room, rng: Generator, reach_mm: float, thick_mm: float, power: int) -> Mask | None:
    at = _somewhere(room.inside & (room.depth_mm < max(2.5, 1.5 * room.pixel_mm)), rng)
    if at is None:
        return None
    distance = room.distance_mm(at)
    profile = thick_mm * (1 - (distance / reach_mm) ** power) * (1 + 0.1 * _rough(room.hu.shape, rng))
    return room.inside & (distance < reach_mm) & (room.depth_mm < profile)


def _epidural(room: _Room, rng: Generator) -> Mask | None:
    return _on_skull(room, rng, rng.uniform(12, 40), rng.uniform(4, 25), power=2)


def _subdural(room: _Room, rng: Generator) -> Mask | None:
    return _on_skull(room, rng, rng.uniform(35, 80), rng.uniform(3, 12), power=4)


def _subarachnoid(room: _Room, rng: Generator) -> Mask | None:
    liquor = room.liquor()
    at = _somewhere(liquor & (room.depth_mm < 30), rng)
    return None if at is None else liquor & (room.distance_mm(at) < rng.uniform(12, 40))


def _intraventricular(room: _Room, rng: Generator) -> Mask | None:
    liquor = room.liquor() & (room.depth_mm > 25)
    at = _somewhere(liquor, rng)
    if at is None:
        return None
    mask = liquor & (room.distance_mm(at) < rng.uniform(10, 45))
    if rng.random() < 0.5:  # a level: the patient lies on the back, blood sinks to the higher rows
        mask[:, : int(at[1])] = False
    return mask


_SHAPES: dict[str, Callable[[_Room, Generator], Mask | None]] = {
    "intraparenchymal": _intraparenchymal,
    "intraventricular": _intraventricular,
    "subarachnoid": _subarachnoid,
    "subdural": _subdural,
    "epidural": _epidural,
}
_SHARES = (0.35, 0.1, 0.15, 0.15, 0.25)
