"""An association that the node asks for, and the sentence for each way in which a peer may not grant it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pynetdicom import AE, _config, evt
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import AddressInformation, AssociationSocket

from ichnode.dicom.calling import BoundedSocket, SecureSocket, why_broken
from ichnode.dicom.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from ichnode.dicom.secure import Trust
from ichnode.errors import PeerRefused, PeerUnreachable

# The documented switch: else every PDU and message is rendered for a log that nobody reads.
_config.LOG_HANDLER_LEVEL = "none"

_TRANSIENT = 2


@dataclass(frozen=True, slots=True)
class Remote:
    """A peer that the node calls.

    Attributes
    ----------
    name : str
        As in the configuration, for sentences.
    aet, host, port
        AE title and address of the peer.
    calling_aet : str
        The node's own AE title.
    timeout_s : float
        Longest wait for an answer, and for a byte inside one.
    connect_timeout_s : float
        Longest wait for the TCP connection.
    trust : Trust or None
        TLS; None is without.
    """

    name: str
    aet: str
    host: str
    port: int
    calling_aet: str
    timeout_s: float = 30.0
    connect_timeout_s: float = 10.0
    trust: Trust | None = None


class NothingAccepted(PeerRefused):
    """The peer accepted the association and none of the presentation contexts."""

    code = "NO_CONTEXT"


class _Caller(AE):
    """An application entity that calls with a `BoundedSocket`."""

    def __init__(self, remote: Remote) -> None:
        super().__init__(ae_title=remote.calling_aet)
        self._remote = remote
        self.line: BoundedSocket | None = None

    def _create_socket(self, assoc: Association, address: AddressInformation, tls_args: None) -> AssociationSocket:
        if self._remote.trust is None:
            self.line = BoundedSocket(assoc, address=address)
        else:
            self.line = SecureSocket(assoc, address, self._remote.name, self._remote.host, self._remote.trust)
        return self.line


Acts = Sequence[tuple[evt.EventType, Callable[[evt.Event], Any]]]
"""What answers the peer's own requests."""
Roles = Sequence[SCP_SCU_RoleSelectionNegotiation]


@contextmanager
def associated(
    remote: Remote, contexts: Sequence[PresentationContext], acts: Acts = (), roles: Roles = ()
) -> Iterator[Association]:
    """Open an association, and release it; abort it when the block raises.

    Parameters
    ----------
    acts : sequence of (event, callable), optional
        How an N-EVENT-REPORT of the peer is answered, in a thread of its own, or a C-STORE inside of a C-GET, in the
        one that waits; without any the peer has nothing to ask.
    roles : sequence of SCP_SCU_RoleSelectionNegotiation, optional
        Other roles than that of an SCU (PS3.7 D.3.3.4).

    Raises
    ------
    PeerUnreachable
        No connection, no answer, aborted, or rejected for a reason that passes.
    PeerRefused
        Rejected permanently; `NothingAccepted` where the peer takes nothing of what is proposed.
    """
    association = _request(remote, contexts, acts, roles)
    try:
        yield association
    except BaseException:
        association.abort()
        raise
    association.release()


def _request(remote: Remote, contexts: Sequence[PresentationContext], acts: Acts, roles: Roles) -> Association:
    ae = _Caller(remote)
    ae.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    ae.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    ae.connection_timeout = remote.connect_timeout_s
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = remote.timeout_s
    connected: list[evt.Event] = []

    try:
        association = ae.associate(
            remote.host,
            remote.port,
            contexts=list(contexts),
            ae_title=remote.aet,
            max_pdu=131072,
            ext_neg=list(roles),
            evt_handlers=[(evt.EVT_CONN_OPEN, connected.append), *acts],
        )
    except (OSError, UnicodeError) as error:  # its host name does not resolve, or cannot be one
        raise PeerUnreachable(f"{_called(remote)}: the host name is unknown. Check its host.") from error
    if association.is_established:
        _answers_to_whom_they_belong(association)
        return association
    if ae.line is not None:
        ae.line.end()
    if association.is_rejected:
        raise _rejection(remote, association.acceptor.primitive)
    if association.rejected_contexts and not association.accepted_contexts:
        offered = ", ".join(sorted({context.abstract_syntax.name for context in contexts}))
        raise NothingAccepted(f"{_called(remote)} takes none of what is offered ({offered}): enable it there.")
    if ae.line is not None and (said := why_broken(ae.line.broken)) is not None:
        raise PeerUnreachable(f"{_called(remote)}{said}")
    if not connected:
        raise PeerUnreachable(f"{_called(remote)}: no connection. Check host and port, and that the peer is running.")
    raise PeerUnreachable(f"{_called(remote)}: connected, but no association within {remote.timeout_s:g} s.")


def _answers_to_whom_they_belong(association: Association) -> None:
    """Let only the thread that asked take answers off the queue.

    pynetdicom's reactor thread looks for requests of the peer on the same queue, and now and then takes the answer that
    `send_c_store` waits for: then the object waits for its time-out. A peer has nothing to request of a requestor but
    by N-EVENT-REPORT, which pynetdicom serves in a thread of its own, past the queue, and, inside of a C-GET, by
    C-STORE, which the thread that asked takes itself. So the reactor, which alone asks without blocking, gets nothing.
    """
    take = association.dimse.get_msg
    association.dimse.get_msg = lambda block=False: take(block=True) if block else (None, None)


def _rejection(remote: Remote, answer: Any) -> PeerUnreachable | PeerRefused:
    """Turn an A-ASSOCIATE-RJ into an error (PS3.8 Table 9-21)."""
    said = f"{_called(remote)} rejected the association: {answer.reason_str.lower()}"
    if answer.result == _TRANSIENT:
        return PeerUnreachable(f"{said}. It may pass by itself.")
    advice = {
        (1, 3): f"register the AE title {remote.calling_aet!r} there",
        (1, 7): f"correct the AE title {remote.aet!r} of this peer here",
    }.get((answer.result_source, answer.diagnostic), "look at the peer's log")
    return PeerRefused(f"{said}; {advice}.")


def _called(remote: Remote) -> str:
    return f"{remote.name} ({remote.aet} at {remote.host}:{remote.port})"
