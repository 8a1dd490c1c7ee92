"""What a compressed frame says of its own size, read before a decoder makes room for it.

Decoders believe their codestream, not the DICOM header: 200 bytes that say 60,000 x 60,000 cost 14 GB in a JPEG 2000
decoder. A frame is decoded only where both say the same, and where it is not longer than a frame of that size can be.
"""

from __future__ import annotations

import struct

from ichnode.dicom.syntaxes import COMPRESSED, RLE
from ichnode.errors import BadObject

_SIZ = b"\xff\x4f\xff\x51"
"""SOC and SIZ, the first two markers of a JPEG 2000 codestream (ISO 15444-1 A.4, A.5); HTJ2K has the same."""
_SIZ_WITHIN = 4096
_NO_FRAME_HEADERS = (0xC4, 0xC8, 0xCC)
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
    size = _of_jpeg_2000(encoded) or _of_jpeg(encoded)
    if size is None:
        raise _unreadable("a frame has no header")
    if size != (rows, columns):
        raise _unreadable(f"a frame is {size[0]} x {size[1]}, its header says {rows} x {columns}")


def _of_jpeg_2000(encoded: bytes) -> tuple[int, int] | None:
    start = encoded.find(_SIZ, 0, _SIZ_WITHIN)
    if start < 0 or len(encoded) < start + 24:
        return None
    x, y, x_offset, y_offset = struct.unpack_from(">IIII", encoded, start + 8)
    return y - y_offset, x - x_offset


def _of_jpeg(encoded: bytes) -> tuple[int, int] | None:
    """Return the size in the frame header (SOF0 to SOF15, or SOF55 of JPEG-LS; ISO 10918-1 B.2.2)."""
    at = 2
    while at + 9 <= len(encoded) and encoded[at] == 0xFF:
        marker = encoded[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
        elif marker in _ALONE:
            at += 2
        elif marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in _NO_FRAME_HEADERS):
            rows, columns = struct.unpack_from(">HH", encoded, at + 5)
            return rows, columns
        else:
            at += 2 + max(int.from_bytes(encoded[at + 2 : at + 4], "big"), 2)
    return None


def _unreadable(detail: str) -> BadObject:
    return BadObject(f"The pixel data of a slice cannot be decoded: {detail}.", "PIXELS_UNREADABLE")
