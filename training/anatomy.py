"""A head without its brain: braincase, skull, scalp, face and skull base, as level sets in millimetres.

Axes are the patient's (PS3.3 C.7.6.2.1.1): x to the left, y to the back, z to the top; the origin lies in the middle of
the brain, at the height of the basal ganglia. Hounsfield units from the MIDA and InSilicoICH tissue tables.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .fields import Field, Noise, Points, blend, bump, ellipsoid, soft

X_MM, Y_MM, Z_MM = (-92.0, 92.0), (-113.0, 109.0), (-80.0, 98.0)


@dataclass(frozen=True)
class Traits:
    """What differs from one head to the next; drawn once per seed."""

    scale: tuple[float, float, float]
    skull_mm: float
    scalp_mm: float
    ventricle: float
    sulcus_mm: float
    white_hu: float
    grey_hu: float
    csf_hu: float
    calcified: tuple[bool, bool, bool]
    """Choroid plexus, pineal gland, falx."""

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Traits:
        """Draw a head; `age` moves ventricles and sulci together, as atrophy does."""
        age = rng.beta(2, 2)
        size = rng.normal(1, 0.03)
        return cls(
            scale=tuple(float(np.clip(size * rng.normal(1, 0.02), 0.92, 1.07)) for _ in range(3)),  # type: ignore[arg-type]
            skull_mm=float(rng.uniform(4.8, 7)),
            scalp_mm=float(rng.uniform(4.5, 7.5)),
            ventricle=float(np.clip(0.75 + 0.6 * age + rng.normal(0, 0.08), 0.6, 1.5)),
            sulcus_mm=float(0.7 + 1.5 * age),
            white_hu=float(rng.normal(28.5, 0.7)),
            grey_hu=float(rng.normal(38, 0.8)),
            csf_hu=float(rng.uniform(4, 9)),
            calcified=(bool(rng.random() < 0.6), bool(rng.random() < 0.5), bool(rng.random() < 0.15)),
        )


@dataclass(frozen=True)
class Grid:
    """The head's own grid: coordinates (mm) of voxel centres, each broadcastable to (z, y, x)."""

    x: Field
    y: Field
    z: Field
    step_mm: tuple[float, float, float]
    """Voxel size along z, y, x."""

    @classmethod
    def make(cls, step_mm: float, deeper_mm: float = 0.0) -> Grid:
        """Cover a head with voxels of `step_mm` in plane and 1.5 times that along z; `deeper_mm` adds neck."""
        z_mm = (Z_MM[0] - deeper_mm, Z_MM[1])
        x, y, z = (
            np.arange(*span, step, dtype=np.float32)
            for span, step in ((X_MM, step_mm), (Y_MM, step_mm), (z_mm, 1.5 * step_mm))
        )
        return cls(x[None, None], y[None, :, None], z[:, None, None], (1.5 * step_mm, step_mm, step_mm))

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in mL."""
        return float(np.prod(self.step_mm)) / 1000


def egg_depth(x: Field, y: Field, z: Field) -> Field:
    """Return the depth (mm) below the inner surface of the vault; negative outside.

    An ellipsoid that is wider behind than in front, boxier than a true one, and nearly a cylinder below the brain.
    """
    height = np.where(z > 0, np.float32(72), np.float32(80))
    z = np.where(z > -8, z - 2, -10 + (z + 8) * np.float32(0.5))
    half_width = 65 + 4.5 * np.tanh((y - 5) / 35)
    fx, fy, fz = (x / half_width) ** 2, ((y - 1) / 84) ** 2, (z / height) ** 2
    level = np.sqrt(np.maximum(fx + fy + fz - 0.22 * fx * fy - 0.12 * fz * (fx + fy), 1e-6))
    slope = np.sqrt(fx / half_width**2 + fy / 84**2 + fz / 74**2) / np.maximum(level, 0.05)
    return ((1 - level) / np.maximum(slope, 0.009)).astype(np.float32)


def base_height(x: Field, y: Field) -> Field:
    """Return the height (mm) of the skull base: the three fossae, sella, petrous ridges, foramen."""
    ax = np.abs(x)
    ridge = 4 + 0.40 * ax
    behind = 1 / (1 + np.exp(-(y - ridge - 2) / 2.5))
    front = 1 / (1 + np.exp((y + 30 - 0.08 * ax) / 2.5))
    anterior = -22 + 5 * bump(ax, y, (28, -60), (16, 40)) - 4 * np.exp(-((ax / 6) ** 2))
    middle = -43 + 12 * np.exp(-((ax / 13) ** 2)) + 5 * bump(ax, y, (0, 2), (12, 4))
    posterior = -62 - 40 * bump(x, y, (0, 36), (13, 13)) + 0.004 * ax**2
    petrous = 27 * np.exp(-(((y - ridge) / 7) ** 2)) * np.clip((ax - 6) / 10, 0, 1)
    height = front * anterior + (1 - front) * ((1 - behind) * middle + behind * posterior) + (1 - front) * petrous
    return height.astype(np.float32)


def cavity_depth(x: Field, y: Field, z: Field) -> tuple[Field, Field]:
    """Return the depth (mm) inside the braincase, and inside its vault alone."""
    vault = egg_depth(x, y, z)
    floor = 0.85 * (z - base_height(x, y))
    meet = np.clip(0.5 + (floor - vault) / 12, 0, 1)
    return (floor + (vault - floor) * meet - 3 * meet * (1 - meet) * 2).astype(np.float32), vault


def shell_hu(at: Points, cavity: Field, vault: Field, traits: Traits, rng: np.random.Generator) -> Field:
    """Return everything but the brain in HU, at flat arrays of points; the braincase is filled with water."""
    x, y, z = at
    coarse, grain = Noise(rng, 45).at(x, y, z), Noise(rng, 7).at(x, y, z)
    planes = Noise(rng, 34)
    temple = bump(y, z, (-8, -8), (34, 26)) * np.clip((np.abs(x) - 35) / 20, 0, 1)
    forehead = bump(x, z, (0, -12), (30, 25)) * (y > 20)
    bone_mm = traits.skull_mm * (1 + 0.12 * coarse - 0.5 * temple + 0.35 * forehead)
    outside = -vault
    scalp_mm = traits.scalp_mm * (1 + 0.15 * coarse) + 4.5 * temple + 4 * np.clip((-20 - z) / 40, 0, 1)
    skin = bone_mm + scalp_mm
    low = np.flatnonzero(z < 0)
    below = np.clip((vault - cavity) / 4, 0, 1)  # bone of the base is thinner than the vault
    base_mm = bone_mm * (1 - below * np.where(y < -30, np.float32(0.65), np.float32(0.4)))

    hu = np.full(cavity.shape, -1000, np.float32)
    hu = blend(hu, 45, soft(skin - outside))  # skin
    hu = blend(hu, -95 + 8 * grain, soft(skin - 2 - outside))  # fat
    muscle = soft(skin - 4.5 - outside) * np.maximum(soft((temple - 0.12) * 20), soft(-22 - z, 6))
    fascia = np.zeros_like(hu)
    fascia[low] = soft(0.6 - planes.distance(x[low], y[low], z[low]), 2)
    hu = blend(hu, blend(55 + 3 * grain, -55, fascia), muscle)  # temporalis, muscles of face and neck
    hu[low] = _face(hu[low], Points(x[low], y[low], z[low]), (skin - outside)[low], grain[low])
    bone = np.where(cavity < 0, np.minimum(base_mm + cavity, skin - outside), -cavity)
    deep = np.minimum(-cavity, base_mm + cavity)  # distance to the nearer surface
    texture = blend(1150 + 60 * coarse, 620 + 90 * grain, soft(deep - 1.8))  # tables, diploe
    ear = ellipsoid(np.abs(x), y, z, (58, 30, -48), (11, 15, 17)) + 2 * grain
    cells = np.where(grain > -0.3, np.float32(-750), np.float32(700))
    texture = blend(texture, cells, soft(ear))  # mastoid air cells
    hu = blend(hu, texture, soft(np.where(soft(ear) > 0.5, np.maximum(bone, ear), bone)) * soft(-cavity))
    lobes = ellipsoid(np.abs(x), y, z, (11, -88, -16), (12, 14, 11))
    between = 2.2 - np.abs(outside - traits.skull_mm * 0.55)
    hu = blend(hu, -950, soft(np.minimum(lobes, between)) * soft(np.abs(x) - 1))  # frontal sinus
    return blend(hu, 8.0, soft(cavity))


def _face(hu: Field, at: Points, inside: Field, grain: Field) -> Field:
    x, y, z = at
    ax = np.abs(x)
    wall = soft(inside - 5)
    petrous = ellipsoid(ax - 0.35 * (y - 14), y, z, (30, 18, -45), (30, 9, 13))
    hu = blend(hu, 950 + 150 * grain, soft(petrous) * wall)
    midface = ellipsoid(x, y, z, (0, -52, -55), (46, 42, 36))
    hu = blend(hu, 42 + 6 * grain, soft(midface) * wall)
    sphenoid = ellipsoid(x, y, z, (0, -14, -54), (26, 24, 17))
    hu = blend(hu, 600 + 100 * grain, soft(sphenoid) * wall)
    hu = blend(hu, -980, soft(ellipsoid(ax, y, z, (8, -24, -50), (7, 12, 9))) * wall)  # sphenoid sinus
    orbit = ellipsoid(ax - 0.28 * (y + 70), y, z, (33, -68, -40), (19, 28, 18))
    hu = blend(hu, 800, soft(orbit + 2.2) * wall)
    hu = blend(hu, -90, soft(orbit) * soft(inside - 3))
    for dx, dz in ((-9, 0), (9, 0), (0, 9), (0, -9)):  # rectus muscles
        hu = blend(hu, 45, soft(ellipsoid(ax - 0.28 * (y + 66), y, z, (33 + dx, -62, -40 + dz), (2.2, 17, 2.2))))
    hu = blend(hu, 35, soft(ellipsoid(ax - 0.36 * (y + 66), y, z, (31, -58, -40), (2, 18, 2))))  # optic nerve
    globe = ellipsoid(ax, y, z, (33, -80, -40), (12, 12, 12))
    hu = blend(hu, 55, soft(globe))
    hu = blend(hu, 12, soft(globe - 1.6))
    hu = blend(hu, 85, soft(ellipsoid(ax, y, z, (33, -89, -40), (4.5, 2, 4.5))))  # lens
    ethmoid = ellipsoid(x, y, z, (0, -66, -44), (12, 28, 17))
    cells = np.where(np.abs(grain) < 0.35, np.float32(150), np.float32(-950))
    hu = blend(hu, cells, soft(ethmoid) * wall)
    hu = blend(hu, 500, soft(1.0 - ax) * soft(ethmoid + 2) * wall)  # septum
    maxilla = ellipsoid(ax, y, z, (31, -64, -76), (16, 18, 15))
    hu = blend(hu, 700, soft(maxilla + 1.8) * wall)
    hu = blend(hu, -980, soft(maxilla) * wall)
    arch = np.abs(inside - 9 + 0.05 * (y + 20)) - 2.2
    hu = blend(hu, 900, soft(-arch) * soft(10 - np.abs(z + 52)) * soft(30 - np.abs(y + 40)) * soft(ax - 40))  # zygoma
    return blend(hu, 900, soft(ellipsoid(x, y, z, (0, -95, -52), (7, 5, 16))))  # nasal bones
