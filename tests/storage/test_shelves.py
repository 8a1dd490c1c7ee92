"""A directory a day: what comes around midnight, what an older version left, and what is empty."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime

import pytest

from ichnode.core.identity import digest_of
from ichnode.storage import shelves, spool
from ichnode.storage.spool import Spool

META, DATA, MORE = b"M" * 300, b"D" * 5000, b"E" * 5000


@pytest.fixture
def day(monkeypatch):
    """Set what the clock of the process says."""

    def set_to(text):
        at = datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()
        monkeypatch.setattr(shelves.time, "time", lambda: at)

    return set_to


@pytest.fixture
def kept(tmp_path):
    return Spool(tmp_path / "spool")


def put(into, content):
    name = into.put_slice(META, content, digest_of(content))
    into.settle(name)
    return name


def test_a_slice_lies_with_those_of_its_day(kept, day):
    day("2026-03-01T23:59:59")
    first = put(kept, DATA)
    day("2026-03-02T00:00:01")
    second = put(kept, MORE)
    assert [name.split("/")[1] for name in (first, second)] == ["2026-03-01", "2026-03-02"]
    assert list(kept.slices()) == [(first, 5300), (second, 5300)]


def test_who_crosses_midnight_together_is_durable_on_both_sides(kept, day, monkeypatch):
    day("2026-03-01T23:59:59")
    names = [kept.put_slice(META, DATA, digest_of(DATA))]
    day("2026-03-02T00:00:01")
    names.append(kept.put_slice(META, MORE, digest_of(MORE)))
    synced = []
    monkeypatch.setattr(spool, "sync_directory", synced.append)
    kept.settle(*names)
    assert sorted(synced) == [os.fspath(kept.path(name).parent) for name in names]


def test_the_name_of_a_day_is_durable_whoever_made_it(kept, day, monkeypatch):
    day("2026-03-01T12:00:00")
    Spool(kept.root).put_slice(META, DATA, digest_of(DATA))
    synced = []
    monkeypatch.setattr(shelves, "sync_directory", synced.append)
    kept.put_slice(META, MORE, digest_of(MORE))
    assert synced == [os.fspath(kept.root / "slices")]


def test_slices_of_an_older_version_stay_where_they_are(kept):
    old = f"slices/{digest_of(DATA)}.dcm"
    (kept.root / old).write_bytes(META + DATA)
    assert kept.path(old).read_bytes() == META + DATA
    assert list(kept.slices()) == [(old, 5300)]
    assert kept.discard(old) == 5300
    assert (kept.root / "slices").is_dir()


def test_a_day_of_which_nothing_is_left_goes(kept, day):
    day("2026-03-01T12:00:00")
    names = [put(kept, DATA), put(kept, MORE)]
    day("2026-03-20T12:00:00")
    kept.discard(names[0])
    assert kept.path(names[1]).exists()
    kept.discard(names[1])
    assert not (kept.root / "slices" / "2026-03-01").exists()
    assert kept.discard(*names) == 0, "what is gone already is no error"


@pytest.mark.parametrize("later", ["2026-03-01T13:00:00", "2026-03-02T12:00:00"])
def test_a_day_that_something_may_still_come_to_stays(kept, day, later):
    day("2026-03-01T12:00:00")
    name = put(kept, DATA)
    day(later)
    kept.discard(name)
    assert (kept.root / "slices" / "2026-03-01").is_dir()


def test_a_day_that_a_wrong_clock_removed_is_made_again(kept, day):
    day("2026-03-01T12:00:00")
    put(kept, DATA)
    shutil.rmtree(kept.root / "slices" / "2026-03-01")
    assert kept.path(put(kept, MORE)).read_bytes() == META + MORE


def test_what_a_dead_writer_left_in_a_day_is_swept(kept, day):
    day("2026-03-01T12:00:00")
    name = put(kept, DATA)
    leftover = kept.path(name).with_name(f".{os.getpid()}-0123456789abcdef-1.tmp")
    leftover.write_bytes(b"half")
    leftover = leftover.rename(leftover.with_name(f".{os.getpid()}-{'0' * 8}-1.tmp"))
    assert kept.sweep_temporary() == 1
    assert list(kept.slices()) == [(name, 5300)]
