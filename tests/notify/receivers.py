"""Real receivers on loopback that answer as told: HTTP, MLLP, SMTP."""

from __future__ import annotations

import contextlib
import json
import socket
import socketserver
import ssl
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage, Message
from email.policy import default
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult

from tests.answering import Reply, answering
from tests.certificates import Issued
from tests.peers import free_port


@dataclass(frozen=True)
class Got:
    """An HTTP request."""

    method: str
    path: str
    headers: Message
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class HttpReceiver:
    """Answers POST as told; None ends the connection without an answer."""

    reply: Callable[[Got], Reply] = lambda got: (204, b"", {})
    shown: Issued | None = None
    port: int = field(default_factory=free_port)
    requests: list[Got] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"{'https' if self.shown else 'http'}://127.0.0.1:{self.port}/alerts"

    @property
    def posts(self) -> list[Got]:
        return [got for got in self.requests if got.method == "POST"]

    @contextlib.contextmanager
    def listening(self) -> Iterator[HttpReceiver]:
        def answer(method: str, path: str, headers: Message, body: bytes) -> Reply:
            self.requests.append(Got(method, path, headers, body))
            return self.reply(self.requests[-1])

        with answering(self.port, answer, self.shown):
            yield self


@dataclass
class MllpReceiver:
    """Takes framed messages; `answer` returns the bytes that go back, frame and all, or None for none."""

    answer: Callable[[bytes], bytes | None] = lambda content: framed(ack(content))
    shown: Issued | None = None
    port: int = field(default_factory=free_port)
    messages: list[bytes] = field(default_factory=list)
    hold: threading.Event = field(default_factory=threading.Event)
    """Set: the connection ends after the answer, or without one."""

    @contextlib.contextmanager
    def listening(self) -> Iterator[MllpReceiver]:
        receiver = self
        context = None
        if self.shown:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.shown.certificate, self.shown.key)

        class Takes(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError):
                    if context is None:
                        self.take(self.request)
                    else:
                        with context.wrap_socket(self.request, server_side=True) as encrypted:
                            self.take(encrypted)

            def take(self, connection: socket.socket) -> None:
                received = b""
                while chunk := connection.recv(4096):
                    received += chunk
                    while b"\x1c\r" in received:
                        frame, received = received.split(b"\x1c\r", 1)
                        assert frame[:1] == b"\x0b"
                        receiver.messages.append(frame[1:])
                        answer = receiver.answer(frame[1:])
                        if answer is not None:
                            connection.sendall(answer)
                        if receiver.hold.is_set():
                            return

        server = socketserver.ThreadingTCPServer(("127.0.0.1", self.port), Takes, bind_and_activate=False)
        server.allow_reuse_address = server.daemon_threads = True
        server.server_bind()
        server.server_activate()
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join(20)


def control_id(content: bytes) -> str:
    return content.split(b"\r")[0].split(b"|")[9].decode()


def ack(content: bytes, code: str = "AA", error: str = "") -> bytes:
    """An acknowledgement as interface engines write it."""
    lines = [
        r"MSH|^~\&|RIS|HOSPITAL|ICHNODE||20260301120000||ACK^R01^ACK|1|P|2.5.1",
        f"MSA|{code}|{control_id(content)}",
    ]
    if error:
        lines.append(f"ERR||PID^1^5|{error}^why^HL70357|E|||DOE^JANE cannot be filed")
    return "\r".join([*lines, ""]).encode()


def framed(content: bytes) -> bytes:
    return b"\x0b" + content + b"\x1c\r"


@dataclass
class SmtpReceiver:
    """aiosmtpd; `rcpt` and `data` return an answer such as "550 no", or None to go on."""

    rcpt: Callable[[str], str | None] = lambda address: None
    data: Callable[[EmailMessage], str | None] = lambda mail: None
    shown: Issued | None = None
    implicit: bool = False
    password: str = ""
    port: int = field(default_factory=free_port)
    mails: list[EmailMessage] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        refused = self.rcpt(address)
        if refused is None:
            envelope.rcpt_tos.append(address)
        return refused or "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        mail = message_from_bytes(envelope.content, policy=default)
        refused = self.data(mail)
        if refused is None:
            self.mails.append(mail)
            self.raw.append(envelope.content)
        return refused or "250 taken"

    def authenticate(self, server: Any, session: Any, envelope: Any, mechanism: str, given: Any) -> AuthResult:
        return AuthResult(success=given.password == self.password.encode(), handled=False)

    @contextlib.contextmanager
    def listening(self) -> Iterator[SmtpReceiver]:
        context = None
        if self.shown:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.shown.certificate, self.shown.key)
        options: dict[str, Any] = {"auth_require_tls": not self.implicit, "hostname": "receiver"}
        if self.password:
            options |= {"authenticator": self.authenticate, "auth_required": True}
        if context is not None and not self.implicit:
            options |= {"tls_context": context, "require_starttls": True}
        controller = _Controller(self, options, context if self.implicit else None, self.port)
        controller.start()
        try:
            yield self
        finally:
            controller.stop()


class _Controller(Controller):
    def __init__(self, handler: Any, options: dict[str, Any], context: ssl.SSLContext | None, port: int) -> None:
        self._options = options
        super().__init__(handler, hostname="127.0.0.1", port=port, ssl_context=context)

    def factory(self) -> SMTP:
        with warnings.catch_warnings(action="ignore", category=UserWarning):  # it takes TLS before SMTP for none
            return SMTP(self.handler, **self._options)
