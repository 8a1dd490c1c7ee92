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


def permissions_of(role: str) -> frozenset[str]:
    """Return what a role may."""
    rank = _ORDER.index(Role(role))
    return frozenset(name for name, least in PERMISSIONS.items() if _ORDER.index(least) <= rank)


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
