"""Where files of the spool lie: a directory a day, by the day (UTC) on which they came or were made.

ext4 refused the next name after some five million in one directory, as if the disk were full: the index of a
directory has two levels, unless the file system was made with `large_dir`. A tree by the digest's leading digits would
be the usual answer, but the names of slices that arrive together are made durable by one fsync of their common
directory, and a tree needs one for nearly every slice (a fifth less speed at four associations). Files of an older
version of the node lie in no shelf, and stay there.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ichnode.storage.atomic import sync_directory

DAY = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_DAY_S = 86400
_SHELF = re.compile(DAY)


class Shelves:
    """The shelves of one kind of file.

    Parameters
    ----------
    root : Path
        Of the spool.
    kind : str
        Name of the folder below it, which exists.
    """

    def __init__(self, root: Path, kind: str) -> None:
        self._kind, self._folder = kind, os.fspath(root / kind)
        self._open = (-1, "")

    def today(self) -> str:
        """Return today's shelf relative to the root; it is there, durably."""
        number = int(time.time()) // _DAY_S
        known, name = self._open
        return name if known == number else self._opened(number)

    def reopened(self) -> str:
        """Return today's shelf, made anew: a process whose clock is days ahead removes it as long as it is empty."""
        return self._opened(int(time.time()) // _DAY_S)

    def _opened(self, number: int) -> str:
        day = _day(number)
        Path(self._folder, day).mkdir(mode=0o700, exist_ok=True)
        sync_directory(self._folder)  # also where another process made it: that one may not have come so far yet
        self._open = (number, f"{self._kind}/{day}")
        return self._open[1]

    def all(self) -> Iterator[str]:
        """Yield the folders that files lie in, relative to the root."""
        yield self._kind
        with os.scandir(self._folder) as entries:
            days = sorted(entry.name for entry in entries if _SHELF.fullmatch(entry.name) and entry.is_dir())
        yield from (f"{self._kind}/{day}" for day in days)

    def forget(self, folder: Path) -> bool:
        """Remove a shelf that is empty, unless something may just be put there; tell whether it is gone."""
        if not _SHELF.fullmatch(folder.name) or folder.name >= _day(int(time.time()) // _DAY_S - 1):
            return False
        with suppress(OSError):  # not empty
            folder.rmdir()
        if folder.exists():
            return False
        sync_directory(self._folder)
        return True


def _day(number: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(number * _DAY_S))
