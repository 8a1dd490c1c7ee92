"""The real node and archives that commit themselves, lose what they took, or answer after the node was killed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import BY_EVIDENCE
from tests.archive import Archive, report, send_report
from tests.peers import Orthanc, free_port, wait_until
from tests.running import RunningNode, running
from tests.sender import send_once

pytestmark = [pytest.mark.interop, pytest.mark.timeout(900)]


class Pair:
    """A node with one destination, which may be asked for storage commitment or not."""

    def __init__(self, folder: Path, bundle: Path, peer: Orthanc | Archive, port: int) -> None:
        self.node = RunningNode(
            folder,
            engine={"bundle": str(bundle)},
            completeness=BY_EVIDENCE,
            delivery={"first_retry_s": 0.3, "commitment_wait_s": 30},
        )
        self.node.port = port
        self.peer = peer

    def asks(self, commitment: bool = True) -> RunningNode:
        p = self.peer
        to = {"name": "pacs", "aet": p.aet, "host": "127.0.0.1", "port": p.port, "commitment": commitment}
        # Its scanner is a peer, the archive is none: it may bring its report and nothing else.
        peers = [{"aet": "SCANNER", "networks": ["127.0.0.1"]}]
        self.node.sections |= {"destinations": [to], "peers": peers}
        return self.node

    def deliveries(self) -> list[dict[str, Any]]:
        return [d for s in self.node.series() for x in s["results"] for r in x["reports"] for d in r["deliveries"]]

    def wait_for(self, state: str) -> dict[str, Any]:
        def found() -> dict[str, Any] | None:
            rows = self.deliveries()
            return rows[0] if rows and rows[0]["state"] == state else None

        return wait_until(found, 90, f"a delivery in the state {state}")

    def journal(self) -> list[str]:
        (study,) = self.node.studies()
        facts = self.node.study(study["study_instance_uid"])
        assert facts is not None
        return [line["event"] for line in facts["journal"]]


@pytest.fixture
def files(head_ct: Path) -> list[Path]:
    return sorted(head_ct.iterdir())


@pytest.fixture
def with_orthanc(tmp_path: Path, tiny_bundle: Any, start_orthanc: Any) -> Pair:
    port = free_port()
    orthanc = start_orthanc(aet="PACS", modalities={"ichnode": ("ICHAI", port)})
    return Pair(tmp_path / "node", tiny_bundle.folder, orthanc, port)


@pytest.fixture
def with_archive(tmp_path: Path, tiny_bundle: Any) -> Iterator[Pair]:
    with Archive(answers="never").listening() as archive:
        yield Pair(tmp_path / "node", tiny_bundle.folder, archive, free_port())


def test_orthanc_commits_itself(with_orthanc, files):
    with running(with_orthanc.asks()) as node:
        send_once(node.port, files)
        row = with_orthanc.wait_for("committed")
        assert (row["attempts"], row["commitment_requests"], row["error"]) == (1, 1, None)
        assert node.stop() == 0
    # The answer is delivered before its pictures, which are ready at any time while Orthanc considers.
    told = [event for event in with_orthanc.journal() if event.startswith(("delivery.", "commitment."))]
    assert told[-3:] == ["delivery.accepted", "commitment.requested", "commitment.given"]
    assert len(with_orthanc.peer.find("Instance", Modality="SR")) == 1
    assert "tick.failed" not in node.log


def test_what_orthanc_lost_is_sent_again_and_committed(with_orthanc, files):
    with running(with_orthanc.asks(commitment=False)) as node:
        send_once(node.port, files)
        with_orthanc.wait_for("delivered")
        assert node.stop() == 0
    orthanc = with_orthanc.peer
    (lost,) = orthanc.find("Instance", Modality="SR")
    orthanc.delete(f"/instances/{lost['ID']}")
    assert orthanc.find("Instance", Modality="SR") == []
    with running(with_orthanc.asks()) as node:
        row = with_orthanc.wait_for("committed")
        assert node.stop() == 0
    assert (row["attempts"], row["commitment_requests"]) == (2, 2)
    assert "commitment.lost" in with_orthanc.journal()
    (there,) = orthanc.find("Instance", Modality="SR")
    assert there["MainDicomTags"]["SOPInstanceUID"] == lost["MainDicomTags"]["SOPInstanceUID"]


def test_killed_between_the_question_and_the_answer(with_archive, files):
    archive = with_archive.peer
    with running(with_archive.asks()) as node:
        send_once(node.port, files)
        wait_until(lambda: archive.asked, 90, "the archive is asked")
        node.kill()
    transaction, uids = archive.asked[0]
    with running(with_archive.asks()) as node:
        assert send_report(node.port, report(transaction, kept=tuple(uids)), calling=archive.aet) == 0x0000
        assert with_archive.wait_for("committed")["attempts"] == 1
        assert send_report(node.port, report("2.25.99", kept=tuple(uids)), calling=archive.aet) == 0x0115
        assert node.stop() == 0
    assert len(archive.asked) == 1
    assert archive.stored == uids


def test_an_archive_that_never_answers_is_asked_again_and_shown(with_archive, files):
    with_archive.node.sections["delivery"] |= {"commitment_wait_s": 2}
    archive = with_archive.peer
    with running(with_archive.asks()) as node:
        send_once(node.port, files)
        wait_until(lambda: len(archive.asked) > 2, 90, "asked again")
        assert "has not answered" in with_archive.deliveries()[0]["error"]
        archive.answers, archive.calls = "new", lambda: node.port
        with_archive.wait_for("committed")
        assert node.stop() == 0
    assert len(archive.stored) == 1, "what it only did not answer about is not sent again"
    assert len({transaction for transaction, _ in archive.asked}) == len(archive.asked)
