"""The table of standings: what the worklist shows of each study, in the order in which it shows it."""

from __future__ import annotations

from sqlalchemy import JSON, Boolean, Column, Float, ForeignKey, Index, Integer, String, Table, Text

from ichnode.worklist.schema import metadata
from ichnode.worklist.utc import UtcTime

standings = Table(
    "standings",
    metadata,
    Column("study_id", Integer, ForeignKey("studies.id"), primary_key=True),
    Column("rank", Integer, nullable=False),
    Column("minus_score", Float, nullable=False),
    Column("age_key", Float, nullable=False),
    Column("status", String(16), nullable=False),  # what one sees; a key of core.triage.URGENCY, waiting or running
    Column("study_date", String(16), nullable=False),
    Column("verdict", String(16), nullable=False),
    Column("urgency", Integer, nullable=False),
    Column("any_score", Float),
    Column("preliminary", Boolean, nullable=False),
    Column("failed", Boolean, nullable=False),
    Column("reason_code", String(64)),
    Column("reason", Text),
    Column("deliveries", JSON, nullable=False),  # number of objects by state
    Column("notices", JSON, nullable=False),  # number of notices to channels by state
    Column("arrived_at", UtcTime, nullable=False),
    Column("answered_at", UtcTime),
    Column("delivered_at", UtcTime),  # the first of them
    Column("search", Text, nullable=False),
    # With these two any page of any filter is read from an index, not from the rows.
    Index("standings_in_order", "rank", "minus_score", "age_key", "study_id", "status", "study_date"),
    Index("standings_answered", "answered_at"),
    Index("standings_by_status", "status", "rank", "minus_score", "age_key", "study_id", "study_date"),
)
