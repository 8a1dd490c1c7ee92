"""What an N-EVENT-REPORT of storage commitment says, from whichever association it comes (PS3.4 J.3.3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ichnode.core.identity import is_uid
from ichnode.dicom.elements import ElementReader, Elements, Wanted
from ichnode.dicom.statuses import Status
from ichnode.dicom.syntaxes import EXPLICIT_BE, IMPLICIT_LE
from ichnode.errors import BadObject, IchnodeError
from ichnode.log import get_logger

log = get_logger(__name__)

MAX_REPORT_BYTES = 1 << 20
"""An answer about a hundred objects has a fiftieth of it."""
_ALL_KEPT, _SOME_LOST = 1, 2
_TRANSACTION, _KEPT, _LOST = 0x00081195, 0x00081199, 0x00081198
_INSTANCE, _REASON = 0x00081155, 0x00081197
_WANTED: Wanted = {_TRANSACTION: None, _KEPT: {_INSTANCE: None}, _LOST: {_INSTANCE: None, _REASON: None}}
_REASONS = {
    0x0110: "processing failure",
    0x0112: "no such object instance",
    0x0119: "class and instance disagree",
    0x0122: "SOP Class not supported",
    0x0131: "duplicate transaction UID",
    0x0213: "resource limitation",
}
"""Failure Reason (0008,1197), PS3.3 C.14.1.1."""


@dataclass(frozen=True, slots=True)
class CommitmentReport:
    """What an N-EVENT-REPORT says (PS3.4 Table J.3-2).

    Attributes
    ----------
    calling_aet : str
        AE title of the peer that says it.
    transaction_uid : str
    kept : tuple of SOP Instance UID
    lost : mapping of SOP Instance UID to why
    """

    calling_aet: str
    transaction_uid: str
    kept: tuple[str, ...] = ()
    lost: Mapping[str, str] = field(default_factory=dict)


Take = Callable[[CommitmentReport], None]
"""Makes a report durable; raises `BadObject` when it is none of this node's."""


def report_status(aet: str, event_type: int | None, syntax: str, encoded: bytes, take: Take) -> tuple[Status, str]:
    """Take an N-EVENT-REPORT; return the status that answers it (PS3.7 10.1.1.1.8), and a code.

    Parameters
    ----------
    aet : str
        AE title of the peer.
    """
    try:
        if event_type not in (_ALL_KEPT, _SOME_LOST):
            raise BadObject("The report is of a type that storage commitment does not have.", "EVENT_TYPE")
        take(_decoded(aet, syntax, encoded))
    except BadObject as error:
        status = Status.NO_SUCH_EVENT_TYPE if error.code == "EVENT_TYPE" else Status.INVALID_ARGUMENT
        code, remedy = error.code, error.sentence
    except (IchnodeError, OSError) as error:
        status, code, remedy = Status.PROCESSING_FAILURE, getattr(error, "code", "OS_ERROR"), str(error)
    else:
        return Status.SUCCESS, ""
    log.warning("commitment.report_refused", calling=aet, code=code, status=f"0x{status:04X}", remedy=remedy)
    return status, code


def _decoded(aet: str, syntax: str, encoded: bytes) -> CommitmentReport:
    """Read the Event Information.

    Raises
    ------
    BadObject
        It is too long, cut short, of no transaction, or names no object.
    """
    if len(encoded) > MAX_REPORT_BYTES:
        raise BadObject(f"The report has more than {MAX_REPORT_BYTES} bytes.", "REPORT_TOO_LARGE")
    reader = ElementReader(encoded, implicit=syntax == IMPLICIT_LE, big_endian=syntax == EXPLICIT_BE)
    found, _, _ = reader.read(0, len(encoded), _WANTED)
    transaction = _uid(found, _TRANSACTION)
    order = "big" if syntax == EXPLICIT_BE else "little"
    kept = tuple(_uid(item, _INSTANCE) for item in _items(found, _KEPT))
    lost = {_uid(item, _INSTANCE): _why(item, order) for item in _items(found, _LOST)}
    if not kept and not lost:
        raise BadObject("The report names no object: the sender is faulty.", "NO_INSTANCES")
    return CommitmentReport(aet, transaction, kept, lost)


def _items(found: Elements, tag: int) -> list[Elements]:
    value = found.get(tag, [])
    return value if isinstance(value, list) else []


def _uid(found: Elements, tag: int) -> str:
    value = found.get(tag, b"")
    text = value.decode("ascii", "replace").rstrip("\x00 ") if isinstance(value, bytes) else ""
    if not is_uid(text):
        raise BadObject("The report lacks a UID, or has one that is none: the sender is faulty.", "UID_INVALID")
    return text


def _why(item: Elements, order: str) -> str:
    value = item.get(_REASON, b"")
    if not isinstance(value, bytes) or len(value) != 2:
        return "does not keep this object and does not say why"
    reason = int.from_bytes(value, "big" if order == "big" else "little")
    return f"does not keep this object: 0x{reason:04X} {_REASONS.get(reason, 'of its own')}"
