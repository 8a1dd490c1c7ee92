"""The other end of the wire: a receiver that remembers, and PDUs made by hand for peers that do not behave."""

from __future__ import annotations

import itertools
import socket
import struct
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from io import BytesIO
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import build_context
from pynetdicom.association import Association

from ichnode.dicom.part10 import part10_prefix
from ichnode.dicom.scp import Peer, Received, ScpLimits, StoreScp
from ichnode.dicom.syntaxes import CT_IMAGE, STORAGE_CLASSES, decodable_syntaxes
from tests.association import PATIENCE_S, Caller
from tests.peers import wait_until

AET = "ICHAI"
IMPLICIT_LE = "1.2.840.10008.1.2"
VERIFICATION = "1.2.840.10008.1.1"
QUICK = ScpLimits(acse_timeout_s=2.0, dimse_timeout_s=2.0, network_timeout_s=5.0, socket_timeout_s=0.4)
"""For what is about waiting alone: a peer may have to wait for a core longer than this allows."""
PATIENT = ScpLimits(
    acse_timeout_s=PATIENCE_S, dimse_timeout_s=PATIENCE_S, network_timeout_s=PATIENCE_S, socket_timeout_s=PATIENCE_S
)


class Receiver:
    """A `StoreScp` on loopback that keeps all it was told."""

    def __init__(self, limits: ScpLimits = PATIENT, **options: Any) -> None:
        self.received: list[Received] = []
        self.opened: dict[int, Peer] = {}
        self.ended: list[tuple[int, str]] = []
        self._ids = itertools.count(1)
        self._lock = threading.Lock()
        changed = {name: options.pop(name) for name in list(options) if name in ScpLimits.__slots__}
        given: dict[str, Any] = {
            "limits": replace(limits, **changed),
            "allowed": (),
            "storage_classes": STORAGE_CLASSES,
            "syntaxes": decodable_syntaxes(),
            "store": self.keep,
            "opened": self._open,
            "ended": self._end,
            "accepting": lambda: None,
        }
        self.scp = StoreScp(AET, options.pop("host", "127.0.0.1"), options.pop("port", 0), **(given | options))
        plain, self.tls_port = self.scp.start()
        self.port = plain or self.tls_port

    def __enter__(self) -> Receiver:
        return self

    def __exit__(self, *exc: object) -> None:
        self.scp.stop()

    def keep(self, received: Received) -> int:
        with self._lock:
            self.received.append(replace(received, encoded=bytes(received.encoded)))
        return 0x0000

    def _open(self, peer: Peer) -> int:
        with self._lock:
            number = next(self._ids)
            self.opened[number] = peer
            return number

    def _end(self, number: int, how: str) -> None:
        with self._lock:
            self.ended.append((number, how))

    def wait_ended(self, count: int = 1, deadline_s: float = 10.0) -> list[str]:
        """How the associations ended, once `count` have and none is open; each exactly once."""
        wait_until(lambda: len(self.ended) >= count and not self.scp.active_associations(), deadline_s)
        assert sorted(number for number, _ in self.ended) == sorted(self.opened)
        return [how for _, how in self.ended]


def data_set_of(received: Received) -> Dataset:
    """Read what was received, as the file it would be stored as."""
    prefix = part10_prefix(
        received.sop_class_uid, received.sop_instance_uid, received.transfer_syntax_uid, received.peer.calling_aet
    )
    return dcmread(BytesIO(prefix + received.encoded))


def associate(port: int, *contexts: tuple[str, list[str]], called: str = AET, calling: str = "SENDER") -> Association:
    """Ask for an association with pynetdicom; it may come back not established."""
    wanted = contexts or ((CT_IMAGE, [IMPLICIT_LE]), (VERIFICATION, [IMPLICIT_LE]))
    return Caller(calling).associate(
        "127.0.0.1", port, [build_context(*context) for context in wanted], ae_title=called
    )


def pdu(kind: int, body: bytes) -> bytes:
    return struct.pack(">BxI", kind, len(body)) + body


def item(kind: int, body: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(body)) + body


