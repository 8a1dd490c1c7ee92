"""OHIF as its makers publish it: fetched once, checked against its published hash, kept outside the project."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import tempfile
from base64 import b64encode
from hashlib import sha512
from pathlib import Path

VERSION = "3.13.2"
INTEGRITY = "sha512-WZdxmpmG7rqFgW9ZJLcbgr3XCtLi1KDNPoMaeY5PPe6j4G4fjEjjkycZM6C6Zk2F87BKxFfpq+jd5xXZB9E8EA=="
"""Of the package's tarball, as published with it (Subresource Integrity)."""


class NotFetchedError(Exception):
    """OHIF is not on this machine, and npm cannot fetch it."""


def site() -> Path:
    """Return the folder with OHIF's pages; the first call on a machine fetches 48 MB with ``npm pack``.

    Raises
    ------
    NotFetchedError
        When it is not there yet, and npm is missing or cannot fetch it.
    ValueError
        When what came is not what was published.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ichnode-tests"
    folder = cache / f"ohif-{VERSION}"
    if not folder.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            with tarfile.open(_fetch(Path(scratch))) as tarball:
                tarball.extractall(scratch, filter="data")
            _keep(Path(scratch) / "package" / "dist", folder)
    return folder


def _fetch(folder: Path) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        raise NotFetchedError("npm is not installed: it fetches OHIF")
    options = ("--loglevel=error", "--fetch-retries=1", "--pack-destination", str(folder))
    try:
        done = subprocess.run(
            [npm, "pack", f"@ohif/app@{VERSION}", *options],
            cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as late:
        raise NotFetchedError(f"npm did not fetch OHIF {VERSION} within {late.timeout:g} s") from None
    packed = sorted(folder.glob("*.tgz"))
    if done.returncode != 0 or not packed:
        raise NotFetchedError(f"npm did not fetch OHIF {VERSION}: {done.stderr[-1000:]}")
    hashed = "sha512-" + b64encode(sha512(packed[0].read_bytes()).digest()).decode()
    if hashed != INTEGRITY:
        raise ValueError(f"OHIF {VERSION} came with {hashed}, published is {INTEGRITY}")
    return packed[0]


def _keep(unpacked: Path, folder: Path) -> None:
    try:
        unpacked.rename(folder)
    except OSError:
        if not folder.is_dir():  # else another run has just put it there
            raise
