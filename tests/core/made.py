"""Series of slices made of header facts alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ichnode.core.slices import Slice

CT = "1.2.840.10008.5.1.4.1.1.2"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"

PLAIN_HEAD: dict[str, Any] = {
    "sop_class_uid": CT,
    "modality": "CT",
    "image_type": ("ORIGINAL", "PRIMARY", "AXIAL"),
    "rows": 512,
    "columns": 512,
    "pixel_spacing_mm": (0.45, 0.45),
    "thickness_mm": 5.0,
    "samples_per_pixel": 1,
    "photometric": "MONOCHROME2",
    "bits_allocated": 16,
    "bits_stored": 12,
    "pixel_representation": 0,
    "rescale_slope": 1.0,
    "rescale_intercept": -1024.0,
    "frame_of_reference_uid": "1.2.3.4",
    "series_number": 2,
    "acquisition_number": 1,
    "series_description": "HEAD 5.0 H31s",
    "body_part": "HEAD",
    "kernel": ("H31s",),
    "manufacturer": "SIEMENS",
}
"""A Siemens routine head as it should be."""


def series(count: int = 30, step_mm: float = 5.0, **facts: Any) -> list[Slice]:
    """A plain head of `count` axial slices, numbered from 1, inferior to superior; `facts` replace any attribute."""
    return at([k * step_mm for k in range(count)], **facts)


def at(heights_mm: Sequence[float], **facts: Any) -> list[Slice]:
    """Axial slices at the given heights."""
    common = {**PLAIN_HEAD, "orientation": (1.0, 0.0, 0.0, 0.0, 1.0, 0.0), **facts}
    return [
        Slice(
            **{"sop_instance_uid": f"1.2.3.{k + 1}", "instance_number": k + 1, "position_mm": (-115.0, -115.0, z)}
            | common
        )
        for k, z in enumerate(heights_mm)
    ]


def with_each(slices: Sequence[Slice], **facts: Sequence[Any]) -> list[Slice]:
    """Give each slice its own value of an attribute."""
    return [replace(s, **{name: values[k] for name, values in facts.items()}) for k, s in enumerate(slices)]


def tilted_by_orientation(slices: Sequence[Slice], degrees: float) -> list[Slice]:
    """As GE writes a tilted gantry: the image planes lean, the table still moves along z."""
    angle = math.radians(degrees)
    orientation = (1.0, 0.0, 0.0, 0.0, math.cos(angle), -math.sin(angle))
    return [replace(s, orientation=orientation) for s in slices]


def tilted_by_shift(slices: Sequence[Slice], degrees: float) -> list[Slice]:
    """A tilted gantry written as untilted planes whose positions run askew."""
    slope = math.tan(math.radians(degrees))
    return [replace(s, position_mm=(s.position_mm[0], s.position_mm[1] - slope * s.position_mm[2], s.position_mm[2]))
            for s in slices if s.position_mm]  # fmt: skip


def moved(slices: Sequence[Slice], rotation: np.ndarray, translation: Sequence[float]) -> list[Slice]:
    """Move the whole series rigidly."""
    out = []
    for s in slices:
        assert s.position_mm is not None and s.orientation is not None
        position = rotation @ np.array(s.position_mm) + np.array(translation)
        axes = np.array(s.orientation).reshape(2, 3) @ rotation.T
        out.append(replace(s, position_mm=tuple(position.tolist()), orientation=tuple(axes.ravel().tolist())))
    return out


def codes(warnings: Sequence[Any]) -> set[str]:
    """The codes of warnings."""
    return {w.code for w in warnings}
