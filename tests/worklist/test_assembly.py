"""Closing, ignoring, outranking, postponing: guarded, so that a decision never overtakes a slice."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ichnode.core.findings import Warned
from ichnode.core.lifecycle import IllegalTransition, JobState, SeriesState
from ichnode.worklist import assembly, schema
from tests.made import (
    analysed_series,
    answer,
    claim,
    closed_series,
    events,
    finish,
    head_slices,
    not_analysed,
    rows,
    series_row,
    study_facts,
    take,
)

LOCALIZER = Warned("LOCALIZER", "The series is a localizer.")
OTHER = Warned("ANOTHER_SERIES_CHOSEN", "Another series of the same study suits better and was read.")
RANK = {"could_win": True, "rank": [1.0]}


def received(worklist, clock, name="series", number=2, study="study"):
    facts = study_facts(study, name)
    take(worklist, head_slices(number, seed=facts.series_instance_uid), clock(), facts)
    return series_row(worklist, facts)


def test_due_series_come_the_longest_due_first(worklist, clock):
    for name in ("first", "second", "third"):
        received(worklist, clock, name)
        clock.forward(1)
    with worklist.write() as tx:
        assembly.postpone(tx, series_row(worklist, study_facts(series="first")), clock.forward(0.6), "test", {})
    with worklist.read() as tx:
        due = assembly.due_series(tx, clock())
        assert [row.series_instance_uid for row in due] == [
            study_facts(series=name).series_instance_uid for name in ("second", "third", "first")
        ]
        assert assembly.due_series(tx, clock() - timedelta(seconds=0.1)) == due[:2]
        assert assembly.due_series(tx, clock(), most=1) == due[:1]
        assert assembly.next_due(tx) == due[0].due_at


def test_nothing_is_due_when_nothing_is_being_received(worklist, clock):
    with worklist.read() as tx:
        assert assembly.next_due(tx) is None
    closed_series(worklist, clock)
    with worklist.read() as tx:
        assert assembly.next_due(tx) is None
        assert assembly.due_series(tx, clock.forward(1e6)) == []


def test_postponed_series_says_what_it_waits_for(worklist, clock):
    row = received(worklist, clock)
    until = clock.forward(7)
    with worklist.write() as tx:
        assembly.postpone(tx, row, until, "quiet time", RANK)
    (found,) = rows(worklist, schema.series)
    assert (found["due_at"], found["waiting_for"], found["preference"]) == (until, "quiet time", RANK)


def test_a_slice_that_came_meanwhile_is_not_put_off(worklist, clock):
    row = received(worklist, clock)
    take(worklist, head_slices(3, seed=row.series_instance_uid)[2:], clock.forward(3))
    due = series_row(worklist).due_at
    with worklist.write() as tx:
        assembly.postpone(tx, row, clock.forward(100), "quiet time", {})
    assert series_row(worklist).due_at == due


def test_an_end_of_association_that_came_meanwhile_is_not_put_off(worklist, clock):
    from ichnode.worklist import associations, boots

    with worklist.write() as tx:
        boot = boots.begin_boot(tx, clock(), "1")
        one = associations.open_association(tx, clock(), boot, "127.0.0.1", "CT")
    take(worklist, head_slices(2), clock(), association_id=one)
    row = series_row(worklist)
    ended_at = clock.forward(0.1)
    with worklist.write() as tx:
        associations.end_association(tx, ended_at, one, "released")
        assembly.postpone(tx, row, clock.forward(100), "quiet time", {})
    assert series_row(worklist).due_at == ended_at


def test_close_chooses_the_series_and_queues_its_analysis(worklist, clock):
    row = received(worklist, clock)
    with worklist.write() as tx:
        assert assembly.close(tx, clock(), row, "quiet", "2 slices", RANK)
        assert assembly.chosen_series(tx, row.study_id) == row.id
    (found,) = rows(worklist, schema.series)
    assert (found["state"], found["closed_at"], found["closed_because"]) == ("closed", clock(), "quiet")
    assert (found["missing"], found["preference"]) == ("2 slices", RANK)
    (job,) = rows(worklist, schema.jobs)
    assert (job["kind"], job["state"], job["attempts"], job["revision"]) == ("analyse", "queued", 0, 1)
    assert events(worklist)[-1] == "series.closed"


@pytest.mark.parametrize("act", ["close", "ignore"])
def test_a_decision_on_fewer_slices_than_there_are_changes_nothing(worklist, clock, act):
    row = received(worklist, clock)
    take(worklist, head_slices(3, seed=row.series_instance_uid)[2:], clock())
    before = rows(worklist, schema.series), rows(worklist, schema.jobs), events(worklist)
    with worklist.write() as tx:
        if act == "close":
            assert not assembly.close(tx, clock(), row, "quiet", None, RANK)
        else:
            assert not assembly.ignore(tx, clock(), row, "quiet", LOCALIZER, RANK, True)
        assert assembly.chosen_series(tx, row.study_id) is None
    assert (rows(worklist, schema.series), rows(worklist, schema.jobs), events(worklist)) == before


def test_a_series_that_was_closed_and_opened_again_is_not_closed_by_an_old_decision(worklist, clock):
    row = received(worklist, clock)
    with worklist.write() as tx:
        assert assembly.close(tx, clock(), row, "quiet", None, RANK)
        assert not assembly.close(tx, clock(), row, "quiet", None, RANK), "once"
    take(worklist, head_slices(3, seed=row.series_instance_uid)[2:], clock())
    with worklist.write() as tx:
        assert not assembly.close(tx, clock(), row, "quiet", None, RANK)


def test_ignore_keeps_its_reason_and_queues_the_report_that_says_so(worklist, clock):
    row = received(worklist, clock)
    with worklist.write() as tx:
        assert assembly.ignore(tx, clock(), row, "settled", LOCALIZER, RANK, True)
    (found,) = rows(worklist, schema.series)
    assert (found["state"], found["reason_code"], found["reason"]) == ("ignored", LOCALIZER.code, LOCALIZER.sentence)
    (job,) = rows(worklist, schema.jobs)
    assert (job["kind"], job["state"], job["reason_code"]) == ("report", "queued", "LOCALIZER")
    assert claim(worklist, clock, "report").reason == LOCALIZER
    assert events(worklist)[-2:] == ["series.ignored", "job.claimed"]


def test_ignore_without_report(worklist, clock):
    row = received(worklist, clock)
    with worklist.write() as tx:
        assert assembly.ignore(tx, clock(), row, "settled", LOCALIZER, RANK, False)
    assert rows(worklist, schema.jobs) == []


def test_a_result_that_no_longer_holds_is_taken_back_even_where_rejections_are_not_reported(worklist, clock):
    job = analysed_series(worklist, clock)
    take(worklist, head_slices(4, seed=job.series_instance_uid)[3:], clock())
    with worklist.write() as tx:
        assert assembly.ignore(tx, clock(), series_row(worklist), "settled", LOCALIZER, RANK, False)
    job = claim(worklist, clock, "report")
    assert finish(worklist, clock, job, not_analysed(job))
    positive, current = rows(worklist, schema.results)
    assert positive["superseded_at"] == clock()
    assert current["superseded_at"] is None


def test_outranked_series_gets_a_new_revision_with_its_reason(worklist, clock):
    thick, thin = study_facts(series="thick"), study_facts(series="thin")
    job = analysed_series(worklist, clock, thick)
    received(worklist, clock, "thin")
    with worklist.write() as tx:
        row = series_row(worklist, thin)
        chosen = next(s for s in assembly.siblings(tx, row) if s.id == assembly.chosen_series(tx, row.study_id))
        assert chosen.id == job.series_id
        assert assembly.close(tx, clock(), row, "quiet", None, RANK)
        assembly.outrank(tx, clock(), chosen, OTHER, True)
        assert assembly.chosen_series(tx, row.study_id) == row.id
    loser = series_row(worklist, thick)
    assert (loser.state, loser.revision) == (SeriesState.IGNORED, 2)
    report = claim(worklist, clock, "report")
    assert (report.series_id, report.revision, report.reason) == (loser.id, 2, OTHER)
    assert "series.outranked" in events(worklist)


def test_only_a_closed_series_can_be_outranked(worklist, clock):
    row = received(worklist, clock)
    with pytest.raises(IllegalTransition), worklist.write() as tx:
        assembly.outrank(tx, clock(), row, OTHER, True)
    assert series_row(worklist) == row


def test_losers_are_looked_at_again_when_the_chosen_series_cannot_be_read(worklist, clock):
    chosen, loser, localizer = (study_facts(series=n) for n in ("chosen", "loser", "localizer"))
    closed_series(worklist, clock, chosen)
    for facts, reason in ((loser, OTHER), (localizer, LOCALIZER)):
        row = received(worklist, clock, "loser" if facts is loser else "localizer")
        with worklist.write() as tx:
            assert assembly.ignore(tx, clock(), row, "x", reason, RANK, True)
    take(worklist, head_slices(9, seed=chosen.series_instance_uid)[8:], clock.forward(60), chosen)
    assert series_row(worklist, loser).state == SeriesState.IGNORED, "not yet: the chosen one may still be read"
    with worklist.write() as tx:
        broken = Warned("OVERLAPPING_VOLUMES", "Two volumes.")
        assert assembly.ignore(tx, clock(), series_row(worklist, chosen), "x", broken, RANK, True)
        assert assembly.chosen_series(tx, series_row(worklist, chosen).study_id) is None
        assert [row.series_instance_uid for row in assembly.due_series(tx, clock())] == [loser.series_instance_uid]
    again = series_row(worklist, loser)
    assert (again.state, again.revision, again.due_at) == (SeriesState.RECEIVING, 2, clock())
    assert series_row(worklist, localizer).state == SeriesState.IGNORED
    states = {row["series_id"]: row["state"] for row in rows(worklist, schema.jobs, kind="report")}
    assert states[again.id] == JobState.SUPERSEDED
    assert "series.reconsidered" in events(worklist)


def test_the_count_of_the_pacs_is_kept(worklist, clock):
    row = received(worklist, clock)
    with worklist.write() as tx:
        assembly.record_count(tx, clock(), row, 30)
    found = series_row(worklist)
    assert (found.expected, found.expected_at) == (30, clock())
    assert assembly.with_count(row, 30, clock()) == found


def test_siblings_are_those_of_the_study(worklist, clock):
    one, two = received(worklist, clock, "one"), received(worklist, clock, "two")
    received(worklist, clock, "three", study="elsewhere")
    with worklist.read() as tx:
        assert assembly.siblings(tx, one) == [two]


def test_an_analysis_that_runs_out_of_slices_to_read_gets_the_conflicting_ones(worklist, clock):
    take(worklist, head_slices(1), clock(), study_facts(series="first"))
    take(worklist, head_slices(1), clock(), study_facts(series="copy"))
    row = series_row(worklist, study_facts(series="copy"))
    with worklist.write() as tx:
        assembly.ignore(tx, clock(), row, "x", Warned("CONFLICTING_INSTANCE", "Conflict."), RANK, True)
    assert [f.slice for f in claim(worklist, clock, "report").filed] == head_slices(1)


def test_revisions_of_one_series_answer_one_after_the_other(worklist, clock):
    seed = study_facts().series_instance_uid
    for revision in range(1, 4):
        if revision == 1:
            closed_series(worklist, clock)
        else:
            take(worklist, head_slices(revision + 2, seed=seed)[revision + 1 :], clock.forward(60))
            with worklist.write() as tx:
                assert assembly.close(tx, clock(), series_row(worklist), "x", None, RANK)
        job = claim(worklist, clock)
        assert (job.revision, len(job.filed)) == (revision, revision + 2)
        assert finish(worklist, clock, job, answer(job))
    assert [r["revision"] for r in rows(worklist, schema.results) if r["superseded_at"] is None] == [3]
