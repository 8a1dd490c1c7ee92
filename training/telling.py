"""What a long run says while it goes."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np


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
        if len(recent) == 20:
            say(f"step {step + 1} of {steps}, loss {np.mean(recent):.3f}, {time.monotonic() - began:.0f} s")
            recent.clear()

    return tell
