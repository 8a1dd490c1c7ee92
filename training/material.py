"""What a run learns from and is judged on: scans on the network's grid, or features that a CNN has made of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from torch import Tensor

from ichnode.inference.bundle import Bundle
from ichnode.inference.network import CnnLstm

from .features import CachedFeatures, Features, features_of
from .grid import GridScan, grid_scan
from .heads import head_from
from .learner import Learner
from .loop import Setting, Source, train
from .planes import DataSetError, Planes, Scan
from .recipe import Recipe
from .source import source_of
from .standard import Standard

Told = Callable[[int, int], None]
Labelled = TypeVar("Labelled", Scan, Features)


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """What a run works on.

    Attributes
    ----------
    learned, kept : sequence of GridScan, or of Features
        To learn from, and to choose and calibrate on.
    standard : Standard or None
        How features are brought to one measure while a run lasts; None where there are none.
    """

    learned: Sequence[GridScan | Features]
    kept: Sequence[GridScan | Features] = ()
    standard: Standard | None = None

    @classmethod
    def of(
        cls, planes: Planes, recipe: Recipe, cache: Path, tell: Told, bundle: Bundle | None = None, device: str = "cpu"
    ) -> Material:
        """Bring a data set onto the grid of a recipe, or have the CNN of `bundle` read it where the recipe says so.

        Raises
        ------
        DataSetError
            It has not been split, nothing is in its part ``train``, or no label of what is there is known.
        """
        learned, kept = planes.of("train"), planes.of("validation")
        if not learned:
            raise DataSetError(
                f"{planes.folder} has no scans to train on: it has to be split, and not all for testing."
            )
        learned = tuple(_labelled(learned))
        if recipe.on_features and bundle is not None:
            read, _ = features_of(bundle, [*learned, *kept], cache / "features", device, tell)
            teaching = [one for one in read if one.scan.split == "train"]
            return cls.of_features(teaching, [one for one in read if one.scan.split != "train"])
        done, every = 0, len(learned) + len(kept)

        def on_grid(scan: Scan) -> GridScan:
            nonlocal done
            brought = head_from if recipe.sampling.kind == "mixture" else grid_scan
            made = brought(scan, recipe.preprocessing, cache)
            done += 1
            tell(done, every)
            return made

        return cls([on_grid(scan) for scan in learned], [on_grid(scan) for scan in kept])

    @classmethod
    def of_features(cls, learned: Sequence[Features], kept: Sequence[Features] = ()) -> Material:
        """Take features as they are.

        Raises
        ------
        DataSetError
            No label of any scan to learn from is known.
        """
        labelled = _labelled(learned)
        return cls(labelled, kept, Standard.over(labelled))

    def source(self, recipe: Recipe, seed: int, cache: Path) -> Source:
        """Return what draws from it; `cache` keeps what a recipe adds to it (`ichnode_training.source`)."""
        if self.standard is not None:
            read = [one for one in self.learned if isinstance(one, Features)]
            return CachedFeatures(read, self.standard, recipe, seed)
        return source_of([one for one in self.learned if isinstance(one, GridScan)], recipe, seed, cache)

    def start(self, recipe: Recipe, state: dict[str, Tensor] | None) -> dict[str, Tensor] | None:
        """Return the first weights as the loop takes them."""
        if self.standard is None or state is None:
            return state
        network = CnnLstm.build(recipe.architecture)
        network.load_state_dict(state)
        self.standard.put_into(network)
        return network.state_dict()

    def network(self, learner: Learner) -> CnnLstm:
        """Return what a learner has come to, on the CPU, for evaluation."""
        network = learner.result()
        if self.standard is not None:
            self.standard.take_out_of(network)
        return network

    def teach(
        self, recipe: Recipe, seed: int, setting: Setting, cache: Path, state: dict[str, Tensor] | None = None
    ) -> CnnLstm:
        """Train one network on all that is to learn from, from `state` or from what the recipe says."""
        steps, start = recipe.steps(len(self.learned)), self.start(recipe, state)
        (learner,) = train(self.source(recipe, seed, cache), recipe, steps, seed, start=start, setting=setting)
        return self.network(learner)


def _labelled(learned: Sequence[Labelled]) -> list[Labelled]:
    """Return those of which any label is known: the others teach nothing."""
    labelled = [one for one in learned if np.isfinite(one.labels).any() or np.isfinite(one.scan_labels).any()]
    if not labelled:
        raise DataSetError("No label of any scan to learn from is known.")
    return labelled
