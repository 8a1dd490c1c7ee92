"""The learning rate along a run, as the authors' logs have it."""

from __future__ import annotations

import math


def rate(step: int, total: int, warm: float) -> float:
    """Return the share of the peak rate at which optimiser step `step` (from 0) is taken.

    ``min(1, step / warm) * (1 + cos(pi * step / total)) / 2``: linear warm-up multiplied onto a cosine to zero. This is
    what the logs of Nguyen et al. print, to the last digit; the schedule in their published code shifts the cosine by
    the warm-up and is another one.

    Parameters
    ----------
    step, total : int
        Optimiser steps done, and of the whole run.
    warm : float
        Optimiser steps of the warm-up.
    """
    rise = min(1.0, step / warm) if warm > 0 else 1.0
    return rise * 0.5 * (1 + math.cos(math.pi * step / total))
