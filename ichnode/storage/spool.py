"""The spool: slices as they came in, reports as they go out, heat maps as pages show them, named by their digest.

::

    <root>/slices/<day>/<digest>.dcm
    <root>/reports/<day>/<digest>.dcm
    <root>/heat/<day>/<digest>.npz

Names never come from the network. Why a day: `ichnode.storage.shelves`.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from ichnode.errors import PermanentError
from ichnode.storage.atomic import is_leftover, sync_directory, write_durable
from ichnode.storage.shelves import DAY, Shelves

_SLICES, _REPORTS, _HEAT = "slices", "reports", "heat"
_FILE = re.compile(r"[0-9a-f]{64}\.(dcm|npz)")
_NAME = re.compile(rf"({_SLICES}|{_REPORTS})(/{DAY})?/[0-9a-f]{{64}}\.dcm|{_HEAT}(/{DAY})?/[0-9a-f]{{64}}\.npz")


class Spool:
    """Durable files below one folder. Directories are 0700, files 0600.

    Parameters
    ----------
    root : Path
        Made when it does not exist.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self._root = os.fspath(self.root)
        self.root.mkdir(parents=True, exist_ok=True)
        self.root.chmod(0o700)
        for kind in (_SLICES, _REPORTS, _HEAT):
            (self.root / kind).mkdir(mode=0o700, exist_ok=True)
            sync_directory(self.root / kind)
        sync_directory(self.root)
        sync_directory(self.root.parent)
        self._shelves = {kind: Shelves(self.root, kind) for kind in (_SLICES, _REPORTS, _HEAT)}

    def put_slice(self, meta: bytes, encoded: bytes | bytearray, digest: str) -> str:
        """Store the content of one received instance durably; its name is durable only after `settle`.

        The two are apart so that many slices can share the price of the second: see `ichnode.steps.custody`.

        A file that is there today with this data set stays as it is, whoever sent it: its row says how long it is, and
        the file meta information of another sender, or another version of the node, has another length.

        Parameters
        ----------
        meta : bytes
            Preamble and file meta information.
        encoded : bytes
            The data set as the peer encoded it.
        digest : str
            SHA-256 of `encoded` in hexadecimal.

        Returns
        -------
        str
            Name relative to the root.

        Raises
        ------
        DiskFull, OSError
            Nothing was stored.
        """
        return self._in_shelf(_SLICES, lambda shelf: self._put_slice(shelf, meta, encoded, digest))

    def _in_shelf(self, kind: str, put: Callable[[str], str]) -> str:
        try:
            return put(self._shelves[kind].today())
        except FileNotFoundError:
            return put(self._shelves[kind].reopened())

    def _put_slice(self, shelf: str, meta: bytes, encoded: bytes | bytearray, digest: str) -> str:
        name, path = self._place(shelf, f"{digest}.dcm")
        if not _ends_with(path, encoded):
            # Asked again before it gets its name: another association may have been as far a moment earlier.
            write_durable(path, meta, encoded, sync_name=False, unless=lambda: _ends_with(path, encoded))
        return name

    def settle(self, *names: str) -> None:
        """Make the names of stored instances durable with one fsync, also of what another has stored a moment ago."""
        for folder in {os.path.dirname(name) for name in names}:  # one, but for those who cross midnight together
            sync_directory(f"{self._root}/{folder}")

    def put_report(self, content: bytes, digest: str) -> str:
        """Store one object to be sent, a whole Part 10 file with the SHA-256 `digest`; return its name."""
        return self._put(_REPORTS, content, f"{digest}.dcm")

    def put_heat(self, content: bytes, digest: str) -> str:
        """Store the heat maps of one result, `content` with the SHA-256 `digest`; return their name."""
        return self._put(_HEAT, content, f"{digest}.npz")

    def _put(self, kind: str, content: bytes, called: str) -> str:
        def put(shelf: str) -> str:
            name, path = self._place(shelf, called)
            if _is_there(path, len(content)):
                os.utime(path)  # a file that is no row's and old is swept; this one is about to get one
                sync_directory(os.path.dirname(path))
            else:
                write_durable(path, content)
            return name

        return self._in_shelf(kind, put)

    def path(self, name: str) -> Path:
        """Return where `name` lies.

        Raises
        ------
        PermanentError
            `name` is not one that this spool gives out.
        """
        return Path(self._where(name))

    def holds(self, name: str) -> bool:
        """Tell whether a file is there."""
        return os.path.exists(self._where(name))

    def size(self, name: str) -> int:
        """Return how many bytes a file has.

        Raises
        ------
        FileNotFoundError
        """
        return os.stat(self._where(name)).st_size

    def discard(self, *names: str) -> int:
        """Remove files that no row speaks of, durably; one that is not there is no error. Returns the bytes freed."""
        freed = 0
        paths = [self.path(name) for name in names]
        for path in paths:
            with suppress(FileNotFoundError):
                freed += path.stat().st_size
                path.unlink()
        for folder in {path.parent for path in paths}:
            kind = folder.relative_to(self.root).parts[0]
            if folder.exists() and not self._shelves[kind].forget(folder):
                sync_directory(folder)
        return freed

    def made_before(self, at: float) -> Iterator[str]:
        """Yield the reports and heat maps that were last put before `at`, in seconds since the epoch."""
        yield from (name for name, facts in self._files(_REPORTS, _HEAT) if facts.st_mtime < at)

    def slices(self, before: float | None = None) -> Iterator[tuple[str, int]]:
        """Yield name and size in bytes of every stored instance, for the adoption of files without a row.

        Parameters
        ----------
        before : float or None
            Only what was stored before that time, in seconds since the epoch.
        """
        for name, facts in self._files(_SLICES):
            if before is None or facts.st_mtime < before:
                yield name, facts.st_size

    def _files(self, *kinds: str) -> Iterator[tuple[str, os.stat_result]]:
        for folder in (folder for kind in kinds for folder in self._shelves[kind].all()):
            for entry in self._entries(folder):
                name = f"{folder}/{entry.name}"
                if _NAME.fullmatch(name):
                    with suppress(FileNotFoundError):  # removed meanwhile
                        yield name, entry.stat()

    def sweep_temporary(self) -> int:
        """Remove what writers that died left half written; return how many. Complete files are never touched."""
        swept = 0
        for folder in (folder for shelves in self._shelves.values() for folder in shelves.all()):
            for entry in self._entries(folder):
                if entry.name.startswith(".") and is_leftover(Path(entry.path)):
                    Path(entry.path).unlink(missing_ok=True)
                    swept += 1
        return swept

    def _entries(self, folder: str) -> Iterator[os.DirEntry[str]]:
        """Yield what lies in a folder, one at a time: there may be millions."""
        with suppress(FileNotFoundError), os.scandir(f"{self._root}/{folder}") as entries:
            yield from entries

    def free_bytes(self) -> int:
        """Return how many bytes are free on the spool's disk for this user."""
        return shutil.disk_usage(self.root).free

    def below(self, watermark_bytes: int) -> bool:
        """Tell whether less than `watermark_bytes` are free."""
        return self.free_bytes() < watermark_bytes

    def _where(self, name: str) -> str:
        # A string: what happens for every slice would otherwise make a dozen Path objects, at 5 µs each.
        if _NAME.fullmatch(name) is None:
            raise PermanentError(f"{name!r} is not the name of a file in the spool.", "SPOOL_NAME")
        return f"{self._root}/{name}"

    def _place(self, shelf: str, called: str) -> tuple[str, str]:
        if _FILE.fullmatch(called) is None:
            raise PermanentError(f"{called!r} is not a SHA-256 in hexadecimal.", "SPOOL_NAME")
        name = f"{shelf}/{called}"
        return name, f"{self._root}/{name}"


def _is_there(path: str, size: int) -> bool:
    try:
        return os.stat(path).st_size == size
    except FileNotFoundError:
        return False


def _ends_with(path: str, content: bytes | bytearray) -> bool:
    if not os.access(path, os.F_OK):  # nearly always so, and an exception costs five times as much
        return False
    try:
        with open(path, "rb") as file:
            if file.seek(0, os.SEEK_END) < len(content):
                return False
            file.seek(-len(content), os.SEEK_END)
            return file.read() == content
    except FileNotFoundError:
        return False
