"""What a slice that arrives does to the rows: new, duplicate, conflict, late."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ichnode.core.lifecycle import JobState, SeriesState
from ichnode.core.urgency import Said
from ichnode.worklist import assembly, receipts, schema
from ichnode.worklist.receipts import Disposition
from tests.made import (
    NOON,
    answer,
    claim,
    closed_series,
    events,
    finish,
    head_slices,
    receipt_of,
    rows,
    series_row,
    study_facts,
    take,
)

NEW, DUPLICATE, CONFLICT = Disposition.NEW, Disposition.DUPLICATE, Disposition.CONFLICT


def test_first_slice_opens_study_and_series(worklist, clock):
    (one,) = head_slices(1)
    facts = study_facts(patient_sex="F", study_date="20260301", study_description="CT HEAD")
    assert take(worklist, [one], clock(), facts) == [NEW]
    (study,) = rows(worklist, schema.studies)
    assert study["study_instance_uid"] == facts.study_instance_uid
    assert (study["patient_id"], study["patient_sex"], study["description"]) == ("P1", "F", "CT HEAD")
    assert study["first_seen_at"] == clock()
    row = series_row(worklist, facts)
    assert (row.state, row.revision, row.received, row.conflicts) == ("receiving", 1, 1, 0)
    assert row.first_slice_at == row.last_slice_at == clock()
    assert (row.due_at - clock()).total_seconds() == 0.5
    assert events(worklist) == ["study.opened", "series.opened"]


def test_the_slice_comes_back_as_it_was(worklist, clock):
    slices = head_slices(3)
    take(worklist, slices, clock())
    with worklist.read() as tx:
        filed = assembly.filed_slices(tx, series_row(worklist).id)
    assert [f.slice for f in filed] == slices
    assert [f.file for f in filed] == [receipt_of(s, NOON).file for s in slices]


def test_the_longest_pause_is_kept(worklist, clock):
    slices = head_slices(4)
    for one, pause_s in zip(slices, [0, 2, 30, 1], strict=True):
        clock.forward(pause_s)
        take(worklist, [one], clock())
    row = series_row(worklist)
    assert row.longest_pause_s == 30
    assert row.last_slice_at == clock()
    assert (row.due_at - clock()).total_seconds() == 0.5


def test_a_duplicate_changes_nothing(worklist, clock):
    slices = head_slices(2)
    take(worklist, slices, clock())
    before = series_row(worklist)
    clock.forward(5)
    assert take(worklist, slices, clock()) == [DUPLICATE, DUPLICATE]
    assert series_row(worklist) == before
    assert len(rows(worklist, schema.instances)) == 2


def test_other_content_under_a_known_uid_is_kept_and_flagged(worklist, clock):
    (one,) = head_slices(1)
    take(worklist, [one], clock())
    first = rows(worklist, schema.instances)
    assert take(worklist, [one], clock(), content="other") == [CONFLICT]
    assert series_row(worklist).conflicts == 1
    assert series_row(worklist).received == 1
    original, other = rows(worklist, schema.instances)
    assert [original] == first
    assert not original["conflict"]
    assert other["conflict"]
    assert other["digest"] != original["digest"]
    assert events(worklist)[-1] == "slice.conflict"
    with worklist.read() as tx:
        assert [f.file for f in assembly.filed_slices(tx, original["series_id"])] == [original["file"]]
    assert take(worklist, [one, one], clock(), content="other") == [DUPLICATE, DUPLICATE], "and it is flagged once"
    assert series_row(worklist).conflicts == 1


def test_a_conflict_names_the_files_to_compare_before_it_writes(worklist, clock):
    (one,) = head_slices(1)
    take(worklist, [one], clock())
    with worklist.write() as tx:
        found, files = receipts.record_receipt(tx, receipt_of(one, clock(), content="b"), 0.5, keep_conflict=False)
    assert (found, files) == (CONFLICT, [receipt_of(one, clock()).file])
    assert len(rows(worklist, schema.instances)) == 1
    assert series_row(worklist).conflicts == 0


def test_slices_that_come_together_are_what_they_would_be_one_by_one(worklist, clock):
    """New and known series, twice the same, two contents of one UID, a late slice: in one transaction."""
    known, new, done = study_facts("known"), study_facts("new"), study_facts("done")
    first, second, third = head_slices(3, seed="known")
    take(worklist, [first], clock(), known)
    closed_series(worklist, clock, done, number=2)
    *_, late, later = head_slices(4, seed=done.series_instance_uid)
    clock.forward(7)
    (only,) = head_slices(1, seed="new")
    some = [
        receipt_of(first, clock(), known), receipt_of(second, clock(), known), receipt_of(second, clock(), known),
        receipt_of(only, clock(), new), receipt_of(only, clock(), new, content="other"),
        receipt_of(third, clock(), known), receipt_of(late, clock(), done), receipt_of(later, clock(), done),
    ]  # fmt: skip
    with worklist.write() as tx:
        found = receipts.record_receipts(tx, some, 0.5, keep_conflict=False)
    assert [disposition for disposition, _ in found] == [DUPLICATE, NEW, DUPLICATE, NEW, CONFLICT, NEW, NEW, NEW]
    assert [files for _, files in found] == [[some[0].file], [], [some[1].file], [], [some[3].file], [], [], []]
    row = series_row(worklist, known)
    assert (row.received, row.last_slice_at, row.longest_pause_s) == (3, clock(), 7.0)
    row = series_row(worklist, new)
    assert (row.received, row.conflicts) == (1, 0)
    row = series_row(worklist, done)
    assert (row.state, row.revision, row.received) == (SeriesState.RECEIVING, 2, 4)
    assert events(worklist).count("series.reopened") == 1
    assert len(rows(worklist, schema.instances)) == 3 + 1 + 4


def test_two_series_of_a_study_that_come_together_make_it_urgent_once(worklist, clock):
    here, there = study_facts(series="here"), study_facts(series="there")
    some = [
        replace(receipt_of(one, clock(), facts), urgent=Said("peer", "ED_CT"))
        for one, facts in zip(head_slices(4), (here, there, there, here), strict=True)
    ]
    for turn in range(2):  # of a new study, and of a known one
        with worklist.write() as tx:
            receipts.record_receipts(tx, some[2 * turn :][:2], 0.5, keep_conflict=False)
    assert events(worklist).count("study.urgent") == 1
    assert events(worklist).count("study.opened") == 1
    assert [row["received"] for row in rows(worklist, schema.series)] == [2, 2]


def test_two_series_of_an_ordered_study_that_come_together_by_themselves_are_waited_for_once(worklist, clock):
    here, there = study_facts(series="here"), study_facts(series="there")
    slices = head_slices(4)
    for one, facts in zip(slices, (here, there), strict=False):
        take(worklist, [one], clock(), facts)
    some = [receipt_of(one, clock(), facts) for one, facts in zip(slices[2:], (here, there), strict=True)]
    with worklist.write() as tx:
        tx.execute(schema.studies.update().values(ordered_at=clock()))
        receipts.record_receipts(tx, some, 0.5, keep_conflict=False)
    assert events(worklist).count("study.awaited") == 1
    assert rows(worklist, schema.studies)[0]["ordered_at"] is None


def test_a_conflict_does_not_open_a_closed_series(worklist, clock):
    closed_series(worklist, clock)
    (one, *_) = head_slices(3, seed=study_facts().series_instance_uid)
    assert take(worklist, [one], clock(), content="other") == [CONFLICT]
    assert series_row(worklist).state == SeriesState.CLOSED
    assert series_row(worklist).conflicts == 1


def test_the_same_sop_instance_uid_in_two_series(worklist, clock):
    (one,) = head_slices(1)
    here, there = study_facts(series="here"), study_facts(series="there")
    assert take(worklist, [one], clock(), here) == [NEW]
    assert take(worklist, [one], clock(), there) == [CONFLICT]
    assert (series_row(worklist, here).received, series_row(worklist, here).conflicts) == (1, 0)
    assert (series_row(worklist, there).received, series_row(worklist, there).conflicts) == (0, 1)
    with worklist.read() as tx:
        assert assembly.filed_slices(tx, series_row(worklist, there).id) == []
        assert len(assembly.filed_slices(tx, series_row(worklist, there).id, conflict=True)) == 1


def test_two_studies_may_use_one_series_uid(worklist, clock):
    one = study_facts("one")
    other = study_facts("other")
    other = type(other)(other.study_instance_uid, one.series_instance_uid)
    take(worklist, head_slices(3, seed="one"), clock(), one)
    take(worklist, head_slices(2, seed="other"), clock(), other)
    assert series_row(worklist, one).received == 3
    assert series_row(worklist, other).received == 2
    assert len(rows(worklist, schema.studies)) == 2


def test_a_late_slice_opens_the_series_again_and_its_job_is_out_of_the_race(worklist, clock):
    seed = study_facts().series_instance_uid
    closed_series(worklist, clock, number=3, missing="1 slice")
    clock.forward(600)
    assert take(worklist, head_slices(4, seed=seed)[3:], clock()) == [NEW]
    row = series_row(worklist)
    assert (row.state, row.revision, row.received, row.missing) == ("receiving", 2, 4, None)
    assert row.longest_pause_s == 600, "next time this sender is waited for longer"
    (job,) = rows(worklist, schema.jobs)
    assert job["state"] == JobState.SUPERSEDED
    assert events(worklist)[-1] == "series.reopened"


@pytest.mark.parametrize("ending", ["running", "failed", "done"])
def test_what_a_late_slice_does_to_the_job_of_the_revision_before(worklist, clock, ending):
    closed_series(worklist, clock)
    job = claim(worklist, clock)
    if ending == "done":
        assert finish(worklist, clock, job, answer(job))
    elif ending == "failed":
        from ichnode.core.findings import Warned
        from ichnode.worklist import jobs

        with worklist.write() as tx:
            jobs.fail(tx, clock(), job, "broken", Warned("ANALYSIS_FAILED", "It failed."))
    take(worklist, head_slices(4, seed=study_facts().series_instance_uid)[3:], clock())
    states = {row["kind"]: row["state"] for row in rows(worklist, schema.jobs)}
    assert states["analyse"] == (JobState.DONE if ending == "done" else JobState.SUPERSEDED)
    assert states.get("report", JobState.SUPERSEDED) == JobState.SUPERSEDED


def test_a_late_slice_opens_an_ignored_series(worklist, clock):
    from ichnode.core.findings import Warned

    take(worklist, head_slices(2), clock())
    with worklist.write() as tx:
        reason = Warned("TOO_FEW_SLICES", "Too few.")
        assert assembly.ignore(tx, clock(), series_row(worklist), "test", reason, {}, True)
    take(worklist, head_slices(3)[2:], clock())
    (row,) = rows(worklist, schema.series)
    assert (row["state"], row["revision"], row["reason_code"], row["reason"]) == ("receiving", 2, None, None)


def test_files_with_a_row_are_known(worklist, clock):
    slices = head_slices(3)
    take(worklist, slices, clock())
    with worklist.read() as tx:
        files = [receipt_of(s, NOON).file for s in slices]
        assert receipts.known_files(tx, [*files, "slices/none.dcm"]) == set(files)


def test_what_is_longer_than_it_may_be_is_cut_and_never_a_reason_to_refuse_a_slice(worklist, clock):
    long = "9" * 1024
    names = ("patient_id", "patient_name", "patient_birth_date", "patient_sex", "study_date", "study_time")
    facts = study_facts(**dict.fromkeys(names, long))
    assert take(worklist, head_slices(1), clock(), facts) == [Disposition.NEW]
    (row,) = rows(worklist, schema.studies)
    assert [len(row[name]) for name in names] == [1024, 1024, 16, 16, 16, 32]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    arrivals=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 1), st.integers(0, 1)), max_size=12), data=st.data()
)
def test_whatever_arrives_the_counts_are_those_of_the_rows(worklist, clock, arrivals, data):
    run = data.draw(st.uuids()).hex  # another study each time: the file stays
    slices = head_slices(5, seed=run)
    for index, content, which in arrivals:
        take(worklist, [slices[index]], clock(), study_facts(run, str(which)), content=str(content))
    for which in {which for *_, which in arrivals}:
        row = series_row(worklist, study_facts(run, str(which)))
        instances = rows(worklist, schema.instances, series_id=row.id)
        assert row.received == sum(not i["conflict"] for i in instances)
        assert row.conflicts == sum(i["conflict"] for i in instances)
        assert len({i["digest"] for i in instances}) == len(instances)
    uids = {slices[index].sop_instance_uid for index, *_ in arrivals}
    for uid in uids:
        assert sum(not i["conflict"] for i in rows(worklist, schema.instances, sop_instance_uid=uid)) == 1
