"""The file itself: migrations, durability, times, and what a person is told when it cannot be used."""

from __future__ import annotations

import sqlite3
import threading
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import func, insert, inspect, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError

from ichnode.core.alerts import Rule
from ichnode.errors import IchnodeError, PermanentError, TransientError
from ichnode.worklist import database, deliveries, engines, notices, schema
from ichnode.worklist.database import Worklist, note
from tests.made import NOON, rows
from tests.peers import wait_until
from tests.worklist.conftest import ON_SQLITE


def test_migrations_from_an_empty_file_give_the_tables_of_the_code(worklist):
    with worklist.read() as tx:
        context = MigrationContext.configure(tx, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, schema.metadata) == []
        assert set(inspect(tx).get_table_names()) == {*schema.metadata.tables, "alembic_version"}


def test_migrating_again_changes_nothing(worklist):
    with worklist.write() as tx:
        note(tx, NOON, "something", None, None)
    worklist.migrate()
    assert len(rows(worklist, schema.journal)) == 1


def test_what_waited_before_channels_were_known_waits_on_and_is_announced_to_nobody(tmp_path):
    old = Worklist(f"sqlite:///{tmp_path / 'w.sqlite'}")
    script = Config()
    script.set_main_option("script_location", str(Path(database.__file__).parent / "migrations"))
    with old.write() as tx:
        script.attributes["connection"] = tx
        command.upgrade(script, "0006")
        for statement in OLD_ROWS:
            tx.execute(text(statement))
    old.migrate()
    (delivery,) = rows(old, schema.deliveries)
    assert (delivery["report_id"], delivery["notice_id"], delivery["state"]) == (1, None, "pending")
    with old.write() as tx:
        assert notices.announce(tx, NOON, {"oncall": Rule()}, {}) is None, "an old positive makes no alert now"
        assert [one.id for one in deliveries.claim_deliveries(tx, NOON, "pacs", "boot")] == [1]
    old.dispose()


AT = "'2026-01-01T00:00:00.000000Z'"
OLD_ROWS = [
    "INSERT INTO studies (id, study_instance_uid, patient_id, patient_name, patient_birth_date, patient_sex, "
    "accession_number, study_date, study_time, description, referring_physician, station_name, first_seen_at) "
    f"VALUES (1, '1.2', '', '', '', '', '', '', '', '', '', '', {AT})",
    "INSERT INTO series (id, study_id, series_instance_uid, state, revision, received, conflicts, first_slice_at, "
    f"last_slice_at, longest_pause_s, due_at) VALUES (1, 1, '1.2.3', 'closed', 1, 1, 0, {AT}, {AT}, 0, {AT})",
    "INSERT INTO jobs (id, series_id, revision, kind, state, attempts, not_before, queued_at) "
    f"VALUES (1, 1, 1, 'analyse', 'done', 1, {AT}, {AT})",
    "INSERT INTO results (id, job_id, series_id, revision, verdict, preliminary, outcome, seconds, created_at) "
    f"VALUES (1, 1, 1, 1, 'positive', 0, '{{}}', '{{}}', {AT})",
    "INSERT INTO reports (id, result_id, kind, study_instance_uid, series_instance_uid, sop_class_uid, "
    "sop_instance_uid, file, size) VALUES (1, 1, 'sr', '1.2', '1.2.4', '1.2', '1.2.5', 'reports/a.dcm', 1)",
    "INSERT INTO deliveries (id, report_id, destination, state, urgency, attempts, not_before, created_at, "
    f"retry_since, commitment_requests) VALUES (1, 1, 'pacs', 'pending', 0, 0, {AT}, {AT}, {AT}, 0)",
]


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_several_nodes_may_migrate_at_once(tmp_path, request, database):
    if database == "postgresql":
        with request.getfixturevalue("postgresql").copied(of="template0") as url:
            _migrate_at_once(url)
    else:
        _migrate_at_once(f"sqlite:///{tmp_path / 'w.sqlite'}")


