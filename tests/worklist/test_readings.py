"""Who read what, when, and what makes it unread again."""

from __future__ import annotations

import pytest

from ichnode.errors import PermanentError
from ichnode.worklist import deliveries, readings, retractions, schema
from tests.made import (
    Clock,
    analysed_series,
    answer,
    claim,
    closed_series,
    events,
    finish,
    head_slices,
    not_analysed,
    rows,
    study_facts,
    take,
)
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
    ("first", "second", "read"), [(0.1, 0.9, False), (0.9, 0.1, False), (0.9, 0.8, True), (0.9, None, False)]
)
def test_an_answer_that_differs_makes_it_unread(worklist, clock, first, second, read):
    analysed_series(worklist, clock, score=first)
    sign(worklist, clock)
    job = next_revision(worklist, clock, 4)
    assert finish(worklist, clock, job, not_analysed(job) if second is None else answer(job, second))
    assert (study(worklist)["read_by"] == "ada") is read
    assert ("study.unread" in events(worklist)) is not read


def test_another_series_that_is_not_analysed_leaves_it_read(worklist, clock):
    analysed_series(worklist, clock, score=0.9)
    sign(worklist, clock)
    closed_series(worklist, clock, study_facts(series="other"))
    job = claim(worklist, clock)
    assert finish(worklist, clock, job, not_analysed(job))
    assert study(worklist)["read_by"] == "ada"


def test_what_is_taken_back_is_unread_and_is_signed_off_only_by_who_has_seen_that(worklist, clock):
    analysed_series(worklist, clock, score=0.9)
    sign(worklist, clock)
    with worklist.read() as tx:
        latest, state = readings.latest_result(tx, 1), readings.state_of(tx, 1)
    with worklist.write() as tx:
        assert retractions.retract(tx, clock(), [1], retractions.WRONG_RESULT, "") == 1
    assert study(worklist)["read_at"] is None
    assert "study.unread" in events(worklist)
    for said in (state, None):
        with pytest.raises(PermanentError, match="taken back"), worklist.write() as tx:
            readings.sign_off(tx, clock(), "ada", 1, latest, said)
    with worklist.write() as tx:
        assert readings.sign_off(tx, clock(), "ada", 1, latest, readings.state_of(tx, 1)) == "ada"


def test_slices_that_came_meanwhile_are_to_be_seen_first(worklist, clock):
    analysed_series(worklist, clock, score=0.1)
    with worklist.read() as tx:
        latest, state = readings.latest_result(tx, 1), readings.state_of(tx, 1)
    take(worklist, head_slices(1, seed="late"), clock.forward(1))
    for said in (state, None):
        with pytest.raises(PermanentError, match="more slices"), worklist.write() as tx:
            readings.sign_off(tx, clock(), "ada", 1, latest, said)


def test_who_names_the_newest_answer_has_seen_what_it_overturned(worklist, clock):
    analysed_series(worklist, clock, score=0.9)
    with worklist.write() as tx:
        for delivery in deliveries.claim_deliveries(tx, clock(), "pacs", "boot"):
            deliveries.accepted(tx, clock(), delivery, 0)
    job = next_revision(worklist, clock, 4)
    assert finish(worklist, clock, job, answer(job, 0.1))
    assert "result.retracted" in events(worklist)
    assert sign(worklist, clock) == "ada"


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
