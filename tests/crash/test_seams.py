"""kill -9 at every seam between two durable steps: nothing acknowledged is lost, nothing is answered twice."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydicom import dcmread

from tests.invariants import check, offered
from tests.peers import wait_until
from tests.running import RunningNode, running
from tests.sender import send_until_done

pytestmark = [pytest.mark.crash, pytest.mark.interop, pytest.mark.timeout(900)]

RECEIVE = [
    ("ichnode.storage.atomic:write_durable", "before", 5),
    ("ichnode.storage.spool:Spool.put_slice", "after", 5),
    ("ichnode.storage.spool:Spool.settle", "before", 5),  # renamed, the name not yet durable
    ("ichnode.worklist.receipts:record_receipts", "after", 5),  # inside the transaction
    ("ichnode.steps.receive:take_custody", "after", 5),  # committed, not acknowledged
    ("ichnode.worklist.associations:end_association", "after", 1),
]
ANALYSE = [
    ("ichnode.worklist.assembly:close", "after", 1),  # inside the transaction
    ("ichnode.steps.assemble:assemble_due", "after", 2),
    ("ichnode.worklist.jobs:claim_job", "after", 2),
    ("ichnode.steps.interpret:interpret", "after", 1),
    ("ichnode.reporting.sr:document_header", "after", 1),
    ("ichnode.storage.spool:Spool.put_report", "after", 1),
    ("ichnode.worklist.results:finish", "after", 1),  # inside the transaction
]
DELIVER = [
    ("ichnode.worklist.deliveries:claim_deliveries", "after", 1),
    ("ichnode.dicom.scu:store", "before", 1),
    ("ichnode.dicom.scu:store", "after", 1),  # the PACS has it, we do not know
    ("ichnode.worklist.deliveries:accepted", "after", 1),
    ("ichnode.steps.deliver:deliver_due", "after", 2),
]


ON_POSTGRESQL = [
    ("ichnode.worklist.receipts:record_receipts", "after", 5),  # each inside a transaction
    ("ichnode.worklist.results:finish", "after", 1),
    ("ichnode.worklist.deliveries:accepted", "after", 1),
]


ILLUSTRATE = [
    ("ichnode.steps.report:file_outcome", "after", 1),  # the answer is committed, its pictures are not begun
    ("ichnode.worklist.results:illustrate", "after", 1),  # inside the transaction
]


@pytest.mark.parametrize(
    ("seam", "when", "number", "formats"),
    [
        *[(*seam, ["sr"]) for seam in (*RECEIVE, *ANALYSE, *DELIVER)],
        *[(*seam, ["sr", "sc", "pm"]) for seam in ILLUSTRATE],
    ],
)
def test_killed_at_the_seam(
    seam, when, number, formats, tmp_path, tiny_bundle, head_ct, storescp, monkeypatch, database
):  # fmt: skip
    _kill_at(seam, when, number, tmp_path, tiny_bundle, head_ct, storescp, monkeypatch, formats, **database)


@pytest.mark.parametrize(("seam", "when", "number"), ON_POSTGRESQL)
def test_killed_on_postgresql(
    seam, when, number, tmp_path, tiny_bundle, head_ct, storescp, monkeypatch, postgresql
):  # fmt: skip
    with postgresql.copied() as url:
        _kill_at(
            seam, when, number, tmp_path, tiny_bundle, head_ct, storescp, monkeypatch, database={"url": url}
        )  # fmt: skip


def _kill_at(seam, when, number, tmp_path, tiny_bundle, head_ct, storescp, monkeypatch, formats=("sr",), **sections):
    node = RunningNode(
        tmp_path,
        engine={"bundle": str(tiny_bundle.folder)},
        completeness={"settle_s": 0.2, "quiet_s": 1.0, "max_wait_s": 120.0},
        delivery={"first_retry_s": 0.2},
        destinations=[
            {"name": "pacs", "aet": storescp.aet, "host": "127.0.0.1", "port": storescp.port, "formats": list(formats)}
        ],
        **sections,
    )
    files = sorted(Path(head_ct).iterdir())
    seam_folder = str(Path(__file__).parent / "seam")
    monkeypatch.setenv("CRASH_SEAM", f"{seam}:{when}:{number}")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([seam_folder, os.environ.get("PYTHONPATH", "")]))
    with running(node):
        killed = lambda: node.ended() or "worker.ended" in node.log  # noqa: E731
        acknowledged = send_until_done(node.port, files, lambda: not killed())
        wait_until(killed, 40, f"{seam} was reached")
    monkeypatch.delenv("CRASH_SEAM")
    with running(node):
        # The scanner sends again what it got no answer for; what it got an answer for it never sends again.
        rest = [f for f in files if str(dcmread(f).SOPInstanceUID) not in acknowledged]
        acknowledged |= send_until_done(node.port, rest, lambda: True)
        assert len(acknowledged) == len(files)
        node.wait_settled(60)
        check(node, acknowledged)
        for series in node.series():
            assert sorted(r["kind"] for r in series["results"][-1]["reports"]) == sorted(formats)
        received = {str(dcmread(f).SOPInstanceUID) for f in storescp.received.iterdir()}
        assert received == offered(node), (
            "the PACS has the report, under one SOP Instance UID however often it was sent"
        )
        assert node.stop() == 0
