"""The data set of the message that is being read, in one array that serves all messages of an association."""

from __future__ import annotations

from ichnode.dicom.limits import MemoryBudget
from ichnode.dicom.statuses import Refused, Status

_KEPT_BYTES = 1 << 20
"""A slice of 512 x 512 has half as many. The slices of a series have one length: its memory is asked for once."""


class Gathering:
    """Takes one data set at a time.

    Parameters
    ----------
    max_bytes : int
        A longer data set is refused.
    budget : MemoryBudget
        Shared by all associations.
    """

    def __init__(self, max_bytes: int, budget: MemoryBudget) -> None:
        self._max_bytes = max_bytes
        self._budget = budget
        # One growing array, not a list of fragments: a peer may send its data set in values of two bytes.
        self._array = bytearray()
        self._size = 0
        self.refused: Refused | None = None

    def place(self, count: int) -> memoryview | None:
        """Return where the next `count` bytes belong, to be filled at once; None when the data set is `refused`."""
        if self.refused is None:
            self.refused = self._objection(count)
        if self.refused is not None:
            self._give_back()
            return None
        start, self._size = self._size, self._size + count
        if self._size > len(self._array):
            self._array += bytes(self._size - len(self._array))
        return memoryview(self._array)[start : self._size]

    def _objection(self, count: int) -> Refused | None:
        if self._size + count > self._max_bytes:
            return Refused(
                Status.OUT_OF_RESOURCES,
                "DATA_SET_TOO_LARGE",
                f"The data set has more than {self._max_bytes} bytes: raise receive.max_dataset_bytes.",
            )
        if not self._budget.take(count):
            return Refused(
                Status.OUT_OF_RESOURCES,
                "MEMORY",
                "Too many large data sets arrive at once: the sender may try again, or lower receive.max_associations.",
            )
        return None

    def whole(self) -> bytearray:
        """Return what has been gathered; the next message overwrites it."""
        del self._array[self._size :]
        return self._array

    def forget(self) -> None:
        """Begin anew."""
        self._give_back()
        self.refused = None

    def _give_back(self) -> None:
        self._budget.give_back(self._size)
        self._size = 0
        if len(self._array) > _KEPT_BYTES:
            self._array = bytearray()
