"""A network whose normalisations are inside its convolutions says what it said before."""

from __future__ import annotations

import copy

import pytest
import timm
import torch
from torch import nn

from ichnode.inference.folding import fold_normalisation


def made(name):
    """A backbone with normalisations that do something, each for itself."""
    torch.manual_seed(5)
    cnn = timm.create_model(name, pretrained=False, num_classes=0).eval().requires_grad_(False)
    for module in cnn.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.3, 0.3)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.3, 0.3)
    return cnn.to(memory_format=torch.channels_last)


@pytest.mark.parametrize("name", ["resnet50", "seresnext26d_32x4d", "tf_efficientnet_lite0", "mobilenetv3_small_050"])
def test_says_the_same(name):
    plain = made(name)
    folded = copy.deepcopy(plain)
    count = fold_normalisation(folded)
    assert count == sum(isinstance(module, nn.BatchNorm2d) for module in plain.modules())
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    pictures = torch.randn(2, 3, 128, 128).contiguous(memory_format=torch.channels_last)
    stage = plain.feature_info[-2]["module"]
    seen = []
    for cnn in (plain, folded):
        maps = []
        hook = cnn.get_submodule(stage).register_forward_hook(lambda _m, _i, made, maps=maps: maps.append(made.clone()))
        with torch.no_grad():
            seen.append((cnn(pictures), maps))
        hook.remove()
    (features, (maps,)), (other_features, (other_maps,)) = seen
    scale = features.abs().max()
    torch.testing.assert_close(other_features / scale, features / scale, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(other_maps / maps.abs().max(), maps / maps.abs().max(), atol=1e-5, rtol=1e-4)


def test_a_normalisation_of_something_else_stays():
    cnn = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.BatchNorm2d(4), nn.Conv2d(4, 5, 1), nn.BatchNorm2d(5)).eval()
    with torch.no_grad():
        before = cnn(torch.ones(1, 3, 9, 9))
        assert fold_normalisation(cnn) == 1
        torch.testing.assert_close(cnn(torch.ones(1, 3, 9, 9)), before)
    assert [type(layer).__name__ for layer in cnn] == ["Conv2d", "ReLU", "BatchNorm2d", "Conv2d", "Identity"]
