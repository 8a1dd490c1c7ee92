"""One accepted association, from A-ASSOCIATE-AC to its end: P-DATA in, DIMSE messages out (PS3.8 9.2, Sta6; PS3.7 9.3).

One thread does all of it. pynetdicom's two threads an association hand each PDU over through queues that are polled;
with one thread there is nothing to hand over.
"""

from __future__ import annotations

import re
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ichnode.dicom.commands import (
    C_CANCEL_RQ,
    C_ECHO_RQ,
    C_STORE_RQ,
    MAX_COMMAND_BYTES,
    N_EVENT_REPORT_RQ,
    Command,
    decode_command,
    encode_response,
)
from ichnode.dicom.gathering import Gathering
from ichnode.dicom.limits import MemoryBudget
from ichnode.dicom.negotiation import AgreedContext
from ichnode.dicom.statuses import Refused, Status
from ichnode.dicom.syntaxes import STORAGE_COMMITMENT
from ichnode.dicom.transport import (
    HEADER_BYTES,
    RELEASE_RP,
    AbortReason,
    ConnectionLost,
    PduType,
    ProtocolBreach,
    Wire,
    abort_pdu,
)
from ichnode.log import get_logger

log = get_logger(__name__)

_PDV = struct.Struct(">IBB")
_PDV_LENGTH = 4
_COMMAND, _LAST = 1, 2
_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
"""Leading zeros in a component are wrong (PS3.5 9.1) and tolerated: scanners in the field write them."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Status of a C-STORE, and the words for the Error Comment (0000,0902) of a refusal."""

    status: int
    comment: str = ""