def request_pdu(
    called: str = AET, calling: str = "RAW", *, max_length: int = 16384, version: int = 1, extra: bytes = b"",
    application: bytes = b"1.2.840.10008.3.1.1.1",
) -> bytes:  # fmt: skip
    """An A-ASSOCIATE-RQ for CT (context 1) and Verification (context 3), implicit VR."""
    syntax = item(0x40, IMPLICIT_LE.encode())
    body = struct.pack(">HH16s16s32x", version, 0, called.ljust(16).encode(), calling.ljust(16).encode())
    body += item(0x10, application)
    body += item(0x20, b"\x01\0\0\0" + item(0x30, CT_IMAGE.encode()) + syntax)
    body += item(0x20, b"\x03\0\0\0" + item(0x30, VERIFICATION.encode()) + syntax) + extra
    return pdu(1, body + item(0x50, item(0x51, struct.pack(">I", max_length)) + item(0x52, b"1.2.3")))


def element(number: int, value: bytes) -> bytes:
    value += b"\0" * (len(value) % 2)
    return struct.pack("<HHI", 0, number, len(value)) + value


def command_set(
    field: int, message_id: int = 1, *, data_set: bool = True, sop_class: bytes = CT_IMAGE.encode(), uid: bytes = b""
) -> bytes:
    body = element(0x0002, sop_class) + element(0x0100, struct.pack("<H", field))
    body += element(0x0110, struct.pack("<H", message_id)) + element(0x0700, b"\0\0")
    body += element(0x0800, struct.pack("<H", 1 if data_set else 0x0101)) + element(0x1000, uid)
    return element(0x0000, struct.pack("<I", len(body))) + body


def value(context: int, control: int, data: bytes) -> bytes:
    """A presentation data value: control 3 is the last of a command, 2 the last of a data set, 0 not the last."""
    return struct.pack(">IBB", len(data) + 2, context, control) + data


def p_data(context: int, control: int, data: bytes) -> bytes:
    return pdu(4, value(context, control, data))


class RawPeer:
    """A peer made of a socket."""

    def __init__(self, port: int, source: str = "127.0.0.1") -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE_S, source_address=(source, 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> RawPeer:
        return self

    def __exit__(self, *exc: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> RawPeer:
        self.socket.sendall(data)
        return self

    def associate(self, **options: Any) -> RawPeer:
        self.send(request_pdu(**options))
        kind, body = self.receive()
        assert kind == 2, (kind, body)
        return self

    def receive(self) -> tuple[int, bytes]:
        """The next PDU; (0, b"") when the connection ends."""
        header = self._exactly(6)
        if len(header) < 6:
            return 0, b""
        kind, length = struct.unpack(">BxI", header)
        return kind, self._exactly(length)

    def status(self) -> int:
        """The status of the next response."""
        body = b""
        last = False
        while not last:
            kind, part = self.receive()
            assert kind == 4, (kind, part)
            at = 0
            while at < len(part):
                length, _, control = struct.unpack_from(">IBB", part, at)
                body += part[at + 6 : at + 4 + length]
                last = bool(control & 2)
                at += 4 + length
        at = body.index(struct.pack("<HHI", 0, 0x0900, 2))
        return int.from_bytes(body[at + 8 : at + 10], "little")

    def echo(self) -> int:
        self.send(p_data(3, 3, command_set(0x30, data_set=False, sop_class=VERIFICATION.encode())))
        return self.status()

    def release(self) -> None:
        self.send(pdu(5, bytes(4)))
        assert self.receive() == (6, bytes(4))
        self.socket.close()

    def is_closed(self) -> bool:
        """Whether the node ends the connection, whatever it says before."""
        self.socket.settimeout(PATIENCE_S)
        try:
            while self.socket.recv(65536):
                pass
        except TimeoutError:
            return False
        except ConnectionError:
            return True
        return True

    def _exactly(self, count: int) -> bytes:
        got = b""
        while len(got) < count:
            part = self.socket.recv(count - len(got))
            if not part:
                break
            got += part
        return got


def in_threads(count: int, act: Callable[[int], Any]) -> list[Any]:
    """Run `act(0)` … `act(count - 1)` at the same time; return what they returned, or raise what one raised."""
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(act, range(count), timeout=PATIENCE_S))
