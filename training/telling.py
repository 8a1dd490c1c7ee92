"""What a long run says while it goes: a bar in a terminal, lines elsewhere, and TensorBoard files where it is there."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from rich import progress as bars
from rich.console import Console

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def teller() -> Callable[[int, int, float, float], None]:
    """Return what a training loop calls after each step: every 20 steps it prints the mean loss and the time."""
    began = time.monotonic()
    recent: list[float] = []

    def tell(step: int, steps: int, loss: float, _rate: float) -> None:
        recent.append(loss)
        if len(recent) == 20 or step + 1 == steps:
            say(f"step {step + 1} of {steps}, loss {np.mean(recent):.3f}, {time.monotonic() - began:.0f} s")
            recent.clear()

    return tell


def made() -> Callable[[str, int, int], None]:
    """Return what is told of things that are made before a run: a line for the last, and for every 20th before it."""

    def tell(what: str, done: int, of: int) -> None:
        if done % 20 == 0 or done == of:
            say(f"{what}: {done} of {of}")

    return tell


class Progress:
    """The progress of one run.

    Parameters
    ----------
    folder : Path
        Of the run; TensorBoard's files go below it: ``tensorboard --logdir FOLDER``.
    shown : bool
        Off in all processes but the first.
    """

    def __init__(self, folder: Path, shown: bool = True) -> None:
        self._folder, self._shown = folder, shown
        self._console = Console(stderr=True)
        columns = (bars.TextColumn("{task.description}"), bars.BarColumn(), bars.MofNCompleteColumn())
        self._bars = bars.Progress(*columns, bars.TimeRemainingColumn(), console=self._console)
        self._tasks: dict[str, bars.TaskID] = {}
        self._lines = teller()
        self._writer: SummaryWriter | None = None

    def __enter__(self) -> Self:
        if self._shown and self._console.is_terminal:
            self._bars.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._bars.stop()
        if self._writer is not None:
            self._writer.close()

    def preparing(self, done: int, of: int) -> None:
        """Say how many scans are on the grid."""
        self._bar("scans", done, of, "")

    def step(self, step: int, steps: int, loss: float, rate: float) -> None:
        """Say what a step did."""
        if not self._shown:
            return
        if self._writer is None and find_spec("tensorboard"):
            from torch.utils.tensorboard import SummaryWriter

            _wait_for_a_later_name(self._folder)
            # Of a run that goes on, what was written after its checkpoint no longer counts.
            self._writer = SummaryWriter(str(self._folder), purge_step=step)
        if self._writer is not None:
            self._writer.add_scalar("loss", loss, step)
            self._writer.add_scalar("rate", rate, step)
            self._writer.flush()  # a checkpoint of this step must find it written, if the run is killed
        self._bar("steps", step + 1, steps, f"loss {loss:.3f}")
        if not self._console.is_terminal:
            self._lines(step, steps, loss, rate)

    def judged(self, step: int, loss: float) -> None:
        """Say what the validation scans say."""
        if self._writer is not None:
            self._writer.add_scalar("validation/weighted_log_loss", loss, step - 1)
        say(f"step {step}: weighted log loss {loss:.5f} on the validation scans")

    def _bar(self, name: str, done: int, of: int, more: str) -> None:
        if not self._shown:
            return
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task(name, total=of)
        self._bars.update(self._tasks[name], completed=done, total=of, description=f"{name} {more}".strip())


def _wait_for_a_later_name(folder: Path) -> None:
    """Let the second pass in which an earlier part of the run began.

    TensorBoard reads the files of a run in the order of their names, which begin with the whole second; of two of one
    second the process number decides, and the earlier part would be taken for the later one.
    """
    names = [path.name.split(".") for path in folder.glob("events.out.tfevents.*")]
    newest = max((int(name[3]) for name in names if name[3].isdigit()), default=0)
    if 0 <= newest - (now := time.time()) + 1 <= 1:
        time.sleep(newest + 1 - now)
