"""Identity that is derived, never drawn: the same input has the same UID however often it is made again.

All UIDs are of the form 2.25.<UUID as decimal> (PS3.5 B.2), from name-based UUIDs (RFC 9562, version 5).
"""

from __future__ import annotations

import hashlib
import re
import uuid

_ROOT = uuid.UUID("6a0b2b3e-2d5d-5b8a-9d53-3f0f7a1c1c4e")
IMPLEMENTATION_CLASS_UID = "2.25.291870834231049402561466094303461158212"
"""Names the implementation in associations and files (PS3.7 D.3.3.2, PS3.10 7.1), not its release."""

_UID = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+")


def derived_uid(*parts: str) -> str:
    """Return the UID that belongs to `parts`, for instance ("sr", series UID, revision, model digest)."""
    return f"2.25.{uuid.uuid5(_ROOT, chr(0).join(parts)).int}"


def is_uid(text: str) -> bool:
    """Tell whether `text` is a valid UID (PS3.5 9.1): digits and dots, no leading zeros, at most 64 characters."""
    return len(text) <= 64 and _UID.fullmatch(text) is not None


def digest_of(*chunks: bytes | bytearray) -> str:
    """Return the SHA-256 of the concatenated `chunks`, in hexadecimal."""
    state = hashlib.sha256()
    for chunk in chunks:
        state.update(chunk)
    return state.hexdigest()
