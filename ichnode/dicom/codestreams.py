"""What a compressed frame says of its own size, read before a decoder makes room for it.

Decoders believe their codestream, not the DICOM header: 200 bytes that say 60,000 x 60,000 cost 14 GB in a JPEG 2000
decoder. A frame is decoded only where both say the same, and where it is not longer than a frame of that size can be.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from ichnode.dicom.syntaxes import (
    COMPRESSED,
    JPEG_LOSSLESS,
    JPEG_LOSSLESS_SV1,
    JPEG_LS,
    JPEG_LS_NEAR_LOSSLESS,
    RLE,
)
from ichnode.errors import BadObject

_SIZ = b"\xff\x4f\xff\x51"
"""SOC and SIZ, the first two markers of a JPEG 2000 codestream (ISO 15444-1 A.4, A.5); HTJ2K has the same."""
_JP2 = b"\0\0\0\x0cjP  \r\n\x87\n"
"""Signature box of a JP2 file (ISO 15444-1 I.5.1), which PS3.5 A.4.4 forbids and decoders take."""
_SOI = b"\xff\xd8"
_JPEG_LS_FRAME = 0xF7
_FRAMES = (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0))
_ALONE = (0x01, *range(0xD0, 0xD9))


def check_frame(encoded: bytes, transfer_syntax_uid: str, rows: int, columns: int, bytes_a_pixel: int) -> None:
    """Raise ``PIXELS_UNREADABLE`` where an encoded frame cannot be one of this size.

    Parameters
    ----------
    encoded : bytes
        One frame without its item headers.
    transfer_syntax_uid : str
        Others than those in `COMPRESSED` are not looked at.
    rows, columns, bytes_a_pixel : int
        Of the DICOM header.
    """
    if transfer_syntax_uid not in COMPRESSED:
        return
    if len(encoded) > 2 * rows * columns * bytes_a_pixel + (1 << 16):
        raise _unreadable("a frame is longer than its pixels")
    if transfer_syntax_uid == RLE:
        return  # without a size of its own; what it may unpack to is bounded by its length
    if transfer_syntax_uid in (JPEG_LS, JPEG_LS_NEAR_LOSSLESS):
        size = _of_jpeg(encoded, (_JPEG_LS_FRAME,))
    elif transfer_syntax_uid in (JPEG_LOSSLESS, JPEG_LOSSLESS_SV1):
        size = _of_jpeg(encoded, _FRAMES)
    else:
        size = _of_jpeg_2000(encoded)
    if size is None:
        raise _unreadable("a frame has no header")
    if size != (rows, columns):
        raise _unreadable(f"a frame is {size[0]} x {size[1]}, its header says {rows} x {columns}")


def _of_jpeg_2000(encoded: bytes) -> tuple[int, int] | None:
    start = _codestream_at(encoded) if encoded.startswith(_JP2) else 0
    if start is None or not encoded.startswith(_SIZ, start) or len(encoded) < start + 24:
        return None
    x, y, x_offset, y_offset = struct.unpack_from(">IIII", encoded, start + 8)
    return y - y_offset, x - x_offset


def _codestream_at(encoded: bytes) -> int | None:
    """Return where the codestream of a JP2 file begins, box by box (ISO 15444-1 I.4)."""
    at = 0
    while at + 8 <= len(encoded):
        length, head = int.from_bytes(encoded[at : at + 4], "big"), 8
        if length == 1:
            length, head = int.from_bytes(encoded[at + 8 : at + 16], "big"), 16
        if encoded[at + 4 : at + 8] == b"jp2c":
            return at + head
        if length < head:  # 0 is up to the end, where no codestream follows
            return None
        at += length
    return None


def _of_jpeg(encoded: bytes, frames: Sequence[int]) -> tuple[int, int] | None:
    """Return the size in the first frame header, whose markers are `frames` (ISO 10918-1 B.2.2, ISO 14495-1 C.2.2)."""
    if not encoded.startswith(_SOI):
        return None
    at = 2
    while at + 9 <= len(encoded) and encoded[at] == 0xFF:
        marker = encoded[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
        elif marker in _ALONE:
            at += 2
        elif marker in frames:
            rows, columns = struct.unpack_from(">HH", encoded, at + 5)
            return rows, columns
        else:
            at += 2 + max(int.from_bytes(encoded[at + 2 : at + 4], "big"), 2)
    return None


def _unreadable(detail: str) -> BadObject:
    return BadObject(f"The pixel data of a slice cannot be decoded: {detail}.", "PIXELS_UNREADABLE")
