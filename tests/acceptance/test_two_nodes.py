"""Two real nodes on one PostgreSQL and one data folder; one is killed, and the other does what is left."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
from pydicom import dcmread

from ichnode.worklist import schema
from tests.invariants import check, offered
from tests.made import rows
from tests.peers import wait_until
from tests.running import RunningNode, running
from tests.sender import send_until_done

pytestmark = [pytest.mark.crash, pytest.mark.interop]


@pytest.fixture
def nodes(tmp_path, tiny_bundle, storescp, postgresql):
    with postgresql.copied() as url:
        made = [
            RunningNode(
                tmp_path / name,
                node={"name": name, "data": str(tmp_path / "data")},
                database={"url": url, "silent_s": 30},
                engine={"bundle": str(tiny_bundle.folder)},
                completeness={"settle_s": 0.2, "quiet_s": 1.0, "max_wait_s": 4.0},
                delivery={"first_retry_s": 0.2},
                destinations=[{"name": "pacs", "aet": storescp.aet, "host": "127.0.0.1", "port": storescp.port}],
            )
            for name in ("first", "second")
        ]
        for node in made:
            node.data = tmp_path / "data"
        yield made


@contextmanager
def ended(processes):
    """What stands still does not hear that its node is gone."""
    try:
        yield
    finally:
        for one in processes:
            with suppress(psutil.NoSuchProcess):
                one.kill()


def let_time_pass(node):
    """Let the first node have been silent for long: while it lived no busy machine was to make it be missed."""
    (dead,) = rows(node.worklist, schema.boots, place="first")
    with node.worklist.write() as tx:
        long_ago = dead["seen_at"] - timedelta(seconds=60)
        tx.execute(schema.boots.update().where(schema.boots.c.id == dead["id"]).values(seen_at=long_ago))


def test_a_node_that_dies_is_succeeded(nodes, head_ct, storescp):
    first, second = nodes
    files = sorted(Path(head_ct).iterdir())
    # Its worker stands still with the job in hand until the node is killed: what it held has to be taken from it.
    seam = str(Path(__file__).parents[1] / "crash" / "seam")
    first.environment = {
        "CRASH_SEAM": "ichnode.steps.interpret:interpret:stop:1",
        "PYTHONPATH": os.pathsep.join([seam, os.environ.get("PYTHONPATH", "")]),
    }
    with running(first):
        wait_until(lambda: "node.leads" in first.log, 60, "the first leads")
        acknowledged = send_until_done(first.port, files[:20], lambda: True)
        wait_until(lambda: [j for s in first.series() for j in s["jobs"] if j["state"] == "running"], 60, "a job runs")
        standing = psutil.Process(first.pid).children(recursive=True)
        with running(second), ended(standing):
            acknowledged |= send_until_done(second.port, files[20:], lambda: True)
            assert "node.leads" not in second.log
            first.kill()
            let_time_pass(second)
            wait_until(lambda: "node.leads" in second.log, 60, "the second leads")
            assert "node.taken_over" in second.log
            assert len(acknowledged) == len(files)
            second.wait_settled(120)
            check(second, acknowledged)
            received = {str(dcmread(f).SOPInstanceUID) for f in storescp.received.iterdir()}
            assert received == offered(second)
            assert second.stop() == 0


def test_two_of_one_name_are_refused(nodes, tmp_path):
    first, second = nodes
    second.sections["node"]["name"] = "first"
    with running(first), pytest.raises(AssertionError, match=r"node\.name"):
        second.start()
