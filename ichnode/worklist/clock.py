"""Times in rows after the clock was set back: nothing may lie in the future that was not put there on purpose."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, true, update

from ichnode.core.lifecycle import DELIVERY, JOB, RETRIEVAL, SERIES, WORKITEM, sources
from ichnode.worklist import schema
from ichnode.worklist.retrieval_tables import retrievals
from ichnode.worklist.workitem_tables import workitems


def catch_up(tx: Connection, now: datetime) -> int:
    """Let everything that waits be due now, and nothing have happened later than now.

    A pause between two attempts is cut short by it; one attempt more does no harm.

    Returns
    -------
    int
        How many rows changed.
    """
    series, jobs, deliveries, circuits = schema.series, schema.jobs, schema.deliveries, schema.destinations
    notices = schema.notices
    receiving = series.c.state.in_(sources(SERIES, "close"))
    waiting = deliveries.c.state.in_((*sources(DELIVERY, "claim"), *sources(DELIVERY, "commit")))
    changed = 0

    for column, condition in (
        (series.c.last_slice_at, receiving),
        (series.c.due_at, receiving),
        (jobs.c.not_before, jobs.c.state.in_(sources(JOB, "claim"))),
        (deliveries.c.not_before, waiting),
        (retrievals.c.not_before, retrievals.c.state.in_(sources(RETRIEVAL, "claim"))),
        (
            workitems.c.not_before,
            workitems.c.state.in_((*sources(WORKITEM, "lose"), *sources(WORKITEM, "offer_again"))),
        ),
        (deliveries.c.retry_since, waiting),
        (circuits.c.open_until, true()),
        (schema.studies.c.notices_due_at, true()),
        (schema.boots.c.seen_at, true()),
        # Rather a reminder too early than one that waits for the time that comes a second time.
        (notices.c.escalate_at, notices.c.created_at > now),
    ):
        late = update(column.table).where(column > now, condition).values({column.name: now})
        changed += tx.execute(late).rowcount
    # Whether the PACS was asked before or after the last slice came can no longer be told.
    tx.execute(update(series).where(series.c.expected_at > now, receiving).values(expected_at=None))
    return changed
