"""Passwords: kept as argon2id with the low-memory parameters of RFC 9106, section 4."""

from __future__ import annotations

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from ichnode.errors import PermanentError

LEAST, MOST = 10, 512
_HASHER = PasswordHasher()
_NOBODY = _HASHER.hash("nobody has this password")


def hash_password(password: str) -> str:
    """Return what is kept of a password.

    Raises
    ------
    PermanentError
        It is too short or too long.
    """
    if not LEAST <= len(password) <= MOST:
        raise PermanentError(f"A password has {LEAST} to {MOST} characters; a few words are a good one.", "PASSWORD")
    return _HASHER.hash(password)


def is_password(kept: str | None, password: str) -> bool:
    """Tell whether a password is the one of which `kept` was made; takes as long when there is none."""
    if len(password) > MOST:
        return False
    try:
        return _HASHER.verify(kept or _NOBODY, password) and kept is not None
    except (VerificationError, InvalidHashError):
        return False
