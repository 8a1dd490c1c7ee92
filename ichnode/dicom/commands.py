"""DIMSE command sets of what the node answers: C-ECHO, C-STORE, N-EVENT-REPORT (PS3.7 9.3.1, 9.3.5, 10.3.1, Annex E).

A command set is always implicit VR little endian and a dozen short elements: it is read here without building a data
set, which costs a hundredth of the general way and happens once a slice.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from ichnode.dicom.transport import AbortReason, ProtocolBreach

C_STORE_RQ = 0x0001
C_ECHO_RQ = 0x0030
C_CANCEL_RQ = 0x0FFF
N_EVENT_REPORT_RQ = 0x0100
_RESPONSE = 0x8000
_NO_DATA_SET = 0x0101
_ELEMENT = struct.Struct("<HHI")
MAX_COMMAND_BYTES = 16384
"""No command set the standard defines comes near it."""


@dataclass(frozen=True, slots=True)
class Command:
    """What the node reads of a request."""

    field: int
    message_id: int
    has_data_set: bool
    sop_class_uid: str
    sop_instance_uid: str
    event_type: int | None = None
    """Event Type ID (0000,1002) of an N-EVENT-REPORT."""


def decode_command(encoded: bytes | bytearray) -> Command:
    """Decode a request's command set.

    Raises
    ------
    ProtocolBreach
        It is cut short, has elements outside group 0000, or lacks Command Field or Message ID.
    """
    values: dict[int, bytes] = {}
    at = 0
    while at < len(encoded):
        if len(encoded) - at < _ELEMENT.size:
            raise _malformed("is cut short")
        group, element, length = _ELEMENT.unpack_from(encoded, at)
        at += _ELEMENT.size
        if group != 0 or length > len(encoded) - at:
            raise _malformed("has an element outside group 0000 or longer than the set")
        values[element] = bytes(encoded[at : at + length])
        at += length
    return Command(
        field=_number(values, 0x0100),
        message_id=_number(values, 0x0110),
        has_data_set=_number(values, 0x0800) != _NO_DATA_SET,
        sop_class_uid=_text(values.get(0x0002, b"")),
        sop_instance_uid=_text(values.get(0x1000, b"")),
        event_type=_number(values, 0x1002) if 0x1002 in values else None,
    )


def encode_response(request: Command, status: int, comment: str = "") -> bytes:
    """Encode the response to `request`.

    Parameters
    ----------
    status : int
        PS3.7 Annex C.
    comment : str
        Error Comment (0000,0902); cut to 64 characters.
    """
    body = _uid(0x0002, request.sop_class_uid)
    body += _us(0x0100, request.field | _RESPONSE) + _us(0x0120, request.message_id)
    body += _us(0x0800, _NO_DATA_SET) + _us(0x0900, status)
    if comment:
        body += _element(0x0902, comment.encode("ascii", "replace")[:64], b" ")
    body += _uid(0x1000, request.sop_instance_uid)
    return _element(0x0000, struct.pack("<I", len(body))) + body


def _element(element: int, value: bytes, pad: bytes = b"\x00") -> bytes:
    if len(value) % 2:
        value += pad
    return _ELEMENT.pack(0, element, len(value)) + value


def _us(element: int, value: int) -> bytes:
    return _element(element, struct.pack("<H", value))


def _uid(element: int, text: str) -> bytes:
    """Encode a UID that is given back as it came; one that no UID could be is left out (both are optional)."""
    return _element(element, text.encode("ascii")) if text and len(text) <= 64 and text.isascii() else b""


def _number(values: dict[int, bytes], element: int) -> int:
    value = values.get(element, b"")
    if len(value) != 2:
        raise _malformed(f"lacks (0000,{element:04X})")
    return int.from_bytes(value, "little")


def _text(value: bytes) -> str:
    return value.decode("ascii", "replace").rstrip("\x00 ")


def _malformed(what: str) -> ProtocolBreach:
    return ProtocolBreach(f"The command set {what}.", AbortReason.INVALID_PARAMETER)
