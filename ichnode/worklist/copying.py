"""A copy of the worklist while it is in use, and what of the spool belongs to it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import Connection, and_, exists, select
from sqlalchemy.engine import make_url

from ichnode.core.lifecycle import SeriesState
from ichnode.errors import PermanentError
from ichnode.worklist import schema

_I, _P, _R, _S, _JO = schema.instances, schema.reports, schema.results, schema.series, schema.journal


def copy_of(url: str, target: Path) -> None:
    """Copy a SQLite worklist to `target` in one consistent view, by SQLite's online backup; writers go on.

    Raises
    ------
    PermanentError
        It is not SQLite, or the copy is damaged.
    """
    known = make_url(url)
    if known.get_backend_name() != "sqlite" or not known.database:
        raise PermanentError(
            "The worklist is not SQLite: take it with the tools of its database (PostgreSQL: pg_dump), then copy the "
            "folders spool, models and lab.",
            "NOT_SQLITE",
        )
    opened = sqlite3.connect(f"{Path(known.database).absolute().as_uri()}?mode=ro", uri=True)
    with closing(opened) as source, closing(sqlite3.connect(target)) as copy:
        source.backup(copy, pages=-1)  # in one step: in several it would begin anew whenever somebody writes
        (found,) = copy.execute("PRAGMA quick_check").fetchone()
    if found != "ok":
        raise PermanentError(f"The worklist, or its copy, is damaged: {found}. Keep the backups before it.", "DAMAGED")


def files_of(tx: Connection) -> dict[str, int | None]:
    """Return the files of the spool that rows speak of, with their sizes where these are known."""
    purged_since = exists().where(  # also where a slice came again: the files of the answers before are gone
        _JO.c.study_id == _S.c.study_id, _JO.c.series_id == _S.c.id, _JO.c.event == "series.purged",
        _JO.c.at >= _R.c.created_at,
    )  # fmt: skip
    here = and_(_S.c.state != SeriesState.PURGED, ~purged_since)
    slices = select(_I.c.file, _I.c.size)
    reports = select(_P.c.file, _P.c.size).select_from(_P.join(_R).join(_S)).where(here)
    heat = select(_R.c.heat_file).join(_S).where(_R.c.heat_file.is_not(None), here)
    found: dict[str, int | None] = dict.fromkeys(tx.scalars(heat))
    for named in (slices, reports):
        found.update((row[0], row[1]) for row in tx.execute(named))
    return found
