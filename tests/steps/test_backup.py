"""Backup and restore: all that was acknowledged before, also while slices come; nothing half, over nothing."""

from __future__ import annotations

import shutil
import threading
from dataclasses import replace

import pytest

from ichnode.config import Settings
from ichnode.errors import ConfigError, PermanentError
from ichnode.steps.backup import backup, restore
from ichnode.steps.node import open_node
from ichnode.steps.prune import prune
from ichnode.steps.receive import receive_slice
from ichnode.storage.holding import held
from ichnode.worklist import deliveries, people, schema, upkeep_tables
from ichnode.worklist.audit import NODE
from tests.made import rows
from tests.steps.pruned import DAY_S, answered, files_of
from tests.steps.spooled import as_received, started

PACS = {"name": "pacs", "aet": "PACS", "host": "127.0.0.1", "port": 1}


def silent(*_):
    pass


@pytest.fixture
def node(make_node):
    return make_node(retention={"images_days": 30, "free_bytes": 0}, destinations=[PACS])


def restored(tmp_path, source, clock, name="again"):
    settings = Settings.model_validate({"node": {"data": str(tmp_path / name)}, "destinations": [PACS]})
    restore(settings, NODE, source, silent)
    return replace(open_node(settings, "second boot"), now=clock)


def test_what_comes_back_is_what_was_there_and_what_waited_waits_on(node, clock, slice_files, tmp_path):
    answered(node, slice_files[:3], sent=False)
    config = tmp_path / "my.toml"
    config.write_text("# mine\n")
    kept = backup(node, tmp_path / "copy", config, silent)
    assert (kept.files, (tmp_path / "copy" / "config.toml").read_text()) == (5, "# mine\n")
    again = restored(tmp_path, tmp_path / "copy", clock)
    for table in schema.metadata.sorted_tables:
        more = [("node", "node.restored")] if table is people.audit else []
        copied = rows(again.worklist, table)
        assert copied[: len(copied) - len(more)] == rows(node.worklist, table), table.name
        assert [(row["who"], row["what"]) for row in copied[len(copied) - len(more) :]] == more
    assert files_of(again) == files_of(node)
    for name in files_of(node):
        assert again.spool.path(name).read_bytes() == node.spool.path(name).read_bytes()
    started(again)
    with again.worklist.write() as tx:
        assert len(deliveries.claim_deliveries(tx, clock(), "pacs", "second boot")) == 1
    again.worklist.dispose()


def test_under_load_everything_acknowledged_before_is_in_it(node, clock, slice_files, tmp_path):
    acknowledged, stop = [], threading.Event()

    def send():
        for file in slice_files:
            receive_slice(node, as_received(file))
            acknowledged.append(as_received(file).sop_instance_uid)
            if len(acknowledged) == 5:
                begun.set()
        stop.set()

    begun = threading.Event()
    sender = threading.Thread(target=send)
    sender.start()
    assert begun.wait(60)
    before = list(acknowledged)
    backup(node, tmp_path / "copy", None, silent)
    sender.join()
    again = restored(tmp_path, tmp_path / "copy", clock)
    there = {row["sop_instance_uid"]: row["file"] for row in rows(again.worklist, schema.instances)}
    assert set(before) <= set(there)
    assert all(again.spool.holds(file) for file in there.values())
    again.worklist.dispose()


def test_while_a_backup_is_made_nothing_is_unlinked(node, clock, slice_files):
    answered(node, slice_files[:3])
    clock.forward(31 * DAY_S)
    with held(node.settings.node.data.resolve()):
        assert prune(node).series == 1
        assert len(files_of(node)) == len(rows(node.worklist, upkeep_tables.removals)) == 5
    assert prune(node).files == 5


def test_what_was_purged_is_not_in_it(node, clock, slice_files, tmp_path):
    answered(node, slice_files[:3])
    clock.forward(31 * DAY_S)
    prune(node)
    assert backup(node, tmp_path / "copy", None, silent).files == 0
    restored(tmp_path, tmp_path / "copy", clock).worklist.dispose()


