"""Who may do what in the browser and through the JSON: roles, permissions and scopes as data."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """What an account is for; each may all that the one before it may."""

    READER = "reader"
    RADIOLOGIST = "radiologist"
    ADMINISTRATOR = "administrator"


PERMISSIONS: dict[str, Role] = {
    "worklist.read": Role.READER,
    "study.read": Role.READER,
    "rules.try": Role.READER,
    "node.read": Role.READER,
    "study.sign": Role.RADIOLOGIST,
    "study.teach": Role.RADIOLOGIST,
    "node.operate": Role.ADMINISTRATOR,
    "model.promote": Role.ADMINISTRATOR,
    "audit.read": Role.ADMINISTRATOR,
}
"""The least role that has each permission. The scopes of an API token are the names of permissions."""

_ORDER = tuple(Role)
RESERVED = frozenset({"node", "unknown", "terminal", "token"})
"""Names by which the audit journal means somebody else than an account; so does whatever has a colon."""


def permissions_of(role: str) -> frozenset[str]:
    """Return what a role may."""
    rank = _ORDER.index(Role(role))
    return frozenset(name for name, least in PERMISSIONS.items() if _ORDER.index(least) <= rank)


def is_account_name(name: str) -> bool:
    """Tell whether somebody may be called so: 1 to 64 printable characters that pass for nobody else in a journal."""
    plain = 0 < len(name) <= 64 and name.isprintable() and name == name.strip() and ":" not in name
    return plain and name.lower() not in RESERVED


def pause_after_s(failures: int, free: int, longest_s: float) -> float:
    """Return how long nobody may try a password again: nothing for the first `free` failures, then doubled each time.

    Parameters
    ----------
    failures : int
        Failures in a row, this one included.
    """
    if failures < free:
        return 0.0
    return float(min(longest_s, 2.0 ** min(failures - free, 30)))
