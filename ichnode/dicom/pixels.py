"""Pixel data of one CT object in Hounsfield units."""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import get_frame
from pydicom.pixels import get_decoder
from pydicom.uid import UID

from ichnode.core.findings import Warned
from ichnode.core.hounsfield import Decode, Decoded, NotHounsfieldError, to_hounsfield
from ichnode.core.slices import Slice
from ichnode.dicom.codestreams import check_frame
from ichnode.dicom.header import inflates_within, parse_file
from ichnode.dicom.syntaxes import COMPRESSED, DEFLATED_LE
from ichnode.errors import BadObject

_NEEDED = [
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
    "PixelData",
]
MOST_PIXELS = 4096 * 4096
"""Of one slice; a CT has 512 x 512, some have 1024 x 1024."""
_MOST_VOXELS = 1 << 30
"""Of one series, 2 GiB: two thousand slices of 512 x 512 are half of it."""
_DECODER_FAILURES = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
"""What pydicom and its plugins raise on pixel data that is not what its header says."""


def read_volume(
    slices: Sequence[Slice],
    files: Sequence[Path],
    pseudonyms: bool = False,
    *,
    decode: Decode | None = None,
    lanes: int = 1,
) -> tuple[NDArray[np.int16], tuple[Warned, ...]]:
    """Decode the slices of a series, in the order given.

    Parameters
    ----------
    slices : sequence of Slice
        All of the matrix of the first.
    files : sequence of Path
        The file of each slice; frames of one file may stand anywhere.
    pseudonyms : bool
        As `ichnode.dicom.header.parse_file`.
    decode : callable, optional
        Used in place of `read_hounsfield`, as that of `ichnode.dicom.decoding.Decoders`.
    lanes : int
        Files that `decode` is asked for at once.

    Returns
    -------
    volume_hu : array of shape (slices, rows, columns), int16
    warnings : tuple of Warned
        Each once.

    Raises
    ------
    BadObject
        As `read_hounsfield`.
    """
    first = slices[0]
    if len(slices) * (first.rows or 0) * (first.columns or 0) > _MOST_VOXELS:
        raise _unreadable(f"{len(slices)} slices of {first.rows} x {first.columns} are no head")
    volume = np.empty((len(slices), first.rows or 0, first.columns or 0), np.int16)
    found: dict[Warned, None] = {}
    frames_of: dict[Path, list[int]] = {}
    for index, file in enumerate(files):
        frames_of.setdefault(file, []).append(index)

    def read(file: Path) -> Decoded:
        indices = frames_of[file]
        frames = [slices[i].frame for i in indices]
        if decode is None:
            return read_hounsfield(file, frames, pseudonyms)
        return decode(file, frames, slices[indices[0]].transfer_syntax_uid)

    with ThreadPoolExecutor(lanes) if lanes > 1 else nullcontext() as threads:
        planes_of = threads.map(read, frames_of) if threads else map(read, frames_of)
        for (planes, said), indices in zip(planes_of, frames_of.values(), strict=True):
            if planes.shape[1:] != volume.shape[1:]:
                raise BadObject("A slice has another matrix than its header says.", "PIXELS_UNREADABLE")
            volume[indices] = planes
            found.update(dict.fromkeys(said))
    return volume, tuple(found)


