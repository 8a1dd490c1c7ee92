"""Checkpoints of Nguyen et al. (Kaggle, ``dattran2346/midl2020-cnn-lstm``) as states of our network.

Their encoder is Cadene's ``pretrainedmodels``, cut into ``layer0`` to ``layer4``. Names:

- ``layer0.conv1``, ``layer0.bn1``: ``cnn.conv1``, ``cnn.bn1`` for ResNet-50; SE-ResNeXt-50 keeps ``layer0``.
- ``layer1.0.conv1`` and the like: the same behind ``cnn.``.
- ``decoder.recurrent.*``: ``lstm.*``.
- ``decoder.fc.*``: ``head.*``.

Their SE-ResNeXt-50 is timm's ``legacy_seresnext50_32x4d``, not ``seresnext50_32x4d``.

Whether the first channel of their pictures was brain or bone depends on a script that they did not publish and on how
OpenCV read the files. ``"rgb"`` takes it for brain, as in their published picture, ``"bgr"`` for bone: try both, and
keep the lower loss. The mean and deviation of normalisation stay in their places, so that the order is one of windows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from torch import Tensor

from ichnode.core.windows import PAPER
from ichnode.inference.bundle import Architecture, Preprocessing

_PARTS = {"decoder.recurrent.": "lstm.", "decoder.fc.": "head."}
_SQUEEZE = "se_module"


def is_theirs(weights: Mapping[str, Any]) -> bool:
    """Tell a checkpoint of theirs by its names."""
    return any(name.startswith("decoder.recurrent.") for name in weights)


def architecture_of(weights: Mapping[str, Tensor]) -> Architecture:
    """Return which of the paper's two networks a checkpoint is of."""
    squeezed = any(_SQUEEZE in name for name in weights)
    return Architecture("legacy_seresnext50_32x4d" if squeezed else "resnet50")


def preprocessing_of(order: Literal["rgb", "bgr"]) -> Preprocessing:
    """Return the paper's preprocessing with the channels in an order."""
    windows = PAPER if order == "rgb" else (PAPER[2], PAPER[1], PAPER[0])
    return replace(Preprocessing(), windows=windows)


def from_authors(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return their tensors under our names."""
    squeezed = any(_SQUEEZE in name for name in weights)
    return {_ours(name, squeezed): tensor for name, tensor in weights.items()}


def _ours(name: str, squeezed: bool) -> str:
    for theirs, own in _PARTS.items():
        if name.startswith(theirs):
            return own + name.removeprefix(theirs)
    return f"cnn.{name if squeezed else name.removeprefix('layer0.')}"
