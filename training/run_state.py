"""Checkpoints of a run: everything that it takes to go on, written whole or not at all."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from ichnode.errors import PermanentError

from .learner import Learner


class RunStateError(PermanentError):
    """A checkpoint does not belong to this run."""

    code = "RUN_STATE"


class RunState:
    """The checkpoint of one run.

    Parameters
    ----------
    path : Path
        Its file. Read with torch's ``weights_only=True``.
    identity : str
        Of recipe, data, seed and length: a checkpoint of another run is refused.
    every_s : float
        Least time between two checkpoints.
    """

    def __init__(self, path: Path, identity: str, every_s: float = 120.0) -> None:
        self._path, self._identity, self._every_s = path, identity, every_s
        self._kept_at = time.monotonic()
        self.notes: dict[str, Any] = {}

    def restore(self, learners: Sequence[Learner], device: torch.device) -> int:
        """Put the learners back to the last checkpoint and return the step to go on with; 0 where there is none.

        Raises
        ------
        RunStateError
            The checkpoint is of another run.
        """
        if not self._path.exists():
            return 0
        kept = torch.load(self._path, map_location=device, weights_only=True)
        if kept["identity"] != self._identity:
            raise RunStateError(
                f"{self._path.parent} holds a run of another recipe, other data or another seed: "
                "finish it, remove the folder, or take another one."
            )
        for learner, everything in zip(learners, kept["learners"], strict=True):
            learner.go_on_from(everything)
        self.notes.update(kept["notes"])
        return int(kept["step"])

    def keep(self, step: int, steps: int, learners: Sequence[Learner]) -> None:
        """Write a checkpoint if it is time for one, or the run is over."""
        if step < steps and time.monotonic() - self._kept_at < self._every_s:
            return
        whole = {
            "identity": self._identity, "step": step, "notes": self.notes,
            "learners": [learner.everything() for learner in learners],
        }  # fmt: skip
        self._path.parent.mkdir(parents=True, exist_ok=True)
        part = self._path.with_suffix(".part")
        with part.open("wb") as file:
            torch.save(whole, file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self._path)
        self._kept_at = time.monotonic()
