"""Filters of the worklist in an address, and back. No patient is ever named there: a search is a random key."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from urllib.parse import urlencode

from starlette.datastructures import FormData, QueryParams

from ichnode.web.refusals import Refused
from ichnode.worklist.triage_list import STATUSES, Chosen, Key

_DAY = re.compile(r"(\d{4})-(\d{2})-(\d{2})")


@dataclass(frozen=True, slots=True)
class Filter:
    """What an address asks for.

    Attributes
    ----------
    read : str
        ``no`` (unread), ``yes``, or empty for both.
    first, last : str
        Study dates as 2026-01-31.
    search : str
        Key of a search.
    """

    statuses: tuple[str, ...] = ()
    read: str = ""
    first: str = ""
    last: str = ""
    search: str = ""

    def chosen(self, text: str = "") -> Chosen:
        """Return what the worklist is asked for; `text` is what the search key stands for."""
        read = {"yes": True, "no": False}.get(self.read)
        return Chosen(self.statuses, read, self.first.replace("-", ""), self.last.replace("-", ""), text)

    def address(self, **other: str | tuple[str, ...]) -> str:
        """Return the query of an address with this filter, with some parts set otherwise."""
        parts = {
            "status": other.pop("status", self.statuses), "read": other.pop("read", self.read),
            "from": other.pop("first", self.first), "to": other.pop("last", self.last),
            "search": other.pop("search", self.search), **other,
        }  # fmt: skip
        query = urlencode({name: value for name, value in parts.items() if value}, doseq=True)
        return f"?{query}" if query else "?"

    def __bool__(self) -> bool:
        return bool(self.statuses or self.read or self.first or self.last or self.search)


def read_filter(given: QueryParams | FormData) -> Filter:
    """Return the filter of an address or form.

    Raises
    ------
    Refused
        400: a status or date that there cannot be.
    """
    statuses = tuple(dict.fromkeys(str(status) for status in given.getlist("status") if status))
    if wrong := [status for status in statuses if status not in STATUSES]:
        raise Refused(400, "BAD_FILTER", f"There is no status like {wrong[0][:20]!r}; there are {', '.join(STATUSES)}.")
    read = str(given.get("read", ""))
    if read not in ("", "yes", "no"):
        raise Refused(400, "BAD_FILTER", "read is yes, no or left out.")
    search = str(given.get("search", ""))
    if not re.fullmatch(r"[\w-]{0,32}", search):
        raise Refused(400, "BAD_FILTER", "There is no such search.")
    return Filter(statuses, read, _day(given, "from"), _day(given, "to"), search)


def read_key(text: str | None) -> Key | None:
    """Return where a page begins; as `write_key` wrote it."""
    if not text:
        return None
    try:
        rank, score, age, number = text.split("_")
        key = int(rank), float(score), float(age), int(number)
    except ValueError:
        key = 0, math.nan, 0.0, 0
    if not (all(math.isfinite(part) and abs(part) < 1e15 for part in key) and max(abs(key[0]), abs(key[3])) < 2**31):
        raise Refused(400, "BAD_PAGE", "There is no such page of the worklist.")
    return key


def write_key(key: Key) -> str:
    """Return a place in the worklist as text."""
    return "_".join(repr(part) for part in key)


def _day(given: QueryParams | FormData, name: str) -> str:
    text = str(given.get(name, ""))
    if text and not _DAY.fullmatch(text):
        raise Refused(400, "BAD_FILTER", f"{name} is a day such as 2026-01-31.")
    return text
