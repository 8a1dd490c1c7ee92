"""The network of Nguyen et al. (MIDL 2020): one CNN for every slice, one LSTM along the scan.

"A CNN-LSTM architecture for detection of intracranial hemorrhage on CT scans". Every slice goes through the CNN and
global average pooling, the features through a bidirectional LSTM along the scan, which gives six scores a slice.
"""

from __future__ import annotations

from collections.abc import Sequence
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
    slice_head : bool
        Add a linear layer from a slice's own features to its six logits, summed with the LSTM's: on little data the
        sequence alone forgets what a single slice shows. Not in the paper.
    """

    def __init__(
        self, backbone: str = "resnet50", hidden: int = 512, layers: int = 2, slice_head: bool = False
    ) -> None:
        super().__init__()
        self.cnn = timm.create_model(backbone, pretrained=False, num_classes=0, global_pool="avg")
        self.features = int(getattr(self.cnn, "head_hidden_size", None) or self.cnn.num_features)
        self.lstm = nn.LSTM(self.features, hidden, num_layers=layers, bidirectional=True, batch_first=True)
        self.head = nn.Linear(2 * hidden, len(CLASSES))
        nn.init.zeros_(self.head.bias)
        self.slice_head = nn.Linear(self.features, len(CLASSES)) if slice_head else None
        if self.slice_head is not None:
            nn.init.zeros_(self.slice_head.bias)

    @classmethod
    def build(cls, architecture: Architecture) -> CnnLstm:
        """Build the network that a bundle's card names, with random weights."""
        return cls(architecture.backbone, architecture.hidden, architecture.layers, architecture.slice_head)

    def forward(self, slices: Tensor, lengths: Sequence[int]) -> Tensor:
        """Return logits for the slices of one or more scans.

        Parameters
        ----------
        slices : tensor of shape (slices, 3, H, W)
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
        if sum(lengths) != len(features) or min(lengths) < 1:
            raise ValueError(f"Lengths {list(lengths)} do not describe {len(features)} slices.")
        packed = pack_sequence(list(features.split(list(lengths))), enforce_sorted=False)
        hidden, _ = self.lstm(packed)
        logits = self.head(torch.cat(unpack_sequence(hidden)))  # (slices, 6)
        return logits if self.slice_head is None else logits + self.slice_head(features)


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