def _migrate_at_once(url):
    failed = []

    def migrate():
        one = Worklist(url)
        try:
            one.migrate()
        except IchnodeError as error:
            failed.append(error)
        finally:
            one.dispose()

    threads = [threading.Thread(target=migrate) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed


def test_a_worklist_of_a_newer_version_is_refused(worklist):
    with worklist.write() as tx:
        tx.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(PermanentError, match="another version of ichnode") as caught:
        worklist.migrate()
    assert caught.value.code == "SCHEMA"


def test_a_file_that_is_no_database_is_refused(tmp_path):
    file = tmp_path / "worklist.sqlite"
    file.write_bytes(b"not a database, but long enough to be looked at\n" * 100)
    one = Worklist(f"sqlite:///{file}")
    with pytest.raises(PermanentError, match=r"cannot be opened.*node\.data"):
        one.migrate()
    one.dispose()


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    one = Worklist(f"sqlite:///{tmp_path / 'absent' / 'worklist.sqlite'}")
    with pytest.raises(PermanentError, match="cannot be opened"):
        one.migrate()
    one.dispose()


@pytest.mark.parametrize(
    "url", ["nonsense", "oracle9://x/y", "sqlite:://", "mysql+pymysql://localhost/x", "postgresql+asyncpg://x"]
)
def test_a_url_that_is_none_is_refused(url):
    with pytest.raises(PermanentError, match=r"database\.url"):
        Worklist(url)


@pytest.mark.parametrize("name", ["with space", "50%20", "ümlaut", "a+b", "what?"])
def test_any_folder_name_will_do(tmp_path, name):
    from ichnode.config import load

    (tmp_path / name).mkdir()
    one = Worklist(load(overrides={"node.data": str(tmp_path / name)}, environ={}).database_url)
    one.migrate()
    one.dispose()
    assert (tmp_path / name / "worklist.sqlite").exists()


def test_a_commit_of_postgresql_is_on_the_disk_whatever_the_server_is_told(postgresql):
    with postgresql.copied() as url:
        postgresql.tell(url, f"ALTER DATABASE {make_url(url).database} SET synchronous_commit = off")
        one = Worklist(url)
        with one.read() as tx:
            assert tx.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"
        one.dispose()


@ON_SQLITE
def test_a_commit_survives_a_power_cut(worklist):
    with worklist.read() as tx:
        assert tx.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert tx.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL
        assert tx.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1


def test_an_exception_rolls_everything_back(worklist):
    with pytest.raises(RuntimeError), worklist.write() as tx:
        note(tx, NOON, "never", None, None)
        raise RuntimeError
    assert rows(worklist, schema.journal) == []


def test_a_reader_sees_one_moment_and_locks_nobody_out(worklist):
    with worklist.read() as reading:
        count = select(schema.journal.c.id)
        assert reading.execute(count).all() == []
        with worklist.write() as tx:
            note(tx, NOON, "meanwhile", None, None)
        assert reading.execute(count).all() == []
    assert len(rows(worklist, schema.journal)) == 1


def test_a_reader_cannot_write_by_mistake_in_front_of_a_writer(worklist):
    with worklist.read() as reading:
        reading.execute(select(schema.journal.c.id)).all()
        with worklist.write() as tx:
            note(tx, NOON, "first", None, None)
        with pytest.raises(Exception, match=r"locked|read-only"):
            reading.execute(insert(schema.journal).values(at=NOON, event="second", detail={}))


@ON_SQLITE
def test_a_database_locked_by_another_program_is_a_passing_trouble(worklist, monkeypatch):
    monkeypatch.setattr(engines, "BUSY_TIMEOUT_S", 0.05)
    patient = Worklist(worklist.url)
    other = sqlite3.connect(worklist.url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        with pytest.raises(TransientError, match="cannot be written now"), patient.write():
            pass
    finally:
        other.execute("ROLLBACK")
        other.close()
    with patient.write() as tx:
        note(tx, NOON, "later", None, None)
    patient.dispose()


@ON_SQLITE
def test_a_log_that_another_process_recovers_is_waited_for(worklist, monkeypatch):
    begin = engines._BEGIN_WRITING
    recovering = sqlite3.OperationalError("database is locked")
    recovering.sqlite_errorcode = sqlite3.SQLITE_BUSY_RECOVERY
    left = [OperationalError("BEGIN IMMEDIATE", None, recovering)] * 3

    class Recovered:
        def run(self, connection):
            if left:
                raise left.pop()
            return begin.run(connection)

    monkeypatch.setattr(engines, "_BEGIN_WRITING", Recovered())
    with worklist.write() as tx:
        note(tx, NOON, "after", None, None)
    assert not left
    assert [row["event"] for row in rows(worklist, schema.journal)] == ["after"]


def note_about(worklist, event, *uids):
    with worklist.write_about(uids) as tx:
        note(tx, NOON, event, None, None)


def test_a_server_that_is_gone_is_a_passing_trouble(postgresql):
    with postgresql.copied() as url:
        one = Worklist(url)
        with one.write() as tx:
            note(tx, NOON, "before", None, None)
        with pytest.raises(TransientError, match="cannot be written now"), one.write() as tx:
            note(tx, NOON, "lost", None, None)
            postgresql.halt()
        with pytest.raises(TransientError, match="cannot be read now"):
            rows(one, schema.journal)
        with pytest.raises(TransientError, match="cannot be written now"):
            note_about(one, "lost", "1.2.3")
        postgresql.serve()
        with one.write() as tx:
            note(tx, NOON, "after", None, None)
        assert [row["event"] for row in rows(one, schema.journal)] == ["before", "after"]
        one.dispose()


def test_a_server_that_was_started_anew_between_two_writes_is_no_trouble(postgresql):
    with postgresql.copied() as url:
        one = Worklist(url)
        for event in ("before", "after"):
            with one.write() as tx:
                note(tx, NOON, event, None, None)
            postgresql.halt()
            postgresql.serve()
        note_about(one, "about one study", "1.2.3")
        assert [row["event"] for row in rows(one, schema.journal)] == ["before", "after", "about one study"]
        one.dispose()


def test_whoever_waits_too_long_for_another_node_tries_again_later(postgresql, monkeypatch):
    monkeypatch.setattr(engines, "BUSY_TIMEOUT_S", 1)
    with postgresql.copied() as url:
        one, other = Worklist(url), Worklist(url)
        with one.write() as tx:
            note(tx, NOON, "long", None, None)
            with pytest.raises(TransientError, match="lock timeout"), other.write():
                pass
            with pytest.raises(TransientError, match="lock timeout"):
                note_about(other, "lost", "1.2.3")
            with other.read() as reading:
                assert reading.scalar(select(func.count()).select_from(schema.journal)) == 0
        with other.write() as tx:
            note(tx, NOON, "later", None, None)
        one.dispose()
        other.dispose()


def test_two_nodes_write_about_different_studies_at_once_and_about_one_after_the_other(postgresql):
    """Receipts of other studies do not wait for each other; those of one study, and everything else, do."""
    with postgresql.copied() as url:
        one, other = Worklist(url), Worklist(url)
        inside, go_on, ended = threading.Event(), threading.Event(), threading.Event()

        def hold():
            with one.write_about(["1.2.3", "1.2.3.4"]) as tx:
                note(tx, NOON, "first", None, None)
                inside.set()
                assert go_on.wait(60)

        def wait():
            note_about(other, "second", "1.2.3")
            ended.set()

        holding = threading.Thread(target=hold)
        holding.start()
        assert inside.wait(60)
        note_about(other, "another study", "1.2.5", "1.2.5.4")
        waiting = threading.Thread(target=wait)
        waiting.start()
        wait_until(lambda: _waits_for_lock(one), 60, "the second waits for the first")
        assert not ended.is_set()
        go_on.set()
        holding.join()
        waiting.join()
        assert [row["event"] for row in rows(one, schema.journal)] == ["first", "another study", "second"]
        one.dispose()
        other.dispose()


def _waits_for_lock(worklist):
    with worklist.read() as tx:
        return tx.exec_driver_sql(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted "
            "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        ).scalar()


@ON_SQLITE
def test_times_are_utc_text_that_sorts(worklist):
    at = datetime(2026, 3, 1, 13, 0, 0, 5, timezone(timedelta(hours=1)))
    with worklist.write() as tx:
        note(tx, at, "x", None, None)
        assert tx.exec_driver_sql("SELECT at FROM journal").scalar() == "2026-03-01T12:00:00.000005Z"
    (row,) = rows(worklist, schema.journal)
    assert row["at"] == at
    assert row["at"].tzinfo == UTC


def test_a_time_without_a_zone_is_refused(worklist):
    with pytest.raises(ValueError, match="naive"), worklist.write() as tx:
        note(tx, datetime(2026, 3, 1), "x", None, None)


def test_every_time_column_is_utc():
    for table in schema.metadata.tables.values():
        for column in table.columns:
            if column.name in ("at", "open_until", "not_before", "retry_since") or column.name.endswith("_at"):
                assert isinstance(column.type, schema.UtcTime), f"{table.name}.{column.name}"
