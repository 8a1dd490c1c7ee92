"""Who has how many of the places for associations, and who sends faster than it may."""

from __future__ import annotations

import threading
import time

from ichnode.dicom.access import PROVIDER_BUSY, AllowedPeer, Peer, Refusal
from ichnode.dicom.limits import Pace, ScpLimits
from ichnode.dicom.line import named
from ichnode.log import get_logger

log = get_logger(__name__)

_SAY_AGAIN_S = 60.0


class Places:
    """The associations that are being negotiated or established. Not locked: its owner is.

    Parameters
    ----------
    limits : ScpLimits
    """

    def __init__(self, limits: ScpLimits) -> None:
        self._limits = limits
        self._taken: dict[threading.Thread, tuple[str, AllowedPeer | None]] = {}
        self._paces: dict[tuple[AllowedPeer, str], Pace] = {}
        self._said_at: dict[AllowedPeer, float] = {}

    def __len__(self) -> int:
        return len(self._taken)

    def threads(self) -> list[threading.Thread]:
        """Return the threads of all associations."""
        return list(self._taken)

    def take(self, thread: threading.Thread, address: str, entry: AllowedPeer | None) -> None:
        """Give the association of a thread a place."""
        self._taken[thread] = address, entry

    def give_back(self, thread: threading.Thread) -> None:
        """Return what `take` gave."""
        del self._taken[thread]

    def refusal(self, address: str, entry: AllowedPeer | None) -> Refusal | None:
        """Return why there is no place for one more (transient, local limit exceeded), or None."""
        most, most_of_peer = self._limits.max_associations, self._limits.per_peer_associations
        if len(self._taken) >= most:
            code = "TOO_MANY_ASSOCIATIONS"
            remedy = f"All {most} associations are in use: raise receive.max_associations."
        elif sum(other == address for other, _ in self._taken.values()) >= most_of_peer:
            code = "TOO_MANY_ASSOCIATIONS_OF_PEER"
            remedy = f"{address} has {most_of_peer} associations open: raise receive.associations_per_peer."
        elif entry is None:
            return None
        elif 0 < entry.max_associations <= sum(other == entry for _, other in self._taken.values()):
            code = "TOO_MANY_ASSOCIATIONS_OF_ENTRY"
            remedy = (
                f"The [[peers]] entry {entry.aet!r} has its {entry.max_associations} associations open: "
                "raise its max_associations, or let the peer send on fewer."
            )
        elif self._pace(entry, address).is_ahead():
            code = "TOO_FAST"
            remedy = (
                f"The [[peers]] entry {entry.aet!r} sends faster than it may: raise its slices_per_s or bytes_per_s, "
                "or find out why it sends so much."
            )
        else:
            return None
        return Refusal(*PROVIDER_BUSY, code, remedy)

    def pause_s(self, entry: AllowedPeer, count_bytes: int, peer: Peer) -> float:
        """Count a slice; return for how long its sender waits, so that TCP holds up the rest. Nothing is refused."""
        pause_s = self._pace(entry, peer.address).took(count_bytes)
        now = time.monotonic()
        if pause_s and now - self._said_at.get(entry, -_SAY_AGAIN_S) >= _SAY_AGAIN_S:
            self._said_at[entry] = now
            remedy = "It sends faster than its [[peers]] entry allows and is held up; nothing is lost. Raise "
            log.warning("peer.slowed", code="TOO_FAST", remedy=f"{remedy}slices_per_s or bytes_per_s.", **named(peer))
        return pause_s

    def _pace(self, entry: AllowedPeer, address: str) -> Pace:
        """Return the pace of an entry; where that is for any AE title, of one address, so that none slows another."""
        key = entry, address if entry.aet.strip() == "*" else ""
        if key not in self._paces:
            self._paces = {known: pace for known, pace in self._paces.items() if not pace.is_even()}
            self._paces[key] = Pace(entry.slices_per_s, entry.bytes_per_s)
        return self._paces[key]
