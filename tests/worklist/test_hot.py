"""Statements for several keys or rows at once, on both databases."""

from __future__ import annotations

import pytest
from sqlalchemy import delete, insert, select
from sqlalchemy.exc import IntegrityError

from ichnode.worklist import schema
from ichnode.worklist.hot import HotIn, HotRows
from tests.made import NOON, rows

_J = schema.journal
_WRITE = HotRows(lambda rows: insert(_J).values(rows), [column for column in _J.c if column.name != "id"])
_FIND = HotIn(
    lambda names, at: select(_J.c.event, _J.c.at, _J.c.detail).where(_J.c.event.in_(names), _J.c.at.in_(at)),
    "name",
    "at",
)
_DELETE = HotIn(lambda names: delete(_J).where(_J.c.event.in_(names)), "name")


def note(number):
    return {"at": NOON, "study_id": None, "series_id": None, "event": f"e{number}", "detail": {"number": number}}


@pytest.mark.parametrize("count", [0, 1, 2, 5, 64, 65, 200])
def test_rows_are_written_with_the_types_of_their_columns(worklist, count):
    with worklist.write() as tx:
        _WRITE.run(tx, [note(number) for number in range(count)])
    found = rows(worklist, _J)
    assert [(row["event"], row["at"], row["detail"]) for row in found] == [
        (f"e{number}", NOON, {"number": number}) for number in range(count)
    ]


@pytest.mark.parametrize("count", [1, 2, 3, 9, 100])
def test_of_many_keys_those_that_are_there_are_found(worklist, count):
    at = NOON.isoformat(timespec="microseconds")[:-6] + "Z"
    with worklist.write() as tx:
        _WRITE.run(tx, [note(number) for number in range(9)])
        names = [f"e{number}" for number in range(count)]
        found = _FIND.mappings(tx, names, [at])
        assert sorted(row["event"] for row in found) == names[:9]
        assert all(row["at"] == NOON for row in found)
        assert _FIND.rows(tx, ["none"], [at, "never"]) == []
        _DELETE.run(tx, names)
    assert len(rows(worklist, _J)) == max(9 - count, 0)


def test_what_the_database_refuses_is_refused_as_elsewhere(worklist):
    with pytest.raises(IntegrityError), worklist.write() as tx:
        _WRITE.run(tx, [note(1), {**note(2), "event": None}])
    assert rows(worklist, _J) == []
