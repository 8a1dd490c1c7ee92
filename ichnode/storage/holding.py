"""Holding: while a copy of the spool is made, nothing of it is unlinked."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LOCK = "spool.lock"


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keep every file of the spool where it is, from any process; waits for an unlinking that goes on."""
    with (folder / _LOCK).open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield


@contextmanager
def unlinking(folder: Path) -> Iterator[bool]:
    """Yield whether files may be unlinked now: not while somebody holds them."""
    with (folder / _LOCK).open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
