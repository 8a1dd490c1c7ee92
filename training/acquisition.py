"""From a head to slices: slab averaging along a tilted gantry, point spread, beam hardening, coloured noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from .anatomy import CENTRE_MM, Grid
from .fields import Field


@dataclass(frozen=True)
class Protocol:
    """How a head is scanned. Lengths in mm, angles in degrees.

    `tilt_deg` turns the slices about the patient's left-right axis. With `sheared` the table moves along the patient
    (a tilted gantry: positions advance along z, not along the normal); without, slices are stacked along their normal.
    """

    slices: int = 32
    thickness_mm: float = 5.0
    spacing_mm: float = 5.0
    matrix: int = 512
    pixel_mm: float = 0.47
    tilt_deg: float = 0.0
    sheared: bool = True
    kernel: str = "soft"
    noise_hu: float = 3.5
    yaw_deg: float = 0.0
    roll_deg: float = 0.0
    offset_mm: tuple[float, float] = (0.0, 0.0)

    @property
    def orientation(self) -> tuple[float, float, float, float, float, float]:
        """ImageOrientationPatient: rows run to the patient's left, columns to the back, tilted."""
        angle = np.radians(self.tilt_deg)
        return (1.0, 0.0, 0.0, 0.0, float(np.cos(angle)), float(np.sin(angle)))

    @property
    def normal(self) -> Field:
        """Slice normal, towards the top of the head."""
        return np.cross(self.orientation[:3], self.orientation[3:])

    def positions(self) -> npt.NDArray[np.float64]:
        """Return ImagePositionPatient of every slice, (slices, 3) in mm, from the lowest slice up."""
        advance = np.array([0.0, 0.0, 1.0]) if self.sheared else self.normal
        step = self.spacing_mm / float(advance @ self.normal)
        index = np.arange(self.slices) - (self.slices - 1) / 2
        centres = np.array(CENTRE_MM) + index[:, None] * step * advance
        half = self.pixel_mm * (self.matrix - 1) / 2
        column = np.array(self.orientation[3:])
        corner = np.array([-half + self.offset_mm[0], 0, 0]) + column * (-half + self.offset_mm[1])
        return np.asarray(centres + corner, np.float64)


def sample(volume: Field, grid: Grid, protocol: Protocol, matrix: int, outside: float) -> Field:
    """Average `volume` over the slabs of a protocol, on an in-plane raster of `matrix` x `matrix` points.

    Returns
    -------
    slabs : (slices, matrix, matrix) array
    """
    pixel = protocol.pixel_mm * protocol.matrix / matrix
    yaw, roll = np.radians(protocol.yaw_deg), np.radians(protocol.roll_deg)
    pose = np.array([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]]) @ np.array(
        [[np.cos(roll), 0, np.sin(roll)], [0, 1, 0], [-np.sin(roll), 0, np.cos(roll)]]
    )
    positions = protocol.positions()
    row, column = np.array(protocol.orientation[:3]), np.array(protocol.orientation[3:])
    step = (positions[-1] - positions[0]) / max(protocol.slices - 1, 1)
    shift = (row + column) * (pixel - protocol.pixel_mm) / 2
    axes = pose @ np.stack([step, column * pixel, row * pixel], axis=1)  # xyz per (slice, row, column)
    spacing = np.array(grid.step_mm)
    origin = np.array([grid.z.item(0), grid.y.item(0), grid.x.item(0)])
    count = max(1, round(protocol.thickness_mm / grid.step_mm[0]))
    slabs = np.zeros((protocol.slices, matrix, matrix), np.float32)
    for part in range(count):
        along = ((part + 0.5) / count - 0.5) * protocol.thickness_mm * protocol.normal
        start = (pose @ (positions[0] + shift + along))[::-1]
        slabs += ndimage.affine_transform(
            volume,
            axes[::-1] / spacing[:, None],
            (start - origin) / spacing,
            output_shape=slabs.shape,
            output=np.float32,
            order=1,
            mode="constant",
            cval=outside,
        )
    return slabs / count


def enlarge(slabs: Field, matrix: int) -> Field:
    """Interpolate every slab to `matrix` x `matrix` pixels; pixel centres keep their place."""
    if slabs.shape[1] == matrix:
        return slabs
    ratio = slabs.shape[1] / matrix
    at = (np.arange(matrix) + 0.5) * ratio - 0.5
    basis = np.maximum(0, 1 - np.abs(at[:, None] - np.arange(slabs.shape[1]))).astype(np.float32)
    basis /= basis.sum(1, keepdims=True)
    enlarged: Field = basis @ slabs @ basis.T
    return enlarged


def expose(slabs: Field, protocol: Protocol, rng: np.random.Generator) -> Field:
    """Return what the scanner shows of averaged slabs: (slices, matrix, matrix) in HU, unrounded."""
    pixel = protocol.pixel_mm * protocol.matrix / slabs.shape[1]
    bone = np.clip(slabs - 200, 0, 1200) / 1000
    wide = ndimage.gaussian_filter(bone, (0, 2.5 / pixel, 22 / pixel), mode="nearest")
    halo = ndimage.gaussian_filter(bone, (0, 5 / pixel, 5 / pixel), mode="nearest")
    soft_tissue = (slabs > -200) & (slabs < 150)
    slabs = slabs + soft_tissue * (4 * halo - 14 * np.clip(wide - 0.22, 0, None))
    image = enlarge(slabs, protocol.matrix)
    blur = 0.55 / protocol.pixel_mm * 0.47
    smooth = ndimage.gaussian_filter(image, (0, blur, blur))
    image = (
        smooth if protocol.kernel == "soft" else image + 1.8 * (image - ndimage.gaussian_filter(image, (0, 1.2, 1.2)))
    )
    return image + _noise(image.shape, protocol, rng)


def _noise(shape: tuple[int, ...], protocol: Protocol, rng: np.random.Generator) -> Field:
    """Reconstruction noise: band-passed, stronger in the middle of the head, falling with slice thickness."""
    white = rng.standard_normal(shape, dtype=np.float32)
    fine = 0.45 if protocol.kernel == "soft" else 0.15
    near = ndimage.gaussian_filter(white, (0, fine / protocol.pixel_mm, fine / protocol.pixel_mm), truncate=3)
    grain = near - ndimage.gaussian_filter(white, (0, 1.8 / protocol.pixel_mm, 1.8 / protocol.pixel_mm), truncate=2)
    ramp = (np.arange(shape[1], dtype=np.float32) - shape[1] / 2) * protocol.pixel_mm / 90
    dose = 1.15 - 0.35 * np.clip(ramp[:, None] ** 2 + ramp[None] ** 2, 0, 1)
    level = protocol.noise_hu * np.sqrt(5 / protocol.thickness_mm) * (1 if protocol.kernel == "soft" else 4)
    return grain * (level / max(float(grain.std()), 1e-6)) * dose