def test_of_a_purged_series_that_a_slice_came_for_again_there_is_that_slice(node, clock, slice_files, tmp_path):
    answered(node, slice_files[:3])
    clock.forward(31 * DAY_S)
    prune(node)
    assert receive_slice(node, as_received(slice_files[0])) == 0
    assert backup(node, tmp_path / "copy", None, silent).files == 1
    restored(tmp_path, tmp_path / "copy", clock).worklist.dispose()


def test_nothing_is_written_over_anything(node, clock, slice_files, tmp_path):
    backup(node, tmp_path / "copy", None, silent)
    with pytest.raises(ConfigError, match="is not empty"):
        backup(node, tmp_path / "copy", None, silent)
    with pytest.raises(ConfigError, match="is not empty"):
        restore(node.settings, NODE, tmp_path / "copy", silent)


def test_everything_is_on_the_disk_before_the_name_that_says_so(node, clock, slice_files, tmp_path, monkeypatch):
    answered(node, slice_files[:3])
    settled = []

    def sync():
        settled.append({path.name for path in tmp_path.glob("[ca]*/*")})

    monkeypatch.setattr("os.sync", sync)
    backup(node, tmp_path / "copy", None, silent)
    (before,) = settled
    assert {"worklist.sqlite", "spool"} <= before
    assert "backup.json" not in before
    (tmp_path / "copy").rename(tmp_path / "kept")
    restored(tmp_path, tmp_path / "kept", clock).worklist.dispose()
    assert "worklist.sqlite" not in settled[1]
    assert "spool" in settled[1]
    assert (tmp_path / "again" / "worklist.sqlite").is_file()
    assert not list((tmp_path / "again").glob("*.restor*"))


def test_nothing_is_written_into_a_backup_that_is_restored(node, clock, slice_files, tmp_path):
    answered(node, slice_files[:3])
    source = tmp_path / "copy"
    backup(node, source, None, silent)
    for file in ("worklist.sqlite-wal", "worklist.sqlite-shm"):
        assert not (source / file).exists()
    before = {path: path.stat().st_mtime_ns for path in (source, *source.rglob("*"))}
    source.chmod(0o500)
    (source / "worklist.sqlite").chmod(0o400)
    restored(tmp_path, source, clock).worklist.dispose()
    assert {path: path.stat().st_mtime_ns for path in (source, *source.rglob("*"))} == before
    source.chmod(0o700)


def test_nobody_else_reads_a_backup_or_what_comes_of_it(node, clock, slice_files, tmp_path):
    answered(node, slice_files[:3])
    (node.settings.node.data / "export.key").write_bytes(b"secret")
    for name in ("copy", "again"):
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(0o755)
    config = tmp_path / "my.toml"
    config.write_text("")
    config.chmod(0o644)
    backup(node, tmp_path / "copy", config, silent)
    restored(tmp_path, tmp_path / "copy", clock).worklist.dispose()
    for name in ("copy", "again"):
        for path in (tmp_path / name, *(tmp_path / name).rglob("*")):
            assert path.stat().st_mode & 0o077 == 0, path


def test_half_a_backup_is_none(node, clock, slice_files, tmp_path):
    answered(node, slice_files[:3])
    backup(node, tmp_path / "copy", None, silent)
    shutil.copytree(tmp_path / "copy", tmp_path / "half")
    (tmp_path / "half" / "backup.json").unlink()
    with pytest.raises(ConfigError, match="came to its end"):
        restored(tmp_path, tmp_path / "half", clock, "a")
    next((tmp_path / "copy" / "spool" / "slices").rglob("*.dcm")).unlink()
    with pytest.raises(PermanentError, match="missing"):
        restored(tmp_path, tmp_path / "copy", clock, "b")
    assert not (tmp_path / "b" / "worklist.sqlite").exists(), "no node starts from that"


def test_another_database_is_its_own_tools_business(tmp_path, node):
    elsewhere = node.settings.model_copy(update={"database": node.settings.database.model_copy(
        update={"url": "postgresql+psycopg://db/ichnode"})})  # fmt: skip
    with pytest.raises(PermanentError, match="pg_dump"):
        backup(replace(node, settings=elsewhere), tmp_path / "copy", None, silent)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "backup.json").write_text("{}")
    with pytest.raises(ConfigError, match="its own tools"):
        restore(elsewhere, NODE, tmp_path / "b", silent)