class Association:
    """The acceptor's side of an established association.

    Parameters
    ----------
    wire : Wire
    contexts : mapping of number to AgreedContext
        The accepted ones.
    max_send_bytes : int
        Longest P-DATA-TF body the peer takes; 0 is any.
    max_dataset_bytes : int
        A longer data set is read to its end, thrown away and refused.
    budget : MemoryBudget
        Shared by all associations.
    network_timeout_s, dimse_timeout_s : float
        Longest silence between messages, and inside one.
    store : callable
        Called with request, transfer syntax and encoded data set, which the next message overwrites; returns the
        answer.
    refuse : callable
        Called instead when the node refuses by itself; logs and returns the answer.
    report : callable
        Called with event type, transfer syntax and encoded data set of an N-EVENT-REPORT; returns the answer.
    """

    def __init__(
        self,
        wire: Wire,
        contexts: Mapping[int, AgreedContext],
        *,
        max_send_bytes: int,
        max_dataset_bytes: int,
        budget: MemoryBudget,
        network_timeout_s: float,
        dimse_timeout_s: float,
        store: Callable[[Command, str, bytearray], Answer],
        refuse: Callable[[Command, Refused], Answer],
        report: Callable[[int | None, str, bytes], Answer],
    ) -> None:
        self._wire = wire
        self._contexts = contexts
        self._max_send_bytes = max_send_bytes
        self._network_timeout_s = network_timeout_s
        self._dimse_timeout_s = dimse_timeout_s
        self._store = store
        self._refuse = refuse
        self._report = report
        self._stopping = threading.Event()
        self._context: AgreedContext | None = None
        self._command_bytes = bytearray()
        self._command: Command | None = None
        self._data_set = Gathering(max_dataset_bytes, budget)

    def stop(self) -> None:
        """Abort from another thread, after the message that is being answered."""
        self._stopping.set()
        self._wire.wake()

    def serve(self) -> str:
        """Answer messages until the association ends.

        Returns
        -------
        str
            "released" or "aborted" (by the peer or by `stop`).

        Raises
        ------
        ConnectionLost, PeerStalled, ProtocolBreach
            After the last two an A-ABORT has been sent.
        """
        reason: AbortReason | None = AbortReason.NOT_SPECIFIED  # also for what nobody foresaw
        try:
            while not self._stopping.is_set():
                ended = self._step()
                if ended:
                    reason = None
                    return ended
            return "aborted"
        except ProtocolBreach as breach:
            reason = breach.reason
            raise
        except ConnectionLost:
            if self._stopping.is_set():
                return "aborted"
            reason = None
            raise
        finally:
            if reason is not None:
                self._send_abort(reason)
            self._forget()

    def _step(self) -> str:
        """Take one PDU; return how the association ended, or nothing while it goes on."""
        between = self._context is None
        kind, length = self._wire.next_pdu(self._network_timeout_s if between else self._dimse_timeout_s)
        if kind == PduType.P_DATA_TF:
            self._take(length)
            return ""
        if kind == PduType.ABORT:
            return "aborted"
        if kind == PduType.RELEASE_RQ and between:
            self._wire.send(RELEASE_RP)
            return "released"
        raise ProtocolBreach("A release inside a message, or one never asked for.", AbortReason.UNEXPECTED_PDU)

    def _send_abort(self, reason: AbortReason) -> None:
        try:
            self._wire.send(abort_pdu(reason))
        except ConnectionLost:
            log.debug("abort.unheard")

    def _take(self, left: int) -> None:
        """Take the presentation data values of one P-DATA-TF of that many bytes (PS3.8 9.3.5, Annex E)."""
        while left:
            if left < _PDV.size:
                raise ProtocolBreach("A data value is cut short.", AbortReason.INVALID_PARAMETER)
            length, number, control = _PDV.unpack(self._wire.short(_PDV.size))
            left -= _PDV_LENGTH + length
            if length < _PDV.size - _PDV_LENGTH or left < 0:
                raise ProtocolBreach("A data value is longer than its PDU.", AbortReason.INVALID_PARAMETER)
            self._take_value(number, control, length - (_PDV.size - _PDV_LENGTH), is_end=not left)

    def _take_value(self, number: int, control: int, count: int, *, is_end: bool) -> None:
        context = self._contexts.get(number)
        if context is None or (self._context is not None and context is not self._context):
            raise ProtocolBreach(f"Data for the context {number}, not agreed on.", AbortReason.INVALID_PARAMETER)
        if bool(control & _COMMAND) == (self._command is not None):
            raise ProtocolBreach("Command and data set in the wrong order.", AbortReason.UNEXPECTED_PARAMETER)
        self._context = context
        if self._command is None:
            if len(self._command_bytes) + count > MAX_COMMAND_BYTES:
                raise ProtocolBreach("A command set without end.", AbortReason.INVALID_PARAMETER)
            fragment = bytearray(count)
            self._wire.into(memoryview(fragment))
            self._command_bytes += fragment
            if control & _LAST:
                self._command = decode_command(self._command_bytes)
                if not self._command.has_data_set:
                    self._answer(context, self._command)
        else:
            # After a fragment that is not the last the headers of the next one come, if the peer does not abort.
            self._take_fragment(count, 0 if control & _LAST else _PDV.size + HEADER_BYTES * is_end)
            if control & _LAST:
                self._answer(context, self._command)

    def _take_fragment(self, count: int, follows: int) -> None:
        place = self._data_set.place(count)
        if place is None:
            self._wire.skip(count)
        else:
            with place:  # an array with a view of it keeps its length
                self._wire.into(place, follows)

    def _answer(self, context: AgreedContext, request: Command) -> None:
        if context.abstract_syntax == STORAGE_COMMITMENT:
            answer = self._answer_report(context, request)
        elif request.field == C_STORE_RQ:
            refused = self._data_set.refused or _objection(context, request)
            if refused is not None:
                answer = self._refuse(request, refused)
            else:
                answer = self._store(request, context.transfer_syntax, self._data_set.whole())
        elif request.field == C_ECHO_RQ:
            answer = Answer(Status.SUCCESS)
        else:
            answer = Answer(Status.UNRECOGNIZED_OPERATION)
        self._forget()
        if request.field != C_CANCEL_RQ:  # which has no response, PS3.7 9.3.2.3
            self._respond(context.number, encode_response(request, answer.status, answer.comment))

    def _answer_report(self, context: AgreedContext, request: Command) -> Answer:
        """Answer what came on a context for storage commitment; nothing can be stored on it."""
        if request.field != N_EVENT_REPORT_RQ:
            return Answer(Status.UNRECOGNIZED_OPERATION)
        encoded = bytes(self._data_set.whole())  # nothing of one that is too large
        return self._report(request.event_type, context.transfer_syntax, encoded)

    def _respond(self, number: int, encoded: bytes) -> None:
        """Send a command set in as many PDUs as the peer's maximum length asks for."""
        room = max(self._max_send_bytes - _PDV.size, 1) if self._max_send_bytes else len(encoded)
        pdus = []
        for at in range(0, len(encoded), room):
            part = encoded[at : at + room]
            control = _COMMAND | (_LAST if at + room >= len(encoded) else 0)
            value = _PDV.pack(len(part) + 2, number, control) + part
            pdus.append(struct.pack(">BxI", PduType.P_DATA_TF, len(value)) + value)
        self._wire.send(b"".join(pdus))

    def _forget(self) -> None:
        self._data_set.forget()
        self._context = self._command = None
        self._command_bytes.clear()


def _objection(context: AgreedContext, request: Command) -> Refused | None:
    """Return what is wrong with a C-STORE request as such, whatever its data set is."""
    if request.sop_class_uid != context.abstract_syntax:
        return Refused(
            Status.SOP_CLASS_NOT_SUPPORTED,
            "SOP_CLASS_NOT_AGREED",
            "The request names another SOP class than its presentation context: the sender is faulty.",
        )
    if len(request.sop_instance_uid) > 64 or _UID.fullmatch(request.sop_instance_uid) is None:
        return Refused(
            Status.INVALID_SOP_INSTANCE,
            "SOP_INSTANCE_INVALID",
            "The Affected SOP Instance UID is empty or no UID (PS3.5 9.1): the sender is faulty.",
        )
    if not request.has_data_set:
        return Refused(Status.CANNOT_UNDERSTAND, "NO_DATA_SET", "The request has no data set: the sender is faulty.")
    return None
