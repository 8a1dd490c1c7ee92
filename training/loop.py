"""The training loop, the only one: CNN and LSTM end to end, or only what lies above the CNN on cached features.

One step is `groups` groups of sequences. Every group is drawn, varied, windowed and mixed from (seed, step, group)
alone, goes through the network in parts as large as memory allows, and gives its share of the gradient; then the
optimiser takes one step. From this follow:

- Processes under torchrun share the groups of a step, and take the same step as one process that does them in turn.
- A run that was killed goes on from its last checkpoint on the same curve.
- When memory runs out, the parts are halved and the step is done again: the effective batch stays.

Several networks that differ only in the patients they may see (a cross-validation) learn in step: drawing, varying and
the frozen early stages of the CNN are done once for all of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from ichnode.errors import PermanentError

from .learner import Learner, counts
from .pictures import Batch
from .processes import Processes, ProcessesError
from .recipe import Recipe, RecipeError
from .run_state import RunState
from .schedule import rate
from .shapes import repeated, slices_seen
from .stages import compile_learning_part, frozen_part
from .start import first_state

_SMALLER = "Memory ran out: give fewer sequences with --part, or lower sampling.length or sampling.sequences."


class OutOfMemory(PermanentError):
    """Not even one sequence fits, or not the pictures of a group, or not what the optimiser keeps."""

    code = "OUT_OF_MEMORY"


class Source(Protocol):
    """Where groups come from: `ichnode_training.pictures` or `ichnode_training.features`."""

    def draw(self, step: int, group: int) -> Any:
        """Draw the sequences of a group; called in a thread, ahead of time."""

    def batch(self, drawn: Any, device: torch.device) -> Batch:
        """Make what was drawn ready for the network, on its device."""


@dataclass(frozen=True)
class Setting:
    """Where and how a run runs; none of it changes what comes out, but for rounding.

    Attributes
    ----------
    processes : Processes
        This one among those of torchrun.
    compiled : bool
        Compile the CNN.
    part : int
        Sequences that go through the network at a time; 0 for whole groups.
    shaped : bool or None
        Let the CNN see batches of few shapes (`ichnode_training.shapes`); None: on a GPU, and where it is compiled.
        Statistics of normalisation then see some slices twice where sequences are of different length.
    state : RunState or None
        Keeps checkpoints; None where the run is too short to be worth one.
    ahead : int
        Groups drawn ahead.
    tell : callable
        Called after each step with (step, steps, loss, rate).
    judge : callable
        Called where an epoch ends, in the first process, with the step and the first learner.
    judge_every : int
        Steps between two calls of `judge`; 0 for never.
    """

    processes: Processes = field(default_factory=Processes)
    compiled: bool = False
    part: int = 0
    shaped: bool | None = None
    state: RunState | None = None
    ahead: int = 2
    tell: Callable[[int, int, float, float], None] = lambda step, steps, loss, share: None
    judge: Callable[[int, Learner], None] = lambda step, learner: None
    judge_every: int = 0


def train(
    source: Source,
    recipe: Recipe,
    steps: int,
    seed: int,
    held_out: Sequence[frozenset[str]] = (frozenset(),),
    start: dict[str, torch.Tensor] | None = None,
    setting: Setting | None = None,
) -> list[Learner]:
    """Train one network for each entry of `held_out`.

    Parameters
    ----------
    source : Source
    recipe : Recipe
    steps : int
        Optimiser steps.
    seed : int
        Start of every random draw: weights, order, augmentation.
    held_out : sequence of frozenset of str
        Patients each network never sees; an empty set for a network that may see all.
    start : dict of str to Tensor, optional
        First state of the network; by default what the recipe says.
    setting : Setting, optional
        By default this process alone, on the CPU, without checkpoints.
    """
    setting = setting or Setting()
    device, mine = setting.processes.device, setting.processes.share(recipe.sampling.groups)
    torch.manual_seed(seed)
    start = first_state(recipe) if start is None else start
    if setting.processes.count > 1 and any(held_out):
        raise ProcessesError("A cross-validation runs in one process.")
    if any(held_out) and recipe.augmentation.cutmix != "off":
        raise RecipeError("CutMix mixes patients: set augmentation.cutmix to off where folds share the batches.")
    learners = [Learner(recipe, start, patients, device) for patients in held_out]
    shared = Learner(recipe, start, frozenset(), device).network.cnn.eval()  # early stages, the same for all
    wrapped: list[nn.Module] = list(learners)
    if setting.processes.count > 1:
        wrapped = [DistributedDataParallel(one, broadcast_buffers=False) for one in learners]
    if setting.compiled:
        for learner in learners:
            compile_learning_part(learner.network.cnn, recipe.optimisation.frozen_stages)
    first = setting.state.restore(learners, device) if setting.state else 0
    setting.processes.agree(first)
    warm, part = recipe.optimisation.warm_up * steps, setting.part or recipe.sampling.sequences
    shaped = device.type == "cuda" or setting.compiled if setting.shaped is None else setting.shaped
    todo = [(step, group) for step in range(first, steps) for group in mine]
    ready = drawn_ahead(source, todo, setting.ahead)
    for step in range(first, steps):
        for learner in learners:
            learner.train()
        drawn, batches = [next(ready) for _ in mine], None
        while True:
            try:
                batches = batches or [source.batch(one, device) for one in drawn]
                losses = [
                    _gradients(model, learner, shared, batches, part, recipe, setting.processes, shaped)
                    for model, learner in zip(wrapped, learners, strict=True)
                ]
                break
            except torch.OutOfMemoryError as error:
                if part == 1 or setting.processes.count > 1:
                    raise OutOfMemory(_SMALLER) from error
                part = max(1, part // 2)
                for learner in learners:
                    learner.optimiser.zero_grad()
        share = rate(step, steps, warm)
        seen = [loss for loss in losses if loss is not None]
        try:
            for learner, loss in zip(learners, losses, strict=True):
                if loss is not None:
                    learner.update(share)
        except torch.OutOfMemoryError as error:  # half a step is taken: there is no second try
            raise OutOfMemory(_SMALLER) from error
        setting.tell(step, steps, sum(seen) / max(1, len(seen)), share)
        if setting.judge_every and ((step + 1) % setting.judge_every == 0 or step + 1 == steps):
            setting.processes.average_statistics(learners)
            if setting.processes.first:
                setting.judge(step + 1, learners[0])
            setting.processes.wait()
        if setting.state and setting.processes.first:
            setting.state.keep(step + 1, steps, learners)
    setting.processes.average_statistics(learners)
    return learners


def _gradients(
    model: nn.Module, learner: Learner, shared: nn.Module, batches: Sequence[Batch], part: int, recipe: Recipe,
    processes: Processes, shaped: bool,
) -> float | None:  # fmt: skip
    """Add up the gradients of this process's groups; return the step's loss, or None where nothing may be seen."""
    low = recipe.precision == "bf16" or (recipe.precision == "auto" and processes.device.type == "cuda")
    groups, length = recipe.sampling.groups, recipe.sampling.length
    parts: list[tuple[Batch, int, tuple[float, float, float]]] = []
    for batch in batches:
        if not (seen := learner.may_see(batch)):
            continue
        allowed = batch.part(seen)
        known = counts(allowed)
        places = range(len(allowed.lengths))
        pieces = [allowed.part(places[at : at + part]) for at in range(0, len(places), part)]
        sizes = [slices_seen(batch, piece, part, length) if shaped else 0 for piece in pieces]
        parts += [(piece, size, known) for piece, size in zip(pieces, sizes, strict=True)]
    if not parts:
        return None
    total = 0.0
    for place, (piece, size, known) in enumerate(parts):
        with ExitStack() as around:
            if isinstance(model, DistributedDataParallel) and place + 1 < len(parts):
                around.enter_context(model.no_sync())  # processes exchange the sum, once a step
            with torch.autocast(processes.device.type, torch.bfloat16, enabled=low):
                early = frozen_part(shared, repeated(piece.seen, size), recipe.optimisation.frozen_stages)
                loss = model(piece, early, known) / groups * processes.count  # DDP averages over processes
            loss.backward()
            total += float(loss.detach()) / processes.count
    return processes.added(total)


def drawn_ahead(source: Source, todo: Sequence[tuple[int, int]], ahead: int) -> Iterator[Any]:
    """Yield what `source` draws for each (step, group), drawn in threads while the network computes."""
    with ThreadPoolExecutor(max(1, ahead)) as pool:
        waiting: deque[Any] = deque()
        for place in range(len(todo) + ahead):
            if place < len(todo):
                waiting.append(pool.submit(source.draw, *todo[place]))
            if place >= ahead and waiting:
                yield waiting.popleft().result()
