"""Group work: what several threads bring at the same moment is done together, once, by one of them.

For work whose price is paid per act and not per item, such as an fsync or a commit. A thread that brings an item waits
for its turn to lead. The one that leads takes along all that waits; the others find theirs done when their turn comes.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Value = TypeVar("Value")


class _Turn(Generic[Item, Value]):
    __slots__ = ("done", "error", "item", "value")

    def __init__(self, item: Item) -> None:
        self.item = item
        self.done = False
        self.value: Value | None = None
        self.error: BaseException | None = None


class Group(Generic[Item, Value]):
    """Does items of several threads together.

    Parameters
    ----------
    act : callable
        Takes the items that have come together and returns one value for each, in their order. It either does them all
        or, when it raises, none.
    everyones : tuple of exception types
        Errors that concern everyone, such as a full disk. After any other the items are done one by one, so that it
        reaches only the thread that brought what cannot be done.
    """

    def __init__(
        self, act: Callable[[Sequence[Item]], Sequence[Value]], everyones: tuple[type[BaseException], ...]
    ) -> None:
        self._act = act
        self._everyones = everyones
        self._leading = threading.Lock()
        self._waiting: deque[_Turn[Item, Value]] = deque()

    def do(self, item: Item) -> Value:
        """Have `item` done, alone or with others, and return its value; raises what the act raises."""
        turn: _Turn[Item, Value] = _Turn(item)
        self._waiting.append(turn)
        with self._leading:
            if not turn.done:
                self._lead()
        if turn.error is not None:
            raise turn.error
        return turn.value  # type: ignore[return-value]

    def _lead(self) -> None:
        together = [self._waiting.popleft() for _ in range(len(self._waiting))]
        error = self._tried(together)
        if error is not None and len(together) > 1 and not isinstance(error, self._everyones):
            for turn in together:
                self._tried([turn])
        for turn in together:
            turn.done = True

    def _tried(self, turns: Sequence[_Turn[Item, Value]]) -> BaseException | None:
        error = None
        try:
            values: Sequence[Value | None] = self._act([turn.item for turn in turns])
        except BaseException as raised:  # noqa: BLE001 (raised again in every thread that waits for it)
            error, values = raised, [None] * len(turns)
        for turn, value in zip(turns, values, strict=True):
            turn.value, turn.error = value, error
        return error
