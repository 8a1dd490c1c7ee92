"""Tables of the work items that the node performs for others, and of the series that they ask for."""

from __future__ import annotations

from sqlalchemy import JSON, Boolean, Column, ForeignKey, Index, Integer, String, Table, Text, UniqueConstraint, false

from ichnode.worklist.schema import metadata
from ichnode.worklist.utc import UtcTime

workitems = Table(
    "workitems",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("workitem_uid", String(64), nullable=False, unique=True),
    Column("transaction_uid", String(64), nullable=False),  # the lock under which it is this node's; drawn once
    Column("state", String(16), nullable=False),
    Column("codes", JSON, nullable=False),  # its Scheduled Workitem Codes: value, scheme, meaning
    Column("is_urgent", Boolean, nullable=False, server_default=false()),  # by its priority
    Column("attempts", Integer, nullable=False),  # in vain since the last step
    Column("refused", Integer, nullable=False, server_default="0"),  # those of them that the service has understood
    Column("not_before", UtcTime, nullable=False),
    Column("offered_at", UtcTime, nullable=False),
    Column("claimed_at", UtcTime),
    Column("ended_at", UtcTime),
    Column("told", Text),  # the progress that the service knows
    Column("reason_code", String(64)),
    Column("error", Text),  # why the last attempt was in vain, or it was canceled
    Index("workitems_due", "state", "not_before"),
)

inputs = Table(
    "workitem_inputs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("workitem_id", Integer, ForeignKey("workitems.id"), nullable=False),
    Column("study_instance_uid", String(64), nullable=False),
    Column("series_instance_uid", String(64), nullable=False),
    Column("said", Integer),  # instances that the item refers to; null where it names none
    Column("places", JSON, nullable=False),  # where the item says that it can be had
    UniqueConstraint("workitem_id", "study_instance_uid", "series_instance_uid"),
    Index("inputs_of_study", "study_instance_uid"),
)
