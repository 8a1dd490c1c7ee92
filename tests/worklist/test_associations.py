"""How slices came: open, released, aborted, lost with the boot, or adopted from the spool."""

from __future__ import annotations

import pytest

from ichnode.worklist import assembly, associations, boots, schema
from tests.made import closed_series, head_slices, rows, series_row, study_facts, take


@pytest.fixture
def opened(worklist, clock, boot_id):
    def open_one(calling_aet="CT1"):
        with worklist.write() as tx:
            return associations.open_association(tx, clock(), boot_id, "127.0.0.1", calling_aet)

    return open_one


@pytest.fixture
def ended(worklist, clock):
    def end(association_id, how="released"):
        with worklist.write() as tx:
            return associations.end_association(tx, clock(), association_id, how)

    return end


@pytest.fixture
def evidence(worklist):
    def of_the_series():
        with worklist.read() as tx:
            return assembly.association_evidence(tx, series_row(worklist).id)

    return of_the_series


def test_whether_one_association_brought_all(worklist, clock, opened):
    def in_one():
        with worklist.read() as tx:
            return assembly.came_in_one(tx, series_row(worklist).id)

    one, other = opened(), opened()
    slices = head_slices(4)
    take(worklist, slices[:2], clock(), association_id=one)
    assert in_one()
    take(worklist, slices[2:3], clock(), association_id=other)
    assert not in_one()


def test_a_file_that_was_adopted_came_nobody_knows_how(worklist, clock):
    take(worklist, head_slices(2), clock())
    with worklist.read() as tx:
        assert not assembly.came_in_one(tx, series_row(worklist).id)


def test_open_then_released(worklist, clock, opened, ended, evidence):
    one = opened()
    take(worklist, head_slices(2), clock(), association_id=one)
    assert evidence() == (True, False)
    assert ended(one) == 1
    assert evidence() == (False, True)


@pytest.mark.parametrize("how", ["aborted", "lost"])
def test_any_other_ending_is_not_clean(worklist, clock, opened, ended, evidence, how):
    first, second = opened(), opened()
    take(worklist, head_slices(2), clock(), association_id=first)
    take(worklist, head_slices(4)[2:], clock(), association_id=second)
    ended(first, how)
    assert evidence() == (True, False)
    ended(second, "released")
    assert evidence() == (False, False)


def test_an_adopted_slice_came_by_no_open_association(worklist, clock, opened, ended, evidence):
    take(worklist, head_slices(1), clock(), association_id=None)
    assert evidence() == (False, False)
    one = opened()
    take(worklist, head_slices(2)[1:], clock(), association_id=one)
    assert evidence() == (True, False)
    ended(one)
    assert evidence() == (False, False)


def test_a_new_boot_loses_what_the_old_one_left_open(worklist, clock, opened, ended, evidence):
    left, over = opened(), opened()
    take(worklist, head_slices(2), clock(), association_id=left)
    ended(over)
    clock.forward(60)
    with worklist.write() as tx:
        boots.begin_boot(tx, clock(), "2")
    before, after = rows(worklist, schema.associations)
    assert (before["ending"], before["ended_at"]) == ("lost", clock())
    assert after["ending"] == "released"
    assert evidence() == (False, False)


def test_an_association_ends_once(worklist, clock, opened, ended):
    one = opened()
    ended(one, "aborted")
    clock.forward(5)
    ended(one, "released")
    (row,) = rows(worklist, schema.associations)
    assert row["ending"] == "aborted"
    assert row["ended_at"] < clock()


def test_the_end_makes_its_series_due_now_and_no_other(worklist, clock, opened, ended):
    mine, theirs, closed = study_facts(series="mine"), study_facts(series="theirs"), study_facts(series="closed")
    closed_series(worklist, clock, closed)
    one, other = opened(), opened()
    take(worklist, head_slices(1, seed="1"), clock(), mine, association_id=one)
    take(worklist, head_slices(1, seed="2"), clock(), theirs, association_id=other)
    with worklist.write() as tx:
        row = series_row(worklist, mine)
        assembly.postpone(tx, row, clock.at.replace(year=2030), "test", {})
    clock.forward(0.2)
    assert ended(one) == 1
    assert series_row(worklist, mine).due_at == clock()
    assert series_row(worklist, theirs).due_at > clock()


def test_an_orderly_stop_is_recorded(worklist, clock, boot_id):
    clock.forward(10)
    with worklist.write() as tx:
        boots.end_boot(tx, clock(), boot_id)
    (row,) = rows(worklist, schema.boots)
    assert (row["id"], row["ended_at"], row["version"]) == (boot_id, clock(), "1")
