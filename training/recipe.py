"""Everything that decides a training run besides the data and the seed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from ichnode.errors import PermanentError
from ichnode.inference.bundle import Architecture, Bundle, Preprocessing

CLASS_WEIGHTS = (2.0, 1.0, 1.0, 1.0, 1.0, 1.0)
"""Weights of the classes in the loss, the paper's: `any` counts twice."""


class RecipeError(PermanentError):
    """A recipe file cannot be read, or asks for what does not exist."""

    code = "RECIPE"


@dataclass(frozen=True, slots=True)
class Sampling:
    """Which sequences of slices a step sees.

    Attributes
    ----------
    kind : str
        ``"scans"``: every scan once an epoch, in random order, around a random slice of it (the paper).
        ``"balanced"``: as many scans that bleed as scans that do not, whatever their share is.
        ``"mixture"``: a share of sequences that bleed, and a share with a bleed added; needs `ichnode_training.heads`.
    length : int
        Adjacent slices in a sequence; a shorter scan makes a shorter sequence.
    sequences : int
        Sequences that go through the network together: what batch normalisation and CutMix see.
    groups : int
        So many times `sequences` make one step. They are taken one after the other (gradient accumulation), or shared
        among processes; the step is the same.
    real : float
        Mixture: share around a slice that bleeds, each bleeding patient as often as another.
    added : float
        Mixture: share of patients without haemorrhage, with a bleed added.
    phantoms : float
        Mixture: share of phantoms, half of them around a slice that bleeds.
    phantom_heads : int
        How many phantoms are made.
    """

    kind: Literal["scans", "balanced", "mixture"] = "scans"
    length: int = 10
    sequences: int = 5
    groups: int = 2
    real: float = 0.0
    added: float = 0.0
    phantoms: float = 0.0
    phantom_heads: int = 0

    @property
    def a_step(self) -> int:
        """Sequences in a step."""
        return self.sequences * self.groups


@dataclass(frozen=True, slots=True)
class Augmentation:
    """How sequences are varied.

    Attributes
    ----------
    kind : str
        ``"paper"``: the published list (`ichnode_training.paper_augment`); ``"head"``: what heads and scanners differ
        in (`ichnode_training.augment`); ``"features"``: noise and gaps, of cached features; ``"none"``.
    per_slice : bool
        Draw anew for each slice, as the paper does; otherwise a sequence is varied as a whole.
    cutmix : str
        ``"slices"``: each slice takes its patch from any slice of the batch (the paper); ``"sequences"``: the slices of
        a sequence take it from the slices of one other sequence, in order; ``"off"``.
    """

    kind: Literal["paper", "head", "features", "none"] = "paper"
    per_slice: bool = True
    cutmix: Literal["slices", "sequences", "off"] = "slices"


@dataclass(frozen=True, slots=True)
class Optimisation:
    """AdamW and its schedule.

    Attributes
    ----------
    epochs : float or None
        Length of the run; one epoch is as many sequences as there are scans.
    steps : int or None
        Length of the run, instead of `epochs`.
    least_steps : int
        Length of the run at least, where `epochs` of few scans would be too short.
    rate, head_rate : float
        Peak learning rates of the CNN and of the layers above it.
    weight_decay : float
    undecayed : str
        Which parameters have no weight decay: ``"biases"`` (the authors' code, normalisation's scales decay) or
        ``"vectors"`` (biases and normalisation).
    eps : float
    warm_up : float
        Share of the run.
    clip : float
        Largest norm of the gradient; 0 for no limit.
    averaging : float
        Decay of the running average of the weights, which is then what is kept; 0 for none.
    closeness : float
        Weight of the squared distance to the weights from which the run starts: little data move little.
    judged : float
        Epochs between two judgements on the validation scans; the end of the run is always one.
    frozen_stages : int
        First stages of the CNN that keep their weights and statistics: edges and textures need no relearning, and all
        networks of a run share them. Above 0 the backbone has to be a timm EfficientNet.
    frozen_cnn : bool
        Train only what lies above the CNN; of a bundle (`start`) on features that are computed once.
    frozen_statistics : bool
        Normalisation keeps the statistics that it starts with: batches of few scans know no better ones.
    """

    epochs: float | None = None
    steps: int | None = None
    least_steps: int = 1
    rate: float = 1e-3
    head_rate: float = 1e-3
    weight_decay: float = 0.01
    undecayed: Literal["biases", "vectors"] = "biases"
    eps: float = 1e-3
    warm_up: float = 0.1
    clip: float = 0.0
    averaging: float = 0.0
    closeness: float = 0.0
    judged: float = 1.0
    frozen_stages: int = 0
    frozen_cnn: bool = False
    frozen_statistics: bool = False


