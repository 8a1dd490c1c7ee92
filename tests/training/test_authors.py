"""Checkpoints in the layout of the paper's authors, with random weights: names, shapes, and the numbers that come out.

The authors' modules are written out here after their description (Cadene's ResNet-50 and SE-ResNeXt-50 cut into layer0
to layer4, pooled, an LSTM, a linear layer), so that the comparison is with their way to compute and not with ours.
"""

from collections import OrderedDict

import pytest
import torch
from ichnode_training.__main__ import main
from ichnode_training.authors import architecture_of, from_authors, is_theirs, preprocessing_of
from ichnode_training.initial import initial_state, read_weights
from ichnode_training.recipe_file import read_recipe
from ichnode_training.start import StartError
from torch import nn
from torchvision.models.resnet import Bottleneck as Plain
from torchvision.models.resnet import ResNet

from ichnode.inference.bundle import Preprocessing, load_bundle
from ichnode.inference.network import CnnLstm, load_state


class Squeeze(nn.Module):
    def __init__(self, channels, reduction=16):
        super().__init__()
        self.fc1 = nn.Conv2d(channels, channels // reduction, 1)
        self.fc2 = nn.Conv2d(channels // reduction, channels, 1)

    def forward(self, x):
        return x * torch.sigmoid(self.fc2(torch.relu(self.fc1(x.mean((2, 3), keepdim=True)))))


class SeResNeXtBottleneck(nn.Module):
    def __init__(self, before, planes, stride):
        super().__init__()
        width = planes * 4 // 64 * 32
        self.conv1, self.bn1 = nn.Conv2d(before, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, groups=32, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, planes * 4, 1, bias=False), nn.BatchNorm2d(planes * 4)
        self.se_module = Squeeze(planes * 4)
        self.downsample = None
        if stride > 1 or before != planes * 4:
            self.downsample = nn.Sequential(
                nn.Conv2d(before, planes * 4, 1, stride, bias=False), nn.BatchNorm2d(planes * 4)
            )

    def forward(self, x):
        out = torch.relu(self.bn1(self.conv1(x)))
        out = self.bn3(self.conv3(torch.relu(self.bn2(self.conv2(out)))))
        return torch.relu(self.se_module(out) + (x if self.downsample is None else self.downsample(x)))


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.recurrent = nn.LSTM(2048, 512, num_layers=2, bidirectional=True, batch_first=True)
        self.fc = nn.Linear(1024, 6)


class Theirs(nn.Module):
    """Their network, for one scan."""

    def __init__(self, squeezed):
        super().__init__()
        if squeezed:
            pool = nn.MaxPool2d(3, stride=2, ceil_mode=True)
            stem = [("conv1", nn.Conv2d(3, 64, 7, 2, 3, bias=False)), ("bn1", nn.BatchNorm2d(64)), ("relu1", nn.ReLU())]
            self.layer0 = nn.Sequential(OrderedDict([*stem, ("pool", pool)]))
            before = 64
            for number, (planes, blocks, stride) in enumerate([(64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)], 1):
                layers = []
                for block in range(blocks):
                    layers.append(SeResNeXtBottleneck(before, planes, stride if block == 0 else 1))
                    before = planes * 4
                setattr(self, f"layer{number}", nn.Sequential(*layers))
        else:
            whole = ResNet(Plain, [3, 4, 6, 3])
            stem = [("conv1", whole.conv1), ("bn1", whole.bn1), ("relu", whole.relu), ("maxpool", whole.maxpool)]
            self.layer0 = nn.Sequential(OrderedDict(stem))
            self.layer1, self.layer2, self.layer3, self.layer4 = whole.layer1, whole.layer2, whole.layer3, whole.layer4
        self.decoder = Decoder()

    def forward(self, slices):
        x = self.layer4(self.layer3(self.layer2(self.layer1(self.layer0(slices)))))
        hidden, _ = self.decoder.recurrent(x.mean((2, 3))[None])
        return self.decoder.fc(hidden)[0]


@pytest.fixture(scope="module", params=[False, True], ids=["resnet50", "seresnext50"])
def theirs(request):
    torch.manual_seed(0)
    network = Theirs(request.param).eval()
    with torch.no_grad():
        for name, tensor in network.named_buffers():
            if name.endswith("running_mean"):
                tensor.normal_(0, 0.1)
            elif name.endswith("running_var"):
                tensor.uniform_(0.5, 1.5)
    return network


def test_the_same_names_shapes_and_logits(theirs):
    weights = theirs.state_dict()
    assert is_theirs(weights)
    ours = CnnLstm.build(architecture_of(weights)).eval()
    state = from_authors(weights)
    assert set(state) == set(ours.state_dict())
    assert all(state[name].shape == tensor.shape for name, tensor in ours.state_dict().items())
    load_state(ours, state)
    slices = torch.randn(3, 3, 66, 66)  # where pooling with and without ceil_mode differ
    with torch.inference_mode():
        torch.testing.assert_close(ours(slices, [3]), theirs(slices), atol=2e-5, rtol=1e-4)


def test_the_other_seresnext_of_timm_would_not_do(theirs):
    state = from_authors(theirs.state_dict())
    assert set(state) != set(CnnLstm("seresnext50_32x4d").state_dict())


@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_the_command_makes_a_bundle_of_a_checkpoint(theirs, tmp_path, order):
    file, out = tmp_path / "best.pth", tmp_path / "bundle"
    torch.save({"epoch": 30, "state_dict": theirs.state_dict()}, file)
    with pytest.raises(StartError):  # an epoch is no tensor: only what stands under state_dict is taken
        read_weights_of_a_pickle(tmp_path)
    assert main(["authors", str(file), "--out", str(out), "--channel-order", order]) == 0
    bundle = load_bundle(out)
    assert bundle.architecture == architecture_of(theirs.state_dict())
    widths = [window.width for window in bundle.preprocessing.windows]
    assert widths == ([80, 215, 2800] if order == "rgb" else [2800, 215, 80])
    assert bundle.preprocessing.mean == Preprocessing().mean
    assert preprocessing_of("rgb") == Preprocessing()


def read_weights_of_a_pickle(folder):
    """A pickle that would run code when it is opened carelessly."""

    class Runs:
        def __reduce__(self):
            return (print, ("it ran",))

    torch.save({"weights": Runs()}, folder / "evil.pth")
    return read_weights(folder / "evil.pth")


def test_training_starts_from_a_checkpoint_of_theirs(theirs, tmp_path):
    file = tmp_path / "best.pth"
    torch.save(theirs.state_dict(), file)
    squeezed = "layer1.0.se_module.fc1.weight" in theirs.state_dict()
    recipe = read_recipe("paper-seresnext50" if squeezed else "paper-resnet50")
    state = initial_state(file, recipe)
    torch.testing.assert_close(state["lstm.weight_hh_l1"], theirs.decoder.recurrent.weight_hh_l1)
    with pytest.raises(StartError, match="does not fit"):
        initial_state(file, read_recipe("paper-resnet50" if squeezed else "paper-seresnext50"))


def test_what_is_no_checkpoint_is_said_so(tmp_path, capsys):
    (tmp_path / "text.pth").write_text("no weights")
    assert main(["authors", str(tmp_path / "text.pth"), "--out", str(tmp_path / "out")]) == 1
    assert "no file of weights that can be read safely" in capsys.readouterr().err
    torch.save({"fc.weight": torch.zeros(2)}, tmp_path / "other.pth")
    assert main(["authors", str(tmp_path / "other.pth"), "--out", str(tmp_path / "out")]) == 1
    assert "has not the names" in capsys.readouterr().err
