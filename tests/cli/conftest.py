"""The command line in this process, and a data folder with something in it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace

import pytest
import structlog

from ichnode.cli.ichnode import main
from ichnode.config import Settings
from ichnode.core.findings import Warned
from ichnode.steps.node import Node, open_node
from ichnode.steps.receive import receive_slice
from ichnode.steps.report import report_next
from ichnode.worklist import assembly, deliveries, jobs
from tests.made import Clock, analysed_series, claim, closed_series, study_facts
from tests.steps.spooled import as_received


@dataclass
class Said:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str


@pytest.fixture
def ichnode(capsys, monkeypatch):
    """``ichnode("worklist", "--json")`` → `Said`."""
    monkeypatch.setenv("COLUMNS", "240")

    def run(*arguments):
        code = main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return Said(code, said.out, said.err)

    yield run
    structlog.reset_defaults()  # it writes to a standard error that is gone


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def node(data, empty_worklist) -> Node:
    data.mkdir()
    shutil.copy(empty_worklist, data)
    settings = Settings.model_validate({"node": {"data": str(data)}, "receive": {"low_disk_bytes": 0}})
    node = replace(open_node(settings, "boot"), now=Clock())
    yield node
    node.worklist.dispose()


@pytest.fixture
def filled(node, head_ct, capsys):
    """A positive study whose report was refused, a failed one, a negative one, and one that is not analysed."""
    clock = node.now
    analysed_series(node.worklist, clock, study_facts("negative", patient_id="[/]", patient_name="[red]MARKUP"))
    closed_series(node.worklist, clock, study_facts("failed"))
    job = claim(node.worklist, clock)
    with node.worklist.write() as tx:
        jobs.fail(tx, clock(), job, "slice 3 cannot be decoded", Warned("PIXELS_UNREADABLE", "Unreadable."))
    analysed_series(node.worklist, clock, study_facts("positive"), 0.93)
    with node.worklist.write() as tx:
        for delivery in deliveries.claim_deliveries(tx, clock(), "pacs", "boot", most=1):
            deliveries.refused(tx, clock(), delivery, 0xA900, "pacs refused the object with status 0xA900.")
    _not_analysed(node, sorted(head_ct.iterdir())[0])
    logged = capsys.readouterr()
    (node.settings.node.data / "node.log").write_text(logged.out + logged.err)
    return node


def _not_analysed(node, file):
    """Through the real receiver and the real report."""
    assert receive_slice(node, as_received(file)) == 0
    with node.worklist.write() as tx:
        (row,) = [r for r in assembly.due_series(tx, node.now.forward(60)) if r.received == 1]
        reason = Warned("TOO_FEW_SLICES", "The series has too few slices.")
        assert assembly.ignore(tx, node.now(), row, "the longest wait is over", reason, {}, True)
    while report_next(node):
        pass
