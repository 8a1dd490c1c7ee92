"""Several nodes on one worklist: who is alive, who leads, and what becomes of what a dead one held."""

from __future__ import annotations

import pytest

from ichnode.core.findings import Warned
from ichnode.worklist import associations, boots, deliveries, jobs, schema
from tests.made import analysed_series, claim, closed_series, head_slices, rows, study_facts, take

SILENT_S = 30.0
POISON = Warned("ANALYSIS_FAILED", "It ended every worker.")


@pytest.fixture
def begin(worklist, clock):
    def start(place: str) -> str:
        with worklist.write() as tx:
            return boots.begin_boot(tx, clock(), "1", place)

    return start


@pytest.fixture
def beat(worklist, clock):
    def say(boot: str):
        with worklist.write() as tx:
            return boots.beat(tx, clock(), boot, SILENT_S)

    return say


@pytest.fixture
def living(worklist, clock):
    def ask() -> list[str]:
        with worklist.read() as tx:
            return boots.living(tx, clock(), SILENT_S)

    return ask


def test_the_one_that_was_started_first_leads_as_long_as_it_is_there(begin, beat, living, clock):
    first = begin("a")
    clock.forward(1)
    second = begin("b")
    assert living() == [first, second]
    clock.forward(SILENT_S - 2)
    beat(second)
    assert living() == [first, second]
    clock.forward(2)
    assert living() == [second], "the first has been silent"


def test_a_start_in_the_same_place_ends_the_one_before_at_once(begin, living, clock):
    begin("a")
    other = begin("b")
    again = begin("a")
    assert set(living()) == {other, again}


def test_an_orderly_stop_is_seen_at_once(worklist, begin, living, clock):
    first, second = begin("a"), begin("b")
    with worklist.write() as tx:
        boots.end_boot(tx, clock(), first)
    assert living() == [second]


def test_who_is_silent_is_buried_once_and_rises_when_it_speaks_again(worklist, begin, beat, living, clock):
    first, second = begin("a"), begin("b")
    with worklist.write() as tx:
        associations.open_association(tx, clock(), first, "192.0.2.1", "CT")
        associations.open_association(tx, clock(), second, "192.0.2.1", "CT")
    assert beat(second) == (False, [])
    clock.forward(SILENT_S)
    assert beat(second) == (False, [first])
    assert beat(second) == (False, [])
    endings = {row["boot_id"]: row["ending"] for row in rows(worklist, schema.associations)}
    assert endings == {first: "lost", second: None}
    assert beat(first) == (True, []), "it is told that it was missed"
    assert beat(first) == (False, [])
    assert set(living()) == {first, second}


def test_what_a_dead_node_held_is_free_and_what_a_living_one_holds_is_not(worklist, begin, beat, living, clock):
    dead, alive = begin("a"), begin("b")
    for number, boot in enumerate((dead, alive)):
        closed_series(worklist, clock, study_facts(str(number)), number=1)
        claim(worklist, clock, owner=f"{boot}/worker")
    clock.forward(SILENT_S)
    beat(alive)
    with worklist.write() as tx:
        assert jobs.release_leases(tx, clock(), living(), 3, POISON) == 1
        assert jobs.release_leases(tx, clock(), living(), 3, POISON) == 0
    assert [row["state"] for row in rows(worklist, schema.jobs)] == ["queued", "running"]
    assert claim(worklist, clock, owner=f"{alive}/worker").attempts == 2


def test_what_a_dead_node_was_sending_is_sent_by_another(worklist, begin, beat, living, clock):
    dead, alive = begin("a"), begin("b")
    for number, boot in enumerate((dead, alive)):
        analysed_series(worklist, clock, study_facts(str(number)))
        with worklist.write() as tx:
            assert len(deliveries.claim_deliveries(tx, clock(), "pacs", boot, most=1)) == 1
    clock.forward(SILENT_S)
    beat(alive)
    with worklist.write() as tx:
        assert deliveries.release_sending(tx, clock(), but_of=living()) == 1
        (taken,) = deliveries.claim_deliveries(tx, clock(), "pacs", alive)
    assert taken.attempts == 2


def test_a_result_of_a_node_that_was_taken_for_dead_is_discarded(worklist, begin, beat, living, clock):
    """It stood still for longer than it is waited for, and another has answered meanwhile."""
    slow, quick = begin("a"), begin("b")
    take(worklist, head_slices(1), clock())
    closed_series(worklist, clock, study_facts("other"), number=1)
    job = claim(worklist, clock, owner=f"{slow}/worker")
    clock.forward(SILENT_S)
    beat(quick)
    with worklist.write() as tx:
        jobs.release_leases(tx, clock(), living(), 3, POISON)
    again = claim(worklist, clock, owner=f"{quick}/worker")
    assert again.id == job.id
    with worklist.write() as tx:
        assert not jobs.finish_job(tx, clock(), job)
        assert jobs.finish_job(tx, clock(), again)
