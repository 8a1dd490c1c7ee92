"""C-STORE and C-ECHO SCP: what arrives is handed to a function, and nothing is acknowledged that it does not vouch for.

`StoreScp` ties together the port (`reception`), the negotiation (`negotiation`, `access`) and one thread for each
association (`association`). It knows nothing of files or databases: functions are given to it.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from ichnode.dicom.access import PROVIDER_BUSY, PROVIDER_CONGESTED, AccessList, AllowedPeer, Peer, Refusal, Reporter
from ichnode.dicom.association import Answer, Association, Refused
from ichnode.dicom.event_reports import Take, report_status
from ichnode.dicom.limits import MemoryBudget, ScpLimits
from ichnode.dicom.negotiation import (
    AssociationRequest,
    ae_titles,
    agree,
    decode_request,
    encode_accept,
    encode_reject,
    protocol_refusal,
)
from ichnode.dicom.reception import Reception
from ichnode.dicom.services import Services, tell_refused
from ichnode.dicom.statuses import status_of
from ichnode.dicom.transport import ConnectionLost, PeerStalled, ProtocolBreach, Wire, abort_pdu
from ichnode.errors import IchnodeError
from ichnode.log import get_logger

__all__ = ["Peer", "Received", "ScpLimits", "StoreScp"]

log = get_logger(__name__)

_JOIN_S = 30.0


@dataclass(frozen=True, slots=True)
class Received:
    """One C-STORE request, its data set exactly as the peer encoded it (never decoded here)."""

    association_id: int
    peer: Peer
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    encoded: bytes | bytearray


class StoreScp:
    """A C-STORE and C-ECHO SCP.

    Parameters
    ----------
    aet : str
        AE title that peers have to call.
    host, port
        Where to listen; port 0 is any free one.
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
    """

    def __init__(
        self,
        aet: str,
        host: str,
        port: int,
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
    ) -> None:
        self._aet, self._host, self._port = aet, host, port
        self._limits = limits
        self._access = AccessList(aet, allowed, reporters)
        self._services = Services(self._access, storage_classes, syntaxes, reported is not None)
        self._reported = reported
        self._store, self._opened, self._ended, self._accepting = store, opened, ended, accepting
        self._budget = MemoryBudget(limits.max_memory_bytes)
        self._reception: Reception | None = None
        self._draining = False
        self._change = threading.Condition()
        self._threads: dict[threading.Thread, str] = {}  # with the peer's address
        self._associations: set[Association] = set()

    def start(self) -> int:
        """Listen; return the port.

        Raises
        ------
        OSError
            The port is taken or the address not this machine's.
        """
        limits = self._limits
        self._reception = Reception(
            self._host,
            self._port,
            artim_s=limits.acse_timeout_s,
            max_waiting=limits.max_waiting,
            requested=self._requested,
        )
        self._reception.start()
        log.info("scp.listening", aet=self._aet, host=self._host, port=self._reception.port)
        return self._reception.port

    def active_associations(self) -> int:
        """Return how many associations are being negotiated or established."""
        with self._change:
            return len(self._threads)

    def drain(self, timeout_s: float) -> bool:
        """Accept nothing new and wait for the associations to end by themselves; tell whether they did."""
        self._draining = True
        if self._reception is not None:
            self._reception.close_listener()
        with self._change:
            return self._change.wait_for(lambda: not self._threads, timeout_s)

    def stop(self) -> None:
        """Close the port, abort what is left after the message it is at, and return when all threads have ended."""
        self._draining = True
        if self._reception is None:
            return
        self._reception.close_listener()
        deadline = time.monotonic() + _JOIN_S
        with self._change:
            for association in self._associations:
                association.stop()
            threads = list(self._threads)
        for thread in threads:
            thread.join(max(deadline - time.monotonic(), 0))
        self._reception.stop()
        self._reception = None

    # -- in the reception's thread ------------------------------------------------------------------------------------

    def _requested(self, connection: socket.socket, address: str, encoded: bytes) -> None:
        """Give the request a thread of its own, or reject it without one when there are too many."""
        called, calling = ae_titles(encoded)
        peer = Peer(calling, address, called)
        with self._change:
            refusal = self._crowded(address) or self._begin(connection, peer, encoded)
        if refusal is not None:
            self._reject(connection, peer, refusal)

    def _begin(self, connection: socket.socket, peer: Peer, encoded: bytes) -> Refusal | None:
        name = f"association {peer.calling_aet}"
        thread = threading.Thread(target=self._attend, args=(connection, peer, encoded), name=name, daemon=True)
        try:
            thread.start()
        except RuntimeError:  # The operating system has no thread left for this process.
            remedy = "No thread can be started: raise the process's limit (TasksMax, ulimit -u)."
            return Refusal(*PROVIDER_CONGESTED, "THREADS", remedy)
        self._threads[thread] = peer.address
        return None

    def _crowded(self, address: str) -> Refusal | None:
        if self._draining:
            return Refusal(*PROVIDER_CONGESTED, "STOPPING", "The node is shutting down; the sender may try again.")
        most, most_of_peer = self._limits.max_associations, self._limits.per_peer_associations
        if len(self._threads) >= most:
            code = "TOO_MANY_ASSOCIATIONS"
            remedy = f"All {most} associations are in use: raise receive.max_associations."
        elif sum(other == address for other in self._threads.values()) >= most_of_peer:
            code = "TOO_MANY_ASSOCIATIONS_OF_PEER"
            remedy = f"{address} has {most_of_peer} associations open: raise receive.associations_per_peer."
        else:
            return None
        return Refusal(*PROVIDER_BUSY, code, remedy)

    def _reject(self, connection: socket.socket, peer: Peer, refusal: Refusal) -> None:
        log.warning("association.rejected", code=refusal.code, remedy=refusal.remedy, **_named(peer))
        self._farewell(connection, peer, encode_reject(refusal))

    def _farewell(self, connection: socket.socket, peer: Peer, pdu: bytes = b"") -> None:
        assert self._reception is not None
        try:
            if pdu:
                connection.send(pdu)  # ten bytes into an empty buffer
        except OSError:
            connection.close()
        else:
            self._reception.linger(connection, peer.address)

    # -- in the association's thread ----------------------------------------------------------------------------------

    def _attend(self, connection: socket.socket, peer: Peer, encoded: bytes) -> None:
        handed_over = False
        try:
            handed_over = self._negotiate(connection, peer, encoded)
        finally:
            if not handed_over:
                connection.close()
            with self._change:
                del self._threads[threading.current_thread()]
                self._change.notify_all()

    def _negotiate(self, connection: socket.socket, peer: Peer, encoded: bytes) -> bool:
        """Reject or serve; tell whether the connection is in the reception's hands."""
        try:
            request = decode_request(encoded)
        except ProtocolBreach as breach:
            log.warning("association.rejected", code=breach.code, remedy=breach.sentence, **_named(peer))
            self._farewell(connection, peer, abort_pdu(breach.reason))
            return True
        refusal = protocol_refusal(request) or self._access.refusal(peer) or self._accepting()
        if refusal is None:
            try:
                association_id = self._opened(peer)
            except IchnodeError as error:
                refusal = Refusal(*PROVIDER_CONGESTED, error.code, error.sentence)
            else:
                self._converse(connection, peer, request, association_id)
                self._farewell(connection, peer)
                return True
        self._reject(connection, peer, refusal)
        return True

    def _converse(
        self, connection: socket.socket, peer: Peer, request: AssociationRequest, association_id: int
    ) -> None:
        how, code = "aborted", "UNEXPECTED"
        try:
            how, code = self._serve(connection, peer, request, association_id)
        finally:
            log.info("association.ended", association=association_id, how=how, code=code, **_named(peer))
            self._ended(association_id, how)

    def _serve(
        self, connection: socket.socket, peer: Peer, request: AssociationRequest, association_id: int
    ) -> tuple[str, str]:
        """Accept, and answer messages; return how the association ended, and a code."""
        limits = self._limits
        agreed = agree(request, self._services.offered_to(peer))
        contexts = {context.number: context for context in agreed if context.result == 0}
        log.info("association.accepted", association=association_id, contexts=len(contexts), **_named(peer))
        tell_refused(agreed, peer)
        shortest = min(limits.socket_timeout_s, limits.dimse_timeout_s, limits.network_timeout_s)
        wire = Wire(
            connection,
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
                Received(association_id, peer, command.sop_class_uid, command.sop_instance_uid, syntax, data)
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
            log.warning("association.aborted", code=error.code, remedy=error.sentence, **_named(peer))
            return "aborted", error.code
        finally:
            with self._change:
                self._associations.discard(association)

    def _answer(self, received: Received) -> Answer:
        try:
            return Answer(self._store(received))
        except (IchnodeError, OSError) as error:
            code = getattr(error, "code", "OS_ERROR")
            status = status_of(error)
            log.warning(
                "slice.refused", code=code, status=f"0x{status:04X}", remedy=str(error), **_named(received.peer)
            )
            return Answer(status, code)

    def _refuse(self, peer: Peer, refused: Refused) -> Answer:
        status = f"0x{refused.status:04X}"
        log.warning("slice.refused", code=refused.code, status=status, remedy=refused.remedy, **_named(peer))
        return Answer(refused.status, refused.code)

    def _take_report(self, peer: Peer, event_type: int | None, syntax: str, encoded: bytes) -> Answer:
        assert self._reported is not None  # without it no context is agreed on
        return Answer(*report_status(peer.calling_aet, event_type, syntax, encoded, self._reported))


def _named(peer: Peer) -> dict[str, str]:
    return {"calling": peer.calling_aet, "address": peer.address}
