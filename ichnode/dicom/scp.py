"""C-STORE and C-ECHO SCP: what arrives is handed to a function, and nothing is acknowledged that it does not vouch for.

`StoreScp` ties together the port (`reception`), the negotiation (`negotiation`, `access`) and one thread for each
association (`association`). It knows nothing of files or databases: functions are given to it.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Collection, Sequence

from ichnode.dicom.access import PROVIDER_CONGESTED, AccessList, AllowedPeer, Peer, Refusal, Reporter
from ichnode.dicom.association import Answer, Association
from ichnode.dicom.event_reports import Take, report_status
from ichnode.dicom.limits import MemoryBudget, ScpLimits
from ichnode.dicom.line import Line, Received, named, peer_at
from ichnode.dicom.negotiation import (
    AssociationRequest,
    agree,
    decode_request,
    encode_accept,
    encode_reject,
    protocol_refusal,
)
from ichnode.dicom.places import Places
from ichnode.dicom.port import OpenPort, alone
from ichnode.dicom.reception import Reception
from ichnode.dicom.secure import SecurePort
from ichnode.dicom.services import Services, tell_refused
from ichnode.dicom.statuses import Refused, status_of
from ichnode.dicom.transport import ConnectionLost, PeerStalled, ProtocolBreach, Wire, abort_pdu
from ichnode.errors import IchnodeError
from ichnode.log import get_logger

__all__ = ["Peer", "Received", "ScpLimits", "StoreScp"]

log = get_logger(__name__)

_JOIN_S = 30.0


class StoreScp:
    """A C-STORE and C-ECHO SCP.

    Parameters
    ----------
    aet : str
        AE title that peers have to call.
    host : str
        Where to listen.
    port : int or None
        Without TLS; 0 is any free one, None none.
    limits : ScpLimits
    allowed : sequence of AllowedPeer
        Empty: loopback only.
    storage_classes, syntaxes : collection of str
        SOP classes, and the transfer syntaxes accepted for each of them.
    store : callable
        Takes one `Received`, in the association's thread, and returns the DIMSE status. An `IchnodeError` or
        `OSError` it raises becomes a status by the table in `statuses`; anything else aborts the association.
    opened : callable
        Called before an association is accepted; returns its id. What it raises rejects the association (transient).
    ended : callable
        Called with the id and "released", "aborted" or "lost", once for each id that `opened` returned.
    accepting : callable
        Asked before each association; a Refusal rejects it (the disk is below its floor, say).
    reporters : sequence of Reporter
        Who may report on storage commitment and nothing else.
    reported : callable, optional
        Makes such a report durable; without it none is taken.
    tls_port : int
        With TLS; 0 is any free one.
    secure : SecurePort, optional
        Without it there is no TLS.
    open_port : OpenPort
    """

    def __init__(
        self,
        aet: str,
        host: str,
        port: int | None,
        *,
        limits: ScpLimits,
        allowed: Sequence[AllowedPeer],
        storage_classes: Collection[str],
        syntaxes: Collection[str],
        store: Callable[[Received], int],
        opened: Callable[[Peer], int],
        ended: Callable[[int, str], None],
        accepting: Callable[[], Refusal | None],
        reporters: Sequence[Reporter] = (),
        reported: Take | None = None,
        tls_port: int = 0,
        secure: SecurePort | None = None,
        open_port: OpenPort = alone,
    ) -> None:
        self._aet, self._host, self._port = aet, host, port
        self._tls_port, self._secure, self._open_port = tls_port, secure, open_port
        self._limits = limits
        self._access = AccessList(aet, allowed, reporters)
        self._services = Services(self._access, storage_classes, syntaxes, reported is not None)
        self._reported = reported
        self._store, self._opened, self._ended, self._accepting = store, opened, ended, accepting
        self._budget = MemoryBudget(limits.max_memory_bytes)
        self._receptions: list[Reception] = []
        self._draining = False
        self._stopped = threading.Event()
        self._change = threading.Condition()
        self._places = Places(limits)
        self._associations: set[Association] = set()

    def start(self) -> tuple[int | None, int | None]:
        """Listen; return the port without TLS and the one with it.

        Raises
        ------
        OSError
            A port is taken or the address not this machine's; the error's `filename` is the port.
        """
        plain = None if self._port is None else self._listen(self._port, None)
        secure = None if self._secure is None else self._listen(self._tls_port, self._secure)
        for reception in self._receptions:
            reception.start()
        return plain, secure

    def _listen(self, port: int, secure: SecurePort | None) -> int:
        limits = self._limits
        try:
            reception = Reception(
                self._host, port, artim_s=limits.acse_timeout_s, max_waiting=limits.max_waiting, secure=secure,
                requested=lambda *request: self._requested(reception, *request), open_port=self._open_port,
            )  # fmt: skip
        except OSError as error:
            for other in self._receptions:
                other.never_start()
            self._receptions.clear()
            error.filename = port
            raise
        self._receptions.append(reception)
        log.info("scp.listening", aet=self._aet, host=self._host, port=reception.port, tls=secure is not None)
        return reception.port

    def active_associations(self) -> int:
        """Return how many associations are being negotiated or established."""
        with self._change:
            return len(self._places)

    def drain(self, timeout_s: float) -> bool:
        """Accept nothing new and wait for the associations to end by themselves; tell whether they did."""
        self._draining = True
        for reception in self._receptions:
            reception.close_listener()
        with self._change:
            return self._change.wait_for(lambda: not self._places, timeout_s)

    def stop(self) -> None:
        """Close the port, abort what is left after the message it is at, and return when all threads have ended."""
        self._draining = True
        self._stopped.set()
        for reception in self._receptions:
            reception.close_listener()
        deadline = time.monotonic() + _JOIN_S
        with self._change:
            for association in self._associations:
                association.stop()
            threads = self._places.threads()
        for thread in threads:
            thread.join(max(deadline - time.monotonic(), 0))
        for reception in self._receptions:
            reception.stop()
        self._receptions.clear()

    # -- in a reception's thread ------------------------------------------------------------------------------------

    def _requested(self, reception: Reception, connection: socket.socket, address: str, encoded: bytes) -> None:
        """Give the request a thread of its own, or reject it without one when there are too many."""
        peer = peer_at(connection, address, encoded)
        entry = self._access.entry_of(peer)
        line = Line(connection, reception, peer, entry)
        with self._change:
            refusal = self._closing() or self._places.refusal(address, entry) or self._begin(line, encoded)
        if refusal is not None:
            self._reject(line, refusal)

    def _begin(self, line: Line, encoded: bytes) -> Refusal | None:
        name = f"association {line.peer.calling_aet}"
        thread = threading.Thread(target=self._attend, args=(line, encoded), name=name, daemon=True)
        try:
            thread.start()
        except RuntimeError:  # The operating system has no thread left for this process.
            remedy = "No thread can be started: raise the process's limit (TasksMax, ulimit -u)."
            return Refusal(*PROVIDER_CONGESTED, "THREADS", remedy)
        self._places.take(thread, line.peer.address, line.entry)
        return None

    def _closing(self) -> Refusal | None:
        if self._draining:
            return Refusal(*PROVIDER_CONGESTED, "STOPPING", "The node is shutting down; the sender may try again.")
        return None

    def _reject(self, line: Line, refusal: Refusal) -> None:
        log.warning("association.rejected", code=refusal.code, remedy=refusal.remedy, **named(line.peer))
        line.farewell(encode_reject(refusal))

    # -- in the association's thread ----------------------------------------------------------------------------------

    def _attend(self, line: Line, encoded: bytes) -> None:
        handed_over = False
        try:
            handed_over = self._negotiate(line, encoded)
        finally:
            if not handed_over:
                line.connection.close()
            with self._change:
                self._places.give_back(threading.current_thread())
                self._change.notify_all()

    def _negotiate(self, line: Line, encoded: bytes) -> bool:
        """Reject or serve; tell whether the connection is in the reception's hands."""
        peer = line.peer
        try:
            request = decode_request(encoded)
        except ProtocolBreach as breach:
            log.warning("association.rejected", code=breach.code, remedy=breach.sentence, **named(peer))
            line.farewell(abort_pdu(breach.reason))
            return True
        refusal = protocol_refusal(request) or self._access.refusal(peer) or self._accepting()
        if refusal is None:
            try:
                association_id = self._opened(peer)
            except IchnodeError as error:
                refusal = Refusal(*PROVIDER_CONGESTED, error.code, error.sentence)
            else:
                self._converse(line, request, association_id)
                line.farewell()
                return True
        self._reject(line, refusal)
        return True

    def _converse(self, line: Line, request: AssociationRequest, association_id: int) -> None:
        how, code = "aborted", "UNEXPECTED"
        try:
            how, code = self._serve(line, request, association_id)
        finally:
            log.info("association.ended", association=association_id, how=how, code=code, **named(line.peer))
            self._ended(association_id, how)

    def _serve(self, line: Line, request: AssociationRequest, association_id: int) -> tuple[str, str]:
        """Accept, and answer messages; return how the association ended, and a code."""
        limits, peer = self._limits, line.peer
        urgent = line.entry is not None and line.entry.urgent
        agreed = agree(request, self._services.offered_to(peer))
        contexts = {context.number: context for context in agreed if context.result == 0}
        log.info("association.accepted", association=association_id, contexts=len(contexts), **named(peer))
        tell_refused(agreed, peer)
        shortest = min(limits.socket_timeout_s, limits.dimse_timeout_s, limits.network_timeout_s)
        wire = Wire(
            line.connection,
            limits.max_pdu_bytes,
            stall_s=limits.socket_timeout_s,
            pdu_s=limits.dimse_timeout_s,
            tick_s=shortest / 4,
        )
        association = Association(
            wire,
            contexts,
            max_send_bytes=request.max_pdu_bytes,
            max_dataset_bytes=limits.max_dataset_bytes,
            budget=self._budget,
            network_timeout_s=limits.network_timeout_s,
            dimse_timeout_s=limits.dimse_timeout_s,
            store=lambda command, syntax, data: self._answer(
                Received(association_id, peer, command.sop_class_uid, command.sop_instance_uid, syntax, data, urgent),
                line.entry,
            ),
            refuse=lambda command, refused: self._refuse(peer, refused),
            report=lambda *event: self._take_report(peer, *event),
        )
        with self._change:
            self._associations.add(association)
            if self._draining:
                association.stop()
        try:
            wire.send(encode_accept(request, agreed, limits.max_pdu_bytes))
            return association.serve(), "OK"
        except ConnectionLost as error:
            return "lost", error.code
        except (PeerStalled, ProtocolBreach) as error:
            log.warning("association.aborted", code=error.code, remedy=error.sentence, **named(peer))
            return "aborted", error.code
        finally:
            with self._change:
                self._associations.discard(association)

    def _answer(self, received: Received, entry: AllowedPeer | None) -> Answer:
        if entry is not None:
            with self._change:
                pause_s = self._places.pause_s(entry, len(received.encoded), received.peer)
            if pause_s:
                self._stopped.wait(pause_s)
        try:
            return Answer(self._store(received))
        except (IchnodeError, OSError) as error:
            code = getattr(error, "code", "OS_ERROR")
            status = status_of(error)
            log.warning("slice.refused", code=code, status=f"0x{status:04X}", remedy=str(error), **named(received.peer))
            return Answer(status, code)

    def _refuse(self, peer: Peer, refused: Refused) -> Answer:
        status = f"0x{refused.status:04X}"
        log.warning("slice.refused", code=refused.code, status=status, remedy=refused.remedy, **named(peer))
        return Answer(refused.status, refused.code)

    def _take_report(self, peer: Peer, event_type: int | None, syntax: str, encoded: bytes) -> Answer:
        assert self._reported is not None  # without it no context is agreed on
        return Answer(*report_status(peer.calling_aet, event_type, syntax, encoded, self._reported))
