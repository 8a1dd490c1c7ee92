"""A running node does what `docs/conformance.md` says, and nothing else."""

from __future__ import annotations

import re

import pytest
from pynetdicom import AE, AllStoragePresentationContexts, evt

from ichnode.dicom import syntaxes
from ichnode.dicom.find import STUDY_ROOT_FIND
from ichnode.dicom.retrieve import STUDY_ROOT_GET
from ichnode.reporting.formats import FORMATS
from ichnode.sections import DestinationSection
from tests.association import serving
from tests.conformance.acceptor import SENDER, SOP_CLASSES, TRANSFER_SYNTAXES, accepted_by
from tests.conformance.statement import OUTLINE, PARTS
from tests.generated import ROOT
from tests.peers import free_port, run_dcmtk, wait_until
from tests.running import RunningNode, running

TEXT = (ROOT / "docs" / "conformance.md").read_text(encoding="utf-8")


def section(number: str) -> str:
    """Return a section of the statement with the sections inside of it."""
    level, rest = re.search(rf"^(#+) {re.escape(number)} (.*)", TEXT, re.MULTILINE | re.DOTALL).groups()
    return re.split(rf"^#{{1,{len(level)}}} ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def rows(text: str, columns: int) -> list[list[str]]:
    """Return the cells of all rows of tables with so many columns, without their titles."""
    found = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines() if line[:1] == "|"]
    return [row for row in found if len(row) == columns]


def contexts(text: str) -> set[tuple[str, tuple[str, ...]]]:
    return {(row[1], tuple(row[3].split("<br>"))) for row in rows(text, 5) if row[1].startswith("1.2.840")}


def test_a_running_node_accepts_what_the_statement_says_of_all_that_ps3_6_knows(tmp_path, tiny_bundle):
    to_senders, _, to_reporters = section("7.2").partition("in no `[[peers]]` entry is let in to report")
    stated, reporting = ({(sop, syntax) for sop, (syntax,) in contexts(text)} for text in (to_senders, to_reporters))
    assert {syntax for _, syntax in stated} <= set(TRANSFER_SYNTAXES)
    assert {sop for sop, _ in stated} <= set(SOP_CLASSES)
    archive = {"name": "archive", "aet": "ARCHIVE", "host": "127.0.0.1", "port": 1, "commitment": True}
    sections = {"engine": {"bundle": str(tiny_bundle.folder)}, "peers": [{"aet": SENDER}]}
    with running(RunningNode(tmp_path / "node", **sections, destinations=[archive])) as node:
        assert accepted_by(node.port, node.aet) == stated
        assert accepted_by(node.port, node.aet, "ARCHIVE") == reporting
    without = {pair for pair in stated if pair[0] != syntaxes.STORAGE_COMMITMENT}
    with running(RunningNode(tmp_path / "other", **sections)) as node:
        assert accepted_by(node.port, node.aet) == without


@pytest.mark.interop
def test_a_running_node_proposes_nothing_that_the_statement_does_not_say(tmp_path, tiny_bundle, head_ct, component):
    proposed: set[tuple[str, tuple[str, ...]]] = set()
    received: list[str] = []
    asked: list[object] = []

    def requested(event):
        contexts = event.assoc.requestor.requested_contexts
        proposed.update((str(c.abstract_syntax), tuple(map(str, c.transfer_syntax))) for c in contexts)

    def stored(event):
        received.append(str(event.request.AffectedSOPClassUID))
        return 0x0000

    def committing(event):
        asked.append(event.action_type)
        return 0x0000, None

    def found(event):
        query = event.identifier
        if query.QueryRetrieveLevel == "STUDY":
            query.StudyInstanceUID, query.StudyDate = "1.2.3", query.StudyDate[:8]
            yield 0xFF00, query
        elif query.StudyInstanceUID == "1.2.3":
            query.SeriesInstanceUID, query.NumberOfSeriesRelatedInstances = "1.2.3.4", 30
            yield 0xFF00, query

    def fetched(event):
        asked.append(event.identifier.SeriesInstanceUID)
        yield 0

    archive = AE(ae_title="PACS")
    archive.add_supported_context(syntaxes.STORAGE_COMMITMENT)
    archive.add_supported_context(STUDY_ROOT_FIND)
    archive.add_supported_context(STUDY_ROOT_GET)
    for context in AllStoragePresentationContexts:
        archive.add_supported_context(context.abstract_syntax, list(TRANSFER_SYNTAXES[:20]))
    acts = [(evt.EVT_REQUESTED, requested), (evt.EVT_C_STORE, stored), (evt.EVT_N_ACTION, committing)]
    acts += [(evt.EVT_C_FIND, found), (evt.EVT_C_GET, fetched)]
    port = free_port()
    formats = list(FORMATS)
    destination = {"name": "pacs", "aet": "PACS", "host": "127.0.0.1", "port": port}
    node = RunningNode(
        tmp_path / "node", engine={"bundle": str(tiny_bundle.folder)}, completeness={"settle_s": 0.3, "quiet_s": 2.0},
        destinations=[{**destination, "formats": formats, "commitment": True}],
        source={"aet": "PACS", "port": destination["port"], "retrieve": "c-get", "patience_s": 0.1, "look_back_h": 48},
    )  # fmt: skip
    with serving(archive, port, acts), running(node):
        run_dcmtk(component("storescu", "dcmtk"), "+sd", "-aec", node.aet, "127.0.0.1", node.port, head_ct)
        node.wait_settled()
        wait_until(lambda: received and {1, "1.2.3.4"} <= set(asked), 60, "results arrive, commitment and C-GET")
    assert proposed <= contexts(section("7.1"))
    assert {sop for sop, _ in proposed} >= {*received, syntaxes.STORAGE_COMMITMENT, STUDY_ROOT_FIND, STUDY_ROOT_GET}
    assert set(received) <= {row[1] for row in rows(section("1.1"), 5) if row[2] == "Yes"}


def test_every_format_and_every_setting_of_a_destination_is_stated():
    created = {name for row in rows(section("1.1"), 5) for name in re.findall("`([a-z-]+)`", row[4])}
    assert created == set(FORMATS)
    assert {row[0].strip("`") for row in rows(section("6.6"), 3)} >= set(DestinationSection.model_fields)
    assert {row[1] for row in rows(section("1.1"), 5) if row[3] == "Yes"} == set(syntaxes.STORAGE_CLASSES)


def test_an_outline_without_a_table_is_noticed(monkeypatch):
    from tests.conformance import statement

    monkeypatch.setattr(statement, "PARTS", {name: part for name, part in PARTS.items() if name != "codes"})
    with pytest.raises(AssertionError, match="disagree"):
        statement.statement()


def test_it_claims_nothing_but_research_use():
    assert "Research use only" in TEXT
    for word in ("validated", "certified", "cleared"):
        lines = [line for line in TEXT.splitlines() if word in line]
        assert lines == [line for line in OUTLINE.read_text(encoding="utf-8").splitlines() if word in line]
        assert len(lines) <= 1
