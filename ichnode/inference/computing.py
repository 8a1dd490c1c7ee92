"""How the CNN is computed: by what, and in which precision. The rest of the network is small and always in fp32.

What is fast is offered in a fixed order and never chosen by the clock, so that a machine answers the same each time.
Whether it may be used is told by `ichnode.inference.agreement`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, Protocol

import torch
from torch import Tensor, nn

from ichnode.inference.activation import stage_maps
from ichnode.inference.bundle import Bundle
from ichnode.inference.folding import fold_normalisation
from ichnode.inference.network import CnnLstm
from ichnode.inference.openvino_cnn import OpenVinoCnn, has_openvino

CPU_BATCH, CUDA_BATCH = 4, 32
"""Slices that go through the CNN together: bounds memory for any series. On a CPU more is not faster; on a GPU fewer
leave it idle."""
NOT_HERE = (RuntimeError, ImportError, OSError, LookupError, TypeError, ValueError, AttributeError, AssertionError)
"""What compilers, converters and drivers raise where they cannot make a network, or run it."""


@dataclass(frozen=True, slots=True)
class Computing:
    """What may be used.

    Attributes
    ----------
    runtime : str
        ``torch``; ``openvino``, on a CPU; ``compiled``: torch's compiler, which needs a C compiler on the machine;
        ``auto``: OpenVINO on a CPU where it is installed, else torch.
    precision : str
        ``fp32``; ``bf16``; ``auto``: bf16 where the processor computes in it.
    cache : Path or None
        Folder in which what OpenVINO compiled is kept for the next start.
    """

    runtime: Literal["auto", "torch", "openvino", "compiled"] = "torch"
    precision: Literal["auto", "fp32", "bf16"] = "fp32"
    cache: Path | None = None


class Cnn(Protocol):
    """A CNN as the engine calls it.

    Attributes
    ----------
    name : str
        What computes it, and in which precision, such as ``OpenVINO bf16``.
    one_size : bool
        Each number of pictures that it has not seen yet costs seconds: it is to be given as many always.
    """

    name: str
    one_size: bool

    def __call__(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Return the pooled features (n, features) and the explained stage's maps (n, channels, h, w) of n pictures.

        Both in fp32 and on the device of the pictures.
        """
        ...


class TorchCnn:
    """The CNN in torch, on the device that the network is on."""

    def __init__(self, network: CnnLstm, precision: str = "fp32", compiled: bool = False) -> None:
        self.name = f"torch {precision}{', compiled' if compiled else ''}"
        # cuDNN looks for kernels anew, which took 8 to 10 s on an H100, and torch's compiler compiles anew.
        self.one_size = compiled or next(network.parameters()).is_cuda
        self._type = torch.bfloat16 if precision == "bf16" else torch.float32
        self._network = network
        if precision == "bf16" or compiled:  # else it is what others are held against, and as it was trained
            self._network = copy.deepcopy(network)
            fold_normalisation(self._network.cnn)
        if precision == "bf16":
            for layer in self._network.cnn.modules():
                if isinstance(layer, nn.Conv2d | nn.Linear):  # a normalisation that is left stays in fp32
                    layer.to(torch.bfloat16)
        self._run: Callable[[Tensor], tuple[Tensor, Tensor]] = self._both
        if compiled:
            self._run = torch.compile(self._both, dynamic=False)

    def __call__(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Return features and maps."""
        features, maps = self._run(pictures.to(self._type))
        return features.float(), maps.float()

    def _both(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        with stage_maps(self._network) as found:
            features = self._network.cnn(pictures)
        return features, found[0]


def faster_than_plain(
    bundle: Bundle, network: CnnLstm, device: torch.device, threads: int | None, wanted: Computing
) -> Iterator[Callable[[], Cnn]]:
    """Yield what makes the CNN in each of the ways that are wanted and that this machine has, the fastest first.

    Plain torch in fp32 is not among them: it is what all others are held against. Making one may raise `NOT_HERE`.
    """
    precision = wanted.precision if wanted.precision != "auto" else best_precision(device)
    if wanted.runtime == "compiled":
        yield partial(TorchCnn, network, precision, True)
    if device.type == "cpu" and (wanted.runtime == "openvino" or (wanted.runtime == "auto" and has_openvino())):
        for one in dict.fromkeys((precision, "fp32")):
            yield partial(OpenVinoCnn, bundle, network, one, CPU_BATCH, threads, wanted.cache)
    elif precision == "bf16":
        yield partial(TorchCnn, network, precision)


def best_precision(device: torch.device) -> Literal["bf16", "fp32"]:
    """Return the fastest precision that the processor computes in, and does not only imitate."""
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    able = torch.cpu.get_capabilities()
    return "bf16" if able.get("avx512_bf16") or able.get("amx_bf16") else "fp32"
