from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ichnode.errors import DiskFull
from ichnode.storage import atomic
from ichnode.storage.atomic import is_leftover, write_durable
from tests.peers import wait_until


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_all_chunks_in_order(tmp_path):
    write_durable(tmp_path / "a", b"one", b"", b"two" * 100_000)
    assert (tmp_path / "a").read_bytes() == b"one" + b"two" * 100_000
    assert names(tmp_path) == ["a"]
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600


def test_the_order_of_what_makes_it_durable(tmp_path, monkeypatch):
    """File synced, then renamed, then its directory synced: any other order can lose what was promised."""
    acts = []
    real_sync, real_replace = os.fsync, os.replace

    def sync(descriptor):
        acts.append(("sync", Path(f"/proc/self/fd/{descriptor}").readlink().name))
        real_sync(descriptor)

    def replace(source, target):
        acts.append(("rename", Path(target).name))
        real_replace(source, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "replace", replace)
    write_durable(tmp_path / "a", b"one")
    (first, temporary), *rest = acts
    assert first == "sync"
    assert temporary.endswith(".tmp")
    assert rest == [("rename", "a"), ("sync", tmp_path.name)]


def test_replaces_whole_or_not_at_all(tmp_path, monkeypatch):
    write_durable(tmp_path / "a", b"old")
    real = os.writev

    def fill_up(descriptor, chunks):
        if fill_up.left <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        fill_up.left -= 1
        return real(descriptor, [chunks[0][:10]])

    fill_up.left = 3
    monkeypatch.setattr(os, "writev", fill_up)
    with pytest.raises(DiskFull, match="No space left"):
        write_durable(tmp_path / "a", b"new" * 100)
    assert names(tmp_path) == ["a"]
    assert (tmp_path / "a").read_bytes() == b"old"


def test_what_the_kernel_takes_in_parts_arrives_whole(tmp_path, monkeypatch):
    real, chunks = os.writev, [b"a" * 7, b"", b"b" * 5, *(bytes([n % 256]) for n in range(3000))]
    monkeypatch.setattr(os, "writev", lambda descriptor, views: real(descriptor, [b"".join(views)[:9]]))
    write_durable(tmp_path / "in parts", *chunks)
    monkeypatch.undo()
    write_durable(tmp_path / "at once", *chunks)
    assert (tmp_path / "in parts").read_bytes() == (tmp_path / "at once").read_bytes() == b"".join(chunks)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("act", ["open", "fsync"])
def test_no_space_at_any_moment(tmp_path, monkeypatch, act, number):
    def full(*args, **kwargs):
        raise OSError(number, "full")

    monkeypatch.setattr(os, act, full)
    with pytest.raises(DiskFull):
        write_durable(tmp_path / "a", b"new")
    monkeypatch.undo()
    assert names(tmp_path) == []


def test_a_real_full_disk(tmp_path):
    """/dev/full answers ENOSPC to every write, like a disk without space."""
    target = tmp_path / "a"
    real_open = os.open

    def onto_full(path, flags, mode=0o777, **options):
        return real_open("/dev/full" if str(path).endswith(".tmp") else path, flags & ~os.O_EXCL & ~os.O_CREAT, mode)

    atomic.os.open = onto_full
    try:
        with pytest.raises(DiskFull):
            write_durable(target, b"data")
    finally:
        atomic.os.open = real_open
    assert names(tmp_path) == []


def test_other_errors_pass_and_leave_nothing(tmp_path, monkeypatch):
    def broken(descriptor):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="Input/output"):
        write_durable(tmp_path / "a", b"data")
    assert names(tmp_path) == []
    with pytest.raises(FileNotFoundError):
        write_durable(tmp_path / "absent" / "a", b"data")


def test_many_writers_of_one_name(tmp_path):
    contents = [bytes([65 + n]) * 200_000 for n in range(8)]

    def write(content):
        for _ in range(10):
            write_durable(tmp_path / "a", content)

    threads = [threading.Thread(target=write, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        if (tmp_path / "a").exists():
            assert (tmp_path / "a").read_bytes() in contents
    assert names(tmp_path) == ["a"]


class TestLeftovers:
    @pytest.mark.parametrize(
        "name", ["a.dcm", ".a.tmp", ".1-abcdefgh-1.tmp", "x.1-01234567-1.tmp", ".-01234567-1.tmp", "4.tmp"]
    )
    def test_other_names_are_never_leftovers(self, name):
        assert not is_leftover(Path(name))

    def test_ones_own_are_not_but_those_of_an_earlier_process_of_the_same_number_are(self):
        assert not is_leftover(Path(f".{os.getpid()}-{atomic._PROCESS}-7.tmp"))
        assert is_leftover(Path(f".{os.getpid()}-00000000-7.tmp"))

    def test_those_of_another_users_process_are_not(self):
        assert not is_leftover(Path(".1-00000000-7.tmp"))

    def test_a_killed_writers_are(self, tmp_path):
        script = "import os,sys,threading\nfrom pathlib import Path\nfrom ichnode.storage import atomic\n"
        script += "atomic.os.fsync = lambda d: threading.Event().wait()\n"
        script += "atomic.write_durable(Path(sys.argv[1]) / 'a', b'data')\n"
        writer = subprocess.Popen([sys.executable, "-c", script, tmp_path])
        try:
            (left,) = wait_until(lambda: [tmp_path / n for n in names(tmp_path)])
            assert not is_leftover(left)
        finally:
            writer.send_signal(signal.SIGKILL)
            writer.wait()
        assert is_leftover(left)
        assert names(tmp_path) == [left.name]
