"""What the node proposes when it calls: recorded from the A-ASSOCIATE-RQ that it really sends."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass

from ichnode.dicom.negotiation import Context, _items, decode_request
from ichnode.dicom.requestor import Remote
from ichnode.errors import PeerUnreachable

ROLE_SELECTION = 0x54


@dataclass(frozen=True)
class Proposed:
    """An association request as it came over the wire."""

    contexts: tuple[Context, ...]
    max_pdu_bytes: int
    user_items: dict[int, list[bytes]]
    """User information by item type (PS3.7 D.3.3)."""

    def roles(self, sop_class_uid: str) -> str:
        """Return which role is asked for, as PS3.2 writes it."""
        for item in self.user_items.get(ROLE_SELECTION, []):
            length = int.from_bytes(item[:2], "big")
            if item[2 : 2 + length].decode("ascii").rstrip("\0") == sop_class_uid:
                asked = ["SCU"] * item[2 + length] + ["SCP"] * item[3 + length]
                return "/".join(asked)
        return "SCU"


def proposed(act: Callable[[Remote], object]) -> Proposed:
    """Let `act` call a peer that takes the association request and hangs up; return the request."""
    requests: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(120)

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(120)
                requests.append(_pdu(connection))

        thread = threading.Thread(target=serve)
        thread.start()
        with contextlib.suppress(PeerUnreachable):
            act(Remote("peer", "PEER", "127.0.0.1", listener.getsockname()[1], "ICHAI", timeout_s=120))
        thread.join(120)
    (encoded,) = requests
    request = decode_request(encoded)
    user: dict[int, list[bytes]] = {}
    for kind, value in _items(encoded[6 + 68 :]):
        for part, content in _items(value) if kind == 0x50 else ():
            user.setdefault(part, []).append(content)
    return Proposed(request.contexts, request.max_pdu_bytes, user)


def _pdu(connection: socket.socket) -> bytes:
    received = b""
    while len(received) < 6 or len(received) < 6 + int.from_bytes(received[2:6], "big"):
        more = connection.recv(65536)
        assert more, "hung up inside its association request"
        received += more
    return received
