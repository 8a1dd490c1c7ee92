"""Heat maps as they are kept for whoever looks later: eight bits a pixel, in one compressed block of bytes."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ichnode.core.images import SeriesImages

LIMIT_BYTES = 64 << 20
"""Of all maps unpacked: a file that claims more was not written here."""


@dataclass(frozen=True, slots=True, eq=False)
class HeatMaps:
    """What `pack` kept.

    Attributes
    ----------
    indices : tuple of int
        Places in `Outcome.order`, ascending.
    classes : tuple of str
        Which class each map explains.
    maps : (maps, rows, columns) array of uint8
        Class activation, 255 is the highest of the series.
    """

    indices: tuple[int, ...]
    classes: tuple[str, ...]
    maps: NDArray[np.uint8]


def pack(images: SeriesImages) -> bytes | None:
    """Return the heat maps of a series, the same bytes for the same maps; None where there are none."""
    if not images.heat:
        return None
    indices = sorted(images.heat)
    maps = np.stack([np.rint(np.clip(images.heat[index], 0, 1) * 255).astype(np.uint8) for index in indices])
    packed = io.BytesIO()
    classes = np.array([images.heat_class[index] for index in indices])
    np.savez_compressed(packed, indices=np.array(indices, np.int32), classes=classes, maps=maps)
    return packed.getvalue()


def unpack(content: bytes) -> HeatMaps:
    """Read what `pack` wrote.

    Raises
    ------
    ValueError
        It is not that.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as parts:
            if sum(part.file_size for part in parts.infolist()) > LIMIT_BYTES:
                raise ValueError("heat maps larger than any that are written")
        with np.load(io.BytesIO(content), allow_pickle=False) as kept:
            indices, classes, maps = kept["indices"], kept["classes"], kept["maps"]
    except (zipfile.BadZipFile, EOFError, KeyError) as error:
        raise ValueError("not heat maps") from error
    if maps.dtype != np.uint8 or maps.ndim != 3 or not len(indices) == len(classes) == len(maps):
        raise ValueError("not heat maps")
    return HeatMaps(tuple(int(i) for i in indices), tuple(str(name) for name in classes), maps)
