"""``python -m benchmarks.shares [NETWORK]...``: where the time of the CNN goes, by kind of kernel, on a CPU or a GPU.

For each way of torch (on a GPU the compiled one, too) it prints the milliseconds of a batch by the clock, how much
of it a GPU computed, and the share of each kind of kernel in that. What is by the clock and not on the GPU is
what it waits for: launches, Python, copies. OpenVINO is not seen by torch's profiler and left out.
"""

from __future__ import annotations

import time
from collections import defaultdict

import click
import torch
from torch.profiler import ProfilerActivity, profile

from ichnode.inference.bundle import Bundle
from ichnode.inference.computing import CPU_BATCH, CUDA_BATCH, Cnn, TorchCnn

from .inference import NETWORKS, _network, _ways

BATCHES = {"cpu": 2, "cuda": 20}
_KINDS = {
    "convolution": ("convolution", "conv2d", "conv_", "depthwise", "fprop", "gemm", "xmma", "cutlass", "::mm"),
    "normalisation": ("batch_norm", "bn_"), "pooling": ("pool", "mean"),
    "layout and type": ("copy", "contiguous", "nchw", "nhwc", "convert", "_to_", "transpose", "cat"),
}  # fmt: skip
"""Parts of the names of kernels; what fits nowhere is activations, additions and what a compiler has fused."""


@click.command()
@click.argument("networks", nargs=-1, type=click.Choice(list(NETWORKS)))
def main(networks: tuple[str, ...]) -> None:
    """Print the shares of the named networks, or of all."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    for name in networks or NETWORKS:
        bundle, network = _network(name, device)
        for way, cnn in _ways(bundle, network, device):
            if isinstance(cnn, TorchCnn):
                click.echo(f"{name}, {way}: {_told(bundle, cnn, device)}")


def _told(bundle: Bundle, cnn: Cnn, device: torch.device) -> str:
    how, on_gpu = bundle.preprocessing, device.type == "cuda"
    batch = CUDA_BATCH if on_gpu else CPU_BATCH
    pictures = torch.randn(batch, how.channels, how.matrix, how.matrix, device=device)
    pictures = pictures.contiguous(memory_format=torch.channels_last)
    times, number = BATCHES[device.type], ProfilerActivity.CUDA if on_gpu else ProfilerActivity.CPU
    plain_s = _seconds(cnn, pictures, times)
    with profile(activities=[ProfilerActivity.CPU, number] if on_gpu else [number]) as seen:
        _seconds(cnn, pictures, times)
    spent: dict[str, float] = defaultdict(float)
    for event in seen.key_averages():
        of_gpu = event.device_type == torch.autograd.DeviceType.CUDA
        if of_gpu == on_gpu:
            spent[_kind(event.key)] += event.self_device_time_total if on_gpu else event.self_cpu_time_total
    whole_us = sum(spent.values()) or 1.0
    shares = ", ".join(f"{kind} {took / whole_us:.0%}" for kind, took in sorted(spent.items(), key=lambda one: -one[1]))
    clock_ms = 1e3 * plain_s / times
    computing = f", {whole_us / 1e3 / times / clock_ms:.0%} of it computing" if on_gpu else ""
    return f"{clock_ms:.1f} ms a batch of {batch}{computing}: {shares}"


def _seconds(cnn: Cnn, pictures: torch.Tensor, times: int) -> float:
    with torch.no_grad():
        began = time.perf_counter()
        for _ in range(times):
            features, _ = cnn(pictures)
        features.cpu()
    return time.perf_counter() - began


def _kind(kernel: str) -> str:
    name = kernel.lower()
    return next((kind for kind, parts in _KINDS.items() if any(part in name for part in parts)), "elementwise, fused")


if __name__ == "__main__":
    main()
