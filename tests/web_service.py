"""A DICOMweb service that answers as told, and a TLS gateway before any service; real ones on loopback."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.message import Message
from io import BytesIO
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset

from tests import answering
from tests.certificates import Issued
from tests.peers import free_port


@dataclass(frozen=True)
class Request:
    """What was asked; `instance` is the data set of a Store transaction."""

    method: str
    path: str
    headers: Message
    instance: Dataset | None


Reply = tuple[int, bytes | dict[str, Any], dict[str, str]]


@dataclass
class WebService:
    """What it was asked, and how it answers."""

    port: int = field(default_factory=free_port)
    store: Callable[[Request], Reply | None] = lambda request: (200, referenced(request), {})
    """Answer to a POST; None ends the connection without one."""
    query: Callable[[Request], Reply | None] = lambda request: (200, b"[]", {})
    """Answer to a GET."""
    requests: list[Request] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/dicom-web"

    @property
    def stored(self) -> list[str]:
        """SOP Instance UIDs of all that was sent to it."""
        return [str(r.instance.SOPInstanceUID) for r in self.requests if r.instance is not None]

    @contextlib.contextmanager
    def listening(self) -> Iterator[WebService]:
        """Answer inside the block; outside of it nobody listens on the port."""

        def answer(method: str, path: str, headers: Message, body: bytes) -> answering.Reply:
            instance = one_part(headers, body) if method == "POST" else None
            request = Request(method, path, headers, instance)
            self.requests.append(request)
            reply = (self.query if instance is None else self.store)(request)
            if reply is None:
                return None
            code, content, more = reply
            return code, json.dumps(content).encode() if isinstance(content, dict) else content, more

        with answering.answering(self.port, answer):
            yield self


def one_part(headers: Message, body: bytes) -> Dataset:
    """Take the one instance out of multipart/related by the letter of RFC 2046 and PS3.18 8.6.1.2."""
    assert headers.get_content_type() == "multipart/related"
    assert headers.get_param("type") == "application/dicom"
    boundary = str(headers.get_param("boundary")).encode()
    before, part, after = body.split(b"--" + boundary)
    assert (before, after) == (b"", b"--\r\n")
    head, _, content = part.partition(b"\r\n\r\n")
    assert head == b"\r\nContent-Type: application/dicom"
    assert content.endswith(b"\r\n")
    return dcmread(BytesIO(content[:-2]))


def _item(request: Request, **more: Any) -> dict[str, Any]:
    assert request.instance is not None
    uids = {"00081150": request.instance.SOPClassUID, "00081155": request.instance.SOPInstanceUID}
    return {tag: {"vr": "UI", "Value": [str(uid)]} for tag, uid in uids.items()} | more


def referenced(request: Request, warning: int | None = None) -> dict[str, Any]:
    """Return a Store Instances Response that says that the instance is stored."""
    more = {} if warning is None else {"00081196": {"vr": "US", "Value": [warning]}}
    return {"00081199": {"vr": "SQ", "Value": [_item(request, **more)]}, "00081198": {"vr": "SQ"}}


def failed(request: Request, reason: int | None) -> dict[str, Any]:
    """Return a Store Instances Response that says that the instance is not stored."""
    more = {} if reason is None else {"00081197": {"vr": "US", "Value": [reason]}}
    return {"00081198": {"vr": "SQ", "Value": [_item(request, **more)]}}


@contextlib.contextmanager
def gateway(to_port: int, shown: Issued, trusted: str | None = None) -> Iterator[int]:
    """End TLS before a service on loopback, as a reverse proxy does; yields the port.

    Parameters
    ----------
    shown : Issued
        The certificate that it shows.
    trusted : str, optional
        Authority of which a client needs a certificate (mutual TLS).
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=trusted)
    context.load_cert_chain(shown.both)
    if trusted is not None:
        context.verify_mode = ssl.CERT_REQUIRED
    listener = socket.create_server(("127.0.0.1", 0))
    ends: list[socket.socket] = []

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=forward, args=(listener.accept()[0],), daemon=True).start()

    def forward(plain: socket.socket) -> None:
        ends.append(plain)
        with contextlib.suppress(OSError), context.wrap_socket(plain, server_side=True) as client:
            ends.append(client)
            with socket.create_connection(("127.0.0.1", to_port)) as service:
                ends.append(service)
                back = threading.Thread(target=pump, args=(service, client), daemon=True)
                back.start()
                pump(client, service)
                back.join(20)
        plain.close()

    def pump(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for end in ends:
            end.close()
