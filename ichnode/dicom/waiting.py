"""A connection that has no association yet, or no longer: what it is waited for, read without waiting."""

from __future__ import annotations

import ipaddress
import selectors
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto

from ichnode.dicom.transport import HEADER_BYTES, split_header

_NOTHING_YET = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Stage(Enum):
    """What a connection is waited for."""

    HELLO = auto()
    """The first byte on a TLS port."""
    HANDSHAKE = auto()
    REQUEST = auto()
    CLOSE = auto()


@dataclass(slots=True)
class Waiting:
    """A connection, where it comes from, how long it may stay, and what it has sent.

    Attributes
    ----------
    deadline : float
        By the monotonic clock.
    """

    socket: socket.socket
    address: str
    deadline: float
    stage: Stage
    received: bytearray = field(default_factory=bytearray)

    def first_byte(self) -> bytes | None:
        """Return the first byte, which stays where it is; empty when the peer is gone, None while nothing came."""
        return _now(lambda: self.socket.recv(1, socket.MSG_PEEK))

    def next_part(self) -> bytes | None:
        """Return more of the request, and nothing that comes after it; empty or None as `first_byte`."""
        have = len(self.received)
        want = HEADER_BYTES if have < HEADER_BYTES else HEADER_BYTES + split_header(self.received)[1]
        return _now(lambda: self.socket.recv(want - have))

    def is_closed(self) -> bool:
        """Throw away what still comes; tell whether the peer has closed."""
        # Past TLS where there is any: nobody looks at it.
        return _now(lambda: socket.socket.recv(self.socket, 65536)) == b""

    def shake_hands(self) -> int:
        """Go on with the TLS handshake; return the event that it waits for, or 0 when it is done.

        Raises
        ------
        OSError, ValueError
            It failed.
        """
        assert isinstance(self.socket, ssl.SSLSocket)
        try:
            self.socket.do_handshake()
        except ssl.SSLWantReadError:
            return selectors.EVENT_READ
        except ssl.SSLWantWriteError:
            return selectors.EVENT_WRITE
        return 0


def plain_address(address: str) -> str:
    """Return an IPv4 address as such, also where it came in on an IPv6 socket."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return str(mapped or parsed)


def _now(read: Callable[[], bytes]) -> bytes | None:
    try:
        return read()
    except _NOTHING_YET:
        return None
    except OSError:
        return b""
