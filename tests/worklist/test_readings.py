"""Who read what, when, and what makes it unread again."""

from __future__ import annotations

import pytest

from ichnode.errors import PermanentError
from ichnode.worklist import readings, schema
from tests.made import Clock, analysed_series, answer, closed_series, events, finish, not_analysed, rows
from tests.worklist.test_results import next_revision


def study(worklist):
    (row,) = rows(worklist, schema.studies)
    return row


def sign(worklist, clock: Clock, reader="ada", seen="latest"):
    with worklist.write() as tx:
        seen = readings.latest_result(tx, 1) if seen == "latest" else seen
        return readings.sign_off(tx, clock(), reader, 1, seen)


def test_a_study_is_read_by_one_person_the_first(worklist, clock):
    analysed_series(worklist, clock, score=0.9)
    assert sign(worklist, clock) == "ada"
    at = clock()
    clock.forward(5)
    assert sign(worklist, clock, "bob") == "ada", "who was first stays"
    assert (study(worklist)["read_by"], study(worklist)["read_at"]) == ("ada", at)
    assert study(worklist)["read_verdict"] == "positive"
    (note,) = [row for row in rows(worklist, schema.journal) if row["event"] == "study.read"]
    assert note["detail"] == {"by": "ada", "verdict": "positive"}


def test_an_answer_that_came_meanwhile_is_to_be_seen_first(worklist, clock):
    analysed_series(worklist, clock, score=0.1)
    with worklist.read() as tx:
        seen = readings.latest_result(tx, 1)
    job = next_revision(worklist, clock, 4)
    assert finish(worklist, clock, job, answer(job, 0.9))
    with pytest.raises(PermanentError, match="newer answer"):
        sign(worklist, clock, seen=seen)
    assert study(worklist)["read_at"] is None
    with pytest.raises(PermanentError, match="no such study"), worklist.write() as tx:
        readings.sign_off(tx, clock(), "ada", 7, None)


@pytest.mark.parametrize(
    ("first", "second", "read"), [(0.1, 0.9, False), (0.9, 0.1, False), (0.9, 0.8, True), (0.9, None, True)]
)
def test_an_answer_that_differs_makes_it_unread(worklist, clock, first, second, read):
    analysed_series(worklist, clock, score=first)
    sign(worklist, clock)
    job = next_revision(worklist, clock, 4)
    assert finish(worklist, clock, job, not_analysed(job) if second is None else answer(job, second))
    assert (study(worklist)["read_by"] == "ada") is read
    assert ("study.unread" in events(worklist)) is not read


def test_read_before_there_was_an_answer_it_is_unread_when_the_answer_comes(worklist, clock):
    closed_series(worklist, clock)
    sign(worklist, clock)
    assert study(worklist)["read_verdict"] == "pending"
    job = next_revision(worklist, clock, 4)
    assert finish(worklist, clock, job, answer(job, 0.9))
    assert study(worklist)["read_at"] is None


def test_a_person_may_put_it_back(worklist, clock):
    analysed_series(worklist, clock)
    with worklist.write() as tx:
        assert not readings.put_back(tx, clock(), "ada", 1)
    sign(worklist, clock)
    with worklist.write() as tx:
        assert readings.put_back(tx, clock(), "bob", 1)
    assert study(worklist)["read_by"] is None
    assert events(worklist)[-2:] == ["study.read", "study.unread"]
