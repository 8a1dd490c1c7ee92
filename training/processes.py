"""This process among those that torchrun started, or alone."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import distributed

from ichnode.errors import PermanentError
from ichnode.inference.device import device_of

if TYPE_CHECKING:
    from .learner import Learner

_TORCHRUN = (("RANK", "0"), ("WORLD_SIZE", "1"), ("LOCAL_RANK", "0"))


class ProcessesError(PermanentError):
    """The processes cannot share the work."""

    code = "PROCESSES"


@dataclass(frozen=True)
class Processes:
    """Rank and device of this process.

    Attributes
    ----------
    rank, count : int
    device : torch.device
    """

    rank: int = 0
    count: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def first(self) -> bool:
        """Whether this process speaks and writes for all."""
        return self.rank == 0

    def share(self, groups: int) -> list[int]:
        """Return which groups of every step are this process's.

        Raises
        ------
        ProcessesError
            They cannot be shared evenly.
        """
        if groups % self.count:
            raise ProcessesError(
                f"{self.count} processes cannot share {groups} groups evenly: set sampling.groups to a multiple."
            )
        return list(range(self.rank, groups, self.count))

    def added(self, value: float) -> float:
        """Return the sum of a figure over all processes."""
        if self.count == 1:
            return value
        figure = torch.tensor(value, dtype=torch.float64, device=self.device)
        distributed.all_reduce(figure)
        return float(figure)

    def agree(self, step: int) -> None:
        """Hold the step with which this process goes on against that of the others.

        Raises
        ------
        ProcessesError
            They differ: not all hosts see the same checkpoint.
        """
        if self.added(step) != self.count * step:
            raise ProcessesError(
                "The hosts do not see the same checkpoint: give --run a folder on a disk that all of them share."
            )

    def average_statistics(self, learners: Sequence[Learner]) -> None:
        """Average the running statistics of normalisation: each process has seen its own groups."""
        if self.count == 1:
            return
        for learner in learners:
            for buffer in learner.buffers():
                if buffer.is_floating_point():
                    distributed.all_reduce(buffer)
                    buffer.div_(self.count)

    def wait(self) -> None:
        """Wait for the others."""
        if self.count > 1:
            distributed.barrier()


@contextmanager
def processes(device: str = "auto") -> Iterator[Processes]:
    """Join the processes of torchrun where there are any.

    Parameters
    ----------
    device : str
        ``"auto"`` takes a GPU for each process where there is one, else the CPU; or a torch device.

    Raises
    ------
    ConfigError
        There is no such device.
    """
    rank, count, here = (int(os.environ.get(name, at)) for name, at in _TORCHRUN)
    chosen = device_of(device)
    if chosen.type == "cuda":
        chosen = device_of(f"cuda:{here if chosen.index is None else chosen.index}")
        torch.cuda.set_device(chosen)
    if count == 1:
        yield Processes(device=chosen)
        return
    distributed.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield Processes(rank, count, chosen)
    finally:
        distributed.destroy_process_group()
