from __future__ import annotations

import os
import re
import threading
from pathlib import Path

import pytest

from ichnode.core.identity import digest_of
from ichnode.errors import DiskFull, PermanentError
from ichnode.storage import spool as spool_module
from ichnode.storage.spool import Spool

META, DATA = b"M" * 300, b"D" * 5000
DIGEST = digest_of(DATA)


@pytest.fixture
def spool(tmp_path):
    return Spool(tmp_path / "data" / "spool")


def test_a_slice_lies_under_its_digest(spool):
    name = spool.put_slice(META, DATA, DIGEST)
    assert re.fullmatch(rf"slices/\d{{4}}-\d\d-\d\d/{DIGEST}\.dcm", name)
    assert spool.path(name).read_bytes() == META + DATA
    assert list(spool.slices()) == [(name, 5300)]


def test_a_report_lies_elsewhere_and_is_not_adopted(spool):
    name = spool.put_report(DATA, DIGEST)
    assert re.fullmatch(rf"reports/\d{{4}}-\d\d-\d\d/{DIGEST}\.dcm", name)
    assert spool.path(name).read_bytes() == DATA
    assert list(spool.slices()) == []


def test_nobody_else_can_read_it(spool):
    path = spool.path(spool.put_slice(META, DATA, DIGEST))
    assert path.stat().st_mode & 0o777 == 0o600
    for folder in (spool.root, spool.root / "slices", path.parent, spool.root / "reports"):
        assert folder.stat().st_mode & 0o777 == 0o700, folder


def test_permissions_do_not_depend_on_the_umask(tmp_path):
    old = os.umask(0)
    try:
        spool = Spool(tmp_path / "spool")
        path = spool.path(spool.put_slice(META, DATA, DIGEST))
    finally:
        os.umask(old)
    assert path.stat().st_mode & 0o777 == 0o600
    for folder in (spool.root / "slices", path.parent):
        assert folder.stat().st_mode & 0o777 == 0o700


def test_the_same_again_is_not_written_again(spool, monkeypatch):
    name = spool.put_slice(META, DATA, DIGEST)
    before = spool.path(name).stat()
    synced = []
    monkeypatch.setattr(spool_module, "sync_directory", synced.append)
    assert spool.put_slice(META, DATA, DIGEST) == name
    after = spool.path(name).stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    spool.settle(name)
    assert synced == [os.fspath(spool.path(name).parent)]  # the name is durable for this caller as well


@pytest.mark.parametrize("other", [META[:-2], META + b"more"], ids=["shorter", "longer"])
def test_what_is_there_with_another_head_stays_as_it_is(spool, other):
    path = spool.path(spool.put_slice(META, DATA, DIGEST))
    assert spool.path(spool.put_slice(other, DATA, DIGEST)) == path
    assert path.read_bytes() == META + DATA


def test_who_comes_a_moment_later_changes_nothing(spool, monkeypatch):
    """Two associations write the same slice at once; the second one finds the first's when it has written its own."""
    first = spool_module.write_durable

    def beaten(path, *chunks, **options):
        monkeypatch.setattr(spool_module, "write_durable", first)
        spool.put_slice(META, DATA, DIGEST)
        first(path, *chunks, **options)

    monkeypatch.setattr(spool_module, "write_durable", beaten)
    path = spool.path(spool.put_slice(META + b"more", DATA, DIGEST))
    assert path.read_bytes() == META + DATA
    assert len(list(path.parent.iterdir())) == 1


def test_names_of_one_day_are_durable_by_one_sync(spool, monkeypatch):
    syncs = []
    names = [spool.put_slice(META, bytes([n]) * 100, digest_of(bytes([n]) * 100)) for n in range(6)]
    monkeypatch.setattr(spool_module, "sync_directory", syncs.append)
    spool.settle(*names)
    assert syncs == [os.fspath(spool.path(names[0]).parent)]


def test_a_name_that_cannot_be_settled_is_said_so(spool, monkeypatch):
    def broken(directory):
        raise OSError(5, "Input/output error")

    name = spool.put_slice(META, DATA, DIGEST)
    monkeypatch.setattr(spool_module, "sync_directory", broken)
    with pytest.raises(OSError, match="Input/output"):
        spool.settle(name)


def test_a_file_of_another_size_is_put_right(spool):
    name = spool.put_slice(META, DATA, DIGEST)
    spool.path(name).write_bytes(b"cut sho")
    assert spool.put_slice(META, DATA, DIGEST) == name
    assert spool.path(name).read_bytes() == META + DATA


def test_the_same_slice_from_many_at_once(spool):
    names = []

    def put():
        names.append(spool.put_slice(META, DATA, DIGEST))

    threads = [threading.Thread(target=put) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(names) == 12
    assert len(set(names)) == 1
    assert list(spool.slices()) == [(names[0], 5300)]


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd", "/etc/passwd", "slices/../../x", f"slices/../slices/{DIGEST}.dcm", "", ".",
        f"other/{DIGEST}.dcm", f"slices/{DIGEST}.dcm\n", "slices/1.2.3.dcm", f"slices/ab/{DIGEST}.dcm",
        f"slices/2026-01-01/../{DIGEST}.dcm", f"slices/2026-01-01/2026-01-02/{DIGEST}.dcm",
        f"reports/2026-01-01/{DIGEST}.npz", f"heat/2026-01-01/{DIGEST}.dcm",
    ],
)  # fmt: skip
def test_no_name_leads_out(spool, name):
    with pytest.raises(PermanentError):
        spool.path(name)
    with pytest.raises(PermanentError):
        spool.discard(name)


@pytest.mark.parametrize("digest", ["../../../x", "", DIGEST.upper(), DIGEST[:-1], DIGEST + "\n", "1.2.3"])
def test_only_a_digest_names_a_file(spool, digest):
    with pytest.raises(PermanentError):
        spool.put_slice(META, DATA, digest)
    assert list(spool.slices()) == []


def test_discard(spool):
    name = spool.put_slice(META, DATA, DIGEST)
    spool.discard(name)
    assert list(spool.slices()) == []
    spool.discard(name)


def test_sweeping_removes_what_dead_writers_left_and_nothing_else(spool):
    kept = spool.put_slice(META, DATA, DIGEST), spool.put_report(META, digest_of(META))
    folder = spool.path(kept[0]).parent
    dead = [folder / f".{os.getpid()}-00000000-1.tmp", spool.root / "reports" / f".{os.getpid()}-00000000-2.tmp"]
    foreign = folder / "notes.tmp"
    for path in (*dead, foreign):
        path.write_bytes(b"half")
    assert [name for name, _ in spool.slices()] == [kept[0]]
    assert spool.sweep_temporary() == 2
    assert not any(path.exists() for path in dead)
    assert foreign.exists()
    assert all(spool.path(name).exists() for name in kept)
    assert spool.sweep_temporary() == 0


def test_opened_again_it_has_what_it_had(spool):
    name = spool.put_slice(META, DATA, DIGEST)
    assert list(Spool(spool.root).slices()) == [(name, 5300)]


def test_free_space(spool):
    free = os.statvfs(spool.root).f_bavail * os.statvfs(spool.root).f_frsize
    assert abs(spool.free_bytes() - free) < 1 << 30
    assert spool.below(1 << 62)
    assert not spool.below(0)


def test_a_full_disk_leaves_nothing(spool, monkeypatch):
    def full(descriptor, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "writev", full)
    with pytest.raises(DiskFull):
        spool.put_slice(META, DATA, DIGEST)
    monkeypatch.undo()
    assert list(spool.slices()) == []
    assert [p for p in Path(spool.root).rglob("*") if p.is_file()] == []
