"""The sockets that the node calls with, without TLS and with it, and why there is no TLS, in words."""

from __future__ import annotations

import select
import socket
import ssl
from contextlib import suppress
from typing import Any

from pynetdicom.association import Association
from pynetdicom.transport import T_CONNECT, AddressInformation, AssociationSocket

from ichnode.dicom.secure import Trust, calling_context, has_fingerprint
from ichnode.trust import why_not_connected

_RECORD_BYTES = 16384
"""Longest plain text of a TLS record (RFC 8446 5.1)."""
_END_S = 5.0
"""So long a reactor may take to hear that its connection has ended."""


class BoundedSocket(AssociationSocket):
    """pynetdicom's socket, repaired in four places.

    Connected, it waits for ever: a peer that stalls inside a PDU, or stops reading, would hold the association. Never
    connected, it is not closed: each attempt at a peer that is down would cost a descriptor until the next collection.
    It looks for bytes by `select`, which takes no descriptor from 1024 on: a busy node would call nobody. And where a
    peer answers what is no association, its reactor may end before it closes: `end` does.
    """

    socket: socket.socket | None
    broken: OSError | None = None
    """Why there is no connection, or no longer one."""

    def connect(self, primitive: T_CONNECT) -> None:
        """Connect; how it went is told to pynetdicom by its queue."""
        super().connect(primitive)
        if self.socket is not None:
            self.socket.settimeout(self.assoc.network_timeout)

    @property
    def ready(self) -> bool:
        """Whether there is something to read."""
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

    def end(self) -> None:
        """Close it, if it is still open, when nothing more is asked of the peer."""
        connection, reactor = self.socket, self.assoc.dul
        if connection is None:
            return
        with suppress(OSError):  # the peer has ended it
            connection.shutdown(socket.SHUT_RDWR)  # whoever reads hears of the end
        if reactor.is_alive():
            reactor.join(_END_S)
        connection.close()


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


class SecureSocket(BoundedSocket):
    """A `BoundedSocket` with TLS.

    pynetdicom's reactor, which also has to send, reads when the kernel has bytes; of TLS 1.3 these may be session
    tickets, and reading would wait for an answer to what was not yet sent. So what is there is read without waiting.
    """

    def __init__(self, assoc: Association, address: AddressInformation, name: str, host: str, trust: Trust) -> None:
        self._context = calling_context(name, trust, _TlsSocket)  # first: where it raises no socket is left open
        super().__init__(assoc, address=address)
        self._host, self._fingerprint = trust.name or host, trust.fingerprint
        self._in_hand = bytearray()

    def connect(self, primitive: T_CONNECT) -> None:
        """Connect and shake hands; how it went is told to pynetdicom by its queue."""
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
        """Whether there is something to read."""
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
        """Read so many bytes; fewer only where the peer is gone."""
        taken = self._in_hand[:nr_bytes]
        del self._in_hand[:nr_bytes]
        if len(taken) == nr_bytes:
            return taken
        return taken + super().recv(nr_bytes - len(taken))


def why_broken(error: OSError | None) -> str | None:
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