def read_hounsfield(
    path: Path, frames: Sequence[int] = (1,), pseudonyms: bool = False
) -> tuple[NDArray[np.int16], tuple[Warned, ...]]:
    """Decode frames of one file to Hounsfield units.

    Every transfer syntax that pydicom's plugins decode is read; see `ichnode.core.hounsfield` for what happens to the
    values.

    Parameters
    ----------
    path, pseudonyms
        As `ichnode.dicom.header.parse_file`.
    frames : sequence of int
        1-based frame numbers; (1,) for a single-frame instance.

    Returns
    -------
    volume_hu : array of shape (frames, rows, columns), int16, -1024 to 3071
        In the order asked for.
    warnings : tuple of Warned
        Each once, in the order they first came up.

    Raises
    ------
    BadObject
        ``PIXELS_UNREADABLE`` if they cannot be decoded or are not one grey value a pixel; ``NOT_HOUNSFIELD``; and as
        `parse_file`.
    """
    header = parse_file(path, pseudonyms)
    by_number = {one.frame: one for one in header.slices}
    asked = [by_number.get(number) for number in frames]
    wanted = [one for one in asked if one is not None]
    if not wanted or len(wanted) < len(asked):
        raise _unreadable(f"frames {list(frames)} were asked for, {len(header.slices)} are there")
    first = wanted[0]
    if (first.rows or 0) * (first.columns or 0) > MOST_PIXELS:
        raise _unreadable(f"{first.rows} x {first.columns} is no CT")
    if not first.has_pixels or not first.rows or not first.columns or (first.samples_per_pixel or 1) != 1:
        raise _unreadable("there are none, or they are not grey values")
    volume = np.empty((len(wanted), first.rows, first.columns), np.int16)
    found: dict[Warned, None] = {}
    for index, (one, stored) in enumerate(zip(wanted, _decoded(path, wanted), strict=True)):
        if stored.shape != volume.shape[1:]:
            raise _unreadable(f"shape {stored.shape} instead of {volume.shape[1:]}")
        try:
            volume[index], warned = to_hounsfield(stored, one)
        except NotHounsfieldError as error:
            raise BadObject(f"The pixel values are not Hounsfield units: {error}.", "NOT_HOUNSFIELD") from error
        found.update(dict.fromkeys(warned))
    return volume, tuple(found)


def _decoded(path: Path, wanted: Sequence[Slice]) -> Iterator[NDArray[Any]]:
    """Yield the stored values of each frame."""
    transfer_syntax = UID(wanted[0].transfer_syntax_uid)
    if transfer_syntax == DEFLATED_LE and not inflates_within(path, _most_inflated(path)):
        raise _unreadable("it inflates to more than it can hold")
    try:
        # pydicom warns of trailing padding and of a J2K header that differs: both are decoded right.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = dcmread(path, force=True, specific_tags=_NEEDED)
            if "TransferSyntaxUID" not in dataset.file_meta:
                dataset.file_meta = FileMetaDataset()
                dataset.file_meta.TransferSyntaxUID = transfer_syntax
            _check_frames(dataset, wanted)
            decoder = get_decoder(transfer_syntax)
            for stored, _ in decoder.iter_array(dataset, indices=[one.frame - 1 for one in wanted]):
                yield stored
    except _DECODER_FAILURES as error:
        raise _unreadable(f"{type(error).__name__} in transfer syntax {transfer_syntax.name}") from error


def _check_frames(dataset: Dataset, wanted: Sequence[Slice]) -> None:
    """Look at each encoded frame before a decoder does."""
    syntax = wanted[0].transfer_syntax_uid
    if syntax not in COMPRESSED:
        return
    count = int(dataset.get("NumberOfFrames") or 1)
    offsets = None
    if "ExtendedOffsetTable" in dataset:
        offsets = dataset.ExtendedOffsetTable, dataset.get("ExtendedOffsetTableLengths", b"")
    for one in wanted:
        encoded = get_frame(dataset.PixelData, one.frame - 1, extended_offsets=offsets, number_of_frames=count)
        check_frame(encoded, syntax, int(dataset.Rows), int(dataset.Columns), -(-int(dataset.BitsAllocated) // 8))


def _most_inflated(path: Path) -> int:
    """Return how long a deflated data set may become: CT deflates to a half, and deflate could do a thousandth."""
    return min(path.stat().st_size * 64, _MOST_VOXELS * 2) + (16 << 20)


def _unreadable(detail: str) -> BadObject:
    return BadObject(f"The pixel data of a slice cannot be decoded: {detail}.", "PIXELS_UNREADABLE")
