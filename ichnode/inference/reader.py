"""What reads a series: an engine in this process, or the pool. Whoever interprets knows only this."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ichnode.core.hounsfield import Decode
from ichnode.inference.bundle import Bundle


class SeriesReader(Protocol):
    """`ichnode.inference.engine.Engine`, or `ichnode.inference.pool.PoolEngine`, which asks a machine of the pool."""

    bundle: Bundle
    decode: Decode | None
    """Reads pixels in place of this process: one that has several series in hand asks children, as
    `ichnode.dicom.decoding.Decoders` does, so that a crash costs one series and no other."""

    @property
    def computed_by(self) -> str:
        """Where it reads and by what; of the pool, where it has read."""

    def prepare(
        self, volume_hu: NDArray[np.int16], positions_mm: Sequence[float], pixel_spacing_mm: tuple[float, float]
    ) -> Any:
        """Make a volume ready for `read`, in another thread; None where only `read` can."""

    def read(
        self, volume_hu: NDArray[np.int16], positions_mm: Sequence[float], pixel_spacing_mm: tuple[float, float],
        prepared: Any = None,
    ) -> Any:  # fmt: skip
        """Score every slice; what comes back has ``scores``, and explains itself to `activations`.

        `prepared` is what `prepare` has made of the same volume, by the same rules of preprocessing.
        """

    def activations(self, reading: Any, wanted: Sequence[tuple[int, int]]) -> NDArray[np.float32]:
        """Return heat maps of (slice, class column), on the pixels of the image."""
