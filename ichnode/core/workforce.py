"""How many workers the pool should have: as many as there is work for, within the limits that a person set."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Most workers with and without a GPU, and how many of both together are kept when nothing waits."""

    gpu: int
    cpu: int
    least: int


@dataclass(frozen=True, slots=True)
class Workforce:
    """Workers with and without a GPU."""

    gpu: int
    cpu: int


def wanted(series: int, gpu_ready: int, limits: Limits) -> Workforce:
    """Return how many workers to ask the cluster for.

    GPU workers are asked for first. Those without a GPU are for what the GPU workers that are really there do not
    take, so that a cluster whose GPU machines are away, or are still starting, answers all the same.

    Parameters
    ----------
    series : int
        How many wait or are being read.
    gpu_ready : int
        GPU workers that can be given a series.
    limits : Limits
    """
    needed = max(series, limits.least)
    return Workforce(min(needed, limits.gpu), min(max(needed - gpu_ready, 0), limits.cpu))


def room(ready: int) -> int:
    """Return how many series may be in hand: one for each worker, and one that is decoded meanwhile.

    Without a worker there is none: what waits, waits in the worklist, where nothing can happen to it.
    """
    return ready + 1 if ready else 0
