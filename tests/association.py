"""pynetdicom as a peer of the node, repaired: no answer is lost, no socket stays open, whoever waits is patient."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from pynetdicom import AE, _config
from pynetdicom.association import Association
from pynetdicom.transport import AddressInformation, AssociationSocket, ThreadedAssociationServer

_config.LOG_HANDLER_LEVEL = "none"

PATIENCE_S = 120.0
"""How long a peer waits for the node's answer: a busy machine may stand still for a while."""


class _ClosedSocket(AssociationSocket):
    """pynetdicom leaves the socket of a refused connection open, which is a warning, and so an error, in a test."""

    def _shutdown_socket(self) -> None:
        super()._shutdown_socket()
        if self.socket is not None:
            self.socket.close()


class Caller(AE):
    """An application entity that calls, and waits for `PATIENCE_S`."""

    def __init__(self, ae_title: str) -> None:
        super().__init__(ae_title=ae_title)
        self.acse_timeout = self.dimse_timeout = self.network_timeout = self.connection_timeout = PATIENCE_S

    def _create_socket(self, assoc: Association, address: AddressInformation, tls_args: Any) -> AssociationSocket:
        return _ClosedSocket(assoc, address=address)

    def associate(self, *given: Any, **more: Any) -> Association:
        association = super().associate(*given, **more)
        take_only_what_is_waited_for(association)
        if not association.is_established:
            association.dul.join(PATIENCE_S)
            association.dul.socket._shutdown_socket()
        return association


def take_only_what_is_waited_for(association: Association) -> None:
    """Keep the reactor's hands off the messages that come in.

    It looks for requests on the queue where `send_c_store` and the like wait for their answer; they stop it before, and
    now and then it takes the answer all the same: its pause is announced before it begins. It alone never blocks.
    """
    take = association.dimse.get_msg
    association.dimse.get_msg = lambda block=False: take(block=True) if block else (None, None)


@contextmanager
def answers_are_ours(association: Association) -> Iterator[None]:
    """Let an acceptor ask something of its requestor inside the block, and nothing be asked of it meanwhile."""
    take_only_what_is_waited_for(association)
    try:
        yield
    finally:
        del association.dimse.get_msg


class _Server(ThreadedAssociationServer):
    """Remembers what it has accepted: pynetdicom does not close a connection that the other side has reset."""

    daemon_threads = True

    def __init__(self, *given: Any, **more: Any) -> None:
        self.accepted: list[socket.socket] = []
        super().__init__(*given, **more)

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        connection, address = super().get_request()
        self.accepted.append(connection)
        return connection, address

    def service_actions(self) -> None:
        """Collect no garbage."""


@contextmanager
def serving(ae: AE, port: int = 0, acts: Sequence[Any] = ()) -> Iterator[int]:
    """Let an application entity answer on a port of loopback inside the block; yields the port.

    Parameters
    ----------
    acts : sequence of (event, callable)
    """
    server = ae.make_server(("127.0.0.1", port), evt_handlers=list(acts), server_class=_Server)
    ae._servers.append(server)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        thread.join(PATIENCE_S)
        for connection in server.accepted:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for association in server.active_associations:
            association.join(PATIENCE_S)
        for connection in server.accepted:
            connection.close()
