"""The spool: slices as they came in, reports as they go out, heat maps as pages show them, named by their digest.

::

    <root>/slices/<day>/<digest>.dcm
    <root>/reports/<digest>.dcm
    <root>/heat/<digest>.npz

Names never come from the network. Why a day: `ichnode.storage.shelves`.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from ichnode.core.group import Group
from ichnode.errors import PermanentError
from ichnode.storage.atomic import is_leftover, sync_directory, write_durable
from ichnode.storage.shelves import DAY, SLICES, Shelves

_REPORTS, _HEAT = "reports", "heat"
_DIGEST = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(rf"({SLICES}(/{DAY})?|{_REPORTS})/[0-9a-f]{{64}}\.dcm|{_HEAT}/[0-9a-f]{{64}}\.npz")


class Spool:
    """Durable files below one folder. Directories are 0700, files 0600.

    Parameters
    ----------
    root : Path
        Made when it does not exist.
    """

    def __init__(self, root: Path) -> None:
        self._settling: Group[str, None] = Group(self._sync_slices, everyones=(OSError,))
        self.root = root.absolute()
        self._root = os.fspath(self.root)
        self.root.mkdir(parents=True, exist_ok=True)
        self.root.chmod(0o700)
        for kind in (SLICES, _REPORTS, _HEAT):
            (self.root / kind).mkdir(mode=0o700, exist_ok=True)
            sync_directory(self.root / kind)
        sync_directory(self.root)
        sync_directory(self.root.parent)
        self._shelves = Shelves(self.root)

    def put_slice(self, meta: bytes, encoded: bytes | bytearray, digest: str) -> str:
        """Store the content of one received instance durably; its name is durable only after `settle`.

        The two are apart so that many slices can share the price of the second: see `ichnode.core.group`.

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
        try:
            return self._put_slice(self._shelves.today(), meta, encoded, digest)
        except FileNotFoundError:
            return self._put_slice(self._shelves.reopened(), meta, encoded, digest)

    def _put_slice(self, shelf: str, meta: bytes, encoded: bytes | bytearray, digest: str) -> str:
        name, path = self._place(shelf, digest)
        if not _ends_with(path, encoded):
            # Asked again before it gets its name: another association may have been as far a moment earlier.
            write_durable(path, meta, encoded, sync_name=False, unless=lambda: _ends_with(path, encoded))
        return name

    def settle(self, name: str) -> None:
        """Make the name of a stored instance durable, also one that another association stored a moment ago.

        Threads that come together share one fsync.
        """
        self._settling.do(name)

    def put_report(self, content: bytes, digest: str) -> str:
        """Store one object to be sent, a whole Part 10 file with the SHA-256 `digest`; return its name."""
        return self._put(_REPORTS, content, digest)

    def put_heat(self, content: bytes, digest: str) -> str:
        """Store the heat maps of one result, `content` with the SHA-256 `digest`; return their name."""
        return self._put(_HEAT, content, digest)

    def _put(self, kind: str, content: bytes, digest: str) -> str:
        name, path = self._place(kind, digest)
        if _is_there(path, len(content)):
            os.utime(path)  # a file that is no row's and old is swept; this one is about to get one
            sync_directory(self.root / kind)
        else:
            write_durable(path, content)
        return name

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
            if folder.exists() and not self._shelves.forget(folder):
                sync_directory(folder)
        return freed

    def made_before(self, at: float) -> Iterator[str]:
        """Yield the reports and heat maps that were last put before `at`, in seconds since the epoch."""
        for kind in (_REPORTS, _HEAT):
            with os.scandir(self.root / kind) as entries:
                for entry in entries:
                    name = f"{kind}/{entry.name}"
                    if _NAME.fullmatch(name) and entry.stat().st_mtime < at:
                        yield name

    def slices(self, before: float | None = None) -> Iterator[tuple[str, int]]:
        """Yield name and size in bytes of every stored instance, for the adoption of files without a row.

        Parameters
        ----------
        before : float or None
            Only what was stored before that time, in seconds since the epoch.
        """
        for folder in self._shelves.all():
            for entry in self._entries(folder):
                name = f"{folder}/{entry.name}"
                if _NAME.fullmatch(name) is None:
                    continue
                with suppress(FileNotFoundError):  # removed meanwhile
                    facts = entry.stat()
                    if before is None or facts.st_mtime < before:
                        yield name, facts.st_size

    def sweep_temporary(self) -> int:
        """Remove what writers that died left half written; return how many. Complete files are never touched."""
        swept = 0
        for folder in (*self._shelves.all(), _REPORTS, _HEAT):
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

    def _sync_slices(self, names: Sequence[str]) -> list[None]:
        for folder in {os.path.dirname(name) for name in names}:  # one, but for those who cross midnight together
            sync_directory(f"{self._root}/{folder}")
        return [None] * len(names)

    def _where(self, name: str) -> str:
        # A string: what happens for every slice would otherwise make a dozen Path objects, at 5 µs each.
        if _NAME.fullmatch(name) is None:
            raise PermanentError(f"{name!r} is not the name of a file in the spool.", "SPOOL_NAME")
        return f"{self._root}/{name}"

    def _place(self, kind: str, digest: str) -> tuple[str, str]:
        if _DIGEST.fullmatch(digest) is None:
            raise PermanentError(f"{digest!r} is not a SHA-256 in hexadecimal.", "SPOOL_NAME")
        name = f"{kind}/{digest}.{'npz' if kind == _HEAT else 'dcm'}"
        return name, f"{self._root}/{name}"


def _is_there(path: str, size: int) -> bool:
    try:
        return os.stat(path).st_size == size
    except FileNotFoundError:
        return False


def _ends_with(path: str, content: bytes | bytearray) -> bool:
    try:
        with open(path, "rb") as file:
            if file.seek(0, os.SEEK_END) < len(content):
                return False
            file.seek(-len(content), os.SEEK_END)
            return file.read() == content
    except FileNotFoundError:
        return False
