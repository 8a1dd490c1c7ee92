"""The order in which series may go: nothing is left out, nothing comes twice, what is held is passed over."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import update

from ichnode.worklist import retention, schema
from ichnode.worklist.retention import Rule
from tests.made import analysed_series, closed_series, study_facts


@pytest.mark.parametrize("page", [1, 2, 200])
def test_the_oldest_come_first_whatever_the_page(worklist, clock, monkeypatch, page):
    monkeypatch.setattr(retention, "_PAGE", page)
    for number in range(6):
        analysed_series(worklist, clock, study_facts(f"answered {number}"), destinations=())
        if number % 2:
            clock.forward(60)  # two at the same time, the next two a minute later
    closed_series(worklist, clock, study_facts("not yet analysed"))
    with worklist.write() as tx:
        tx.execute(update(schema.series).where(schema.series.c.id.in_((2, 5))).values(state="ignored"))
        tx.execute(update(schema.studies).values(notices_due_at=None))  # no channel has to be told
    rule = Rule(clock() + timedelta(days=1))
    with worklist.read() as tx:
        found = [(one.last_slice_at, one.id) for one in retention.candidates(tx, rule)]
    assert found == sorted(found) and len(found) == len(set(found)) == 6
    assert {number for _, number in found} == {1, 2, 3, 4, 5, 6}
