"""``python -m benchmarks.roof [NETWORK]...``: how fast a GPU could compute the CNN at most, by its data sheet.

Every operation of a batch takes at least the time of its arithmetic, and at least that of its reading and writing. The
sum is a roof for implementations with the same passes over memory, but for what stays in the GPU's cache from one to
the next. Counted in bf16, on no device, for:

- each operation by itself, as torch does it unless it is compiled;
- operations by element in one pass, between the convolutions, as torch's compiler makes them;
- all of them inside the convolution before them, as an engine with kernels of its own would.
"""

from __future__ import annotations

import copy
from typing import Any

import click
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from ichnode.inference.computing import CUDA_BATCH
from ichnode.inference.folding import fold_normalisation

from .inference import NETWORKS, _network

BYTES = 2
"""Of a number in bf16."""
_CONVOLUTION, _BY_ELEMENT, _OTHER, _NOTHING = "convolution", "by element", "other", "nothing"
_KINDS = {
    _CONVOLUTION: ("convolution", "addmm", "mm"),
    _BY_ELEMENT: (
        "native_batch_norm", "relu", "relu_", "hardtanh", "hardtanh_", "silu", "silu_", "sigmoid", "sigmoid_", "add",
        "add_", "mul", "mul_",
    ),
    _NOTHING: ("detach", "view", "_unsafe_view", "t", "expand", "alias", "permute", "unsqueeze", "squeeze"),
}  # fmt: skip
WAYS = ("each by itself", "by element in one pass", "inside the convolutions")


class Passes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up, for each of `WAYS`, the least seconds and the bytes of what runs under it.

    Parameters
    ----------
    flops_a_second, bytes_a_second : float
        Of the GPU.
    """

    def __init__(self, flops_a_second: float, bytes_a_second: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._flops_a_second, self._bytes_a_second = flops_a_second, bytes_a_second
        self.flops = 0.0
        self.seconds, self.moved = dict.fromkeys(WAYS, 0.0), dict.fromkeys(WAYS, 0)
        self._open: dict[int, Tensor] = {}  # results by element that nothing else has read yet

    def __torch_dispatch__(self, op: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one operation and count it."""
        made = op(*args, **(kwargs or {}))
        name = op.overloadpacket.__name__
        kind = next((kind for kind, names in _KINDS.items() if name in names), _OTHER)
        if kind is not _NOTHING:
            results = [one for one in (made if isinstance(made, tuple) else (made,)) if isinstance(one, Tensor)]
            read = {id(one): one for one in args if isinstance(one, Tensor)}
            flops = 0.0
            if kind is _CONVOLUTION:
                flops = float(flop_registry[op.overloadpacket](*args, **(kwargs or {}), out_val=made))
            self._count(kind, read, results[0], flops)
        return made

    def _count(self, kind: str, read: dict[int, Tensor], made: Tensor, flops: float) -> None:
        out, numbers = made.numel(), sum(one.numel() for one in read.values())
        self.flops += flops
        self._add(WAYS[0], flops, numbers + out)
        going_on = [one for one in read if one in self._open]
        if kind is not _BY_ELEMENT:
            for one in going_on:  # it had to be written for this
                del self._open[one]
            for way in WAYS[1:]:
                self._add(way, flops, numbers + out)
            return
        aside = numbers - sum(read[one].numel() for one in going_on)
        if not going_on:  # it reads what the convolution wrote; inside of that it does neither
            self._add(WAYS[1], 0.0, aside + out)
            self._add(WAYS[2], 0.0, aside - max(one.numel() for one in read.values()))
        else:  # a part of the pass before; of two of them one is not written, or is read where the other is made
            self._add(WAYS[1], 0.0, aside - (len(going_on) - 1) * out)
            self._add(WAYS[2], 0.0, aside + (len(going_on) - 1) * out)
        for one in going_on:
            del self._open[one]
        self._open[id(made)] = made

    def _add(self, way: str, flops: float, numbers: int) -> None:
        self.moved[way] += BYTES * numbers
        self.seconds[way] += max(flops / self._flops_a_second, BYTES * numbers / self._bytes_a_second)


@click.command()
@click.argument("networks", nargs=-1, type=click.Choice(list(NETWORKS)))
@click.option("--tflops", default=989.0, show_default=True, help="Its bf16 arithmetic, dense, in TFLOP/s (H100).")
@click.option("--terabytes", default=3.35, show_default=True, help="Its memory, in TB/s (H100 SXM).")
def main(networks: tuple[str, ...], tflops: float, terabytes: float) -> None:
    """Print the roof of the named networks, or of all."""
    for name in networks or NETWORKS:
        bundle, network = _network(name, torch.device("cpu"))
        how, folded = bundle.preprocessing, copy.deepcopy(network.cnn)
        fold_normalisation(folded)
        pictures = torch.empty(CUDA_BATCH, how.channels, how.matrix, how.matrix, device="meta")
        for title, cnn in (("as trained", network.cnn), ("normalisation folded, as the node does in bf16", folded)):
            cnn.to("meta").eval()
            with torch.no_grad(), Passes(tflops * 1e12, terabytes * 1e12) as passes:
                cnn(pictures)
            each = passes.flops / CUDA_BATCH
            click.echo(f"{name}, {each / 1e9:.1f} GFLOP a slice of {how.matrix} x {how.matrix}, {title}:")
            for way in WAYS:
                speed, moved = CUDA_BATCH / passes.seconds[way], passes.moved[way] / CUDA_BATCH / 1e6
                share = speed * each / (tflops * 1e12)
                click.echo(f"  {way}: {moved:.0f} MB, at most {speed:,.0f} slices/s, {share:.0%} of the arithmetic")


if __name__ == "__main__":
    main()
