"""The one writer of durable files: after it returns, the file survives a power cut; before, it does not exist."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import os
import re
import secrets
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ichnode.errors import DiskFull

_HOST = hashlib.blake2b(socket.gethostname().encode(), digest_size=4).hexdigest()
_PROCESS = secrets.token_hex(4)
_number = itertools.count()
_TEMPORARY = re.compile(r"\.(?P<pid>[0-9]+)-(?P<host>[0-9a-f]{8})?(?P<process>[0-9a-f]{8})-[0-9]+\.tmp")
_MOST_CHUNKS = 1024
"""IOV_MAX: what Linux takes in one call."""
_FOREIGN_S = 86400.0
"""A half-written file of another host, whose processes cannot be seen from here, is left for so long."""


def write_durable(
    path: str | Path, *chunks: bytes | bytearray, sync_name: bool = True, unless: Callable[[], bool] = lambda: False
) -> None:
    """Write `chunks` to `path`, atomically and durably.

    A temporary file of a name used by nobody else is written in the same directory, fsynced, renamed over `path`, and
    the directory is fsynced. Readers see the old file or the new one, never a part.

    Parameters
    ----------
    path : str or Path
        In a directory that exists. The file's mode is 0600.
    sync_name : bool
        False leaves the fsync of the directory, without which the new name may be lost in a power cut, to the caller.
    unless : callable
        Asked right before the renaming; once it is true what is there stays.
    chunks : bytes
        Written one after the other.

    Raises
    ------
    DiskFull
        No space, quota reached. The temporary file is gone.
    OSError
        Anything else the operating system says.
    """
    directory = os.path.dirname(path) or "."
    temporary = f"{directory}/.{os.getpid()}-{_HOST}{_PROCESS}-{next(_number)}.tmp"
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            _write_all(descriptor, chunks)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if unless():
            os.unlink(temporary)
        else:
            os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(f"No space left in {directory}. Free some, or move node.data to a larger disk.") from error
        raise
    if sync_name:
        sync_directory(directory)


def sync_directory(directory: str | Path) -> None:
    """Make the names in `directory` durable: what was renamed or created there is there after a power cut."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_leftover(path: Path) -> bool:
    """Tell whether `path` is a temporary file of `write_durable` whose writer is dead."""
    match = _TEMPORARY.fullmatch(path.name)
    if match is None:
        return False
    if match["host"] not in (None, _HOST):
        return time.time() - path.stat().st_mtime > _FOREIGN_S
    pid = int(match["pid"])
    if pid == os.getpid():
        # Process numbers come back: in a container the node always has the same one.
        return match["process"] != _PROCESS
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _write_all(descriptor: int, chunks: Sequence[bytes | bytearray]) -> None:
    views = [memoryview(chunk) for chunk in chunks if chunk]
    while views:
        count = os.writev(descriptor, views[:_MOST_CHUNKS])
        while views and count >= len(views[0]):
            count -= len(views.pop(0))
        if count:
            views[0] = views[0][count:]
