"""What systemd hears of a node: the datagrams of sd_notify, from a real socket, and from the running program."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psutil
import pytest
from structlog.testing import capture_logs

from ichnode.config import Settings
from ichnode.daemon import Daemon
from ichnode.service import ServiceManager
from ichnode.tick import Tick
from ichnode.worklist import schema
from tests.made import Clock, analysed_series, rows, study_facts
from tests.notify.receivers import HttpReceiver
from tests.peers import wait_until
from tests.running import RunningNode, running


class Listener:
    """The service manager's end of ``NOTIFY_SOCKET``."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.socket.setblocking(False)
        self.environ = {"NOTIFY_SOCKET": address}
        self.heard: list[str] = []

    def hears(self, *lines: str) -> bool:
        """Whether all of these lines were said by now."""
        while True:
            try:
                self.heard += self.socket.recv(4096).decode().splitlines()
            except BlockingIOError:
                return set(lines) <= set(self.heard)


@pytest.fixture(params=["a path", "an abstract address"])
def listener(request, tmp_path):
    with _listening(str(tmp_path / "notify") if request.param == "a path" else f"@ichnode-test-{os.getpid()}") as one:
        yield one


@pytest.fixture
def by_path(tmp_path):
    with _listening(str(tmp_path / "notify")) as one:
        yield one


@contextlib.contextmanager
def _listening(address: str) -> Iterator[Listener]:
    one = Listener(address)
    with one.socket:
        yield one


def test_what_is_said(listener):
    environ = {**listener.environ, "WATCHDOG_USEC": "120000000", "WATCHDOG_PID": str(os.getpid()), "HOME": "/"}
    service = ServiceManager(environ)
    assert environ == {"HOME": "/"}, "children must not speak for the node"
    assert service.watchdog_s == 120
    service.ready("ICHAI listens")
    service.alive()
    service.stopping()
    assert listener.hears("READY=1", "STATUS=ICHAI listens", "WATCHDOG=1", "STOPPING=1")


@pytest.mark.parametrize("watchdog", [{}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "5000000", "WATCHDOG_PID": "1"}])
def test_without_a_watchdog_nobody_is_told_that_it_lives(listener, watchdog):
    service = ServiceManager({**listener.environ, **watchdog})
    assert service.watchdog_s is None
    service.alive()
    service.ready("")
    assert listener.hears("READY=1")
    assert "WATCHDOG=1" not in listener.heard


def test_where_nobody_listens_the_node_goes_on(tmp_path):
    with capture_logs() as logs:
        ServiceManager({}).ready("")
        assert logs == []
        ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready("")
    assert [line["event"] for line in logs] == ["service.not_told"]


def test_a_node_that_no_longer_looks_after_series_is_not_called_alive(listener, monkeypatch):
    for name, value in {**listener.environ, "WATCHDOG_USEC": "400000"}.items():
        monkeypatch.setenv(name, value)
    daemon, go = Daemon(Settings()), threading.Event()
    tick = Tick("assemble", lambda: go.wait(60) and None)
    thread = threading.Thread(target=tick.wake_here)
    thread.start()
    try:
        wait_until(lambda: tick.silent_s() > 0.2)
        daemon._say_alive(tick)
        assert not listener.hears("WATCHDOG=1")
    finally:
        go.set()
        thread.join()
    wait_until(lambda: daemon._say_alive(tick) or tick.wake_here() or listener.hears("WATCHDOG=1"))


def test_the_running_program_says_when_it_is_ready_alive_and_stopping(by_path, tmp_path, tiny_bundle, monkeypatch):
    for name, value in {**by_path.environ, "WATCHDOG_USEC": "120000000"}.items():
        monkeypatch.setenv(name, value)
    with running(RunningNode(tmp_path / "node", engine={"bundle": str(tiny_bundle.folder)})) as node:
        wait_until(lambda: by_path.hears("READY=1", "WATCHDOG=1"), 60)
        assert f"STATUS=ICHAI listens on 127.0.0.1:{node.port}" in by_path.heard
        for child in psutil.Process(node.pid).children():
            assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC"} & set(child.environ())
        os.kill(node.pid, signal.SIGTERM)
        wait_until(lambda: by_path.hears("STOPPING=1"), 60)

        def ended():  # however often it is asked, in its last moment too
            with contextlib.suppress(ProcessLookupError):
                os.kill(node.pid, signal.SIGTERM)
            return node.ended()

        wait_until(ended, 60)
        assert node.stop() == 0


def test_a_stop_with_a_backlog_ends_after_what_is_in_hand_and_is_called_alive_meanwhile(
    by_path, tmp_path, tiny_bundle, monkeypatch
):
    may_answer = threading.Event()
    for name, value in {**by_path.environ, "WATCHDOG_USEC": "120000000"}.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "secret").write_text("0123456789abcdef0123456789abcdef\n")

    def reply(got):
        assert may_answer.wait(60)
        return 204, b"", {}

    webhook = HttpReceiver(reply)
    channel = {"name": "oncall", "kind": "webhook", "url": webhook.url, "secret_file": str(tmp_path / "secret")}
    node = RunningNode(tmp_path / "node", engine={"bundle": str(tiny_bundle.folder)}, channels=[channel])
    node.data.mkdir(parents=True)
    node.worklist.migrate()
    clock = Clock(datetime.now(UTC) - timedelta(minutes=1))
    for number in range(4):
        analysed_series(node.worklist, clock, study_facts(f"study {number}"), score=0.9, destinations=())

    def states():
        return sorted(row["state"] for row in rows(node.worklist, schema.deliveries))

    with webhook.listening():
        with running(node):
            wait_until(lambda: states() == ["pending"] * 3 + ["sending"] and webhook.posts, 60)
            os.kill(node.pid, signal.SIGTERM)
            wait_until(lambda: by_path.hears("STOPPING=1"), 60)
            by_path.heard.clear()
            wait_until(lambda: by_path.hears("WATCHDOG=1"), 60, "it is alive while it drains")
            may_answer.set()
            assert node.stop() == 0
            assert states() == ["delivered"] + ["pending"] * 3
            assert len(webhook.posts) == 1
        with running(node):
            wait_until(lambda: states() == ["delivered"] * 4, 60, "the next start goes on")
            assert node.stop() == 0
