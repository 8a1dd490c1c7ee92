"""Slices of several associations: names and rows together, and one that fails fails alone."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from ichnode.errors import FileRemoved, TransientError
from ichnode.steps import custody
from ichnode.storage.spool import Spool
from ichnode.worklist import schema
from ichnode.worklist.receipts import Disposition, known_files, record_receipts
from tests.made import head_slices, receipt_of, rows, study_facts
from tests.peers import wait_until
from tests.steps.spooled import put


class Held:
    """Holds back the first call of a function until it is let go, and counts what each call was given."""

    def __init__(self, act):
        self._act = act
        self.counts: list[int] = []
        self.go = threading.Event()

    def __call__(self, *arguments, **named):
        self.counts.append(max(len(argument) for argument in arguments if isinstance(argument, (list, tuple))))
        if len(self.counts) == 1:
            assert self.go.wait(120)
        return self._act(*arguments, **named)


@pytest.fixture
def node(make_node):
    return make_node()


@pytest.fixture
def receipts(node, clock, slice_files):
    """Eight slices of as many studies, their files in the spool."""
    made = [receipt_of(head_slices(1, seed=str(n))[0], clock(), study_facts(f"study {n}")) for n in range(8)]
    return [replace(one, file=put(node, file)) for one, file in zip(made, slice_files, strict=False)]


def taken_behind(held, node, receipts, group="_recording"):
    """What becomes of receipts that wait in a group while the first is held back."""
    with ThreadPoolExecutor(len(receipts)) as pool:
        first = pool.submit(node.custody.take, receipts[0])
        wait_until(lambda: held.counts)
        rest = [pool.submit(node.custody.take, receipt) for receipt in receipts[1:]]
        wait_until(lambda: len(getattr(node.custody, group)._waiting) == len(receipts) - 1)
        held.go.set()
        return [future.exception(120) or future.result() for future in (first, *rest)]


def test_slices_that_wait_share_a_transaction(node, receipts, monkeypatch):
    held = Held(record_receipts)
    monkeypatch.setattr(custody, "record_receipts", held)
    assert taken_behind(held, node, receipts) == [(Disposition.NEW, [])] * 8
    assert held.counts == [1, 7]
    assert {row["file"] for row in rows(node.worklist, schema.instances)} == {one.file for one in receipts}
    assert [row["received"] for row in rows(node.worklist, schema.series)] == [1] * 8


def test_nobody_has_a_row_before_the_name_of_his_file_is_durable(node, receipts, monkeypatch):
    """Whoever comes while a sync is under way shares the next one: his name may be newer than the first."""

    def sync(names):
        with node.worklist.read() as tx:
            assert not known_files(tx, names)

    held = Held(sync)
    monkeypatch.setattr(Spool, "settle", lambda spool, *names: held(names))
    assert taken_behind(held, node, receipts, "_naming") == [(Disposition.NEW, [])] * 8
    assert held.counts == [1, 7]


def test_one_whose_file_retention_removed_fails_alone(node, receipts, monkeypatch):
    held = Held(record_receipts)
    monkeypatch.setattr(custody, "record_receipts", held)
    node.spool.discard(receipts[3].file)
    found = taken_behind(held, node, receipts)
    assert isinstance(found.pop(3), FileRemoved)
    assert found == [(Disposition.NEW, [])] * 7
    assert held.counts == [1, 7, *[1] * 7], "together first, then one by one"
    assert len(rows(node.worklist, schema.instances)) == 7


def test_a_worklist_that_cannot_be_written_concerns_everyone(node, receipts, monkeypatch):
    def locked(*_, **__):
        raise TransientError("The worklist cannot be written now.", "WORKLIST")

    held = Held(locked)
    monkeypatch.setattr(custody, "record_receipts", held)
    assert {type(one) for one in taken_behind(held, node, receipts)} == {TransientError}
    assert held.counts == [1, 7], "and nobody tries it alone"
