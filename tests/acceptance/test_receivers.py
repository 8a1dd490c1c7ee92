"""Several receiving processes on one port; one of them is killed while two scanners send."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import psutil
import pytest

from ichnode.worklist import schema
from tests.invariants import check
from tests.made import rows
from tests.peers import wait_until
from tests.running import RunningNode, running
from tests.sender import scan, send_once

pytestmark = [pytest.mark.crash, pytest.mark.interop]
KILLS = 2


def receiving(node: RunningNode) -> list[psutil.Process]:
    """The receiving processes beside the node's own."""
    children = psutil.Process(node.pid).children()
    return [child for child in children if "ichnode.receiver" in child.cmdline()]


def test_a_receiver_that_dies_is_started_again_and_nothing_acknowledged_is_lost(tmp_path, tiny_bundle, head_ct):
    node = RunningNode(
        tmp_path,
        receive={"low_disk_bytes": 0, "disk_floor_bytes": 0, "processes": 2},
        engine={"bundle": str(tiny_bundle.folder)},
        completeness={"settle_s": 0.2, "quiet_s": 1.0, "max_wait_s": 120.0},
    )
    files = sorted(Path(head_ct).iterdir())
    listening = lambda times: node.log.count("receiver.listening") == times  # noqa: E731

    def killed_with_an_association(number: int) -> bool:
        """Kill the other process when it has an association open; tell whether it had."""
        held = [row for row in rows(node.worklist, schema.associations, receiver=2) if row["ended_at"] is None]
        if held:
            receiving(node)[0].kill()
            wait_until(lambda: listening(number + 2), 60, "it is started again")
        return bool(held)

    with running(node), ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as scanners:
        wait_until(lambda: listening(1), 60, "the other one listens")
        killed, acknowledged = 0, set()
        while killed < KILLS:  # the kernel may give both associations to the other process
            sending = [scanners.submit(scan, node.port, files, f"SCANNER{n}", 0.05, 300) for n in range(2)]
            wait_until(lambda: killed_with_an_association(killed) or all(one.done() for one in sending), 120)  # noqa: B023
            killed = node.log.count("receiver.ended")
            assert [len(one.result()) for one in sending] == [len(files)] * 2
            acknowledged |= sending[0].result()
        associations = rows(node.worklist, schema.associations)
        assert all(row["ending"] is not None for row in associations if row["receiver"] == 2), "a dead one holds none"
        node.wait_settled(60)
        check(node, acknowledged)
        others = receiving(node)
        assert node.stop() == 0
        assert not any(one.is_running() for one in others)


def test_both_receive_and_a_node_that_is_killed_leaves_none_behind(tmp_path, tiny_bundle, head_ct):
    node = RunningNode(
        tmp_path,
        receive={"low_disk_bytes": 0, "disk_floor_bytes": 0, "processes": 2},
        engine={"bundle": str(tiny_bundle.folder)},
    )
    (file,) = sorted(Path(head_ct).iterdir())[:1]

    def both() -> bool:
        send_once(node.port, [file])
        return {row["receiver"] for row in rows(node.worklist, schema.associations)} == {None, 2}

    with running(node):
        wait_until(both, 60, "the kernel has given associations to both")
        assert len(rows(node.worklist, schema.instances)) == 1
        others = receiving(node)
        node.kill()
        wait_until(lambda: not any(one.is_running() for one in others), 30, "they end with the node")
