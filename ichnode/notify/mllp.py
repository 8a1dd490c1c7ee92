"""MLLP: one HL7 message and its answer over TCP, every wait and every length bounded (HL7 v2 Transport, MLLP R1)."""

from __future__ import annotations

import socket
import ssl
import time
from dataclasses import dataclass

from ichnode.errors import PeerUnreachable
from ichnode.trust import why_not_connected

START, END = b"\x0b", b"\x1c\r"
MOST_ANSWER_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Receiver:
    """Who takes messages.

    Attributes
    ----------
    name : str
        Of the channel, for sentences.
    host, port
        Where it listens.
    context : ssl.SSLContext or None
        None without TLS.
    timeout_s : float
        Longest wait for the connection, and for a whole answer.
    """

    name: str
    host: str
    port: int
    context: ssl.SSLContext | None
    timeout_s: float

    def __str__(self) -> str:
        return f"{self.name} ({self.host}:{self.port})"


def connect(receiver: Receiver) -> socket.socket:
    """Connect.

    Raises
    ------
    PeerUnreachable
    """
    try:
        return _connected(receiver)
    except TimeoutError:
        said = f"no connection within {receiver.timeout_s:g} s. Check host and port."
        raise PeerUnreachable(f"{receiver}: {said}") from None
    except OSError as error:
        said = why_not_connected(error, "host", "plain MLLP") or ": no connection. Check host and port."
        raise PeerUnreachable(f"{receiver}{said}") from None


def exchange(receiver: Receiver, content: bytes) -> bytes:
    """Send one message and return the one that answers it, both without their frames.

    Raises
    ------
    PeerUnreachable
        No connection, none that lasts, no answer in time, or one that is not framed.
    """
    with connect(receiver) as connection:
        try:
            return _answer(receiver, connection, content)
        except TimeoutError:
            raise PeerUnreachable(f"{receiver} did not answer within {receiver.timeout_s:g} s.") from None
        except OSError:
            raise PeerUnreachable(f"{receiver}: it ended the connection. Look at its log.") from None


def _connected(receiver: Receiver) -> socket.socket:
    plain = socket.create_connection((receiver.host, receiver.port), receiver.timeout_s)
    if receiver.context is None:
        return plain
    try:
        return receiver.context.wrap_socket(plain, server_hostname=receiver.host)
    except OSError:
        plain.close()
        raise


def _answer(receiver: Receiver, connection: socket.socket, content: bytes) -> bytes:
    end = time.monotonic() + receiver.timeout_s
    connection.sendall(START + content + END)
    received = bytearray()
    while END not in received:
        left_s = end - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        connection.settimeout(left_s)
        chunk = connection.recv(4096)
        if not chunk:
            raise PeerUnreachable(f"{receiver}: it ended the connection before it answered. Look at its log.")
        received += chunk
        if len(received) > MOST_ANSWER_BYTES or not received.startswith(START):
            raise PeerUnreachable(f"{receiver} answers, but not in MLLP. Check host and port.")
    return bytes(received[1:]).split(END, 1)[0]
