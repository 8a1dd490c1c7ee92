"""The head of a Part 10 file (PS3.10 7.1): preamble, prefix, file meta information.

Put before the data set exactly as the peer encoded it, it makes a valid file without decoding anything.
"""

from __future__ import annotations

import struct
from functools import lru_cache

from ichnode.dicom.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME


def part10_prefix(sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str, source_aet: str) -> bytes:
    """Return preamble, "DICM" and group 0002, ready to be followed by the encoded data set.

    Parameters
    ----------
    sop_class_uid, sop_instance_uid : str
        As in the C-STORE request.
    transfer_syntax_uid : str
        The one accepted for the presentation context: that of the data set.
    source_aet : str
        AE title of the sender, (0002,0016).
    """
    before, after = _fixed(sop_class_uid, transfer_syntax_uid, source_aet)
    instance = _short(0x0003, b"UI", _uid(sop_instance_uid))
    group = before + instance + after
    return _PREAMBLE + _short(0x0000, b"UL", struct.pack("<I", len(group))) + group


_PREAMBLE = bytes(128) + b"DICM"


@lru_cache(maxsize=256)
def _fixed(sop_class_uid: str, transfer_syntax_uid: str, source_aet: str) -> tuple[bytes, bytes]:
    """Return what stands before and after the SOP Instance UID: the same for all slices of a series."""
    version = b"\x02\x00\x01\x00OB\x00\x00" + struct.pack("<I", 2) + b"\x00\x01"
    before = version + _short(0x0002, b"UI", _uid(sop_class_uid))
    after = (
        _short(0x0010, b"UI", _uid(transfer_syntax_uid))
        + _short(0x0012, b"UI", _uid(IMPLEMENTATION_CLASS_UID))
        + _short(0x0013, b"SH", _padded(IMPLEMENTATION_VERSION_NAME.encode("ascii"), b" "))
    )
    if source_aet:
        after += _short(0x0016, b"AE", _padded(source_aet.encode("ascii"), b" "))
    return before, after


def _short(element: int, vr: bytes, value: bytes) -> bytes:
    """Encode one element of group 0002: explicit VR little endian, 16-bit length (PS3.5 7.1.2)."""
    return struct.pack("<HH2sH", 0x0002, element, vr, len(value)) + value


def _uid(text: str) -> bytes:
    return _padded(text.encode("ascii"), b"\x00")


def _padded(value: bytes, pad: bytes) -> bytes:
    return value + pad if len(value) % 2 else value
