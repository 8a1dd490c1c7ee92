"""kill -9 at every seam of storage commitment: what was asked is understood after the restart, and all is committed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.acceptance.conftest import BY_EVIDENCE
from tests.archive import Archive
from tests.peers import free_port, wait_until
from tests.running import RunningNode, running
from tests.sender import send_once

pytestmark = [pytest.mark.crash, pytest.mark.interop, pytest.mark.timeout(900)]

SEAMS = [
    ("ichnode.worklist.commitments:request", "after", {"delivered"}),  # inside the transaction
    ("ichnode.dicom.commitment:ask", "before", {"awaiting"}),  # written down, not sent
    ("ichnode.dicom.commitment:ask", "after", {"awaiting", "committed"}),
    ("ichnode.worklist.commitments:answered", "after", {"awaiting"}),  # inside the transaction: not acknowledged
    ("ichnode.steps.commit:take_report", "after", {"committed"}),  # not acknowledged
]


@pytest.mark.parametrize(("seam", "when", "left"), SEAMS)
@pytest.mark.parametrize("answers", ["same", "new"])
def test_killed_at_the_seam(seam, when, left, answers, tmp_path, tiny_bundle, head_ct, monkeypatch, database):
    archive = Archive(answers=answers)
    node = RunningNode(
        tmp_path,
        engine={"bundle": str(tiny_bundle.folder)},
        completeness=BY_EVIDENCE,
        delivery={"first_retry_s": 0.2, "commitment_wait_s": 1},
        destinations=[
            {"name": "pacs", "aet": archive.aet, "host": "127.0.0.1", "port": archive.port, "commitment": True}
        ],
        **database,
    )
    node.port = free_port()
    archive.calls = lambda: node.port
    monkeypatch.setenv("CRASH_SEAM", f"{seam}:{when}:1")
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join([str(Path(__file__).parent / "seam"), os.environ.get("PYTHONPATH", "")])
    )

    def states() -> list[str]:
        reports = [r for s in node.series() for x in s["results"] for r in x["reports"]]
        return [d["state"] for r in reports for d in r["deliveries"]]

    with archive.listening():
        with running(node):
            send_once(node.port, sorted(head_ct.iterdir()))
            wait_until(node.ended, 60, f"{seam} was reached")
        monkeypatch.delenv("CRASH_SEAM")
        assert set(states()) <= left
        with running(node):
            wait_until(lambda: states() == ["committed"], 60, "committed")
            assert node.stop() == 0
    assert len(archive.stored) == 1, "nothing was lost, nothing is sent again"
