"""The network of Nguyen et al. (MIDL 2020): one CNN for every slice, one LSTM along the scan.

"A CNN-LSTM architecture for detection of intracranial hemorrhage on CT scans". Every slice goes through the CNN and
global average pooling, the features through a bidirectional LSTM along the scan, which gives six scores a slice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import pairwise
from typing import TYPE_CHECKING

import timm
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_sequence, unpack_sequence

from ichnode.core.findings import CLASSES

if TYPE_CHECKING:
    from ichnode.inference.bundle import Architecture


class CnnLstm(nn.Module):
    """CNN per slice, bidirectional LSTM per scan, linear layer to the six classes.

    With its defaults exactly the paper's: 2048 features, LSTM(2048, 512, 2 layers, bidirectional, no dropout),
    Linear(1024, 6) with zero bias.

    Parameters
    ----------
    backbone : str
        Any convolutional timm model with a pooled feature vector: ``resnet50``, ``seresnext50_32x4d``,
        ``tf_efficientnet_lite0``, … Built without weights; nothing is downloaded.
    hidden : int
        LSTM units per direction.
    layers : int
        LSTM layers. With 0 there is no LSTM: the paper's 2-D baseline, a linear layer on each slice's features.
    slice_head : bool
        Add a linear layer from a slice's own features to its six logits, summed with the LSTM's: on little data the
        sequence alone forgets what a single slice shows. Not in the paper.
    channels : int
        Of the input; see `ichnode.inference.preprocess.channels`.
    deltas : bool
        Give the LSTM beside each slice's features their differences to the slice below and to the one above, 0 at the
        ends. Not in the paper.
    attention : bool
        Add a linear layer that tells for each class on which slices the scan's own logits depend (`read_scans`). Not
        in the paper.
    """

    def __init__(
        self,
        backbone: str = "resnet50",
        hidden: int = 512,
        layers: int = 2,
        slice_head: bool = False,
        channels: int = 3,
        deltas: bool = False,
        attention: bool = False,
    ) -> None:
        super().__init__()
        self.cnn = timm.create_model(backbone, pretrained=False, num_classes=0, global_pool="avg", in_chans=channels)
        self.features = int(getattr(self.cnn, "head_hidden_size", None) or self.cnn.num_features)
        self.deltas = deltas
        seen = self.features * (3 if deltas else 1)
        self.lstm = nn.LSTM(seen, hidden, num_layers=layers, bidirectional=True, batch_first=True) if layers else None
        self.head = nn.Linear(2 * hidden if layers else seen, len(CLASSES))
        nn.init.zeros_(self.head.bias)
        self.slice_head = nn.Linear(self.features, len(CLASSES)) if slice_head else None
        if self.slice_head is not None:
            nn.init.zeros_(self.slice_head.bias)
        self.attention = nn.Linear(self.head.in_features, len(CLASSES)) if attention else None

    @classmethod
    def build(cls, architecture: Architecture) -> CnnLstm:
        """Build the network that a bundle's card names, with random weights."""
        return cls(**asdict(architecture))

    def forward(self, slices: Tensor, lengths: Sequence[int]) -> Tensor:
        """Return logits for the slices of one or more scans.

        Parameters
        ----------
        slices : tensor of shape (slices, channels, H, W)
            The scans one after the other.
        lengths : sequence of int
            Slices of each scan; they add up to the number of slices.

        Returns
        -------
        tensor of shape (slices, 6), columns as `ichnode.core.findings.CLASSES`
        """
        return self.read(self.cnn(slices), lengths)

    def read(self, features: Tensor, lengths: Sequence[int]) -> Tensor:
        """Return logits from pooled features of shape (slices, features), scans one after the other.

        Sequences are packed, never padded: what stands beside a scan in a batch cannot reach its scores.
        """
        return self._logits(features, self._sequence(features, lengths))

    def read_scans(self, features: Tensor, lengths: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Return logits for the slices, as `read`, and for the scans, of shape (scans, 6).

        A scan's logit of a class is the mean of its slices' logits, weighted by an attention of that class, so that
        what a label of a whole scan teaches reaches the slices' own scores. Without the attention layer it is the
        highest slice's, as in the paper.
        """
        hidden = self._sequence(features, lengths)
        logits = self._logits(features, hidden)
        if self.attention is None:
            return logits, torch.stack([scan.amax(0) for scan in logits.split(list(lengths))])
        looks = [look.softmax(0) for look in self.attention(hidden).split(list(lengths))]  # (length, 6) each
        pooled = [(look * scan).sum(0) for look, scan in zip(looks, logits.split(list(lengths)), strict=True)]
        return logits, torch.stack(pooled)

    def _logits(self, features: Tensor, hidden: Tensor) -> Tensor:
        logits: Tensor = self.head(hidden)  # (slices, 6)
        return logits if self.slice_head is None else logits + self.slice_head(features)

    def _sequence(self, features: Tensor, lengths: Sequence[int]) -> Tensor:
        """Return what the head reads of every slice: the LSTM's state, or the features where there is no LSTM."""
        if sum(lengths) != len(features) or min(lengths) < 1:
            raise ValueError(f"Lengths {list(lengths)} do not describe {len(features)} slices.")
        scans = list(features.split(list(lengths)))
        if self.deltas:
            scans = [_with_deltas(scan) for scan in scans]
        if self.lstm is None:
            return torch.cat(scans)
        hidden, _ = self.lstm(pack_sequence(scans, enforce_sorted=False))
        return torch.cat(unpack_sequence(hidden))


def _with_deltas(scan: Tensor) -> Tensor:
    step = scan.diff(dim=0)
    end = scan.new_zeros((1, scan.shape[1]))
    return torch.cat((scan, torch.cat((end, step)), torch.cat((step, end))), dim=1)  # (length, 3 * features)


def load_state(network: CnnLstm, state: dict[str, Tensor]) -> None:
    """Put the tensors of a bundle into `network`; names and shapes have to match exactly (`RuntimeError`)."""
    network.load_state_dict(
        {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    )


def lengths_to_slices(lengths: Sequence[int]) -> list[slice]:
    """Return where each scan of a concatenated batch stands."""
    ends = [0]
    for length in lengths:
        ends.append(ends[-1] + length)
    return [slice(first, last) for first, last in pairwise(ends)]
