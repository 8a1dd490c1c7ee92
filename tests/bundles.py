"""Small random bundles: every path of the engine, never a result anyone could take for one."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from ichnode.core.findings import CLASSES
from ichnode.inference.bundle import Architecture, Bundle, Preprocessing, write_bundle

TINY = Architecture("resnet10t", hidden=8, layers=2)
SMALL_PICTURE = Preprocessing(matrix=64, field_of_view_mm=200.0)


def card(architecture: Architecture, preprocessing: Preprocessing) -> dict[str, Any]:
    """A card that says what it is: nothing."""
    return {
        "name": "random weights for tests",
        "version": "0",
        "intended_use": "Research use only: random weights.",
        "architecture": asdict(architecture),
        "preprocessing": preprocessing.as_json(),
        "thresholds": dict.fromkeys(CLASSES, 0.5),
        "training_data": [],
        "metrics": {},
        "limitations": ["It has learned nothing."],
        "is_not": ["Not a model."],
    }


def write_tiny_bundle(folder: Path, seed: int = 7) -> Bundle:
    """A bundle that loads in a moment and scores at random; another seed is another model."""
    import torch

    from ichnode.inference.network import CnnLstm

    torch.manual_seed(seed)
    network = CnnLstm.build(TINY).eval()
    return write_bundle(folder, card(TINY, SMALL_PICTURE), network.state_dict())
