"""A head with its bleeds: anatomy, mass effect, blood, put together on one grid."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from .anatomy import Grid, Traits, posed, wobbled
from .brain import make_brain
from .fields import Field, Noise, Points, blend, finer, soft
from .lesions import CENTRE, DILUTION_HU, Case, Lesion, Spread, clot, collection, layering, seep
from .mimics import CHRONIC_HU
from .skull import Outline, crests, shell_hu
from .template import template


@dataclass(frozen=True)
class Head:
    """A head before it is scanned: HU on the grid, and per subtype the share of blood in each voxel."""

    grid: Grid
    hu: Field
    blood: dict[str, Field]
    traits: Traits


def build(
    grid: Grid, drawn: tuple[Lesion, ...], mimics: Iterable[str] | None, rng: np.random.Generator,
    lesion_rng: np.random.Generator,
) -> Head:  # fmt: skip
    """Build a head; `rng` decides the anatomy and `lesion_rng` the bleeds, so one head can be had with and without."""
    traits = Traits.draw(rng, mimics)
    known = template()
    wide = grid.coarser()  # the outlines are smooth: worked out on a coarse grid, read on the fine one
    rough = posed(wide, traits, rng)
    outlines = [known.read(outline, rough) for outline in (known.cavity, known.hull, known.vault)]
    x, y, z, cavity, hull, vault = (finer(field, wide.axes, grid.axes) for field in (*rough, *outlines))
    shape, pose = cavity.shape, Points(x.reshape(-1), y.reshape(-1), z.reshape(-1))
    cavity, hull, vault = cavity.reshape(-1), hull.reshape(-1), vault.reshape(-1)
    rising = np.full(cavity.shape, -99, np.float32)
    base = np.flatnonzero((cavity > -30) & (pose.z < -10))
    rising[base] = crests(_at(pose, base))
    depth = np.minimum(cavity, -rising)
    hu = np.full(shape, -1000, np.float32)
    flat = hu.reshape(-1)
    shell = np.flatnonzero((vault > np.where(pose.z < 0, np.float32(-40), np.float32(-25))) & (depth < 4))
    own = _own(grid, shell, rng)
    flat[shell] = shell_hu(
        _at(pose, shell), Outline(cavity[shell], rising[shell], hull[shell], vault[shell]), traits, own
    )

    index = np.flatnonzero(depth > -2)
    at, depth, outer = _at(pose, index), depth[index], vault[index]
    case = Case(at, depth, outer, index, hu.shape, grid.step_mm)
    own = _own(grid, index, rng)
    chronic = None
    if "chronic-subdural" in traits.mimics:
        chronic = Lesion("subdural", float(lesion_rng.uniform(15, 60)), float(lesion_rng.uniform(*CHRONIC_HU)))
    spreads, rest, pushed = _collide(case, drawn, chronic, own, lesion_rng)
    brain = make_brain(rest, pushed, depth - pushed, known, traits, own, rng)
    for lesion in drawn:
        if lesion.subtype == "intraventricular":
            spreads.append(layering(case, brain.ventricles, lesion, lesion_rng))
        elif lesion.subtype == "subarachnoid":
            spreads.append(seep(case, brain.subarachnoid, pushed, lesion, lesion_rng))

    inside, blood = brain.hu, {}
    curdle = _own(grid, index, lesion_rng)(9)
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
        if spread.fresh:
            blood[spread.lesion.subtype] = np.zeros(hu.shape, np.float32)
            blood[spread.lesion.subtype].reshape(-1)[index] = free
    flat[index] = blend(flat[index], inside, soft(depth))
    return Head(grid, hu, blood, traits)


def _at(pose: Points, index: npt.NDArray[np.intp]) -> Points:
    return Points(*(axis[index] for axis in pose))


def _own(grid: Grid, index: npt.NDArray[np.intp], rng: np.random.Generator) -> Callable[[float], Field]:
    """Return what makes a smooth random field of a wavelength (mm) at some voxels of the grid."""
    return lambda wavelength_mm: Noise(rng, wavelength_mm).over(grid.axes).reshape(-1)[index]


def _collide(
    case: Case, drawn: tuple[Lesion, ...], chronic: Lesion | None, own: Callable[[float], Field],
    lesion_rng: np.random.Generator,
) -> tuple[list[Spread], Points, Field]:  # fmt: skip
    """Place the blood that takes its own room, and say where each voxel's tissue was before it came."""
    (px, py, pz), depth = case.at, case.depth
    x, y, z = wobbled(case.at, depth, own)
    spreads: list[Spread] = []
    pushed = depth
    for lesion in drawn if chronic is None else (*drawn, chronic):
        if lesion.subtype in ("epidural", "subdural"):
            spread, thickness = collection(case, lesion, lesion_rng)
            spreads.append(replace(spread, fresh=lesion is not chronic))
            pushed = pushed - thickness
            out = Points(px - CENTRE[0], py - CENTRE[1], pz - CENTRE[2])
            radius = np.sqrt(out.x**2 + out.y**2 + out.z**2) + 1
            shove = 0.75 * thickness * np.exp(-np.maximum(depth - thickness, 0) / 38) / radius
            x, y, z = x + out.x * shove, y + out.y * shove, z + out.z * shove
        elif lesion.subtype == "intraparenchymal":
            spread, centre, size = clot(case, lesion, lesion_rng)
            spreads.append(spread)
            dx, dy, dz = px - centre[0], py - centre[1], pz - centre[2]
            away = np.sqrt(dx**2 + dy**2 + dz**2) + 1e-3
            source = np.cbrt(np.maximum(away**3 - 0.55 * size**3, 0.02 * away**3))
            push = (away - source) * np.exp(-((away / 65) ** 2)) * np.clip(depth / 12, 0, 1) / away
            x, y, z = x - dx * push, y - dy * push, z - dz * push
    return spreads, Points(x, y, z), pushed
