"""Results: one current one a series, editions, predecessors, and the outbox in the same commit."""

from __future__ import annotations

import pytest

from ichnode.core.identity import derived_uid
from ichnode.worklist import assembly, deliveries, results, schema
from tests.made import (
    analysed_series,
    answer,
    claim,
    closed_series,
    events,
    finish,
    head_slices,
    report_row,
    rows,
    series_row,
    study_facts,
    take,
)


def next_revision(worklist, clock, number):
    """One more slice, closed again: the job of the next revision."""
    take(worklist, head_slices(number, seed=study_facts().series_instance_uid)[number - 1 :], clock.forward(60))
    with worklist.write() as tx:
        assert assembly.close(tx, clock(), series_row(worklist), "x", None, {})
    return claim(worklist, clock)


def predecessors(worklist, clock, job):
    with worklist.write() as tx:
        return results.predecessors(tx, clock(), job)


def offer(worklist, clock, answer_with="accepted"):
    """Let the destination have what waits."""
    with worklist.write() as tx:
        for delivery in deliveries.claim_deliveries(tx, clock(), "pacs", "boot"):
            if answer_with == "accepted":
                deliveries.accepted(tx, clock(), delivery, 0)
            elif answer_with == "refused":
                deliveries.refused(tx, clock(), delivery, 0xA900, "refused")
            elif answer_with == "again":
                deliveries.try_again(tx, clock(), delivery, None, "down", 5, 86400)


def states(worklist):
    return [row["state"] for row in rows(worklist, schema.deliveries)]


def test_result_reports_and_deliveries_come_in_one_commit_with_the_jobs_end(worklist, clock):
    job = analysed_series(worklist, clock, score=0.7, destinations=["pacs", "archive"])
    (result,) = rows(worklist, schema.results)
    assert (result["job_id"], result["series_id"], result["revision"]) == (job.id, job.series_id, 1)
    assert (result["verdict"], result["preliminary"], result["any_score"]) == ("positive", False, 0.7)
    assert [result[f"model_{part}"] for part in ("name", "version", "digest")] == ["model", "1.0", "digest"]
    assert result["outcome"]["scores"] == [[0.7, 0, 0, 0, 0, 0]] * 3
    assert [uid for uid, _ in result["outcome"]["order"]] == [f.slice.sop_instance_uid for f in job.filed]
    (report,) = rows(worklist, schema.reports)
    assert report["sop_instance_uid"] == report_row(job, 1).sop_instance_uid
    both = rows(worklist, schema.deliveries)
    assert {d["destination"] for d in both} == {"pacs", "archive"}
    assert {(d["state"], d["attempts"], d["urgency"], d["report_id"]) for d in both} == {
        ("pending", 0, 0, report["id"])
    }
    assert events(worklist)[-1] == "result.made"


def test_nothing_is_kept_when_the_commit_fails(worklist, clock):
    closed_series(worklist, clock)
    job = claim(worklist, clock)
    row = report_row(job, 1)
    with pytest.raises(Exception, match=r"(?i)unique"), worklist.write() as tx:
        results.finish(tx, clock(), job, answer(job), None, {}, [row, row], {"sr": ["pacs"]})
    assert rows(worklist, schema.results) == []
    assert rows(worklist, schema.jobs)[0]["state"] == "running"


def test_a_partial_series_gives_a_preliminary_result(worklist, clock):
    closed_series(worklist, clock, missing="2 slices")
    job = claim(worklist, clock)
    assert finish(worklist, clock, job, answer(job))
    assert rows(worklist, schema.results)[0]["preliminary"] is True


def test_first_result_has_no_predecessor(worklist, clock):
    closed_series(worklist, clock)
    assert predecessors(worklist, clock, claim(worklist, clock)) == (1, [])


def test_an_attempt_that_was_cut_short_has_the_same_edition(worklist, clock):
    closed_series(worklist, clock)
    job = claim(worklist, clock)
    assert predecessors(worklist, clock, job) == predecessors(worklist, clock, job) == (1, [])


@pytest.mark.parametrize("answered", ["accepted", "refused", "again"])
def test_what_a_destination_was_offered_is_the_predecessor(worklist, clock, answered):
    first = analysed_series(worklist, clock)
    offer(worklist, clock, answered)
    job = next_revision(worklist, clock, 4)
    assert predecessors(worklist, clock, job) == (2, [report_row(first, 1)])


