"""Another model while the node runs: from one series to the next, or beside the active one; nothing lost, nothing sent.

The archive is real: what a shadow says must not be in it.
"""

from __future__ import annotations

import os
import signal

import psutil
import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid

from ichnode.cli.ichnode import main
from ichnode.config import Settings
from ichnode.steps.node import open_node
from ichnode.steps.register import settle_active
from ichnode.worklist import model_tables
from tests.acceptance.conftest import BY_EVIDENCE
from tests.bundles import write_tiny_bundle
from tests.invariants import check
from tests.made import rows
from tests.peers import wait_until
from tests.running import RunningNode, current_results, running
from tests.sender import send_once

pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def new_series(head_ct, tmp_path):
    """``new_series()`` → files of a study that nobody has seen."""
    sources = sorted(head_ct.iterdir())

    def make():
        study, series = generate_uid(), generate_uid()
        folder = tmp_path / series
        folder.mkdir()
        for source in sources:
            dataset = dcmread(source)
            dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
            dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
            dataset.save_as(folder / source.name)
        return sorted(folder.iterdir())

    return make


def with_active_model(node: RunningNode, bundle) -> None:
    """Make `bundle` the active one, as if it had been for long; the configuration names none."""
    sections = {"node": {"data": str(node.data)}, "engine": {"bundle": str(bundle.folder)}}
    made = open_node(Settings.model_validate(sections))
    settle_active(made)
    made.worklist.dispose()


def test_a_shadow_reads_beside_and_the_archive_never_hears_of_it(tmp_path, tiny_bundle, new_series, storescp):
    other = write_tiny_bundle(tmp_path / "other", seed=8)
    pacs = {"name": "pacs", "aet": storescp.aet, "host": "127.0.0.1", "port": storescp.port}
    node = RunningNode(tmp_path / "node", completeness=BY_EVIDENCE, destinations=[pacs])
    with_active_model(node, tiny_bundle)

    def read(state="done"):
        return rows(node.worklist, model_tables.shadow_results, state=state)

    with running(node):
        assert main(["model", "import", str(other.folder), "--config", str(node.config)]) == 0
        assert main(["model", "shadow", other.digest, "--config", str(node.config)]) == 0
        send_once(node.port, new_series())
        node.wait_settled(90)
        wait_until(read, 60, "the shadow has read the series")
        (beside,) = read()
        assert beside["model_digest"] == other.digest
        os.kill(shadow_of(node), signal.SIGKILL)
        send_once(node.port, new_series())
        node.wait_settled(90)
        wait_until(lambda: len(read()) == 2, 60, "it came back and has read the second")
        assert node.stop() == 0
    reports = [file.read_bytes() for file in storescp.received.iterdir()]
    assert len(reports) == 2
    assert {current_results(series)[0]["model_digest"] for series in node.series()} == {tiny_bundle.digest}
    assert not any(other.digest.encode() in report for report in reports)
    assert all(tiny_bundle.digest.encode() in report for report in reports)
    assert "Traceback" not in node.log


def shadow_of(node: RunningNode) -> int:
    (child,) = (c for c in psutil.Process(node.pid).children() if "ichnode.shadow" in c.cmdline())
    assert child.nice() == 19
    return child.pid


def test_promoted_and_rolled_back_between_two_series(tmp_path, tiny_bundle, new_series):
    other = write_tiny_bundle(tmp_path / "other", seed=8)
    node = RunningNode(tmp_path / "node", completeness=BY_EVIDENCE)
    with_active_model(node, tiny_bundle)

    def model(*arguments):
        assert main(["model", *arguments, "--config", str(node.config)]) == 0

    acknowledged = set()
    with running(node):
        for before in ((), ("promote", other.digest, "--force", "--because", "a test"), ("rollback",)):
            if before:
                acknowledged |= send_once(node.port, new_series())  # on its way while the model changes
                if before[0] == "promote":
                    model("import", str(other.folder))
                model(*before)
            acknowledged |= send_once(node.port, new_series())
            node.wait_settled(90)
        check(node, acknowledged)
        made_by = [current_results(series)[0]["model_digest"] for series in node.series()]
    assert len(acknowledged) == 5 * 32
    latest = {series["id"]: current_results(series)[0]["model_digest"] for series in node.series()}
    in_order = [latest[key] for key in sorted(latest)]
    assert [in_order[0], in_order[2], in_order[4]] == [tiny_bundle.digest, other.digest, tiny_bundle.digest]
    assert set(made_by) == {tiny_bundle.digest, other.digest}, "old answers keep the digest of who gave them"
    assert node.log.count("worker.model_changed") == 2
    assert node.log.count("worker.ready") == 1, "the same process all the time"
