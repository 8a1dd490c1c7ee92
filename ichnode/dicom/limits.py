"""What peers may take of the receiver: time, memory, places."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ScpLimits:
    """Bounds on what peers may take.

    Attributes
    ----------
    max_associations : int
        At once; one more is rejected (transient, local limit exceeded).
    per_peer_associations : int
        At once from one IP address.
    max_waiting : int
        Connections at once that have not yet asked for an association, or are closing.
    max_pdu_bytes : int
        Longest P-DATA-TF body, announced to the peer and enforced before it is read.
    max_dataset_bytes : int
        Longest data set; a longer one is refused with 0xA700 and the association goes on.
    max_memory_bytes : int
        Unfinished data sets of all associations together; what does not fit is refused with 0xA700.
    acse_timeout_s : float
        From connection to the whole association request, and from the last answer to the peer's close (ARTIM).
    dimse_timeout_s : float
        Longest silence inside a message, between its PDUs; and the longest that one PDU may take.
    network_timeout_s : float
        Longest silence between messages.
    socket_timeout_s : float
        Longest silence inside a PDU.
    """

    max_associations: int = 64
    per_peer_associations: int = 32
    max_waiting: int = 256
    max_pdu_bytes: int = 131072
    max_dataset_bytes: int = 1 << 30
    max_memory_bytes: int = 2 << 30
    acse_timeout_s: float = 10.0
    dimse_timeout_s: float = 30.0
    network_timeout_s: float = 60.0
    socket_timeout_s: float = 10.0


class MemoryBudget:
    """How many bytes of unfinished data sets all associations together may hold."""

    def __init__(self, limit_bytes: int) -> None:
        self.free_bytes = limit_bytes
        self._lock = threading.Lock()

    def take(self, count: int) -> bool:
        """Reserve `count` bytes, if they are there."""
        with self._lock:
            if count > self.free_bytes:
                return False
            self.free_bytes -= count
            return True

    def give_back(self, count: int) -> None:
        """Return what `take` gave."""
        with self._lock:
            self.free_bytes += count


class Pace:
    """How far a peer is ahead of the rate at which it may send, over all its associations.

    Each slice costs the time that it takes at the allowed rate. Who is ahead by no more than `BURST_S` is not held up,
    so that a scanner may send a series at full speed and be quiet afterwards. Nobody gets further ahead than one
    `LONGEST_PAUSE_S` beyond that, whatever was sent: who becomes quiet is let in again within seconds.

    Parameters
    ----------
    slices_per_s, bytes_per_s : float
        0 is any.
    """

    BURST_S = 10.0
    LONGEST_PAUSE_S = 5.0
    """A peer that is held up hears of its slice before its own time-out."""

    def __init__(self, slices_per_s: float, bytes_per_s: float) -> None:
        self._slices_per_s, self._bytes_per_s = slices_per_s, bytes_per_s
        self._paid_until = 0.0
        self._lock = threading.Lock()

    def took(self, count_bytes: int) -> float:
        """Count one slice of `count_bytes`; return the seconds for which its sender has to be held up."""
        cost_s = 1 / self._slices_per_s if self._slices_per_s else 0.0
        if self._bytes_per_s:
            cost_s = max(cost_s, count_bytes / self._bytes_per_s)
        if not cost_s:
            return 0.0
        now = time.monotonic()
        with self._lock:
            furthest = now + self.BURST_S + self.LONGEST_PAUSE_S
            self._paid_until = min(max(self._paid_until, now) + cost_s, furthest)
            return max(self._paid_until - now - self.BURST_S, 0.0)

    def is_ahead(self) -> bool:
        """Tell whether the peer is so far ahead that it gets no other association."""
        with self._lock:
            return self._paid_until - time.monotonic() > self.BURST_S

    def is_even(self) -> bool:
        """Tell whether the peer is ahead by nothing, as one that never sent."""
        with self._lock:
            return self._paid_until <= time.monotonic()
