"""Everything that decides a training run besides the data and the seed."""

from __future__ import annotations

from dataclasses import dataclass, field

from ichnode.inference.bundle import Architecture, Preprocessing

from .sampling import Mixture

CLASS_WEIGHTS = (2.0, 1.0, 1.0, 1.0, 1.0, 1.0)
"""Weights of the classes in the loss, the paper's: `any` counts twice."""
_LAPTOP = Architecture("tf_efficientnet_lite0", hidden=128, layers=2, slice_head=True)
_CUT_OUT = Preprocessing(matrix=224, field_of_view_mm=212.0, mirrored=True)


@dataclass(frozen=True, slots=True)
class Recipe:
    """The numbers of a run; the defaults are those of the shipped bundle.

    Attributes
    ----------
    architecture, preprocessing, mixture
        The network, its input, and what a step's sequences are drawn from.
    steps : int
        Optimiser steps.
    sequences : int
        Sequences drawn a step.
    rate, head_rate : float
        Peak learning rates of the CNN and of the layers that start from nothing (AdamW).
    weight_decay : float
    warm_up : int
        Steps of linear warm-up.
    frozen_stages : int
        First stages of the CNN that keep their ImageNet weights and statistics: edges and textures need no relearning,
        and all networks of a run share them. Above 0 the backbone has to be a timm EfficientNet.
    outline_weight, slice_weight : float
        Weights of the outline losses and of the slice head's own loss beside the scan loss.
    averaging : float
        Decay of the running average of the weights, which is what is kept.
    imagenet : bool
        Start the CNN from ImageNet weights (``tf_efficientnet_lite0`` only).
    """

    architecture: Architecture = _LAPTOP
    preprocessing: Preprocessing = _CUT_OUT
    mixture: Mixture = field(default_factory=Mixture)
    steps: int = 400
    sequences: int = 5
    rate: float = 1e-3
    head_rate: float = 2e-3
    weight_decay: float = 0.02
    warm_up: int = 30
    frozen_stages: int = 3
    outline_weight: float = 1.0
    slice_weight: float = 0.5
    averaging: float = 0.98
    imagenet: bool = True
