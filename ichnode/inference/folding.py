"""Normalisation inside the convolutions before it.

In evaluation a normalisation multiplies each channel by a number and adds another; so do the weights and the bias of a
convolution. That is a pass over memory less for each: normalisation took a quarter of the time of the shipped model in
plain torch, and on a GPU memory is what bounds the whole (``python -m benchmarks.roof``).
"""

from __future__ import annotations

import torch
from timm.layers import BatchNormAct2d
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

_SIDE = 64


def fold_normalisation(cnn: nn.Module) -> int:
    """Fold each normalisation that takes what a convolution gives into that; return how many.

    Parameters
    ----------
    cnn : torch.nn.Module
        In evaluation, fp32; changed in place. That nothing else takes what a convolution gives is not looked for: hold
        the scores against those of before.
    """
    pairs = _pairs(cnn)
    for name, (convolution, norm) in pairs.items():
        assert norm.running_mean is not None and norm.running_var is not None  # see `_pairs`
        convolution.weight, convolution.bias = fuse_conv_bn_weights(
            convolution.weight, convolution.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
        )
        rest = nn.Sequential(norm.drop, norm.act) if isinstance(norm, BatchNormAct2d) else nn.Identity()
        parent, _, own = name.rpartition(".")
        setattr(cnn.get_submodule(parent), own, rest)
    return len(pairs)


def _pairs(cnn: nn.Module) -> dict[str, tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """Return convolution and normalisation by the latter's name, by sending a small picture through the network."""
    given: dict[int, tuple[nn.Conv2d, Tensor]] = {}
    found: dict[nn.BatchNorm2d, nn.Conv2d] = {}

    def after(convolution: nn.Conv2d, _: tuple[Tensor, ...], made: Tensor) -> None:
        given[id(made)] = convolution, made  # kept, so that no other tensor gets its id

    def before(norm: nn.BatchNorm2d, taken: tuple[Tensor, ...]) -> None:
        if id(taken[0]) in given:
            found[norm] = given[id(taken[0])][0]

    modules = list(cnn.modules())
    convolutions = [module for module in modules if isinstance(module, nn.Conv2d)]
    norms = [module for module in modules if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None]
    hooks = [
        *(convolution.register_forward_hook(after) for convolution in convolutions),
        *(norm.register_forward_pre_hook(before) for norm in norms),
    ]
    try:
        with torch.no_grad():
            cnn(convolutions[0].weight.new_zeros(1, convolutions[0].in_channels, _SIDE, _SIDE))
    finally:
        for hook in hooks:
            hook.remove()
    names = {module: name for name, module in cnn.named_modules()}
    return {names[norm]: (convolution, norm) for norm, convolution in found.items()}
