"""kill -9 at random moments while three scanners send: no acknowledged slice is lost, none counts twice."""

from __future__ import annotations

import multiprocessing
import os
import random
import threading
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from tests.invariants import check
from tests.peers import wait_until
from tests.running import RunningNode, running
from tests.sender import scan

pytestmark = [
    pytest.mark.crash,
    pytest.mark.interop,
    pytest.mark.timeout(1500),
]

KILLS = int(os.environ.get("ICHNODE_TEST_KILLS", "10"))
SEED = int(os.environ.get("ICHNODE_TEST_SEED", "20260101"))


@pytest.fixture(scope="module")
def three_series(tmp_path_factory) -> list[list[Path]]:
    from ichnode_training.phantom import make_head
    from ichnode_training.phantom_dicom import write_dicom

    head = make_head(7, (), slices=300, thickness_mm=0.5, matrix=128)
    folder = tmp_path_factory.mktemp("three")
    return [write_dicom(head, folder / str(n), uid_seed=f"scanner {n}") for n in range(3)]


def test_random_kills(three_series, tmp_path, tiny_bundle, storescp, database):
    chance = random.Random(SEED)
    node = RunningNode(
        tmp_path,
        engine={"bundle": str(tiny_bundle.folder), "max_attempts": 1000},
        completeness={"settle_s": 0.5, "quiet_s": 3.0, "max_wait_s": 15.0},
        delivery={"first_retry_s": 0.2, "longest_retry_s": 2.0},
        destinations=[{"name": "pacs", "aet": storescp.aet, "host": "127.0.0.1", "port": storescp.port}],
        **database,
    )
    # The senders pace themselves so that the kills fall into the whole of the transfer, not only its beginning.
    pause_s = KILLS * 1.5 / 300

    # Scanners are processes of their own: pynetdicom leaves sockets open when its peer is killed.
    with running(node), ProcessPoolExecutor(3, multiprocessing.get_context("spawn")) as scanners:
        sent = [
            scanners.submit(scan, node.port, three_series[n], f"SCANNER{n}", pause_s, KILLS * 10 + 300)
            for n in range(3)
        ]
        for _ in range(KILLS):
            threading.Event().wait(chance.uniform(0.05, 2.5))  # the random moment
            node.kill()
            node.start()
        acknowledged = [future.result() for future in sent]
        assert [len(done) for done in acknowledged] == [300, 300, 300]
        wait_until(lambda: len(node.series()) == 3, 30, "three series")
        node.wait_settled(300)
        check(node, set().union(*acknowledged))
