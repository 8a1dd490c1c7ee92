"""The port: accepts connections and keeps those that have no association yet, or no longer, without a thread each.

A connection waits here for its A-ASSOCIATE-RQ (PS3.8 9.2, Sta2) and, after a reject or a release, for the peer to
close (Sta13), both under the ARTIM timer. A thousand silent connections cost a thousand descriptors at most, and fewer:
when too many wait, the oldest one of the address that has the most is let go. On a TLS port the handshake is made here
too, without waiting for anybody, and within the same time.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Callable

from ichnode.dicom.greeting import OUT_OF_DESCRIPTORS, TLS_HANDSHAKE, no_handshake, not_a_request
from ichnode.dicom.negotiation import MAX_REQUEST_BYTES
from ichnode.dicom.port import OpenPort, alone
from ichnode.dicom.secure import SecurePort, say_goodbye
from ichnode.dicom.transport import HEADER_BYTES, AbortReason, PduType, abort_pdu, split_header
from ichnode.dicom.waiting import Stage, Waiting, plain_address
from ichnode.log import get_logger

log = get_logger(__name__)

_PAUSE_S = 0.2


class Reception:
    """One thread that owns the listening socket and all connections without an association.

    Parameters
    ----------
    host, port
        Where to listen; port 0 is any free one.
    artim_s : float
        Seconds a connection may take to send its whole request, or to close.
    max_waiting : int
        Connections kept at once.
    requested : callable
        Called in this thread with connection, address and the encoded A-ASSOCIATE-RQ; takes the connection over.
    secure : SecurePort, optional
        TLS, and nothing else, on this port.
    open_port : OpenPort

    Raises
    ------
    OSError
        The address cannot be listened on.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        artim_s: float,
        max_waiting: int,
        requested: Callable[[socket.socket, str, bytes], None],
        secure: SecurePort | None = None,
        open_port: OpenPort = alone,
    ) -> None:
        self._listener = open_port(host, port)
        self.port: int = self._listener.getsockname()[1]
        self._artim_s = artim_s
        self._max_waiting = max_waiting
        self._requested = requested
        self._secure = secure
        self._selector = selectors.DefaultSelector()
        self._waiting: dict[socket.socket, Waiting] = {}  # oldest first
        self._handed_back: deque[tuple[socket.socket, str]] = deque()
        self._bell, self._ringer = socket.socketpair()
        self._bell.setblocking(False)
        self._ringer.setblocking(False)
        self._listening = self._running = True
        self._paused_until = 0.0
        self._thread = threading.Thread(target=self._run, name="reception", daemon=True)

    def start(self) -> None:
        """Begin to accept."""
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._bell, selectors.EVENT_READ)
        self._thread.start()

    def never_start(self) -> None:
        """Close the port of a reception that was not started."""
        for one in (self._listener, self._bell, self._ringer):
            one.close()
        self._selector.close()

    def linger(self, connection: socket.socket, address: str) -> None:
        """Take back a connection on which everything is said, until the peer closes it or its time is over.

        Closing at once could overtake the last PDU: the kernel answers bytes still on their way with a reset.
        """
        if self._running:
            self._handed_back.append((connection, address))
            self._ring()
        else:
            connection.close()

    def close_listener(self) -> None:
        """Accept no more connections."""
        self._listening = False
        self._ring()

    def stop(self) -> None:
        """Close everything and end the thread."""
        self._listening = self._running = False
        self._ring()
        self._thread.join()

    def _ring(self) -> None:
        with contextlib.suppress(OSError):  # It rings already, or nobody is left to hear it.
            self._ringer.send(b"!")

    def _run(self) -> None:
        while self._running:
            for key, _ in self._selector.select(self._patience()):
                if key.fileobj is self._listener:
                    self._accept()
                elif key.fileobj is self._bell:
                    self._bell.recv(4096)
                elif key.fileobj in self._waiting:  # else it was let go this very round
                    self._read(self._waiting[key.fileobj])
            while self._handed_back:
                self._keep(*self._handed_back.popleft(), Stage.CLOSE)
            self._expire()
        for connection in list(self._waiting.values()):
            self._close(connection)
        self._selector.close()
        for left in (*(connection for connection, _ in self._handed_back), self._listener, self._bell, self._ringer):
            left.close()

    def _patience(self) -> float | None:
        deadlines = [next(iter(self._waiting.values())).deadline] if self._waiting else []
        if self._paused_until:
            deadlines.append(self._paused_until)
        return max(min(deadlines) - time.monotonic(), 0) if deadlines else None

    def _expire(self) -> None:
        now = time.monotonic()
        for connection in list(self._waiting.values()):
            if connection.deadline > now:
                break
            if connection.stage is not Stage.CLOSE:
                self._log("NO_REQUEST", "A connection without association request was closed.", connection.address)
            self._close(connection)
        if self._paused_until and now >= self._paused_until and self._listening:
            self._paused_until = 0.0
            self._selector.register(self._listener, selectors.EVENT_READ)
        if not self._listening and self._listener.fileno() != -1:
            with contextlib.suppress(KeyError):  # while paused
                self._selector.unregister(self._listener)
            self._listener.close()
            self._paused_until = 0.0

    def _accept(self) -> None:
        while True:
            try:
                connection, address = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno not in OUT_OF_DESCRIPTORS:
                    continue  # That peer went away before it was accepted.
                log.error(
                    "connections.exhausted",
                    code="DESCRIPTORS",
                    remedy="The process has no file descriptors left: raise its limit (LimitNOFILE, ulimit -n).",
                )
                self._selector.unregister(self._listener)
                self._paused_until = time.monotonic() + _PAUSE_S
                return
            stage = Stage.HELLO if self._secure else Stage.REQUEST
            self._keep(connection, plain_address(address[0]), stage)

    def _keep(self, connection: socket.socket, address: str, stage: Stage) -> None:
        if len(self._waiting) >= self._max_waiting:
            crowd = Counter(c.address for c in self._waiting.values()).most_common(1)[0][0]
            oldest = next(c for c in self._waiting.values() if c.address == crowd)
            self._log("TOO_MANY_WAITING", "Connections without association request pile up: look what it is.", crowd)
            self._close(oldest)
        kept = Waiting(connection, address, time.monotonic() + self._artim_s, stage)
        try:
            connection.setblocking(False)
            if stage is Stage.CLOSE:
                say_goodbye(connection)
            self._selector.register(connection, selectors.EVENT_READ)
        except OSError:
            connection.close()
            return
        self._waiting[connection] = kept

    def _read(self, connection: Waiting) -> None:
        if connection.stage is Stage.HELLO:
            self._greet(connection)
        elif connection.stage is Stage.HANDSHAKE:
            self._shake_hands(connection)
        elif connection.stage is Stage.REQUEST:
            self._read_request(connection)
        elif connection.is_closed():
            self._close(connection)

    def _greet(self, connection: Waiting) -> None:
        """Begin TLS where the peer does; what else it speaks is told apart like on the other port."""
        assert self._secure is not None
        first = connection.first_byte()
        if first is None:
            return
        if not first:
            self._close(connection)
        elif first != TLS_HANDSHAKE:
            self._read_request(connection)
        else:
            self._let_go(connection)
            try:
                connection.socket = self._secure.wrap(connection.socket)
            except OSError:  # It is gone already.
                connection.socket.close()
                return
            connection.stage = Stage.HANDSHAKE
            self._take_back(connection)
            self._shake_hands(connection)

    def _shake_hands(self, connection: Waiting) -> None:
        try:
            event = connection.shake_hands()
        except (OSError, ValueError) as error:
            code, remedy, is_there = no_handshake(error)
            self._log(code, remedy, connection.address)
            if is_there:
                self._turn_away(connection)  # OpenSSL has sent the alert
            else:
                self._close(connection)
            return
        self._selector.modify(connection.socket, event or selectors.EVENT_READ)
        if not event:
            connection.stage = Stage.REQUEST
            self._read_request(connection)

    def _read_request(self, connection: Waiting) -> None:
        """Read what is there; more than once where TLS has bytes in hand that a selector knows nothing of."""
        waiting = connection.socket
        while self._waiting.get(waiting) is connection and connection.stage is not Stage.CLOSE:
            part = connection.next_part()
            if part is None:
                return
            if not part:
                self._close(connection)
            else:
                connection.received += part
                self._examine(connection)

    def _examine(self, connection: Waiting) -> None:
        received = connection.received
        kind, length = split_header(received) if len(received) >= HEADER_BYTES else (received[0], 0)
        is_plain = connection.stage is Stage.HELLO
        if kind != PduType.ASSOCIATE_RQ or length > MAX_REQUEST_BYTES or is_plain:
            # PS3.8 9.2.3, AA-1: anything but a request is answered with an A-ABORT, then the peer has to close.
            self._log(*not_a_request(received, is_plain), connection.address)
            with contextlib.suppress(OSError):
                connection.socket.send(abort_pdu(AbortReason.UNRECOGNIZED_PDU))
            self._turn_away(connection)
        elif len(received) >= HEADER_BYTES and len(received) == HEADER_BYTES + length:
            self._let_go(connection)
            self._requested(connection.socket, connection.address, bytes(received))

    def _turn_away(self, connection: Waiting) -> None:
        self._let_go(connection)
        self._keep(connection.socket, connection.address, Stage.CLOSE)

    def _take_back(self, connection: Waiting) -> None:
        """Wait for a connection again whose socket has become another; its time goes on."""
        self._selector.register(connection.socket, selectors.EVENT_READ)
        self._waiting = {
            kept.socket: kept for kept in sorted([*self._waiting.values(), connection], key=lambda kept: kept.deadline)
        }

    def _let_go(self, connection: Waiting) -> None:
        self._selector.unregister(connection.socket)
        del self._waiting[connection.socket]

    def _close(self, connection: Waiting) -> None:
        self._let_go(connection)
        connection.socket.close()

    def _log(self, code: str, remedy: str, address: str) -> None:
        log.warning("connection.refused", code=code, address=address, remedy=remedy)
