"""Tables of what is fetched from the archive, of the orders to fetch, and of alarms."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Integer, String, Table, Text, UniqueConstraint

from ichnode.worklist.schema import metadata
from ichnode.worklist.utc import UtcTime

orders = Table(
    "retrieval_orders",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", String(16), nullable=False),  # backfill, priors
    Column("state", String(16), nullable=False),
    Column("study_id", Integer, ForeignKey("studies.id")),  # whose patient's priors are wanted
    Column("first_date", String(8), nullable=False),
    Column("last_date", String(8), nullable=False),
    Column("next_date", String(8), nullable=False),  # the day that the archive is asked for next
    Column("per_hour", Integer, nullable=False),  # studies begun within an hour; 0: no limit
    Column("at_once", Integer, nullable=False),  # studies fetched and not yet answered; 0: no limit
    Column("hours", String(11), nullable=False),  # local time: "19:00-06:00"; empty: always
    Column("created_at", UtcTime, nullable=False),
    Column("ended_at", UtcTime),
)

retrievals = Table(
    "retrievals",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("study_instance_uid", String(64), nullable=False),
    Column("series_instance_uid", String(64), nullable=False),
    Column("order_id", Integer, ForeignKey("retrieval_orders.id")),  # null: what should have come by itself
    Column("urgency", Integer, nullable=False),  # 0 should have come, 1 priors, 2 backfill
    Column("state", String(16), nullable=False),
    Column("said", Integer),  # instances that the archive counts; null where it does not
    Column("gave", Integer, nullable=False),  # instances that are here, as last counted
    Column("attempts", Integer, nullable=False),
    Column("not_before", UtcTime, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("started_at", UtcTime),
    Column("ended_at", UtcTime),
    Column("boot_id", String(36)),  # of the node that is at it
    Column("reason_code", String(64)),
    Column("error", Text),
    UniqueConstraint("study_instance_uid", "series_instance_uid"),
    Index("retrievals_due", "state", "urgency", "not_before"),
    Index("retrievals_of_order", "order_id", "state"),
)

alarms = Table(
    "alarms",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", String(16), nullable=False),  # no_result, silent_sender
    Column("subject", String(64), nullable=False),  # Study Instance UID, or AE title
    Column("since", UtcTime, nullable=False),
    Column("raised_at", UtcTime, nullable=False),
    Column("cleared_at", UtcTime),
    Index("alarms_open", "kind", "cleared_at"),
)
