"""The CNN in two parts: early stages that keep their ImageNet weights, and the rest, which learns."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def frozen_part(cnn: nn.Module, pictures: Tensor, stages: int) -> Tensor:
    """Return what the first `stages` stages of a timm EfficientNet make of the pictures, without gradient.

    With 0 stages the pictures themselves are returned, whatever the CNN is. Normalisation uses the stored statistics.
    """
    if stages == 0:
        return pictures
    with torch.no_grad():
        maps: Tensor = cnn.get_submodule("bn1")(cnn.get_submodule("conv_stem")(pictures))
        for stage in range(stages):
            maps = cnn.get_submodule(f"blocks.{stage}")(maps)
    return maps


def learning_part(cnn: nn.Module, maps: Tensor, stages: int) -> list[Tensor]:
    """Return the feature maps of the rest, from fine to coarse; the last is what the pooling sees.

    Of an EfficientNet the last map before each halving is returned, too: outlines are finer there.
    """
    if stages == 0:
        return [cnn.forward_features(maps)]  # type: ignore[operator]
    seen: list[Tensor] = []
    for stage in range(stages, len(cnn.get_submodule("blocks"))):  # type: ignore[arg-type]
        narrower = cnn.get_submodule(f"blocks.{stage}")(maps)
        if narrower.shape[-1] < maps.shape[-1]:
            seen.append(maps)
        maps = narrower
    final: Tensor = cnn.get_submodule("bn2")(cnn.get_submodule("conv_head")(maps))
    return [*seen, final]


def frozen_names(stages: int) -> tuple[str, ...]:
    """Return how the names of the parameters of the first `stages` stages begin."""
    return () if stages == 0 else ("conv_stem.", "bn1.", *(f"blocks.{stage}." for stage in range(stages)))


def compile_learning_part(cnn: nn.Module, stages: int) -> None:
    """Let torch.compile make the CNN's learning part faster, in place; names and weights stay."""
    if stages == 0:
        cnn.forward_features = torch.compile(cnn.forward_features)  # type: ignore[assignment, arg-type]
    else:
        for stage in range(stages, len(cnn.get_submodule("blocks"))):  # type: ignore[arg-type]
            cnn.get_submodule(f"blocks.{stage}").compile()
