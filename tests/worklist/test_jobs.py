"""Claims, leases, attempts: a dead worker's job is free at once, a poisonous one ends, a stale one is discarded."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ichnode.core.findings import Warned
from ichnode.core.lifecycle import IllegalTransition, JobState
from ichnode.core.urgency import PEER, REQUEST, Said
from ichnode.worklist import assembly, jobs, receipts, schema
from tests.made import (
    analysed_series,
    answer,
    claim,
    closed_series,
    events,
    finish,
    head_slices,
    not_analysed,
    receipt_of,
    rows,
    series_row,
    study_facts,
    take,
)
from tests.worklist.conftest import ON_SQLITE

POISON = Warned("ANALYSIS_FAILED", "Every attempt ended its worker process.")


def release(worklist, clock, boot_id="boot", max_attempts=3, dead_owner=None):
    with worklist.write() as tx:
        return jobs.release_leases(tx, clock(), [boot_id], max_attempts, POISON, dead_owner)


def fail(worklist, clock, job):
    with worklist.write() as tx:
        jobs.fail(tx, clock(), job, "a slice cannot be read", Warned("PIXELS_UNREADABLE", "Unreadable."))


def state(worklist, kind="analyse"):
    (row,) = rows(worklist, schema.jobs, kind=kind)
    return row["state"]


def test_a_claim_brings_all_that_the_work_needs(worklist, clock):
    row = closed_series(worklist, clock, missing="1 slice")
    job = claim(worklist, clock, owner="boot/w1", lease_s=60)
    assert (job.series_id, job.revision, job.kind, job.attempts, job.owner) == (row.id, 1, "analyse", 1, "boot/w1")
    assert (job.study_instance_uid, job.series_instance_uid) == (row.study_instance_uid, row.series_instance_uid)
    assert (job.closed_at, job.missing, job.conflicts, job.reason) == (clock(), "1 slice", 0, None)
    assert [f.slice for f in job.filed] == head_slices(3, seed=row.series_instance_uid)
    (found,) = rows(worklist, schema.jobs)
    assert (found["state"], found["attempts"], found["lease_owner"]) == ("running", 1, "boot/w1")
    assert (found["lease_until"] - clock()).total_seconds() == 60
    assert events(worklist)[-1] == "job.claimed"


def test_a_job_is_claimed_once_and_only_as_its_kind(worklist, clock):
    closed_series(worklist, clock)
    with worklist.write() as tx:
        assert jobs.claim_job(tx, clock(), "report", "boot/r", 60) is None
        assert jobs.claim_job(tx, clock(), "analyse", "boot/w", 60) is not None
        assert jobs.claim_job(tx, clock(), "analyse", "boot/w", 60) is None


def test_what_waits_longest_is_claimed_first(worklist, clock):
    uids = []
    for name in ("one", "two", "three"):
        uids.append(closed_series(worklist, clock, study_facts(name)).series_instance_uid)
        clock.forward(1)
    assert [claim(worklist, clock).series_instance_uid for _ in uids] == uids


def test_a_finished_job_is_done_and_its_lease_is_gone(worklist, clock):
    analysed_series(worklist, clock)
    (row,) = rows(worklist, schema.jobs)
    assert (row["state"], row["lease_owner"], row["lease_until"]) == ("done", None, None)
    assert row["finished_at"] == clock()


def test_a_transient_failure_comes_back_after_its_delay(worklist, clock):
    closed_series(worklist, clock)
    job = claim(worklist, clock)
    with worklist.write() as tx:
        jobs.try_again(tx, clock(), job, "disk full", 20, 3, POISON)
    with worklist.write() as tx:
        assert jobs.claim_job(tx, clock.forward(19), "analyse", "boot/w", 60) is None
    clock.forward(1)
    assert claim(worklist, clock).attempts == 2
    assert events(worklist)[-2:] == ["job.again", "job.claimed"]


def test_what_is_given_back_is_due_at_once_and_the_attempt_does_not_count(worklist, clock):
    closed_series(worklist, clock)
    for _ in range(5):
        job = claim(worklist, clock)
        assert job.attempts == 1
        with worklist.write() as tx:
            jobs.give_back(tx, clock(), job, "POOL_AWAY")
            assert jobs.waiting(tx, clock(), "analyse") == 1
    with worklist.write() as tx:
        jobs.give_back(tx, clock(), job, "POOL_AWAY")
    assert events(worklist).count("job.given_back") == 5, "who no longer has it changes nothing"


def test_only_what_is_due_is_counted_as_waiting(worklist, clock):
    closed_series(worklist, clock)
    job = claim(worklist, clock)
    with worklist.write() as tx:
        assert jobs.waiting(tx, clock(), "analyse") == 0, "it is in hand"
        jobs.try_again(tx, clock(), job, "busy", 60, 3, POISON)
        assert jobs.waiting(tx, clock(), "analyse") == 0, "it is due later"
        clock.forward(61)
        assert jobs.waiting(tx, clock(), "analyse") == 1
        assert jobs.waiting(tx, clock(), "report") == 0


def test_the_last_transient_failure_is_a_failure_that_is_reported(worklist, clock):
    closed_series(worklist, clock)
    for _ in range(3):
        job = claim(worklist, clock)
        with worklist.write() as tx:
            jobs.try_again(tx, clock(), job, "disk full", 0, 3, POISON)
    assert state(worklist) == JobState.FAILED
    assert claim(worklist, clock, "report").reason == POISON


def test_a_permanent_failure_is_visible_and_reported_with_its_reason(worklist, clock):
    closed_series(worklist, clock)
    fail(worklist, clock, claim(worklist, clock))
    (row,) = rows(worklist, schema.jobs, kind="analyse")
    assert (row["state"], row["error"]) == (JobState.FAILED, "a slice cannot be read")
    assert claim(worklist, clock, "report").reason.code == "PIXELS_UNREADABLE"
    assert "job.failed" in events(worklist)


def test_a_report_that_fails_is_visible_and_queues_nothing(worklist, clock):
    closed_series(worklist, clock)
    fail(worklist, clock, claim(worklist, clock))
    fail(worklist, clock, claim(worklist, clock, "report"))
    assert {row["kind"]: row["state"] for row in rows(worklist, schema.jobs)} == {
        "analyse": "failed",
        "report": "failed",
    }


def test_a_new_boot_frees_the_jobs_of_the_dead_one_at_once(worklist, clock):
    closed_series(worklist, clock, study_facts("theirs"))
    closed_series(worklist, clock, study_facts("mine"))
    theirs, mine = claim(worklist, clock, owner="old/w"), claim(worklist, clock, owner="new/w")
    assert release(worklist, clock, "new") == 1
    states = {row["id"]: row["state"] for row in rows(worklist, schema.jobs)}
    assert states == {theirs.id: "queued", mine.id: "running"}
    assert events(worklist)[-1] == "job.released"
    assert claim(worklist, clock, owner="new/w").attempts == 2, "the attempt was counted when it was claimed"


def test_a_lease_ends_in_time(worklist, clock):
    closed_series(worklist, clock)
    claim(worklist, clock, owner="boot/w", lease_s=60)
    assert release(worklist, clock) == 0
    with worklist.read() as tx:
        assert jobs.overdue_owners(tx, clock()) == set()
    clock.forward(61)
    with worklist.read() as tx:
        assert jobs.overdue_owners(tx, clock()) == {"boot/w"}
    assert release(worklist, clock) == 1
    assert state(worklist) == JobState.QUEUED


def test_a_dead_worker_of_this_boot_frees_its_own_job_only(worklist, clock):
    closed_series(worklist, clock, study_facts("one"))
    closed_series(worklist, clock, study_facts("two"))
    dead, alive = claim(worklist, clock, owner="boot/1"), claim(worklist, clock, owner="boot/2")
    assert release(worklist, clock, dead_owner="boot/1") == 1
    assert {row["id"]: row["state"] for row in rows(worklist, schema.jobs)} == {dead.id: "queued", alive.id: "running"}


def test_a_series_that_kills_its_worker_ends_failed_and_reported(worklist, clock):
    closed_series(worklist, clock)
    for attempt in (1, 2, 3):
        assert claim(worklist, clock, owner=f"boot/{attempt}").attempts == attempt
        assert release(worklist, clock, dead_owner=f"boot/{attempt}") == 1
    assert state(worklist) == JobState.FAILED
    with worklist.write() as tx:
        assert jobs.claim_job(tx, clock(), "analyse", "boot/4", 60) is None, "it is never started again by itself"
    assert claim(worklist, clock, "report").reason == POISON


def test_who_lost_the_lease_cannot_finish(worklist, clock):
    closed_series(worklist, clock)
    slow = claim(worklist, clock, owner="boot/slow", lease_s=60)
    clock.forward(61)
    release(worklist, clock)
    quick = claim(worklist, clock, owner="boot/quick")
    assert not finish(worklist, clock, slow, answer(slow, 0.9))
    assert rows(worklist, schema.results) == []
    assert rows(worklist, schema.deliveries) == []
    fail(worklist, clock, slow)
    assert state(worklist) == JobState.RUNNING
    assert finish(worklist, clock, quick, answer(quick))
    assert not finish(worklist, clock, quick, answer(quick)), "nor anybody twice"
    assert len(rows(worklist, schema.results)) == 1


def test_what_a_newer_revision_superseded_is_discarded(worklist, clock):
    closed_series(worklist, clock)
    job = claim(worklist, clock)
    take(worklist, head_slices(4, seed=job.series_instance_uid)[3:], clock())
    assert not finish(worklist, clock, job, answer(job))
    assert state(worklist) == JobState.SUPERSEDED
    assert rows(worklist, schema.results) == []


@pytest.mark.parametrize("which", ["all", "chosen"])
def test_retry_starts_a_failed_analysis_anew(worklist, clock, which):
    row = closed_series(worklist, clock)
    fail(worklist, clock, claim(worklist, clock))
    clock.forward(60)
    with worklist.write() as tx:
        assert jobs.retry_jobs(tx, clock(), None if which == "all" else [row.id]) == 1
    job = claim(worklist, clock)
    assert job.attempts == 1
    (found,) = rows(worklist, schema.jobs, kind="analyse")
    assert (found["error"], found["finished_at"]) == (None, None)
    assert "job.retried" in events(worklist)


def test_retry_of_other_series_changes_nothing(worklist, clock):
    row = closed_series(worklist, clock)
    fail(worklist, clock, claim(worklist, clock))
    with worklist.write() as tx:
        assert jobs.retry_jobs(tx, clock(), [row.id + 1]) == 0
        assert jobs.retry_jobs(tx, clock(), []) == 0
    assert state(worklist) == JobState.FAILED


def test_a_report_of_failure_that_is_still_to_be_made_never_overtakes_the_retried_analysis(worklist, clock):
    closed_series(worklist, clock)
    fail(worklist, clock, claim(worklist, clock))
    report = claim(worklist, clock, "report")
    with worklist.write() as tx:
        jobs.retry_jobs(tx, clock(), None)
    job = claim(worklist, clock)
    assert finish(worklist, clock, job, answer(job, 0.9))
    assert not finish(worklist, clock, report, not_analysed(report))
    (result,) = rows(worklist, schema.results)
    assert (result["verdict"], result["superseded_at"]) == ("positive", None)


def test_an_analysis_that_fails_again_is_reported_again(worklist, clock):
    closed_series(worklist, clock)
    fail(worklist, clock, claim(worklist, clock))
    report = claim(worklist, clock, "report")
    assert finish(worklist, clock, report, not_analysed(report))
    with worklist.write() as tx:
        jobs.retry_jobs(tx, clock(), None)
    fail(worklist, clock, claim(worklist, clock))
    again = claim(worklist, clock, "report")
    assert again.attempts == 1
    assert finish(worklist, clock, again, not_analysed(again))
    first, second = rows(worklist, schema.results)
    assert first["superseded_at"] is not None
    assert second["superseded_at"] is None


def test_a_failed_report_is_retried_by_itself(worklist, clock):
    take(worklist, head_slices(2), clock())
    with worklist.write() as tx:
        assembly.ignore(tx, clock(), series_row(worklist), "x", POISON, {}, True)
    fail(worklist, clock, claim(worklist, clock, "report"))
    with worklist.write() as tx:
        assert jobs.retry_jobs(tx, clock(), None) == 1
    assert claim(worklist, clock, "report").reason == POISON


def test_a_running_job_is_never_queued_a_second_time(worklist, clock):
    row = closed_series(worklist, clock)
    claim(worklist, clock)
    with pytest.raises(IllegalTransition), worklist.write() as tx:
        assembly.queue_job(tx, clock(), row.id, 1, "analyse", None)
    assert state(worklist) == JobState.RUNNING


STAT = Said(PEER, "ED_CT")


def comes(worklist, clock, name, said=None):
    """A whole series, ready to be analysed."""
    study = study_facts(name)
    for one in head_slices(3, seed=study.series_instance_uid):
        with worklist.write() as tx:
            receipt = replace(receipt_of(one, clock(), study), urgent=said)
            receipts.record_receipt(tx, receipt, 0.5, keep_conflict=True)
    row = series_row(worklist, study)
    with worklist.write() as tx:
        assert assembly.close(tx, clock(), row, "test", None, {"could_win": True, "rank": [1.0]})
    return study.study_instance_uid


def test_what_is_urgent_goes_before_what_waits_longer_and_the_journal_says_why(worklist, clock):
    routine = comes(worklist, clock, "routine")
    clock.forward(5)
    urgent = comes(worklist, clock, "urgent", STAT)
    later = comes(worklist, clock, "later", Said(REQUEST, "STAT"))
    assert [claim(worklist, clock).study_instance_uid for _ in range(3)] == [urgent, later, routine]
    said = [row["detail"] for row in rows(worklist, schema.journal, event="study.urgent")]
    assert said == [{"because": "peer", "said": "ED_CT"}, {"because": "request", "said": "STAT"}]
    assert [row["urgent_because"] for row in rows(worklist, schema.studies)] == [None, "peer", "request"]


def test_a_study_becomes_urgent_with_a_later_slice_and_what_waits_of_it_too(worklist, clock):
    first, second = comes(worklist, clock, "first"), comes(worklist, clock, "second")
    with worklist.write() as tx:
        late = receipt_of(head_slices(1, seed="scout")[0], clock(), study_facts("second", "scout"))
        receipts.record_receipt(tx, replace(late, urgent=STAT), 0.5, keep_conflict=True)
    assert claim(worklist, clock).study_instance_uid == second
    assert claim(worklist, clock).study_instance_uid == first
    assert events(worklist).count("study.urgent") == 1


def test_routine_work_that_waits_too_long_gets_every_second_turn(worklist, clock):
    routine = [comes(worklist, clock, f"routine {n}") for n in range(3)]
    clock.forward(61)
    urgent = [comes(worklist, clock, f"urgent {n}", STAT) for n in range(4)]
    with worklist.write() as tx:
        order = [jobs.claim_job(tx, clock(), "analyse", "boot/w", 600, 60).study_instance_uid for _ in range(6)]
    assert order == [urgent[0], routine[0], urgent[1], routine[1], urgent[2], routine[2]]
    assert not any(row["passed_over"] for row in rows(worklist, schema.jobs, state="running"))


def test_what_would_be_claimed_next_is_told_and_nothing_changes(worklist, clock):
    comes(worklist, clock, "routine")
    comes(worklist, clock, "urgent", STAT)
    before = rows(worklist, schema.jobs)
    with worklist.read() as tx:
        told = jobs.next_in_turn(tx, clock(), "analyse", 60)
        assert jobs.next_in_turn(tx, clock(), "illustrate", 60) is None
    assert rows(worklist, schema.jobs) == before
    job = claim(worklist, clock)
    assert told == jobs.Coming(job.series_id, job.revision, job.filed)


@ON_SQLITE
def test_a_claim_does_not_take_longer_where_more_wait(worklist, clock):
    """Counted in steps of SQLite's own machine; PostgreSQL has the same index."""
    comes(worklist, clock, "one")

    def steps_of_a_look() -> int:
        said = []
        with worklist.read() as tx:
            driver = tx.connection.driver_connection
            driver.set_progress_handler(lambda: said.append(0), 1)
            jobs.next_in_turn(tx, clock(), "analyse", 600)
            driver.set_progress_handler(None, 0)
        return len(said)

    few = steps_of_a_look()
    with worklist.write() as tx:
        (job,) = tx.execute(schema.jobs.select()).mappings()
        more = [{**job, "id": job["id"] + n, "revision": 1 + n} for n in range(1, 3001)]
        tx.execute(schema.jobs.insert(), more)
    assert steps_of_a_look() <= few + 5
