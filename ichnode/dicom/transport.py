"""One TCP connection, read in PDUs (PS3.8 9.3) with every length and every wait bounded before it is trusted.

pynetdicom's reader has no time limit inside a PDU, reads whatever length is declared, and wakes a thread a thousand
times a second while nothing happens. Here a read blocks in the kernel for one tick at most, and a declared length is
checked before the first byte of the body is asked for. What is short (headers, command sets) comes through a small
buffer, several in one read; a fragment of a data set goes straight to where it is kept, together with the header of
the next: each read costs system calls and hands the interpreter to another association.
"""

from __future__ import annotations

import contextlib
import math
import socket
import ssl
import struct
import time
from enum import IntEnum

from ichnode.errors import PeerUnreachable

_HEADER = struct.Struct(">BxI")
HEADER_BYTES = _HEADER.size
_END_BYTES = 4
"""Length of the body of a release or an abort (PS3.8 9.3.6 to 9.3.8)."""
_AHEAD_BYTES = 4096
_SCRATCH_BYTES = 65536


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
        self._pdu_until = math.inf
        self._ahead = memoryview(bytearray(_AHEAD_BYTES))
        self._from = self._to = 0  # of what was read ahead
        if self._is_secure:
            connection.settimeout(tick_s)  # OpenSSL would go on reading after a time-out of the kernel's
        else:
            connection.setblocking(True)
            # A time-out of the kernel's, not of Python's: Python's would make the socket non-blocking, add a poll() to
            # each read and rule out MSG_WAITALL, which lets one call fetch a whole fragment.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _interval(tick_s))
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _interval(stall_s))
        # Responses are small: with Nagle's algorithm each would wait 40 ms for the peer's delayed ACK.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def next_pdu(self, silence_s: float) -> tuple[int, int]:
        """Wait for the next PDU; its body is still to be read, to its end.

        Parameters
        ----------
        silence_s : float
            Seconds to wait for its first byte.

        Returns
        -------
        int, int
            Type, and length of the body in bytes.

        Raises
        ------
        PeerStalled, ConnectionLost
        ProtocolBreach
            Unknown type, or a length that type may not have.
        """
        self._pdu_until = math.inf
        if self._from == self._to:
            self._read_ahead(silence_s)
        self._pdu_until = time.monotonic() + self._pdu_s
        kind, length = split_header(self.short(HEADER_BYTES))
        if kind == PduType.P_DATA_TF:
            if length > self._max_pdu_bytes:
                raise ProtocolBreach(
                    f"The peer announced a PDU of {length} bytes, {self._max_pdu_bytes} were agreed on "
                    "(receive.max_pdu_bytes).",
                    AbortReason.INVALID_PARAMETER,
                )
        elif kind in (PduType.RELEASE_RQ, PduType.RELEASE_RP, PduType.ABORT):
            if length != _END_BYTES:
                raise ProtocolBreach(f"A PDU of type {kind} has {length} bytes.", AbortReason.INVALID_PARAMETER)
            self.short(_END_BYTES)
        elif kind in (PduType.ASSOCIATE_RQ, PduType.ASSOCIATE_AC, PduType.ASSOCIATE_RJ):
            raise ProtocolBreach(f"A PDU of type {kind} inside an association.", AbortReason.UNEXPECTED_PDU)
        else:
            raise ProtocolBreach(f"A PDU of the unknown type {kind}.", AbortReason.UNRECOGNIZED_PDU)
        return kind, length

    def short(self, count: int) -> memoryview:
        """Read `count` bytes, a dozen at most, of the PDU; the view is of the one buffer: the next call overwrites it.

        Raises
        ------
        PeerStalled, ConnectionLost
        """
        while self._to - self._from < count:
            self._read_ahead(self._stall_s)
        start, self._from = self._from, self._from + count
        return self._ahead[start : self._from]

    def into(self, place: memoryview, follows: int = 0) -> None:
        """Fill `place` with what the PDU has next.

        Parameters
        ----------
        follows : int
            Bytes that a peer who keeps to the protocol sends next without being answered, few: where they are there
            soon, they are read along.

        Raises
        ------
        PeerStalled, ConnectionLost
        """
        count = min(len(place), self._to - self._from)
        place[:count] = self._ahead[self._from : self._from + count]
        self._from += count
        while count < len(place):
            rest = len(place) - count
            got = self._receive(place[count:], self._stall_s, follows)
            if got > rest:
                self._from, self._to = 0, got - rest
            count, follows = count + got, 0  # the second time the kernel may wait, but only for what must come

    def skip(self, count: int) -> None:
        """Read `count` bytes of the PDU and forget them."""
        scratch = memoryview(bytearray(min(count, _SCRATCH_BYTES)))
        while count:
            part = scratch[:count]
            self.into(part)
            count -= len(part)

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

    def _read_ahead(self, silence_s: float) -> None:
        """Read what there is, one byte at least, behind what was read ahead and not yet used."""
        kept = self._to - self._from
        self._ahead[:kept] = self._ahead[self._from : self._to]
        self._from, self._to = 0, kept
        self._to += self._receive(self._ahead[kept:], silence_s, None)

    def _receive(self, place: memoryview, silence_s: float, follows: int | None) -> int:
        """Read into `place`, at most for a tick after the first byte, and return how many bytes came.

        Parameters
        ----------
        follows : int or None
            Bytes beyond `place` that may land in the empty buffer. None: return with what is there.
        """
        began = time.monotonic()
        while True:
            try:
                count = self._received(place, follows)
            except (BlockingIOError, TimeoutError, ssl.SSLWantReadError):
                if self._woken:
                    raise ConnectionLost("The node ends the association.") from None
                if time.monotonic() - began >= silence_s:
                    raise PeerStalled(f"The peer was silent for {silence_s:g} s.") from None
                continue
            except OSError as error:
                raise ConnectionLost("The peer reset the connection.") from error
            if count == 0:
                raise ConnectionLost("The peer closed the connection without a release.")
            if count < len(place) and time.monotonic() >= self._pdu_until:
                raise PeerStalled(f"The peer took more than {self._pdu_s:g} s for one PDU.")
            return count

    def _received(self, place: memoryview, follows: int | None) -> int:
        if self._is_secure or follows is None:
            return self._socket.recv_into(place)  # over TLS of one record at most, 16 KiB
        if not follows:
            return self._socket.recv_into(place, len(place), socket.MSG_WAITALL)
        return self._socket.recvmsg_into([place, self._ahead[:follows]])[0]


def _interval(seconds: float) -> bytes:
    """Encode a `struct timeval`."""
    return struct.pack("ll", int(seconds), int(seconds % 1 * 1_000_000))
