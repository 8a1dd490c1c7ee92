"""DIMSE statuses, and the one table that turns ichnode's errors into them (PS3.7 Annex C, PS3.4 Table B.2-1)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from ichnode.errors import IchnodeError, PermanentError, TransientError


class Status(IntEnum):
    """Statuses that the node answers with."""

    SUCCESS = 0x0000
    PROCESSING_FAILURE = 0x0110
    NO_SUCH_EVENT_TYPE = 0x0113
    INVALID_ARGUMENT = 0x0115
    INVALID_SOP_INSTANCE = 0x0117
    SOP_CLASS_NOT_SUPPORTED = 0x0122
    UNRECOGNIZED_OPERATION = 0x0211
    OUT_OF_RESOURCES = 0xA700
    DATA_SET_MISMATCH = 0xA900
    CANNOT_UNDERSTAND = 0xC000


@dataclass(frozen=True, slots=True)
class Refused:
    """A C-STORE that is answered without its data set being looked at: the status, a code, and the remedy."""

    status: Status
    code: str
    remedy: str


_BY_CODE = {
    "SOP_CLASS_MISMATCH": Status.DATA_SET_MISMATCH,
    "SOP_CLASS_NOT_SUPPORTED": Status.SOP_CLASS_NOT_SUPPORTED,
    "SOP_INSTANCE_MISMATCH": Status.DATA_SET_MISMATCH,
    "SOP_INSTANCE_INVALID": Status.INVALID_SOP_INSTANCE,
}
"""A code says it more exactly than the type of the error that carries it."""

_BY_TYPE: tuple[tuple[type[BaseException], Status], ...] = (
    (TransientError, Status.OUT_OF_RESOURCES),
    (PermanentError, Status.CANNOT_UNDERSTAND),
    (IchnodeError, Status.CANNOT_UNDERSTAND),
    # The disk or the operating system said no. The sender has the slice still and may try again.
    (OSError, Status.OUT_OF_RESOURCES),
)


def status_of(error: IchnodeError | OSError) -> Status:
    """Return the C-STORE status that answers `error`."""
    code = getattr(error, "code", "")
    if code in _BY_CODE:
        return _BY_CODE[code]
    return next(status for kind, status in _BY_TYPE if isinstance(error, kind))
