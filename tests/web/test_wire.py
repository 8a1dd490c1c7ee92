"""The pages' port bears those who connect and say nothing, too slowly, or too often at once."""

from __future__ import annotations

import contextlib
import socket

import pytest

from ichnode.config import Settings
from ichnode.steps.healthy import healthy
from ichnode.web import doors, events, server, wire

REQUEST = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture
def connect(served):
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(socket.create_connection(("127.0.0.1", served.port), 120))


def ends(connection: socket.socket) -> bytes:
    """What comes until the other side ends the connection."""
    got = b""
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65536):
            got += part
    return got


def test_silent_and_slow_ones_are_ended(monkeypatch, connect):
    second, known = connect(), connect()
    known.sendall(REQUEST + b"Connection: close\r\n\r\n")
    assert ends(known).startswith(b"HTTP/1.1 200 OK"), "both are connected"
    monkeypatch.setattr(wire, "HEAD_S", 0.3)
    silent, slow = connect(), connect()
    with contextlib.suppress(OSError):  # on a slow machine it has been ended
        slow.sendall(REQUEST)
    second.sendall(REQUEST + b"\r\n" + REQUEST)
    assert ends(silent) == ends(slow) == b""
    assert ends(second).count(b"HTTP/1.1 200 OK") == 1


def test_an_open_stream_of_news_is_not_ended(monkeypatch, morning, visitor):
    monkeypatch.setattr(events, "CHECK_EVERY_S", 0.1)
    visit = visitor("reader")
    visit.get("/")
    monkeypatch.setattr(wire, "HEAD_S", 1.0)
    with visit.stream("GET", "/events") as stream:
        looks = (line for line in stream.iter_lines() if line == ": here")
        assert [next(looks) for _ in range(3)], "a second or so apart"


def test_one_address_has_so_many_silent_connections_and_others_still_get_in(monkeypatch, connect):
    monkeypatch.setattr(wire, "IDLE_OF_ONE", 3)
    with monkeypatch.context() as patch:
        patch.setattr(wire, "is_of_this_machine", lambda host: False)
        kept = [connect() for _ in range(3)]
        assert ends(connect()) == b""
    last = connect()
    last.sendall(REQUEST + b"Connection: close\r\n\r\n")
    assert ends(last).startswith(b"HTTP/1.1 200 OK")
    kept[0].sendall(REQUEST + b"Connection: close\r\n\r\n")
    assert ends(kept[0]).startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize(
    ("host", "is_here"),
    [("127.0.0.1", True), ("::1", True), ("::ffff:127.0.0.1", True), ("", True), ("10.1.2.3", False)],
)
def test_this_machine_itself_may_be_a_proxy(host, is_here):
    assert wire.is_of_this_machine(host) is is_here


def test_a_body_that_does_not_come_is_not_waited_for(monkeypatch, connect):
    monkeypatch.setattr(doors, "BODY_S", 0.3)
    monkeypatch.setattr(doors, "SLOWEST_BYTES_S", 1 << 30)
    one = connect()
    one.sendall(
        b"POST /sign-in HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20\r\n"
        b"Content-Type: application/x-www-form-urlencoded\r\n\r\nname=a"
    )
    assert one.recv(65536).startswith(b"HTTP/1.1 408 ")


def test_a_node_whose_pages_are_crowded_is_well(monkeypatch, node):
    monkeypatch.setattr(server, "CONNECTIONS", 2)
    crowded = server.WebServer(node)
    crowded.start()
    try:
        with socket.create_server(("127.0.0.1", 0)) as dicom, contextlib.ExitStack() as stack:
            for _ in range(2):
                stack.enter_context(socket.create_connection(("127.0.0.1", crowded.port), 120))
            seen = {"node": {"port": dicom.getsockname()[1]}, "web": {"port": crowded.port}}
            check = healthy(Settings.model_validate(seen))
        assert check.found.endswith("the pages are crowded")
        assert check.remedy == ""
    finally:
        crowded.stop()