@dataclass(frozen=True, slots=True)
class Losses:
    """Weights of the parts of the loss.

    Attributes
    ----------
    slices : float
        Of the slices' logits.
    slice_head : float
        Of the slice head's own logits.
    outline : float
        Of the outlines of haemorrhage, where a data set has them.
    scan : float
        Of the scans' logits (`CnnLstm.read_scans`), where whole scans are labelled.
    highest : float
        Of the highest slice's logits, which the node takes for the scan, where whole scans are labelled.
    """

    slices: float = 1.0
    slice_head: float = 0.0
    outline: float = 0.0
    scan: float = 0.0
    highest: float = 0.0


@dataclass(frozen=True, slots=True)
class Recipe:
    """A run; the defaults are the paper's. Recipes that have a name are files in ``recipes/``.

    Attributes
    ----------
    name : str
    architecture, preprocessing, sampling, augmentation, optimisation, losses
    start : str
        ``"imagenet"``: the CNN starts from ImageNet weights; those of ``tf_efficientnet_lite0`` are at hand, those of
        ``lite1`` and ``lite2`` in packages of their own, others are given by file. ``"nothing"``: from random weights.
        ``"bundle"``: from the bundle that is given by --init, whose network and preprocessing are the run's.
    calibrated : bool
        After training, fit a temperature for each class on the validation scans.
    target_sensitivity : float
        Share of the bleeding scans among those that judge the run which the threshold of `any` has to find.
    precision : str
        ``"bf16"`` runs the CNN under autocast, ``"fp32"`` does not, ``"auto"`` is bf16 on a GPU only.
    """

    name: str
    architecture: Architecture = field(default_factory=Architecture)
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    sampling: Sampling = field(default_factory=Sampling)
    augmentation: Augmentation = field(default_factory=Augmentation)
    optimisation: Optimisation = field(default_factory=lambda: Optimisation(epochs=30))
    losses: Losses = field(default_factory=Losses)
    start: Literal["imagenet", "nothing", "bundle"] = "imagenet"
    calibrated: bool = False
    target_sensitivity: float = 0.9
    precision: Literal["auto", "bf16", "fp32"] = "auto"

    def __post_init__(self) -> None:
        """Refuse what cannot be run; `ValueError`."""
        if (self.optimisation.epochs is None) == (self.optimisation.steps is None):
            raise ValueError("optimisation: give either epochs or steps.")
        if (self.optimisation.epochs or self.optimisation.steps or 0) <= 0:
            raise ValueError("optimisation: epochs and steps are above 0.")
        if self.preprocessing.channels != self.architecture.channels:
            raise ValueError(
                f"preprocessing.neighbours makes {self.preprocessing.channels} channels, architecture.channels says "
                f"{self.architecture.channels}."
            )
        if not 0 < self.target_sensitivity <= 1:
            raise ValueError("target_sensitivity is a share: above 0, and 1 at most.")
        if self.augmentation.per_slice and self.preprocessing.neighbours:
            raise ValueError("augmentation.per_slice tears the neighbours of a slice apart: use one of the two.")
        if self.on_features and (
            self.augmentation.kind not in ("features", "none") or self.augmentation.cutmix != "off"
        ):
            raise ValueError("augmentation: of features that are computed once there are features and none, no CutMix.")
        if self.augmentation.kind == "features" and not self.on_features:
            raise ValueError('augmentation.kind = "features" needs start = "bundle" and optimisation.frozen_cnn.')
        if self.architecture.attention and not self.losses.scan:
            raise ValueError("architecture.attention learns from losses.scan alone: set it above 0.")
        if self.sampling.phantoms and not (self.sampling.phantom_heads and self.sampling.kind == "mixture"):
            raise ValueError("sampling.phantoms: they are a share of a mixture, and phantom_heads has to be above 0.")
        shares = self.sampling.real + self.sampling.added + self.sampling.phantoms
        if shares > 1 or min(self.sampling.a_step, self.sampling.length) < 1:
            raise ValueError("sampling: shares add up to 1 at most, and counts are 1 at least.")

    @property
    def on_features(self) -> bool:
        """Whether the CNN has done its work before the run."""
        return self.start == "bundle" and self.optimisation.frozen_cnn

    def of(self, bundle: Bundle) -> Recipe:
        """Return the recipe for the network of a bundle; without attention a scan's logits are its highest slice's."""
        has = bundle.architecture
        losses = replace(self.losses, scan=self.losses.scan if has.attention else 0.0)
        return replace(self, architecture=has, preprocessing=bundle.preprocessing, losses=losses)

    def steps(self, scans: int) -> int:
        """Return the optimiser steps of a run on so many scans."""
        if self.optimisation.steps is not None:
            return self.optimisation.steps
        return max(
            self.optimisation.least_steps, round((self.optimisation.epochs or 0) * scans / self.sampling.a_step), 1
        )
