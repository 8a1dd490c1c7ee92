"""What did not come, and a backfill, in the real node with other archives: DCMTK's by C-MOVE, and DICOMweb."""

from __future__ import annotations

import os
import signal
from datetime import UTC, datetime, timedelta

import pytest

from ichnode.worklist import orders
from ichnode.worklist.retrieval_tables import retrievals as table
from tests.conftest import find_component
from tests.heads import study_uid, write_head
from tests.made import rows
from tests.peers import Dcmqrscp, free_port, run_dcmtk, wait_until

pytestmark = [pytest.mark.interop, pytest.mark.timeout(600)]
QUICK = {"patience_s": 0.5, "look_every_s": 1, "first_retry_s": 0.5, "longest_retry_s": 1, "look_back_h": 48}


TODAY = datetime.now()
"""Also when the tests go on over midnight."""


def day(ago):
    return TODAY - timedelta(days=ago)


@pytest.fixture(scope="module")
def heads(tmp_path_factory):
    """Two studies of yesterday and one of last month."""
    folder = tmp_path_factory.mktemp("heads")
    for name, ago in (("new0", 1), ("new1", 1), ("old", 30)):
        write_head(folder, name, StudyDate=f"{day(ago):%Y%m%d}", StudyTime="120000")
    return folder


def what_is_fetched(node):
    return {row["study_instance_uid"] for row in rows(node.worklist, table) if row["state"] == "fetched"}


def all_comes(node):
    """What the looks miss comes, then what a backfill asks for; and all of it is answered."""
    recent, all_of = {study_uid("new0"), study_uid("new1")}, {study_uid(name) for name in ("new0", "new1", "old")}
    wait_until(lambda: what_is_fetched(node) == recent, 180, "what had not come is here")
    with node.worklist.write() as tx:
        last_month = f"{day(30):%Y%m%d}"
        orders.place(tx, datetime.now(UTC), orders.BACKFILL, first_date=last_month, last_date=last_month)
    wait_until(lambda: what_is_fetched(node) == all_of, 180, "the backfill is here")
    wait_until(lambda: len(node.studies()) == 3 and node.settled(), 180, "all are answered")
    assert {series["received"] for series in node.series()} == {12}
    assert {study["verdict"] for study in node.studies()} <= {"positive", "negative"}
    assert {row["state"] for row in rows(node.worklist, table)} == {"fetched"}
    assert "DOE" not in node.log


def test_by_c_move_from_an_archive_that_counts_nothing_with_a_reload_in_between(node_for, heads, tmp_path):
    port = free_port()
    with Dcmqrscp(tmp_path / "dcmqrscp", find_component("dcmqrscp", "dcmtk"), known={"ICHAI": port}) as peer:
        run_dcmtk(find_component("storescu", "dcmtk"), "+sd", "+r", "-aec", peer.aet, "127.0.0.1", peer.port, heads)
        # One attempt a series: the reload, in the middle of a retrieval or before, must not cost it.
        source = {"aet": peer.aet, "port": peer.port, "retrieve": "c-move", "attempts": 1, **QUICK}
        node = node_for(None, node={"port": port}, source=source)
        wait_until(lambda: rows(node.worklist, table), 180, "it has looked")
        with node.config.open("a") as config:
            config.write("\n[retention]\nleast_days = 2\n")
        os.kill(node.pid, signal.SIGHUP)
        wait_until(lambda: "config.reloaded" in node.log, 180, "the reload begins")
        all_comes(node)
        assert node.stop() == 0


def test_by_wado_rs_from_dicomweb(node_for, heads, start_orthanc):
    orthanc = start_orthanc(plugins=True)
    for file in sorted(heads.rglob("*.dcm")):
        orthanc.upload(file)
    url = f"http://127.0.0.1:{orthanc.http_port}/dicom-web"
    node = node_for(None, source={"url": url, "retrieve": "wado-rs", "allow_plain_http": True, **QUICK})
    all_comes(node)
    assert node.stop() == 0
