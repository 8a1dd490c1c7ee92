"""The viewer's own web server: OHIF's files, and the archive's DICOMweb under the same origin."""

from __future__ import annotations

import contextlib
import http.client
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

CONFIG = Path(__file__).with_name("app-config.js")
ARCHIVE = "/dicom-web"


class _Site(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, pages: Path, archive_port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.pages, self.archive_port = pages, archive_port

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a browser that is closed, or leaves a page, hangs up in the middle of an answer."""


class _Request(SimpleHTTPRequestHandler):
    server: _Site
    protocol_version = "HTTP/1.1"
    extensions_map: ClassVar = {
        **SimpleHTTPRequestHandler.extensions_map, ".wasm": "application/wasm", ".js": "text/javascript",
    }  # fmt: skip

    def __init__(self, request: Any, client_address: Any, server: _Site) -> None:
        super().__init__(request, client_address, server, directory=str(server.pages))

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path.startswith(f"{ARCHIVE}/"):
            self._pass_on()
        elif path == "/app-config.js":
            self._answer(200, {"Content-Type": "text/javascript"}, CONFIG.read_bytes())
        else:
            if not Path(self.translate_path(path)).is_file():
                self.path = "/index.html"  # a page of the single-page application, such as /viewer
            super().do_GET()

    def do_POST(self) -> None:
        self._pass_on()

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or None
        kept = {k: v for k, v in self.headers.items() if k.lower() in ("accept", "content-type")}
        # Orthanc writes its bulk data URLs from this; without it they would point past this server.
        kept["Forwarded"] = f"host={self.headers['Host']};proto=http"
        archive = http.client.HTTPConnection("127.0.0.1", self.server.archive_port, timeout=60)
        with contextlib.closing(archive):
            archive.request(self.command, self.path, body, kept)
            answer = archive.getresponse()
            self._answer(answer.status, {"Content-Type": answer.headers.get("Content-Type", "")}, answer.read())

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""


@contextlib.contextmanager
def served(pages: Path, archive_port: int) -> Iterator[str]:
    """Serve OHIF from `pages`, with the DICOMweb of an Orthanc on loopback; yields the address of the viewer."""
    with _Site(pages, archive_port) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join(10)
