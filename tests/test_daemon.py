"""The running program at its edges: a port or folder that is taken, a stop, a worker that outlives its node."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys

import httpx2
import psutil
import pytest

from ichnode.worklist import schema
from tests.association import PATIENCE_S
from tests.made import rows
from tests.peers import answers_echo, wait_until
from tests.running import RunningNode, running


@pytest.fixture
def node(tmp_path, tiny_bundle):
    return RunningNode(tmp_path, engine={"bundle": str(tiny_bundle.folder), "threads": 1})


def serve(*options, **environ):
    return subprocess.run(
        [sys.executable, "-m", "ichnode", "serve", *map(str, options)], capture_output=True, text=True, timeout=300,
        check=False, env={**os.environ, **environ},
    )  # fmt: skip


def test_a_port_that_is_taken_is_told_in_a_sentence(tmp_path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = serve("--data", tmp_path, "--port", port)
    assert done.returncode == 2
    assert f"Cannot listen on 127.0.0.1:{port}: Address already in use." in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_that_another_node_uses(node):
    with running(node):
        done = serve("--data", node.data, "--port", 0)
        assert done.returncode == 2
        assert done.stderr.endswith(
            f"Another node uses {node.data}. Stop it first, or set node.data to another folder.\n"
        )
        assert answers_echo(node.port, node.aet), "which goes on"


def test_an_orderly_stop_and_the_next_start(node):
    with running(node):
        children = psutil.Process(node.pid).children(recursive=True)
        psutil.Process(node.pid).send_signal(signal.SIGINT)
        assert node.stop() == 0
        _, alive = psutil.wait_procs(children, timeout=120)
        assert alive == []
        (boot,) = rows(node.worklist, schema.boots)
        assert boot["ended_at"] is not None
        assert "node.stopped" in node.log
        assert "Traceback" not in node.log
        node.start()
        assert node.stop() == 0
    assert len(rows(node.worklist, schema.boots)) == 2
    assert (node.data.stat().st_mode & 0o777) == 0o700


def test_the_worker_of_a_killed_node_ends_by_itself(node):
    with running(node):
        (worker,) = wait_until(psutil.Process(node.pid).children)
        node.kill()
        wait_until(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE, 20)


def test_the_pages_are_there_while_the_node_runs_and_gone_when_it_has_stopped(tmp_path, tiny_bundle):
    node = RunningNode(tmp_path, engine={"bundle": str(tiny_bundle.folder), "threads": 1}, web={"port": 0})
    with running(node):
        address = wait_until(lambda: re.search(r"web\.listening +.*?(http://127\.0\.0\.1:\d+/)", node.log), 30)[1]
        assert "ichnode user add" in httpx2.get(f"{address}sign-in", timeout=PATIENCE_S).text
        added = subprocess.run(
            [sys.executable, "-m", "ichnode", "user", "add", "ada", "--role", "reader", "--config", node.config,
             "--password-file", "-"],
            input="a good password\n", capture_output=True, text=True, timeout=300, check=True,
        )  # fmt: skip
        assert added.stdout == "ada may sign in as reader.\n"
        with httpx2.Client(base_url=address, timeout=PATIENCE_S) as visitor:
            assert visitor.post("/sign-in", data={"name": "ada", "password": "a good password"}).status_code == 303
            wait_until(lambda: "on cpu" in visitor.get("/node").text, 60, "the worker has told of itself")
            assert visitor.get("/readyz").text == "ok\n"
            with visitor.stream("GET", "/events") as stream:
                assert next(stream.iter_lines()) == "retry: 1000"
                assert node.stop() == 0, "an open page does not keep the node from stopping"
        with pytest.raises(httpx2.ConnectError):
            httpx2.get(f"{address}sign-in")
    assert "Traceback" not in node.log
