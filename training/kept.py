"""Arrays kept on disk: written whole or not at all, and open only while something is taken from them.

A run holds thousands of scans; a memory map that stays open costs a file descriptor for as long as it stays.
"""

from __future__ import annotations

import errno
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ichnode.errors import IchnodeError


class KeptError(IchnodeError):
    """An array that was kept cannot be opened."""

    code = "KEPT_ARRAY"


@dataclass(frozen=True, slots=True)
class KeptArray:
    """An array in a file; an index opens the file, copies what is asked for, and closes it.

    Attributes
    ----------
    path : Path
        File in NumPy's own format.
    shape : tuple of int
    part : str, optional
        One field of an array of records.

    Raises
    ------
    KeptError
        By whatever reads it: the file is gone or damaged, or too many are open.
    """

    path: Path
    shape: tuple[int, ...]
    part: str | None = None

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> Any:
        return np.array(self._there()[index])

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self._there(), dtype)

    def field(self, name: str) -> KeptArray:
        """Return one field of an array of records, as an array of its own."""
        return KeptArray(self.path, _opened(self.path)[name].shape, name)

    def _there(self) -> NDArray[Any]:
        array = _opened(self.path)
        return array if self.part is None else array[self.part]


Array: TypeAlias = NDArray[Any] | KeptArray


def mapped(path: Path) -> NDArray[Any]:
    """Map an array into memory; it holds a file descriptor for as long as it is there.

    Raises
    ------
    KeptError
        Too many files are open already.
    OSError, ValueError, EOFError
        The file is missing or damaged.
    """
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            raise KeptError("Too many files are open: allow this process more of them (ulimit -n).") from error
        raise
    return array


def kept_array(path: Path) -> KeptArray:
    """Find what was kept; its time says that it is still in use."""
    path.touch()
    return KeptArray(path, _opened(path).shape)


def keep_array(path: Path, array: NDArray[np.generic]) -> None:
    """Write an array whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as file:
        np.save(file, array)
    os.replace(file.name, path)  # noqa: PTH105


def _opened(path: Path) -> NDArray[Any]:
    try:
        return mapped(path)
    except (OSError, ValueError, EOFError) as error:
        raise KeptError(f"{path} is missing or damaged: remove it and start again, it is made anew.") from error
