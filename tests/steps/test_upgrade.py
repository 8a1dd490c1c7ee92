"""Upgrade and roll back: the worklist and spool of every earlier schema under this program, and no slice is lost."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import text

from ichnode.config import Settings
from ichnode.core.identity import digest_of
from ichnode.dicom.header import parse_file
from ichnode.errors import PermanentError
from ichnode.steps.backup import backup
from ichnode.steps.deliver import deliver_due
from ichnode.steps.node import open_node
from ichnode.steps.receive import receive_slice
from ichnode.steps.recover import begin_boot
from ichnode.storage.spool import Spool
from ichnode.worklist import database, deliveries, receipts, schema, views
from ichnode.worklist.copying import copy_of
from ichnode.worklist.database import Worklist
from tests.heads import write_head
from tests.made import Clock, rows
from tests.steps.giver import come
from tests.steps.pacs import Pacs
from tests.steps.spooled import as_received, put, started

PACS = {"name": "pacs", "aet": "PACS", "host": "127.0.0.1", "port": 1}
SCRIPTS = Config()
SCRIPTS.set_main_option("script_location", str(Path(database.__file__).parent / "migrations"))
REVISIONS = [script.revision for script in reversed(list(ScriptDirectory.from_config(SCRIPTS).walk_revisions()))]
AT = "'2026-01-01T00:00:00.000000Z'"


def rows_of_a_study(study_uid: str, series_uid: str, report: str) -> list[str]:
    """A positive study whose report still waits, in columns that every schema has had."""
    return [
        "INSERT INTO studies (id, study_instance_uid, patient_id, patient_name, patient_birth_date, patient_sex, "
        "accession_number, study_date, study_time, description, referring_physician, station_name, first_seen_at) "
        f"VALUES (1, '{study_uid}', 'P', 'N', '', '', '', '', '', '', '', '', {AT})",
        "INSERT INTO series (id, study_id, series_instance_uid, state, revision, received, conflicts, first_slice_at, "
        f"last_slice_at, longest_pause_s, due_at) VALUES (1, 1, '{series_uid}', 'closed', 1, 3, 0, {AT}, {AT}, 0, "
        f"{AT})",
        "INSERT INTO jobs (id, series_id, revision, kind, state, attempts, not_before, queued_at) "
        f"VALUES (1, 1, 1, 'analyse', 'done', 1, {AT}, {AT})",
        "INSERT INTO results (id, job_id, series_id, revision, verdict, preliminary, any_score, outcome, seconds, "
        f"created_at) VALUES (1, 1, 1, 1, 'positive', 0, 0.9, '{{\"findings\": [], \"reason\": null}}', '{{}}', {AT})",
        "INSERT INTO reports (id, result_id, kind, study_instance_uid, series_instance_uid, sop_class_uid, "
        f"sop_instance_uid, file, size) VALUES (1, 1, 'sr', '{study_uid}', '1.2.4', '1.2', '1.2.5', '{report}', 1)",
        "INSERT INTO deliveries (id, report_id, destination, state, urgency, attempts, not_before, created_at, "
        f"retry_since, commitment_requests, sender) VALUES (1, 1, 'pacs', 'sending', 0, 1, {AT}, {AT}, {AT}, 0, 'old')",
    ]


def instance_row(spool: Spool, file: str) -> dict[str, object]:
    header = parse_file(spool.path(file))
    return {
        "series_id": 1, "uid": header.sop_instance_uid, "cls": header.sop_class_uid,
        "syntax": header.transfer_syntax_uid, "digest": Path(file).stem, "size": spool.path(file).stat().st_size,
        "file": file, "slices": json.dumps([one.as_json() for one in header.slices]),
    }  # fmt: skip


@pytest.fixture(params=REVISIONS)
def old_data(request, tmp_path, make_node, slice_files):
    """A data folder as a node of an earlier schema left it when it was killed: one slice has no row yet."""
    data = tmp_path / "old"
    data.mkdir()
    spool = Spool(data / "spool")
    stand_in = replace(make_node(), spool=spool)
    files = [put(stand_in, file) for file in slice_files[:4]]
    header = parse_file(spool.path(files[0]))
    report = spool.put_report(b"a report", digest_of(b"a report"))
    worklist = Worklist(f"sqlite:///{data / 'worklist.sqlite'}")
    with worklist.write() as tx:
        SCRIPTS.attributes["connection"] = tx
        command.upgrade(SCRIPTS, request.param)
        for statement in rows_of_a_study(header.study.study_instance_uid, header.study.series_instance_uid, report):
            tx.execute(text(statement))
        for file in files[:3]:
            tx.execute(text(
                "INSERT INTO instances (series_id, sop_instance_uid, sop_class_uid, transfer_syntax_uid, digest, size, "
                "file, slices, conflict, received_at) VALUES (:series_id, :uid, :cls, :syntax, :digest, :size, :file, "
                f":slices, 0, {AT})"), instance_row(spool, file))  # fmt: skip
        tx.info.clear()
    worklist.dispose()
    return data, files, report


def test_every_earlier_schema_comes_up_with_all_its_slices(old_data, slice_files):
    data, files, report = old_data
    sections = {"node": {"data": str(data)}, "destinations": [PACS], "receive": {"low_disk_bytes": 0}}
    settings = Settings.model_validate(sections)
    node = replace(open_node(settings), now=Clock())
    node = replace(node, boot_id=begin_boot(node))
    started(node)
    with node.worklist.read() as tx:
        assert receipts.known_files(tx, files) == set(files), "the slice without a row was adopted"
        study = views.study(tx, 1)
    assert (study["series"][0]["state"], study["series"][0]["revision"]) == ("receiving", 2)
    assert study["series"][0]["results"][0]["verdict"] == "positive"
    with node.worklist.write() as tx:
        (delivery,) = deliveries.claim_deliveries(tx, node.now(), "pacs", node.boot_id)
    assert delivery.file == report
    assert receive_slice(node, as_received(slice_files[4])) == 0
    assert rows(node.worklist, schema.series)[0]["received"] == 5
    node.worklist.dispose()


LEFT = Path(__file__).with_name("left_by_schema_0001.zip")
"""What the program itself left, as it was when there was one schema, killed with SIGKILL: a head that is answered and
whose report the PACS did not take, and six of twelve slices of another one, as `tests.heads` writes them. The log of
the worklist is part of it."""


def test_what_the_program_of_the_first_schema_left_when_it_was_killed_goes_on_under_this_one(tmp_path):
    data, pacs = tmp_path / "data", Pacs()
    shutil.unpack_archive(LEFT, data)
    lies = {name for name, _ in Spool(data / "spool").slices()}
    assert len(lies) == 18
    to = {**PACS, "aet": pacs.aet, "port": pacs.port}
    sections = {"node": {"data": str(data)}, "destinations": [to], "receive": {"low_disk_bytes": 0}}
    clock = Clock()
    clock.at = datetime(2026, 11, 26, tzinfo=UTC)
    node = replace(open_node(Settings.model_validate(sections)), now=clock)
    node = replace(node, boot_id=begin_boot(node))
    started(node)
    with node.worklist.read() as tx:
        assert receipts.known_files(tx, lies) == lies
    answered, receiving = rows(node.worklist, schema.series)
    assert (answered["state"], answered["received"]) == ("closed", 12)
    assert (receiving["state"], receiving["received"]) == ("receiving", 6)
    with pacs.listening():
        deliver_due(node, node.settings.destinations[0])
    (report,) = rows(node.worklist, schema.reports)
    assert pacs.stored == [report["sop_instance_uid"]]
    come(node, write_head(tmp_path, "receiving")[6:])
    assert rows(node.worklist, schema.series)[1]["received"] == 12
    assert backup(node, tmp_path / "copy", None, lambda *_: None).files == 24 + 1
    node.worklist.dispose()


def test_rolled_back_to_a_backup_of_the_worklist_what_came_since_is_adopted(make_node, slice_files, tmp_path):
    node = make_node()
    for file in slice_files[:3]:
        receive_slice(node, as_received(file))
    worklist = node.settings.node.data / "worklist.sqlite"
    copy_of(node.settings.database_url, tmp_path / "before.sqlite")
    for file in slice_files[3:6]:
        receive_slice(node, as_received(file))
    node.worklist.dispose()
    for left in worklist.parent.glob("worklist.sqlite*"):
        left.unlink()
    shutil.copy(tmp_path / "before.sqlite", worklist)
    again = make_node()
    started(again)
    assert len(rows(again.worklist, schema.instances)) == 6


def test_a_newer_worklist_is_refused_and_left_as_it_was(make_node):
    node = make_node()
    with node.worklist.write() as tx:
        tx.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    node.worklist.dispose()
    with pytest.raises(PermanentError, match="another version of ichnode"):
        open_node(node.settings)
    with node.worklist.read() as tx:
        assert tx.scalar(text("SELECT version_num FROM alembic_version")) == "9999"
