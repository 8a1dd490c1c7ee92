"""One worker of the pool, as it lives in a process on some machine of the cluster: one engine, one bundle, one digest.

It is made with the files of the bundle, which came through the object store; the machine needs this version of ichnode
and nothing else: no shared disk, no worklist, no configuration.
"""

from __future__ import annotations

import os
import platform
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from ichnode import __version__
from ichnode.core.explained import explained
from ichnode.core.findings import CLASSES, findings_from
from ichnode.errors import BundleError

if TYPE_CHECKING:
    from ichnode.inference.engine import Engine


@dataclass(frozen=True, slots=True)
class About:
    """What a worker says of itself once it is ready."""

    place: str
    device: str
    digest: str
    pid: int


@dataclass(frozen=True, slots=True, eq=False)
class PoolReading:
    """What a worker read.

    Attributes
    ----------
    digest : str
        Of the bundle that read it.
    scores : float32 array of shape (slices, 6)
    maps : dict of (slice, class column) to float32 array of shape (rows, columns)
    place : str
        Where it was read, for the journal.
    """

    digest: str
    scores: NDArray[np.float32]
    maps: dict[tuple[int, int], NDArray[np.float32]]
    place: str


class PoolWorker:
    """An engine that is asked from elsewhere; one call at a time, `load` first.

    The node makes it by name and never loads torch.
    """

    _engine: Engine

    def load(
        self, version: str, digest: str, files: Mapping[str, bytes], device: str, threads: int,
        runtime: Literal["auto", "torch", "openvino", "compiled"] = "auto",
        precision: Literal["auto", "fp32", "bf16"] = "auto",
    ) -> About:  # fmt: skip
        """Load and warm a bundle.

        Parameters
        ----------
        version : str
            Version of ichnode that asks.
        digest : str
            Of the bundle.
        files : mapping of file name to content
            The bundle.
        device : str
            ``cpu`` or ``cuda``.
        threads : int
            CPU threads.
        runtime, precision : str
            As in `ichnode.inference.computing.Computing`.

        Raises
        ------
        BundleError
            Another version of ichnode is here, or the files are not those of the digest.
        """
        from ichnode.inference.computing import Computing
        from ichnode.inference.engine import Engine

        if version != __version__:
            raise BundleError(f"The node has ichnode {version}, {platform.node()} has {__version__}: install the same.")
        with tempfile.TemporaryDirectory(prefix="ichnode-") as folder:
            for name, content in files.items():
                (Path(folder) / name).write_bytes(content)
            self._engine = Engine.load(Path(folder), device, threads, Computing(runtime, precision))
        if self._engine.bundle.digest != digest:
            raise BundleError(f"The bundle that came to {platform.node()} is not {digest[:12]}.")
        self._engine.warm()
        return self.about()

    def about(self) -> About:
        """Say where it is: it still lives."""
        engine = self._engine
        return About(f"{engine.computed_by} of {platform.node()}", engine.device, engine.bundle.digest, os.getpid())

    def read(
        self, digest: str, volume_hu: NDArray[np.int16], positions_mm: Sequence[float],
        pixel_spacing_mm: tuple[float, float],
    ) -> PoolReading:  # fmt: skip
        """Read a series and explain what it is found to show, while it is in hand.

        Raises
        ------
        BundleError
            It is asked for a model that it has not got.
        BadObject
            As `ichnode.inference.engine.Engine.read`.
        """
        bundle = self._engine.bundle
        if digest != bundle.digest:
            raise BundleError(f"This worker has the model {bundle.digest[:12]}, and not {digest[:12]}.")
        reading = self._engine.read(volume_hu, positions_mm, pixel_spacing_mm)
        rows = [tuple(float(value) for value in row) for row in reading.scores]
        sound = bool(np.isfinite(reading.scores).all())  # else it is refused where it arrives
        classes = explained(rows, findings_from(rows, bundle.thresholds)) if sound else {}
        chosen = [(index, CLASSES.index(name)) for index, name in classes.items()]
        maps = self._engine.activations(reading, chosen) if chosen else ()
        return PoolReading(digest, reading.scores, dict(zip(chosen, maps, strict=True)), self.about().place)
