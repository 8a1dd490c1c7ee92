"""The store of model bundles: one folder each, named by its digest; there whole or not at all.

::

    <root>/<digest>/weights.safetensors
    <root>/<digest>/card.json
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path

from ichnode.errors import PermanentError
from ichnode.storage.atomic import sync_directory, write_durable

_DIGEST = re.compile(r"[0-9a-f]{64}")


class ModelStore:
    """Folders of files below one folder.

    Parameters
    ----------
    root : Path
        Made when something is put into it.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()

    def path(self, digest: str) -> Path:
        """Return the folder of a bundle, whether it is there or not.

        Raises
        ------
        PermanentError
            `digest` is none.
        """
        if _DIGEST.fullmatch(digest) is None:
            raise PermanentError(f"{digest!r} is not the digest of a model.", "MODEL_UNKNOWN")
        return self.root / digest

    def put(self, digest: str, files: Mapping[str, bytes]) -> Path:
        """Keep a bundle durably and return its folder. One that is there already is written anew, file by file.

        Whether the content belongs to `digest` is for the caller to check.
        """
        folder = self.path(digest)
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        sync_directory(self.root.parent)
        if folder.exists():
            _write(folder, files)
            return folder
        unfinished = self.root / f".{os.getpid()}-{secrets.token_hex(4)}.tmp"
        unfinished.mkdir(mode=0o700)
        try:
            _write(unfinished, files)
            unfinished.rename(folder)
        except OSError:
            if not folder.exists():  # else somebody put the same bundle meanwhile
                raise
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
        sync_directory(self.root)
        return folder


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        write_durable(folder / name, content)
