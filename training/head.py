"""A head with its bleeds: anatomy, mass effect, blood, put together on one grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .anatomy import Grid, Traits, cavity_depth, shell_hu
from .brain import make_brain
from .fields import Field, Noise, Points, blend, soft, waves
from .lesions import DILUTION_HU, Case, Lesion, Spread, clot, collection, layering, seep


@dataclass(frozen=True)
class Head:
    """A head before it is scanned: HU on the grid, and per subtype the share of blood in each voxel."""

    grid: Grid
    hu: Field
    blood: dict[str, Field]
    traits: Traits


def build(grid: Grid, drawn: tuple[Lesion, ...], rng: np.random.Generator, lesion_rng: np.random.Generator) -> Head:
    """Build a head; `rng` decides the anatomy and `lesion_rng` the bleeds, so one head can be had with and without."""
    traits = Traits.draw(rng)
    sx, sy, sz = traits.scale
    bend = 1 + 0.018 * waves(rng, Points(grid.x, grid.y, grid.z))  # asymmetry: a few millimetres at the skull
    twist = rng.normal(0, 0.015)
    x = (grid.x / sx * bend + twist * grid.y).astype(np.float32)
    y, z = (grid.y / sy * bend).astype(np.float32), (grid.z / sz * (2 - bend)).astype(np.float32)
    cavity, vault = cavity_depth(x, y, z)
    hu = np.full(cavity.shape, -1000, np.float32)
    flat = hu.reshape(-1)
    shell = np.flatnonzero((vault > -24) & (cavity < 2))
    px, py, pz, depth, outer = (field.reshape(-1)[shell] for field in (x, y, z, cavity, vault))
    flat[shell] = shell_hu(Points(px, py, pz), depth, outer, traits, rng)

    index = np.flatnonzero(cavity > -2)
    px, py, pz, depth, outer = (field.reshape(-1)[index] for field in (x, y, z, cavity, vault))
    case = Case(Points(px, py, pz), depth, outer, index, hu.shape, grid.step_mm)
    spreads, rest, pushed = _collide(case, drawn, rng, lesion_rng)
    brain = make_brain(rest, pushed, traits, rng)
    for lesion in drawn:
        if lesion.subtype == "intraventricular":
            spreads.append(layering(case, brain.ventricles, lesion, lesion_rng))
        elif lesion.subtype == "subarachnoid":
            spreads.append(seep(case, brain.subarachnoid, pushed, lesion, lesion_rng))

    inside, blood = brain.hu, {}
    curdle = Noise(lesion_rng, 9).at(*case.at)
    for spread in spreads:
        if spread.oedema is not None:
            inside = blend(inside, np.minimum(inside, 17), 0.85 * spread.oedema * brain.tissue)
    taken = np.zeros_like(inside)
    for spread in spreads:
        free = np.minimum(spread.fraction, 1 - taken)
        taken = taken + free
        # Blood is laid over what the voxel's other parts hold, so a half-filled voxel has half its contrast.
        dense = spread.lesion.hu + DILUTION_HU[spread.lesion.subtype] + 2 * curdle
        inside = blend(inside, dense, free)
        blood[spread.lesion.subtype] = np.zeros(hu.shape, np.float32)
        blood[spread.lesion.subtype].reshape(-1)[index] = free
    flat[index] = blend(flat[index], inside, soft(depth))
    return Head(grid, hu, blood, traits)


def _collide(
    case: Case, drawn: tuple[Lesion, ...], rng: np.random.Generator, lesion_rng: np.random.Generator
) -> tuple[list[Spread], Points, Field]:
    """Place the blood that takes its own room, and say where each voxel's tissue was before it came."""
    (px, py, pz), depth = case.at, case.depth
    wobble = [2.2 * Noise(rng, 60).at(px, py, pz) * np.clip(depth / 25, 0, 1) for _ in range(3)]
    x, y, z = px + wobble[0], py + wobble[1], pz + wobble[2]
    spreads: list[Spread] = []
    pushed = depth
    for lesion in drawn:
        if lesion.subtype in ("epidural", "subdural"):
            spread, thickness = collection(case, lesion, lesion_rng)
            spreads.append(spread)
            pushed = pushed - thickness
            radius = np.sqrt(px**2 + py**2 + pz**2) + 1
            shove = 0.85 * thickness * np.exp(-np.maximum(depth - thickness, 0) / 38) / radius
            x, y, z = x + px * shove, y + py * shove, z + pz * shove
        elif lesion.subtype == "intraparenchymal":
            spread, centre, size = clot(case, lesion, lesion_rng)
            spreads.append(spread)
            dx, dy, dz = px - centre[0], py - centre[1], pz - centre[2]
            away = np.sqrt(dx**2 + dy**2 + dz**2) + 1e-3
            source = np.cbrt(np.maximum(away**3 - 0.55 * size**3, 0.02 * away**3))
            push = (away - source) * np.exp(-((away / 65) ** 2)) * np.clip(depth / 12, 0, 1) / away
            x, y, z = x - dx * push, y - dy * push, z - dz * push
    return spreads, Points(x, y, z), pushed
