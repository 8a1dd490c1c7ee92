"""What was shown to whom and stands in the audit journal already; forgotten, a line more stands there."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from datetime import datetime, timedelta
from threading import Lock

from ichnode.web.visitor import Visitor

MOST = 5000
AGAIN = timedelta(hours=1)


class Seen:
    """Remembers, for a bounded number of places and visitors, what was written down last, and when."""

    def __init__(self, most: int = MOST) -> None:
        self._most, self._lock = most, Lock()
        self._kept: OrderedDict[Hashable, tuple[datetime, frozenset[Hashable]]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def last(self, visitor: Visitor, place: Hashable, now: datetime) -> frozenset[Hashable]:
        """Return what this visitor was shown at a place within the last hour."""
        with self._lock:
            at, what = self._kept.get(_key(visitor, place), (now, frozenset()))
        return what if now - at < AGAIN else frozenset()

    def note(self, visitor: Visitor, place: Hashable, now: datetime, what: frozenset[Hashable]) -> None:
        """Remember what was written down, in place of what it was before."""
        key = _key(visitor, place)
        with self._lock:
            self._kept[key] = now, what
            self._kept.move_to_end(key)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)


def _key(visitor: Visitor, place: Hashable) -> Hashable:
    return visitor.name, visitor.csrf, visitor.address, place
