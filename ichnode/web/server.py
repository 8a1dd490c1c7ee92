"""The server of the pages: a thread of the node process, with an event loop of its own."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable

import uvicorn

from ichnode.log import get_logger
from ichnode.steps.node import Node
from ichnode.web.app import create_app
from ichnode.web.renewal import renewing
from ichnode.web.wire import BoundedProtocol

AGAIN_S = 5.0
CONNECTIONS = 512
DRAIN_S = 3
log = get_logger(__name__)


class WebServer:
    """Serves the pages until it is stopped.

    Images matter more than pages: where the port is taken the node goes on, and the port is tried again.

    Parameters
    ----------
    listening : callable
        Told the address of the pages once a browser may open it.

    Raises
    ------
    ConfigError
        The certificate cannot be used.
    """

    def __init__(self, node: Node, listening: Callable[[str], None] = lambda address: None) -> None:
        web = node.settings.web
        self._section = web
        self._listening = listening
        self._stopping = threading.Event()
        tls = renewing(web.certificate, web.certificate_key) if web.certificate else None
        self.app = create_app(node)
        self.app.state.stopping = self._stopping
        self.port = 0
        self._server = uvicorn.Server(
            uvicorn.Config(
                self.app, http=BoundedProtocol, ws="none", lifespan="off", loop="asyncio", log_config=None,
                access_log=False, proxy_headers=False, server_header=False, limit_concurrency=CONNECTIONS,
                timeout_graceful_shutdown=DRAIN_S, ssl_context_factory=(lambda *_: tls) if tls else None,
            )
        )  # fmt: skip
        self._thread = threading.Thread(target=self._run, name="web", daemon=True)

    @property
    def address(self) -> str:
        """Where a browser finds the pages."""
        host = f"[{self._section.host}]" if ":" in self._section.host else self._section.host
        return f"{'https' if self._section.certificate else 'http'}://{host}:{self.port}/"

    def start(self) -> None:
        """Open the port, or begin to try again and again."""
        first = self._open()
        self._opened = first
        self._thread.start()

    def drain(self) -> None:
        """Say to those who ask that the node is stopping; pages are still there."""
        self.app.state.draining.set()

    def stop(self) -> None:
        """Let what is being answered come to its end, and close the port."""
        self._stopping.set()
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(DRAIN_S + 5)

    def _run(self) -> None:
        opened = self._opened
        while opened is None:
            if self._stopping.wait(AGAIN_S):
                return
            opened = self._open(quiet=True)
        with opened:
            self._server.run(sockets=[opened])

    def _open(self, quiet: bool = False) -> socket.socket | None:
        host, port = self._section.host, self._section.port
        opened = None
        try:
            family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
            # Said in full: asyncio switches Nagle's algorithm off only where the protocol is named, and with it
            # each answer would wait 40 ms for the browser's delayed ACK.
            opened = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            opened.bind((host, port))
            opened.listen(128)
        except OSError as error:
            if opened is not None:
                opened.close()
            if not quiet:
                why = os.strerror(error.errno) if error.errno else str(error)
                remedy = "End the program that has the port, or set web.host or web.port; it is tried again."
                log.error("web.not_listening", host=host, port=port, error=why, remedy=remedy)
            return None
        self.port = opened.getsockname()[1]
        log.info("web.listening", address=self.address)
        self._listening(self.address)
        return opened
