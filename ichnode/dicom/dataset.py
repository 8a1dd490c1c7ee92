"""Reading a stored object's whole header, for the report that is made from it."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from ichnode.errors import BadObject


def header_dataset(path: Path) -> Dataset:
    """Return the data set of a Part 10 file up to, and without, its pixels.

    Raises
    ------
    BadObject
        The file is not readable as DICOM.
    """
    try:
        return dcmread(path, stop_before_pixels=True, force=True)
    except (InvalidDicomError, OSError, EOFError, ValueError) as error:
        raise BadObject(f"A stored object cannot be read: {type(error).__name__}.", "NOT_DICOM") from error


def encoded(dataset: Dataset) -> bytes:
    """Return a data set with file meta information as the bytes of a Part 10 file, in its own transfer syntax."""
    file = BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()
