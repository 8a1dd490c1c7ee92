"""The clock is set back by an hour: what waits does not wait for that hour to pass again."""

from __future__ import annotations

from ichnode.worklist import assembly, commitments, deliveries, jobs, notices, schema
from ichnode.worklist import clock as worklist_clock
from tests.made import analysed_series, claim, closed_series, head_slices, rows, series_row, study_facts, take


def catch_up(worklist, clock):
    with worklist.write() as tx:
        return worklist_clock.catch_up(tx, clock())


def test_series_being_received_are_due_and_quiet_counts_from_now(worklist, clock):
    take(worklist, head_slices(3), clock())
    with worklist.write() as tx:
        assembly.record_count(tx, clock(), series_row(worklist), 3)
    clock.forward(-3600)
    with worklist.read() as tx:
        assert assembly.due_series(tx, clock()) == []
    catch_up(worklist, clock)
    with worklist.read() as tx:
        (row,) = assembly.due_series(tx, clock())
    assert row.last_slice_at == clock()
    assert row.expected_at is None, "the PACS is asked again"


def test_jobs_and_deliveries_can_be_claimed_and_circuits_are_asked(worklist, clock):
    analysed_series(worklist, clock, study_facts("analysed"))
    closed_series(worklist, clock, study_facts("closed"))
    with worklist.write() as tx:
        deliveries.break_circuit(tx, clock(), "pacs", "down", 600)
    clock.forward(-3600)
    with worklist.write() as tx:
        assert jobs.claim_job(tx, clock(), "analyse", "boot/w", 60) is None
        assert deliveries.claim_deliveries(tx, clock(), "pacs", "boot") == []
    assert catch_up(worklist, clock) == 5, (
        "job, delivery, its give-up, circuit, and the study that channels may hear of"
    )
    assert claim(worklist, clock)
    with worklist.write() as tx:
        assert len(deliveries.claim_deliveries(tx, clock(), "pacs", "boot")) == 1
        assert deliveries.circuit(tx, "pacs").open_until == clock()


def test_what_is_over_stays_as_it_was(worklist, clock):
    analysed_series(worklist, clock)
    before = [rows(worklist, table) for table in (schema.series, schema.jobs, schema.results)]
    with worklist.write() as tx:
        (delivery,) = deliveries.claim_deliveries(tx, clock(), "pacs", "boot")
        deliveries.accepted(tx, clock(), delivery, 0)
        assert commitments.request(tx, clock(), "pacs", "2.25.1", 3600)
        commitments.answered(tx, clock(), "2.25.1", [delivery.sop_instance_uid], {}, commitments.Patience(5, 600, 600))
    with worklist.write() as tx:
        assert notices.announce(tx, clock(), {}, {}) == [], "no channel has to hear of it"
    clock.forward(-3600)
    assert catch_up(worklist, clock) == 0
    assert [rows(worklist, table) for table in (schema.series, schema.jobs, schema.results)] == before


def test_with_a_clock_that_runs_on_nothing_changes_but_pauses_end(worklist, clock):
    take(worklist, head_slices(3), clock())
    clock.forward(60)
    assert catch_up(worklist, clock) == 0
