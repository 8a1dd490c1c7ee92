"""The scans a model was most wrong about, each with the slice to look at."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from ichnode.core.windows import BRAIN

from .assessment import Judged

_MOST_PIXELS = 320
_RIM = (255, 176, 0)


@dataclass(frozen=True, slots=True)
class Wrong:
    """One scan: what it is, what was said, and a slice of it in the brain window as a PNG in base64,
    with the rim of what is outlined."""

    positive: bool
    score: float
    scan: str
    slice: int
    of: int
    why_this: str
    png: str


def worst(judged: Sequence[Judged], most: int = 6) -> Iterator[Wrong]:
    """Yield the bleeding scans with the lowest scores of ``any``, then those without a bleed with the highest."""
    for positive in (True, False):
        those = [j for j in judged if j.scan.scan_labels[0] == float(positive)]
        those.sort(key=lambda j: float(j.scan_scores[0]) * (1 if positive else -1))
        for one in those[:most]:
            index, why = _slice_of(one, positive)
            lesion = one.scan.lesion()
            outline = None if lesion is None else np.array(lesion[index])
            picture = _png(np.array(one.scan.hu()[index]), outline)
            yield Wrong(positive, float(one.scan_scores[0]), one.scan.series, index + 1, len(one.scores), why, picture)


def _slice_of(one: Judged, positive: bool) -> tuple[int, str]:
    lesion = one.scan.lesion()
    if positive and lesion is not None:
        return int(lesion.sum(axis=(1, 2)).argmax()), "most outlined"
    bleeds = one.scan.labels[:, 0] == 1
    if positive and bleeds.any():
        return int(np.where(bleeds, one.scores[:, 0], -1).argmax()), "highest of the slices that bleed"
    return int(one.scores[:, 0].argmax()), "highest score"


def _png(plane: NDArray[np.int16], outline: NDArray[np.bool_] | None) -> str:
    grey = (BRAIN.apply(plane) * 255).round().astype(np.uint8)
    picture = Image.fromarray(grey).convert("RGB")
    if outline is not None and outline.any():
        rim = ndimage.binary_dilation(outline, iterations=2) & ~ndimage.binary_dilation(outline)
        picture.paste(_RIM, mask=Image.fromarray((rim * 255).astype(np.uint8)))
    picture.thumbnail((_MOST_PIXELS, _MOST_PIXELS), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()
