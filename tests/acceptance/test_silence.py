"""The real node and a real Orthanc: what a router dropped is fetched and analysed, and a backfill survives a kill."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime, timedelta

import pytest

from ichnode.worklist import orders, retrievals
from ichnode.worklist.retrieval_tables import retrievals as table
from tests.conftest import find_component
from tests.heads import study_uid, write_head
from tests.made import rows
from tests.peers import free_port, run_dcmtk, wait_until

pytestmark = pytest.mark.interop
STUDIES, DROPPED = 20, 13
AS_SHIPPED = {f"DicomAlwaysAllow{what}": False for what in ("Find", "Get", "Move")}
"""Orthanc's own defaults: who asks has to be in DicomModalities."""


TODAY = datetime.now()
"""Also when the tests go on over midnight."""


def day(ago: int) -> dict[str, str]:
    """Attributes of a study of so many days ago."""
    return {"StudyDate": (TODAY - timedelta(days=ago)).strftime("%Y%m%d"), "StudyTime": "120000"}


def store(port, aet, *folders):
    run_dcmtk(find_component("storescu", "dcmtk"), "+sd", "+r", "-aec", aet, "127.0.0.1", port, *folders)


def source_of(orthanc, **more):
    return {
        "aet": orthanc.aet, "port": orthanc.port, "retrieve": "c-move", "patience_s": 0.5, "look_every_s": 1,
        "first_retry_s": 0.5, "longest_retry_s": 1, "look_back_h": 48, **more,
    }  # fmt: skip


@pytest.fixture(scope="module")
def ward(tmp_path_factory):
    """A folder for each of 20 studies of yesterday, and of 4 of last month."""
    folder = tmp_path_factory.mktemp("ward")
    for number in range(STUDIES):
        write_head(folder / "now", f"new{number}", slices=12, **day(1))
    for number in range(4):
        write_head(folder / "then", f"old{number}", slices=12, **day(30 + number // 2))
    return folder


def test_one_of_twenty_is_dropped_at_the_router_and_comes_all_the_same(node_for, start_orthanc, ward):
    port = free_port()
    orthanc = start_orthanc(modalities={"ichnode": ("ICHAI", port)}, **AS_SHIPPED)
    store(orthanc.port, orthanc.aet, ward / "now")
    node = node_for(None, node={"port": port}, source=source_of(orthanc, patience_s=5))
    kept = [ward / "now" / f"new{n}" for n in range(STUDIES) if n != DROPPED]
    store(port, node.aet, *kept)
    wait_until(lambda: len(node.studies()) == STUDIES and node.settled(), 120, "all twenty are answered")
    assert {study["verdict"] for study in node.studies()} <= {"positive", "negative"}
    fetched = rows(node.worklist, table)
    assert study_uid(f"new{DROPPED}") in {row["study_instance_uid"] for row in fetched}
    assert {row["state"] for row in fetched} == {"fetched"}
    assert {series["received"] for series in node.series()} == {12}
    dropped = node.study(study_uid(f"new{DROPPED}"))
    assert dropped["ordered_at"] is None, "somebody waits for it"
    orthanc.stop()
    wait_until(lambda: "source.silent" in node.log, 60, "the node says that the archive is silent")
    orthanc.start()
    write_head(ward / "later", "later", slices=12, **day(1))
    store(orthanc.port, orthanc.aet, ward / "later")
    wait_until(lambda: node.study(study_uid("later")) is not None and node.settled(), 120, "it goes on by itself")
    assert node.stop() == 0


def test_a_backfill_is_counted_watched_killed_and_goes_on(node_for, start_orthanc, ward):
    port = free_port()
    orthanc = start_orthanc(modalities={"ichnode": ("ICHAI", port)}, **AS_SHIPPED)
    store(orthanc.port, orthanc.aet, ward / "then")
    node = node_for(None, node={"port": port}, source=source_of(orthanc, look_every_s=3600))
    days = [(TODAY - timedelta(days=ago)).strftime("%Y-%m-%d") for ago in (31, 30)]
    command = [sys.executable, "-m", "ichnode", "backfill", "--config", str(node.config)]
    asked = [*command, "--from", days[0], "--to", days[1]]

    def run(*arguments):
        done = subprocess.run([*arguments], capture_output=True, text=True, timeout=180, check=False)
        assert "DOE" not in done.stdout + done.stderr
        return done

    counted = run(*asked, "--dry-run")
    assert "To be fetched: 4 series of 4 studies, 48 images" in counted.stdout, counted.stderr
    assert node.studies() == []
    placed = run(*asked, "--at-once", "1", "--no-wait")
    assert "Order 1" in placed.stdout, placed.stderr

    def fetched():
        with node.worklist.read() as tx:
            return retrievals.counts(tx)["fetched"]

    wait_until(fetched, 60, "the first study is here")
    node.kill()
    node.start()
    watched = run(*asked, "--at-once", "3")
    assert "4 series of 4 studies fetched, 0 could not be: order 1 is done" in watched.stdout, watched.stderr
    assert "series fetched: 4 of 4" in watched.stderr
    node.wait_settled()
    assert len(node.studies()) == 4
    assert {study["verdict"] for study in node.studies()} <= {"positive", "negative"}
    assert "1  done" in run(*command, "--list").stdout
    with node.worklist.read() as tx:
        assert orders.latest(tx)[0].state == "done"
    assert "DOE" not in node.log
    assert node.stop() == 0
