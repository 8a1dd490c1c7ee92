"""Class activation: where in a slice the network saw what moved one of the slice's scores.

For a slice t and a class c, with the logit l (before the sigmoid) and the feature maps A of t at one stage of the CNN::

    map[y, x] = relu( sum over channels k of  (dl / dA[k, y, x]) * A[k, y, x] )

This is HiResCAM (Draelos and Carin, "Use HiResCAM instead of Grad-CAM for faithful explanations of convolutional
neural networks", arXiv 2011.08891). On the very last feature map, which is averaged over the image, it would be
Grad-CAM (Selvaraju et al., ICCV 2017) to the letter. It is taken one stage earlier, on the last map before the final
halving: a last map has cells of about 30 mm, and in the shipped model most of a cell's value comes from its
surroundings, so that Grad-CAM there misses nearly every lesion. The finer stage still answers for the whole score: the
gradient comes down from the logit through the sequence layers (only t's own features vary; the other slices stay as
they are) and the end of the CNN. The figures are in docs/data-scientist.md.

A map shows what raised the score. It is not an outline of a bleed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ichnode.errors import BundleError
from ichnode.inference.network import CnnLstm
from ichnode.inference.preprocess import Field

_NO_MAPS = "The backbone of the model bundle gives no feature maps: use a convolutional network of timm."


def stage_of(network: CnnLstm) -> tuple[nn.Module, int]:
    """Return the stage whose maps are explained, the last one before the CNN's final halving, and its channels.

    Raises
    ------
    BundleError
        The backbone has no such stage.
    """
    stages = list(getattr(network.cnn, "feature_info", ()))
    finer = [stage for stage in stages if 2 * stage["reduction"] == stages[-1]["reduction"]]
    if not finer:
        raise BundleError(_NO_MAPS)
    return network.cnn.get_submodule(finer[-1]["module"]), int(finer[-1]["num_chs"])


def pulls(network: CnnLstm, features: Tensor, wanted: Sequence[tuple[int, int]]) -> Tensor:
    """Return how a slice's own pooled features move one of its logits.

    Parameters
    ----------
    features : tensor of shape (slices, features)
        Of one whole scan, as the CNN pooled them.
    wanted : sequence of (slice, class column)

    Returns
    -------
    tensor of shape (wanted, features)
        d logit[slice, column] / d features[slice].
    """
    with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):  # cuDNN's LSTM has no gradient in evaluation
        leaf = features.float().detach().clone().requires_grad_()
        logits = network.read(leaf, [len(leaf)])
        rows = [torch.autograd.grad(logits[at], leaf, retain_graph=True)[0][at[0]] for at in wanted]
    return torch.stack(rows)


@contextmanager
def stage_maps(network: CnnLstm) -> Iterator[list[Tensor]]:
    """Collect what the explained stage gives, one tensor of shape (n, channels, h, w) a pass through the CNN."""
    found: list[Tensor] = []
    stage, _ = stage_of(network)
    hook = stage.register_forward_hook(lambda _module, _inputs, maps: found.append(maps.clone()))
    try:
        yield found
    finally:
        hook.remove()


def class_activation(network: CnnLstm, maps: Tensor, pull: Tensor, blank: Tensor) -> Tensor:
    """Return gradient times activation, summed over the channels, of each picture; negative parts kept.

    Only what follows the stage is run: a tiny blank picture goes in, and at the stage the given maps take its place.

    Parameters
    ----------
    maps : tensor of shape (n, channels, h, w)
        From `stage_maps`.
    pull : tensor of shape (n, features)
        From `pulls`, for each picture.
    blank : tensor of shape (1, input channels, side, side)
        Any picture that the early stages can take.

    Returns
    -------
    tensor of shape (n, h, w)
        On the cells of the explained stage.

    Raises
    ------
    BundleError
        The stage of this backbone gives no map.
    """
    stage, channels = stage_of(network)
    if maps.ndim != 4 or maps.shape[1] != channels:
        raise BundleError(_NO_MAPS)
    leaf = maps.detach().requires_grad_()  # the graph begins here: earlier layers need none
    # A clone: what follows may work in place.
    hook = stage.register_forward_hook(lambda _module, _inputs, _maps: leaf.clone())
    try:
        with torch.enable_grad():
            score = (network.cnn(blank) * pull).sum()
            (gradient,) = torch.autograd.grad(score, leaf)
    finally:
        hook.remove()
    return (gradient * leaf.detach()).sum(1)


def on_image(cells: NDArray[np.float32], field: Field, rows: int, columns: int) -> NDArray[np.float32]:
    """Interpolate a map from the cells of a stage to the pixels of the image, bilinearly; outside the field it is 0.

    The field is divided evenly among the cells, and a cell's value stands at its middle. (With padding on one side
    only, as in EfficientNet, the middles of the receptive fields lie elsewhere, but the training's outlines are laid
    over the cells in this way, and so the network learns to answer in the cell where the blood is.)

    Parameters
    ----------
    cells : array of shape (n, h, w)
    field : Field
        The part of the image that the network saw.
    rows, columns : int
        Of the image.

    Returns
    -------
    float32 array of shape (n, rows, columns)
    """
    down = _weights(rows, field.first[0], field.size[0], cells.shape[1])
    across = _weights(columns, field.first[1], field.size[1], cells.shape[2])
    return np.asarray(down @ cells @ across.T, np.float32)


def _weights(pixels: int, first: int, extent: int, cells: int) -> NDArray[np.float32]:
    """Return how much each cell counts for each pixel of one axis, shape (pixels, cells)."""
    place = (np.arange(pixels) - first + 0.5) / extent  # of the pixel's middle in the field, 0..1
    at = np.clip(place * cells - 0.5, 0, cells - 1)
    weights = np.maximum(0, 1 - np.abs(at[:, None] - np.arange(cells)))
    weights[(place <= 0) | (place >= 1)] = 0
    return weights.astype(np.float32)
