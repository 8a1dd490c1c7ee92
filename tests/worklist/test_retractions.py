"""What is taken back, and who has to hear of it."""

from __future__ import annotations

import pytest

from ichnode.worklist import deliveries, results, retractions, schema, triage_list, views
from tests.made import analysed_series, answer, events, finish, report_row, rows
from tests.worklist.test_results import next_revision, offer


def retract(worklist, clock, because="wrong-result", remark=""):
    with worklist.write() as tx:
        ids = [row["id"] for row in rows(worklist, schema.series)]
        return retractions.retract(tx, clock(), ids, because, remark)


def due(worklist):
    with worklist.read() as tx:
        return retractions.next_retraction(tx)


def reject(worklist, clock, *destinations):
    """File a rejection note for the retraction that is due."""
    with worklist.write() as tx:
        found = retractions.next_retraction(tx)
        note = ("rejection", *("2.25.1", "2.25.2", "1.2.840.10008.5.1.4.1.1.88.59", "2.25.3"), "reports/note.dcm", 10)
        return retractions.rejected(tx, clock(), found, [(retractions.ReportRow(*note), destinations)])


def verdict(worklist):
    with worklist.read() as tx:
        (line,) = triage_list.page(tx)
    return line["verdict"]


def test_a_call_that_is_turned_round_is_taken_back_where_it_was_sent(worklist, clock):
    first = analysed_series(worklist, clock, score=0.9)
    offer(worklist, clock)
    second = next_revision(worklist, clock, 4)
    assert finish(worklist, clock, second, answer(second, 0.1))
    found = due(worklist)
    assert (found.because, found.revision, found.remark) == (
        "wrong-result", 1, "A later analysis of this series is negative.",
    )  # fmt: skip
    assert found.offered == ((report_row(first, 1), "pacs"),)
    assert verdict(worklist) == "negative"


@pytest.mark.parametrize("scores", [(0.9, 0.8), (0.1, 0.2)])
def test_the_same_call_again_takes_nothing_back(worklist, clock, scores):
    analysed_series(worklist, clock, score=scores[0])
    offer(worklist, clock)
    job = next_revision(worklist, clock, 4)
    assert finish(worklist, clock, job, answer(job, scores[1]))
    assert due(worklist) is None


def test_what_nobody_has_seen_needs_no_note(worklist, clock):
    analysed_series(worklist, clock, score=0.9)
    job = next_revision(worklist, clock, 4)
    with worklist.write() as tx:
        results.predecessors(tx, clock(), job)
    assert finish(worklist, clock, job, answer(job, 0.1))
    assert due(worklist) is None


def test_what_may_have_arrived_counts_as_there(worklist, clock):
    analysed_series(worklist, clock, score=0.9)
    offer(worklist, clock, "again")  # the answer was lost; the object may not have been
    assert retract(worklist, clock) == 1
    assert [destination for _, destination in due(worklist).offered] == ["pacs"]


def test_a_wrong_patient_takes_back_all_that_was_ever_sent_a_wrong_result_the_current_one(worklist, clock):
    analysed_series(worklist, clock, score=0.9)
    offer(worklist, clock)
    job = next_revision(worklist, clock, 4)
    assert finish(worklist, clock, job, answer(job, 0.95))
    offer(worklist, clock)
    assert retract(worklist, clock, "wrong-result") == 1
    assert due(worklist).revision == 2
    assert retract(worklist, clock, "wrong-patient", "Mixed up.") == 1, "the other one"
    assert due(worklist).remark == "Mixed up."
    assert retract(worklist, clock, "wrong-patient") == 0, "nothing is taken back twice"
    assert verdict(worklist) == "retracted"


def test_the_note_is_filed_once_and_what_waits_is_withdrawn(worklist, clock):
    analysed_series(worklist, clock, score=0.9)
    offer(worklist, clock, "again")
    retract(worklist, clock)
    found = due(worklist)
    assert reject(worklist, clock, "pacs")
    assert due(worklist) is None
    with worklist.write() as tx:
        assert not retractions.rejected(tx, clock(), found, [])
    assert [(row["state"], row["urgency"]) for row in rows(worklist, schema.deliveries)] == [
        ("withdrawn", 0), ("pending", 1),
    ]  # fmt: skip
    assert events(worklist)[-2:] == ["result.retracted", "result.rejected"]


def test_a_note_outlives_the_next_result(worklist, clock):
    analysed_series(worklist, clock, score=0.9)
    offer(worklist, clock)
    retract(worklist, clock)
    assert reject(worklist, clock, "pacs")
    job = next_revision(worklist, clock, 4)
    with worklist.write() as tx:
        results.predecessors(tx, clock(), job)
    assert finish(worklist, clock, job, answer(job, 0.1))
    with worklist.write() as tx:
        claimed = deliveries.claim_deliveries(tx, clock(), "pacs", "boot")
        assert [d.kind for d in claimed] == ["rejection", "sr"]
        deliveries.try_again(tx, clock(), claimed[0], None, "not now", 1.0, 1e6)
    (note,) = [d for d in rows(worklist, schema.deliveries) if d["id"] == claimed[0].id]
    assert note["state"] == "pending"


def test_one_that_cannot_be_made_is_visible_and_can_be_taken_back_again(worklist, clock):
    analysed_series(worklist, clock, score=0.9)
    offer(worklist, clock)
    retract(worklist, clock)
    with worklist.write() as tx:
        retractions.not_rejected(tx, clock(), retractions.next_retraction(tx), "A report cannot be read.")
    assert due(worklist) is None
    assert events(worklist)[-1] == "result.not_rejected"
    assert retract(worklist, clock) == 1
    assert due(worklist) is not None


def test_a_series_is_named_by_its_uid_or_by_its_study(worklist, clock):
    analysed_series(worklist, clock)
    (series,) = rows(worklist, schema.series)
    with worklist.read() as tx:
        assert views.find_series(tx, series["series_instance_uid"]) == [series["id"]]
        assert views.find_series(tx, "1") == [series["id"]]
        assert views.find_series(tx, "") == []