def test_what_is_being_sent_is_the_predecessor(worklist, clock):
    first = analysed_series(worklist, clock)
    with worklist.write() as tx:
        deliveries.claim_deliveries(tx, clock(), "pacs", "boot")
    assert predecessors(worklist, clock, next_revision(worklist, clock, 4)) == (2, [report_row(first, 1)])


def test_what_nobody_was_offered_is_withdrawn_and_never_named(worklist, clock):
    first = analysed_series(worklist, clock)
    offer(worklist, clock)
    job = next_revision(worklist, clock, 4)
    assert finish(worklist, clock, job, answer(job))
    job = next_revision(worklist, clock, 5)
    assert predecessors(worklist, clock, job) == (3, [report_row(first, 1)]), "the second was never sent"
    assert states(worklist) == ["delivered", "withdrawn"]
    assert "delivery.withdrawn" in events(worklist)


def test_without_destinations_the_last_report_is_the_predecessor(worklist, clock):
    first = analysed_series(worklist, clock, destinations=[])
    assert predecessors(worklist, clock, next_revision(worklist, clock, 4)) == (2, [report_row(first, 1)])


def test_one_result_is_current_after_any_number_of_revisions(worklist, clock):
    analysed_series(worklist, clock)
    for number in (4, 5, 6):
        job = next_revision(worklist, clock, number)
        assert finish(worklist, clock, job, answer(job))
        current = [r for r in rows(worklist, schema.results) if r["superseded_at"] is None]
        assert [r["revision"] for r in current] == [number - 2]
    assert len({r["sop_instance_uid"] for r in rows(worklist, schema.reports)}) == 4


@pytest.mark.parametrize(
    ("answered", "left"), [("accepted", "delivered"), ("refused", "withdrawn"), ("again", "withdrawn")]
)
def test_what_was_not_delivered_is_withdrawn_by_the_next_result(worklist, clock, answered, left):
    analysed_series(worklist, clock)
    offer(worklist, clock, answered)
    job = next_revision(worklist, clock, 4)
    assert finish(worklist, clock, job, answer(job))
    assert states(worklist) == [left, "pending"]


@pytest.mark.parametrize("answered", ["again", "refused"])
def test_what_was_being_sent_when_the_next_result_came_is_not_sent_after_it(worklist, clock, answered):
    analysed_series(worklist, clock)
    with worklist.write() as tx:
        (sending,) = deliveries.claim_deliveries(tx, clock(), "pacs", "boot")
    job = next_revision(worklist, clock, 4)
    assert finish(worklist, clock, job, answer(job))
    with worklist.write() as tx:
        if answered == "again":
            deliveries.try_again(tx, clock(), sending, None, "down", 5, 86400)
        else:
            deliveries.refused(tx, clock(), sending, 0xA900, "refused")
    assert states(worklist) == ["withdrawn", "pending"]
    with worklist.write() as tx:
        deliveries.retry_deliveries(tx, clock(), None)
    assert states(worklist) == ["withdrawn", "pending"]


def test_what_a_dead_boot_was_sending_when_the_next_result_came_is_not_sent_after_it(worklist, clock):
    analysed_series(worklist, clock)
    with worklist.write() as tx:
        deliveries.claim_deliveries(tx, clock(), "pacs", "old boot")
    job = next_revision(worklist, clock, 4)
    assert finish(worklist, clock, job, answer(job))
    with worklist.write() as tx:
        deliveries.release_sending(tx, clock(), but_of=["new boot"])
    assert states(worklist) == ["withdrawn", "pending"]


def test_what_was_accepted_after_all_is_delivered(worklist, clock):
    analysed_series(worklist, clock)
    with worklist.write() as tx:
        (sending,) = deliveries.claim_deliveries(tx, clock(), "pacs", "boot")
    job = next_revision(worklist, clock, 4)
    assert finish(worklist, clock, job, answer(job))
    with worklist.write() as tx:
        deliveries.accepted(tx, clock(), sending, 0)
    assert states(worklist) == ["delivered", "pending"]


def test_series_of_one_study_have_results_of_their_own(worklist, clock):
    one, other = study_facts(series="one"), study_facts(series="other")
    analysed_series(worklist, clock, one)
    analysed_series(worklist, clock, other)
    assert [r["superseded_at"] for r in rows(worklist, schema.results)] == [None, None]
    assert len({derived_uid(r["sop_instance_uid"]) for r in rows(worklist, schema.reports)}) == 2
