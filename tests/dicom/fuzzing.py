"""How long a property is held against made-up input: short as a rule, by ICHNODE_TEST_FUZZ for so many minutes each."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, seed, settings
from hypothesis.strategies import SearchStrategy, tuples

MINUTES = float(os.environ.get("ICHNODE_TEST_FUZZ", "0"))
SEEDS = Path(__file__).parent / "seeds"
"""What was found: each file once broke something, or stands for a kind of attack."""


def hold(judge: Callable[..., None], *strategies: SearchStrategy[Any], examples: int = 60) -> None:
    """Let hypothesis look for input that `judge` does not stand; with other input at each round of the long form."""
    until = time.monotonic() + MINUTES * 60
    for number in count():

        @seed(number)
        @settings(
            max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(tuples(*strategies))
        def judged(made: tuple[Any, ...]) -> None:
            judge(*made)

        judged()
        if time.monotonic() >= until:
            return


def seeds(kind: str) -> list[tuple[str, bytes]]:
    """Return the inputs of a kind (``port``, ``header``, ``frame``) that are kept, each with its name."""
    return [(file.name, file.read_bytes()) for file in sorted((SEEDS / kind).iterdir())]
