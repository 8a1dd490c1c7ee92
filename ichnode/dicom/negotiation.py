"""Association negotiation as the acceptor: A-ASSOCIATE-RQ in, A-ASSOCIATE-AC or -RJ out (PS3.8 9.3.2-9.3.4).

Unknown items are passed over, as PS3.8 9.3.1 demands. Optional negotiations (asynchronous operations, user identity,
extended) are left unanswered, which by PS3.7 D.3.3 means their defaults: one operation at a time, no identity checked.
So are roles, which makes the requestor the SCU, but for storage commitment: there the peer that reports is the SCP.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from ichnode.dicom.access import ACSE_PROVIDER, PERMANENT, SERVICE_USER, Refusal
from ichnode.dicom.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from ichnode.dicom.syntaxes import STORAGE_COMMITMENT
from ichnode.dicom.transport import HEADER_BYTES, AbortReason, PduType, ProtocolBreach

APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
MAX_REQUEST_BYTES = 1 << 18
"""128 contexts with thirty transfer syntaxes each have half as many."""

_FIXED = struct.Struct(">HH16s16s32s")
_ITEM = struct.Struct(">BxH")
_ACCEPTED, _ABSTRACT_REFUSED, _TRANSFER_REFUSED = 0, 3, 4


@dataclass(frozen=True, slots=True)
class Context:
    """A presentation context as proposed."""

    number: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AgreedContext:
    """A presentation context as answered: `result` 0 is accepted (PS3.8 Table 9-18)."""

    number: int
    abstract_syntax: str
    transfer_syntax: str
    result: int


@dataclass(frozen=True, slots=True)
class AssociationRequest:
    """What a peer asks for."""

    protocol_version: int
    called_aet: str
    calling_aet: str
    application_context: str
    contexts: tuple[Context, ...]
    max_pdu_bytes: int
    """Longest P-DATA-TF body the peer takes; 0 is any."""
    fixed: bytes
    """The 68 bytes of version, titles and reserved, which the answer repeats."""
    scp_roles: frozenset[str] = frozenset()
    """SOP classes whose SCP the peer wants to be (PS3.7 D.3.3.4)."""
    roles: frozenset[str] = frozenset()
    """SOP classes for which it proposes roles at all."""


def ae_titles(encoded: bytes) -> tuple[str, str]:
    """Return called and calling AE title of an encoded A-ASSOCIATE-RQ, without looking at the rest."""
    called, calling = encoded[10:26], encoded[26:42]
    return _title(called), _title(calling)


def decode_request(encoded: bytes) -> AssociationRequest:
    """Decode a whole A-ASSOCIATE-RQ PDU.

    Raises
    ------
    ProtocolBreach
        An item is longer than the PDU, a context has no syntaxes or an impossible or repeated number.
    """
    if len(encoded) < HEADER_BYTES + _FIXED.size:
        raise _malformed("is cut short")
    version, _, called, calling, _ = _FIXED.unpack_from(encoded, HEADER_BYTES)
    application_context = ""
    contexts: dict[int, Context] = {}
    max_pdu_bytes = 0
    roles: dict[str, bool] = {}
    for kind, value in _items(encoded[HEADER_BYTES + _FIXED.size :]):
        if kind == 0x10:
            application_context = _uid(value)
        elif kind == 0x20:
            context = _context(value)
            if context.number in contexts or context.number % 2 == 0:
                raise _malformed("numbers its contexts wrongly")
            contexts[context.number] = context
        elif kind == 0x50:
            for part, content in _items(value):
                if part == 0x51 and len(content) == 4:
                    max_pdu_bytes = int.from_bytes(content, "big")
                elif part == 0x54:
                    roles |= _role(content)
    return AssociationRequest(
        protocol_version=version,
        called_aet=_title(called),
        calling_aet=_title(calling),
        application_context=application_context,
        contexts=tuple(contexts.values()),
        max_pdu_bytes=max_pdu_bytes,
        fixed=encoded[HEADER_BYTES : HEADER_BYTES + _FIXED.size],
        scp_roles=frozenset(uid for uid, is_scp in roles.items() if is_scp),
        roles=frozenset(roles),
    )


def protocol_refusal(request: AssociationRequest) -> Refusal | None:
    """Return why no DICOM application could talk to this peer, or None."""
    if not request.protocol_version & 1:
        remedy = "The peer does not speak DICOM protocol version 1."
        return Refusal(PERMANENT, ACSE_PROVIDER, 2, "PROTOCOL_VERSION", remedy)
    if request.application_context != APPLICATION_CONTEXT:
        remedy = "The peer asks for another application context than DICOM's."
        return Refusal(PERMANENT, SERVICE_USER, 2, "APPLICATION_CONTEXT", remedy)
    return None


def agree(request: AssociationRequest, supported: Mapping[str, Collection[str]]) -> tuple[AgreedContext, ...]:
    """Answer each proposed context: of the transfer syntaxes that are supported, the one the peer names first.

    Parameters
    ----------
    supported : mapping of abstract syntax to transfer syntaxes
    """
    answered = []
    for proposed in request.contexts:
        known = supported.get(proposed.abstract_syntax)
        choice, result = proposed.transfer_syntaxes[0], _ABSTRACT_REFUSED
        if known is not None:
            common = [syntax for syntax in proposed.transfer_syntaxes if syntax in known]
            choice, result = (common[0], _ACCEPTED) if common else (choice, _TRANSFER_REFUSED)
        answered.append(AgreedContext(proposed.number, proposed.abstract_syntax, choice, result))
    return tuple(answered)


def encode_accept(request: AssociationRequest, agreed: Collection[AgreedContext], max_pdu_bytes: int) -> bytes:
    """Encode the A-ASSOCIATE-AC that announces `max_pdu_bytes` as the longest P-DATA-TF body we take."""
    items = [_item(0x10, APPLICATION_CONTEXT.encode("ascii"))]
    for context in agreed:
        syntax = _item(0x40, context.transfer_syntax.encode("ascii"))
        items.append(_item(0x21, bytes((context.number, 0, context.result, 0)) + syntax))
    items.append(
        _item(
            0x50,
            _item(0x51, max_pdu_bytes.to_bytes(4, "big"))
            + _item(0x52, IMPLEMENTATION_CLASS_UID.encode("ascii"))
            + _accepted_role(request, agreed)
            + _item(0x55, IMPLEMENTATION_VERSION_NAME.encode("ascii")),
        )
    )
    # PS3.8 Table 9-17: of the versions the peer speaks only the first; titles and reserved bytes as they came.
    body = b"\x00\x01" + request.fixed[2:] + b"".join(items)
    return struct.pack(">BxI", PduType.ASSOCIATE_AC, len(body)) + body


def encode_reject(refusal: Refusal) -> bytes:
    """Encode an A-ASSOCIATE-RJ."""
    return struct.pack(">BxIxBBB", PduType.ASSOCIATE_RJ, 4, refusal.result, refusal.source, refusal.reason)


def _context(value: bytes) -> Context:
    if len(value) < 4:
        raise _malformed("has a context that is cut short")
    abstract, transfer = "", []
    for kind, content in _items(value[4:]):
        if kind == 0x30:
            abstract = _uid(content)
        elif kind == 0x40:
            transfer.append(_uid(content))
    if not abstract or not transfer:
        raise _malformed("has a context without syntaxes")
    return Context(value[0], abstract, tuple(transfer))


def _role(content: bytes) -> dict[str, bool]:
    """Decode an SCP/SCU Role Selection sub-item (PS3.7 Table D.3-9): whether the peer wants to be the SCP."""
    end = 2 + int.from_bytes(content[:2], "big")
    if len(content) != end + 2:
        raise _malformed("has a role that is cut short")
    return {_uid(content[2:end]): content[end + 1] == 1}


def _accepted_role(request: AssociationRequest, agreed: Collection[AgreedContext]) -> bytes:
    """Encode the answer to the roles of storage commitment: the peer may be its SCP and never its SCU."""
    uid = STORAGE_COMMITMENT
    if uid not in request.roles or not any(c.abstract_syntax == uid and c.result == _ACCEPTED for c in agreed):
        return b""
    name = uid.encode("ascii")
    return _item(0x54, len(name).to_bytes(2, "big") + name + bytes((0, uid in request.scp_roles)))


def _items(encoded: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(encoded):
        if len(encoded) - at < _ITEM.size:
            raise _malformed("is cut short")
        kind, length = _ITEM.unpack_from(encoded, at)
        at += _ITEM.size
        if length > len(encoded) - at:
            raise _malformed("has an item longer than itself")
        yield kind, encoded[at : at + length]
        at += length


def _item(kind: int, value: bytes) -> bytes:
    return _ITEM.pack(kind, len(value)) + value


def _uid(value: bytes) -> str:
    """Decode a UID; not padded on the wire (PS3.8 Annex F), yet some peers pad."""
    text = value.rstrip(b"\x00 ")
    if not text.isascii() or len(text) > 64:
        raise _malformed("has a UID that is none")
    return text.decode("ascii")


def _title(value: bytes) -> str:
    """Decode an AE title (PS3.5 6.2); a character that none may have becomes "?", since titles go to logs and files."""
    text = value.decode("ascii", "replace").strip(" \x00")
    return "".join(c if " " <= c <= "~" and c != "\\" else "?" for c in text)


def _malformed(what: str) -> ProtocolBreach:
    return ProtocolBreach(f"The association request {what}.", AbortReason.INVALID_PARAMETER)
