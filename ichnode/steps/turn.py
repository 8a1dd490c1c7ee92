"""One turn of whoever analyses: pictures that are late, else an analysis, else pictures."""

from __future__ import annotations

from ichnode.inference.reader import SeriesReader
from ichnode.steps.ahead import Ahead
from ichnode.steps.analyse import analyse_next
from ichnode.steps.illustrate import Readings, illustrate_next, pictures_are_late
from ichnode.steps.node import Node


class Turns:
    """Analyses come first; pictures that are late take turns with them, so that an urgent series waits for one at most.

    Several threads may share it: which of them takes the late pictures is no matter.

    Parameters
    ----------
    ahead : Ahead, optional
        As of `analyse_next`; not with several threads.
    """

    def __init__(self, ahead: Ahead | None = None) -> None:
        self._pictured, self._ahead = False, ahead

    def take(self, node: Node, engine: SeriesReader, owner: str, readings: Readings) -> bool:
        """Do one job, if there is one; parameters and errors as of `analyse_next`."""
        late = not self._pictured and pictures_are_late(node)
        self._pictured = late and illustrate_next(node, engine, owner, readings)
        if self._pictured:
            return True
        return analyse_next(node, engine, owner, readings, self._ahead) or illustrate_next(
            node, engine, owner, readings
        )
