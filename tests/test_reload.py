"""SIGHUP: another configuration is taken up whole or not at all, by the real program."""

from __future__ import annotations

import os
import signal

import pytest

from tests.peers import answers_echo, free_port, wait_until
from tests.running import RunningNode, running


@pytest.fixture
def node(tmp_path, tiny_bundle):
    made = RunningNode(tmp_path, engine={"bundle": str(tiny_bundle.folder), "threads": 1})
    made.port = free_port()
    return made


def hang_up(node: RunningNode, event: str, times: int = 1) -> None:
    os.kill(node.pid, signal.SIGHUP)
    wait_until(lambda: node.log.count(event) >= times or node.ended(), 60, event)
    assert not node.ended(), node.log[-2000:]


def test_what_cannot_be_used_changes_nothing_and_what_can_is_taken_up(node):
    with running(node):
        assert answers_echo(node.port, "ICHAI")
        node.config.write_text("[node]\nport = 'no port'\n")
        hang_up(node, "config.rejected")
        node.configure(peres=[{"aet": "X"}])
        hang_up(node, "config.rejected", 2)
        node.configure(node={"aet": "ICHAI", "port": node.port, "data": str(node.folder / "elsewhere")})
        hang_up(node, "config.rejected", 3)
        assert "restart it" in node.log
        assert answers_echo(node.port, "ICHAI"), "it never stopped listening"
        assert node.log.count("scp.listening") == 1
        node.configure(log={"level": "debug"})
        hang_up(node, "config.reloaded")
        assert node.log.count("scp.listening") == 1, "the level of the log alone needs no new start"
        node.configure(peers=[{"aet": "SOMEBODY"}])
        hang_up(node, "scp.listening", 2)
        assert not answers_echo(node.port, "ICHAI"), "the list of peers is the new one"
        node.configure()
        hang_up(node, "scp.listening", 3)
        wait_until(lambda: answers_echo(node.port, "ICHAI"), 30, "the old list is back")
        assert node.stop() == 0
        assert node.log.count("node.stopped") == 1


def test_a_port_that_is_taken_leads_back_to_the_one_before(node):
    import socket

    with running(node), socket.create_server(("127.0.0.1", 0)) as other:
        node.configure(node={"aet": "ICHAI", "port": other.getsockname()[1], "data": str(node.data)})
        hang_up(node, "config.rejected")
        wait_until(lambda: answers_echo(node.port, "ICHAI"), 30, "it listens where it did")
        assert node.stop() == 0
