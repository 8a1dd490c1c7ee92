"""What is dense or dark in a head without being a bleed: the classic reasons for a false alarm."""

from __future__ import annotations

import numpy as np

from .fields import Field, Noise, Points, blend, ellipsoid, soft

MIMICS = {
    "calcified-choroid": 0.6,
    "calcified-pineal": 0.5,
    "calcified-falx": 0.15,
    "dense-sinus": 0.05,
    "calcified-basal-ganglia": 0.0,
    "old-infarct": 0.0,
    "chronic-subdural": 0.0,
}
"""Mimic → share of the heads that have it when nobody asks. The last three are rare enough to be had on demand only."""

CHRONIC_HU = (14.0, 26.0)
"""Density of a chronic subdural collection, which holds no fresh blood."""


def draw_mimics(rng: np.random.Generator) -> frozenset[str]:
    """Draw what a head has."""
    return frozenset(name for name, share in MIMICS.items() if rng.random() < share)


def with_mimics(hu: Field, at: Points, depth: Field, mimics: frozenset[str], rng: np.random.Generator) -> Field:
    """Lay calcifications and an old infarct into a brain; arrays of (n,), `at` in the template, `depth` in mm."""
    x, y, z = at
    side = float(rng.choice([-1, 1]))
    if "old-infarct" in mimics:
        seat = (34 + rng.normal(0, 3), rng.choice([-14, 22, 40]) + rng.normal(0, 4), rng.uniform(0, 26))
        wedge = ellipsoid(
            side * x, y, z, (seat[0] + 14, seat[1], seat[2]), (30, rng.uniform(12, 20), rng.uniform(14, 22))
        )
        wedge = wedge + 3 * Noise(rng, 16).at(x, y, z)
        hu = blend(hu, np.minimum(hu, rng.uniform(10, 15)), soft(np.minimum(wedge, side * x - 8), 4))
    if "calcified-choroid" in mimics:
        for which in (-1, 1):
            seat = (which * rng.uniform(23, 25), rng.uniform(38, 42), rng.uniform(5, 9))
            spot = ellipsoid(x, y, z, seat, (rng.uniform(1.6, 2.8), rng.uniform(3, 5), rng.uniform(2.4, 4)))
            hu = blend(hu, float(rng.uniform(110, 190)), soft(spot))
    if "calcified-pineal" in mimics:
        hu = blend(hu, float(rng.uniform(100, 200)), soft(ellipsoid(x, y, z, (0, 27, -1), (1.8, 2.6, 2.2))))
    if "calcified-falx" in mimics:
        seat, size = (0.4 * side, rng.uniform(-50, -20), rng.uniform(38, 52)), rng.uniform(4, 9)
        plate = ellipsoid(x, y, z, seat, (1.3, size, size))
        hu = blend(hu, float(rng.uniform(110, 200)), soft(np.minimum(plate, depth - 2)))
    if "calcified-basal-ganglia" in mimics:
        for which in (-1, 1):
            spot = ellipsoid(
                which * x, y, z, (19 + rng.normal(0, 1), rng.uniform(0, 4), 0), (2.2, rng.uniform(4, 7), 4)
            )
            hu = blend(hu, float(rng.uniform(70, 130)), soft(spot + 1.5 * Noise(rng, 6).at(x, y, z), 2.5))
    return hu.astype(np.float32)
