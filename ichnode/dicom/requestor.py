"""An association that the node asks for, and the sentence for each way in which a peer may not grant it."""

from __future__ import annotations

import select
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pynetdicom import AE, _config, evt
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import T_CONNECT, AddressInformation, AssociationSocket

from ichnode.dicom.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from ichnode.dicom.secure import Trust, has_fingerprint, requestor_context
from ichnode.errors import PeerRefused, PeerUnreachable
from ichnode.trust import why_not_connected

# The documented switch: else every PDU and message is rendered for a log that nobody reads.
_config.LOG_HANDLER_LEVEL = "none"

_TRANSIENT = 2
_RECORD_BYTES = 16384
"""Longest plain text of a TLS record (RFC 8446 5.1)."""


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


class _BoundedSocket(AssociationSocket):
    """pynetdicom's socket, repaired in three places.

    Connected, it waits for ever: a peer that stalls inside a PDU, or stops reading, would hold the association. Never
    connected, it is not closed: each attempt at a peer that is down would cost a descriptor until the next collection.
    It looks for bytes by `select`, which takes no descriptor from 1024 on: a busy node would call nobody.
    """

    socket: socket.socket | None
    broken: OSError | None = None
    """Why there is no connection, or no longer one."""

    def connect(self, primitive: T_CONNECT) -> None:
        super().connect(primitive)
        if self.socket is not None:
            self.socket.settimeout(self.assoc.network_timeout)

    @property
    def ready(self) -> bool:
        if self.socket is None or not self._is_connected:
            return False
        poll = select.poll()
        try:
            poll.register(self.socket, select.POLLIN | select.POLLHUP)
            there = bool(poll.poll(0))
        except (OSError, ValueError):  # it is closed
            self.event_queue.put("Evt17")
            return False
        return there or (isinstance(self.socket, ssl.SSLSocket) and bool(self.socket.pending()))

    def _shutdown_socket(self) -> None:
        super()._shutdown_socket()
        if self.socket is not None:
            self.socket.close()


class _OtherCertificate(ssl.SSLError):
    """The peer's certificate has not the fingerprint that it should have."""


class _ImpossibleName(ssl.SSLError):
    """No certificate can hold the name that the peer's should have."""


class _TlsSocket(ssl.SSLSocket):
    """Remembers why its handshake failed, which pynetdicom keeps to its log; looks at the fingerprint."""

    broken: OSError | None = None
    fingerprint = ""

    def connect(self, addr: Any) -> None:
        try:
            super().connect(addr)
            if self.fingerprint and not has_fingerprint(self, self.fingerprint):
                raise _OtherCertificate
        except OSError as error:
            self.broken = error
            raise
        except (
            TypeError,
            ValueError,
        ) as error:  # no such name; pynetdicom expects an OSError
            self.broken = _ImpossibleName()
            raise self.broken from error


class _SecureSocket(_BoundedSocket):
    """A `_BoundedSocket` with TLS.

    pynetdicom's reactor, which also has to send, reads when the kernel has bytes; of TLS 1.3 these may be session
    tickets, and reading would wait for an answer to what was not yet sent. So what is there is read without waiting.
    """

    def __init__(self, assoc: Association, address: AddressInformation, remote: Remote, trust: Trust) -> None:
        self._context = requestor_context(remote.name, trust)  # first: where it raises no socket is left open
        super().__init__(assoc, address=address)
        self._context.sslsocket_class = _TlsSocket
        self._host, self._fingerprint = trust.name or remote.host, trust.fingerprint
        self._in_hand = bytearray()

    def connect(self, primitive: T_CONNECT) -> None:
        assert self.socket is not None  # made by __init__
        try:
            self._host.encode("idna")  # as `wrap_socket` does, which leaves the descriptor open where it fails
            secured = self._context.wrap_socket(self.socket, server_hostname=self._host)
        except (OSError, ValueError) as error:
            self.broken = error if isinstance(error, OSError) else _ImpossibleName()
            self._give_up(primitive)
            return
        assert isinstance(secured, _TlsSocket)
        secured.fingerprint = self._fingerprint
        self.socket = secured
        super().connect(primitive)
        self.broken = secured.broken

    def _give_up(self, primitive: T_CONNECT) -> None:
        """Say that there is no connection, as pynetdicom's `connect` does: else its association waits for ever."""
        self._shutdown_socket()
        self.socket = None
        primitive.result = "Evt17"
        self.provider_queue.put(primitive)
        self._ready.set()

    @property
    def ready(self) -> bool:
        if self._in_hand:
            return True
        if not super().ready or self.socket is None:
            return False
        self.socket.settimeout(0)
        try:
            part = self.socket.recv(_RECORD_BYTES)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        except OSError as error:
            self.broken = error
            part = b""
        finally:
            self.socket.settimeout(self.assoc.network_timeout)
        self._in_hand += part
        return True

    def recv(self, nr_bytes: int) -> bytearray:
        taken = self._in_hand[:nr_bytes]
        del self._in_hand[:nr_bytes]
        if len(taken) == nr_bytes:
            return taken
        return taken + super().recv(nr_bytes - len(taken))


class _Caller(AE):
    """An application entity that calls with a `_BoundedSocket`."""

    def __init__(self, remote: Remote) -> None:
        super().__init__(ae_title=remote.calling_aet)
        self._remote = remote
        self.line: _BoundedSocket | None = None

    def _create_socket(self, assoc: Association, address: AddressInformation, tls_args: None) -> AssociationSocket:
        if self._remote.trust is None:
            self.line = _BoundedSocket(assoc, address=address)
        else:
            self.line = _SecureSocket(assoc, address, self._remote, self._remote.trust)
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
    if association.is_rejected:
        raise _rejection(remote, association.acceptor.primitive)
    if association.rejected_contexts and not association.accepted_contexts:
        offered = ", ".join(sorted({context.abstract_syntax.name for context in contexts}))
        raise NothingAccepted(f"{_called(remote)} takes none of what is offered ({offered}): enable it there.")
    if ae.line is not None and (said := _why_broken(ae.line.broken)) is not None:
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


def _why_broken(error: OSError | None) -> str | None:
    """Return the end of a sentence: why there is no TLS; None where that is not it."""
    if isinstance(error, _OtherCertificate):
        return ": its certificate has another fingerprint. Correct it here if it was renewed, or find out who answers."
    if isinstance(error, _ImpossibleName):
        return ": no certificate can hold the name that is asked for. Correct certificate_name, or host if it is empty."
    if isinstance(error, ssl.SSLError):
        return why_not_connected(error, "port", "DICOM without TLS", "certificate_name")
    if isinstance(error, ConnectionResetError | BrokenPipeError):
        return (
            ": it broke off in the TLS handshake. It may speak DICOM without TLS on this port: check port, or its log."
        )
    return None


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
