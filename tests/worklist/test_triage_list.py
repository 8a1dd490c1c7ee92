"""The worklist, whatever is asked for: from an index, in one order, filtered; what is kept is what is true."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from ichnode.core.findings import Outcome, Verdict, Warned
from ichnode.core.triage import place_of_study
from ichnode.worklist import assembly, standings, triage_list
from ichnode.worklist.standing_table import standings as table
from ichnode.worklist.triage_list import Chosen
from tests.made import (
    NOON,
    claim,
    closed_series,
    finish,
    head_slices,
    not_analysed,
    rows,
    series_row,
    study_facts,
    take,
)
from tests.web import ward

KEY = (4, -0.5, 1.0, 3)


@pytest.mark.parametrize(
    ("chosen", "after", "before"),
    [
        (Chosen(), None, None), (Chosen(), KEY, None), (Chosen(), None, KEY), (Chosen(("positive",)), KEY, None),
        (Chosen(("negative",), False, "20260101", "20260201"), KEY, None), (Chosen((), None, "20260101"), KEY, None),
    ],
)  # fmt: skip
def test_a_page_is_read_from_an_index_and_never_sorted(worklist, chosen, after, before):
    with worklist.read() as tx:
        query = triage_list._keys(chosen, after, before).limit(50).compile(tx, compile_kwargs={"literal_binds": True})
        plan = [row.detail for row in tx.execute(text(f"EXPLAIN QUERY PLAN {query}"))]
    (step,) = plan
    assert "USING COVERING INDEX standings_" in step, plan


def test_what_is_kept_is_what_would_be_computed_anew(worklist, clock):
    ward.morning(worklist, clock)
    kept = rows(worklist, table)
    assert len(kept) == 10
    with worklist.write() as tx:
        tx.execute(table.delete())
        standings.fill(tx)
    assert rows(worklist, table) == kept


def test_one_status_several_and_none(worklist, clock):
    ward.morning(worklist, clock)
    with worklist.read() as tx:
        every = triage_list.page(tx, 100)
        some = triage_list.page(tx, 100, chosen=Chosen(("failed", "running")))
        counted = triage_list.counts(tx)
    assert [line for line in every if line["status"] in ("failed", "running")] == some
    assert sum(number["all"] for number in counted.values()) == len(every) == 10
    assert counted["positive"] == {"unread": 2, "all": 3}


def test_read_goes_below_unread_whatever_it_says():
    assert place_of_study(0, 0.99, NOON, True) > place_of_study(4, 0.01, NOON, False)


def test_the_reason_is_that_of_the_series_that_was_to_be_read(worklist, clock):
    """A kernel for bone is no news where the soft one was read and had no brain in it."""
    bone, soft = study_facts("study", "bone"), study_facts("study", "soft")
    take(worklist, head_slices(9, seed="bone"), clock(), bone)
    sharp = Warned("SHARP_KERNEL", "The series was reconstructed with a sharp kernel.")
    with worklist.write() as tx:
        assert assembly.ignore(tx, clock(), series_row(worklist, bone), "x", sharp, {}, True)
    job = claim(worklist, clock, "report")
    assert finish(worklist, clock, job, not_analysed(job))
    assert [row["reason_code"] for row in rows(worklist, table)] == ["SHARP_KERNEL"]
    closed_series(worklist, clock, soft)
    job = claim(worklist, clock)
    empty = Outcome(Verdict.NOT_ANALYSED, reason=Warned("NO_BRAIN_SEEN", "There is no brain in it."))
    assert finish(worklist, clock, job, empty)
    assert [row["reason_code"] for row in rows(worklist, table)] == ["NO_BRAIN_SEEN"]
