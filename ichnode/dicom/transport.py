"""One TCP connection, read in PDUs (PS3.8 9.3) with every length and every wait bounded before it is trusted.

pynetdicom's reader has no time limit inside a PDU, reads whatever length is declared, and wakes a thread a thousand
times a second while nothing happens. Here a read blocks in the kernel for one tick at most, a declared length is
checked before the first byte of the body is read, and a body lands in one buffer that is used again.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import time
from enum import IntEnum

from ichnode.errors import PeerUnreachable

_HEADER = struct.Struct(">BxI")
HEADER_BYTES = _HEADER.size


class PduType(IntEnum):
    """First byte of a PDU (PS3.8 9.3.1)."""

    ASSOCIATE_RQ = 1
    ASSOCIATE_AC = 2
    ASSOCIATE_RJ = 3
    P_DATA_TF = 4
    RELEASE_RQ = 5
    RELEASE_RP = 6
    ABORT = 7


class AbortReason(IntEnum):
    """Reasons of an A-ABORT by the service provider (PS3.8 Table 9-26)."""

    NOT_SPECIFIED = 0
    UNRECOGNIZED_PDU = 1
    UNEXPECTED_PDU = 2
    UNEXPECTED_PARAMETER = 5
    INVALID_PARAMETER = 6


class ConnectionLost(PeerUnreachable):
    """The TCP connection ended without release or abort."""

    code = "CONNECTION_LOST"


class PeerStalled(PeerUnreachable):
    """The peer kept silent for longer than it may."""

    code = "PEER_STALLED"


class ProtocolBreach(PeerUnreachable):
    """The peer sent what the upper layer protocol does not allow there. Answered with an A-ABORT."""

    code = "PROTOCOL"

    def __init__(self, sentence: str, reason: AbortReason) -> None:
        super().__init__(sentence)
        self.reason = reason


def split_header(header: bytes | bytearray | memoryview) -> tuple[int, int]:
    """Return PDU type and the declared length in bytes of what follows the six header bytes."""
    kind, length = _HEADER.unpack_from(header)
    return kind, length


def abort_pdu(reason: AbortReason) -> bytes:
    """Return an A-ABORT of the service provider (PS3.8 9.3.8)."""
    return _HEADER.pack(PduType.ABORT, 4) + bytes((0, 0, 2, reason))


RELEASE_RP = _HEADER.pack(PduType.RELEASE_RP, 4) + bytes(4)


class Wire:
    """The association's side of a connection: blocking, bounded reads; small writes.

    Parameters
    ----------
    connection : socket.socket
        Owned by the Wire from now on.
    max_pdu_bytes : int
        Longest body of a P-DATA-TF that is read.
    stall_s : float
        Seconds without a byte inside a PDU after which the peer is given up.
    pdu_s : float
        Seconds that a whole PDU may take, so that a byte now and then does not hold the association.
    tick_s : float
        Longest single wait in the kernel.
    """

    def __init__(
        self, connection: socket.socket, max_pdu_bytes: int, *, stall_s: float, pdu_s: float, tick_s: float
    ) -> None:
        self._socket = connection
        self._is_secure = isinstance(connection, ssl.SSLSocket)
        self._tick_s = tick_s
        self._woken = False
        self._max_pdu_bytes = max_pdu_bytes
        self._stall_s = stall_s
        self._pdu_s = pdu_s
        self._buffer = memoryview(bytearray(HEADER_BYTES + max(max_pdu_bytes, 4)))
        if self._is_secure:
            connection.settimeout(tick_s)  # OpenSSL would go on reading after a time-out of the kernel's
        else:
            connection.setblocking(True)
            # A time-out of the kernel's, not of Python's: Python's would make the socket non-blocking, add a poll() to
            # each read and rule out MSG_WAITALL, which lets one call fetch a whole PDU.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _interval(tick_s))
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _interval(stall_s))
        # Responses are small: with Nagle's algorithm each would wait 40 ms for the peer's delayed ACK.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def next_pdu(self, silence_s: float) -> tuple[int, memoryview]:
        """Wait for the next PDU.

        Parameters
        ----------
        silence_s : float
            Seconds to wait for its first byte.

        Returns
        -------
        int, memoryview
            Type and body. The view is of the one buffer: it is overwritten by the next call.

        Raises
        ------
        PeerStalled, ConnectionLost
        ProtocolBreach
            Unknown type, or a length that type may not have. Nothing of the body has been read.
        """
        self._fill(0, HEADER_BYTES, silence_s)
        kind, length = split_header(self._buffer)
        if kind == PduType.P_DATA_TF:
            if length > self._max_pdu_bytes:
                raise ProtocolBreach(
                    f"The peer announced a PDU of {length} bytes, {self._max_pdu_bytes} were agreed on "
                    "(receive.max_pdu_bytes).",
                    AbortReason.INVALID_PARAMETER,
                )
        elif kind in (PduType.RELEASE_RQ, PduType.RELEASE_RP, PduType.ABORT):
            if length != 4:
                raise ProtocolBreach(f"A PDU of type {kind} has {length} bytes.", AbortReason.INVALID_PARAMETER)
        elif kind in (PduType.ASSOCIATE_RQ, PduType.ASSOCIATE_AC, PduType.ASSOCIATE_RJ):
            raise ProtocolBreach(f"A PDU of type {kind} inside an association.", AbortReason.UNEXPECTED_PDU)
        else:
            raise ProtocolBreach(f"A PDU of the unknown type {kind}.", AbortReason.UNRECOGNIZED_PDU)
        end = HEADER_BYTES + length
        self._fill(HEADER_BYTES, end, self._stall_s)
        return kind, self._buffer[HEADER_BYTES:end]

    def send(self, encoded: bytes) -> None:
        """Send one or more encoded PDUs; raise `ConnectionLost` when the peer is gone or does not read."""
        try:
            if self._is_secure:
                self._socket.settimeout(self._stall_s)
            self._socket.sendall(encoded)
        except OSError as error:
            raise ConnectionLost("The peer does not take the answer.") from error
        finally:
            if self._is_secure:
                self._socket.settimeout(self._tick_s)

    def wake(self) -> None:
        """Make the thread that waits in `next_pdu` see the end of the connection; sending goes on working.

        Over TLS it sees it within a tick: an end of the socket itself would be an attack to OpenSSL, which then sends
        no more.
        """
        self._woken = True
        if not self._is_secure:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RD)

    def _fill(self, start: int, end: int, silence_s: float) -> None:
        """Read until the buffer is full from `start` to `end`; `silence_s` is for its first byte."""
        first_byte, last_byte = None, time.monotonic()
        while start < end:
            try:
                count = self._receive(start, end)
            except (BlockingIOError, TimeoutError, ssl.SSLWantReadError):
                if self._woken:
                    raise ConnectionLost("The node ends the association.") from None
                if time.monotonic() - last_byte >= silence_s:
                    raise PeerStalled(f"The peer was silent for {silence_s:g} s.") from None
                continue
            except OSError as error:
                raise ConnectionLost("The peer reset the connection.") from error
            if count == 0:
                raise ConnectionLost("The peer closed the connection without a release.")
            start += count
            last_byte, silence_s = time.monotonic(), self._stall_s
            first_byte = first_byte or last_byte
            if start < end and last_byte - first_byte >= self._pdu_s:
                raise PeerStalled(f"The peer took more than {self._pdu_s:g} s for one PDU.")

    def _receive(self, start: int, end: int) -> int:
        if self._is_secure:
            return self._socket.recv_into(self._buffer[start:end])  # of one record at most, 16 KiB
        return self._socket.recv_into(self._buffer[start:end], end - start, socket.MSG_WAITALL)


def _interval(seconds: float) -> bytes:
    """Encode a `struct timeval`."""
    return struct.pack("ll", int(seconds), int(seconds % 1 * 1_000_000))
