"""Load: a model bundle as the configuration wants it computed. Not to be imported where torch must not be."""

from __future__ import annotations

from pathlib import Path

from ichnode.config import Settings
from ichnode.inference.computing import Computing
from ichnode.inference.engine import Engine


def load_engine(settings: Settings, bundle: Path, device: str = "", threads: int = 0) -> Engine:
    """Return the engine of a bundle; `device` and `threads` are those of the configuration unless given.

    What OpenVINO compiles is kept in the data folder, where there is one.

    Raises
    ------
    BundleError
        As `Engine.load`.
    """
    engine, data = settings.engine, settings.node.data.resolve()
    computing = Computing(engine.runtime, engine.precision, data / "compiled" if data.is_dir() else None)
    return Engine.load(bundle, device or engine.device, threads or engine.threads or None, computing)
