"""The real node and archives other than Orthanc by C-MOVE: DCMTK's, which counts nothing, and DICOMweb."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import datetime, timedelta

import pytest

from ichnode.worklist.retrieval_tables import retrievals as table
from tests.conftest import find_component
from tests.heads import study_uid, write_head
from tests.made import rows
from tests.peers import Dcmqrscp, free_port, run_dcmtk, wait_until

pytestmark = [pytest.mark.interop, pytest.mark.timeout(240)]
QUICK = {"patience_s": 0.5, "look_every_s": 1, "first_retry_s": 0.5, "longest_retry_s": 1, "look_back_h": 48}


def day(ago):
    return datetime.now() - timedelta(days=ago)


@pytest.fixture(scope="module")
def heads(tmp_path_factory):
    """Two studies of yesterday and one of last month."""
    folder = tmp_path_factory.mktemp("heads")
    for name, ago in (("new0", 1), ("new1", 1), ("old", 30)):
        write_head(folder, name, StudyDate=f"{day(ago):%Y%m%d}", StudyTime="120000")
    return folder


@pytest.fixture(params=["c-move from dcmqrscp", "wado-rs from dicomweb"])
def source(request, heads, tmp_path, start_orthanc):
    """(the port of the node, its [source]); the archive has the heads."""
    port = free_port()
    if request.param.startswith("wado"):
        orthanc = start_orthanc(plugins=True)
        for file in sorted(heads.rglob("*.dcm")):
            orthanc.upload(file)
        url = f"http://127.0.0.1:{orthanc.http_port}/dicom-web"
        yield port, {"url": url, "retrieve": "wado-rs", "allow_plain_http": True, **QUICK}
        return
    with Dcmqrscp(tmp_path / "dcmqrscp", find_component("dcmqrscp", "dcmtk"), known={"ICHAI": port}) as peer:
        run_dcmtk(find_component("storescu", "dcmtk"), "+sd", "+r", "-aec", peer.aet, "127.0.0.1", peer.port, heads)
        yield port, {"aet": peer.aet, "port": peer.port, "retrieve": "c-move", **QUICK}


def test_what_did_not_come_is_fetched_over_a_reload_and_a_backfill_brings_the_rest(node_for, source):
    port, section = source
    node = node_for(None, node={"port": port}, source={**section, "attempts": 1})

    def fetched(*names):
        return {row["study_instance_uid"] for row in rows(node.worklist, table) if row["state"] == "fetched"} == {
            study_uid(name) for name in names
        }

    wait_until(lambda: rows(node.worklist, table), 60, "it has looked")
    with node.config.open("a") as config:
        config.write("\n[retention]\nleast_days = 2\n")
    os.kill(
        node.pid, signal.SIGHUP
    )  # in the middle of a retrieval, or between two: no attempt is lost, and there is one
    wait_until(lambda: fetched("new0", "new1") and node.settled(), 120, "what had not come is here and answered")
    assert "config.reloaded" in node.log
    command = [sys.executable, "-m", "ichnode", "backfill", "--config", str(node.config)]
    asked = [*command, "--from", f"{day(30):%Y-%m-%d}", "--to", f"{day(30):%Y-%m-%d}"]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=120, check=False)
    assert "1 series of 1 studies fetched, 0 could not be: order 1 is done" in done.stdout, done.stderr
    node.wait_settled()
    assert {series["received"] for series in node.series()} == {12}
    assert {study["verdict"] for study in node.studies()} <= {"positive", "negative"}
    assert (len(node.studies()), fetched("new0", "new1", "old")) == (3, True)
    assert "DOE" not in node.log
    assert node.stop() == 0
