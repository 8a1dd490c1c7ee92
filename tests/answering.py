"""A real HTTP server on loopback that answers as told."""

from __future__ import annotations

import contextlib
import ssl
import threading
from collections.abc import Callable, Iterator
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.certificates import Issued

Reply = tuple[int, bytes, dict[str, str]] | None
"""Status, content, headers; None ends the connection without an answer."""


@contextlib.contextmanager
def answering(
    port: int, answer: Callable[[str, str, Message, bytes], Reply], shown: Issued | None = None
) -> Iterator[None]:
    """Answer inside the block by ``answer(method, path, headers, body)``; outside of it nobody listens on the port.

    Parameters
    ----------
    shown : Issued, optional
        The certificate; plain HTTP without one.
    """

    class Answers(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.answer(self.rfile.read(int(self.headers["Content-Length"])))

        def do_GET(self) -> None:
            self.answer(b"")

        do_HEAD = do_GET

        def answer(self, body: bytes) -> None:
            reply = answer(self.command, self.path, self.headers, body)
            if reply is None:
                self.close_connection = True
                return
            code, content, headers = reply
            self.send_response(code)
            for name, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            with contextlib.suppress(OSError):  # whoever asked has read enough
                self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Answers)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients that trust nobody, for one
    if shown:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(shown.certificate, shown.key)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join(20)
