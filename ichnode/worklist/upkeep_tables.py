"""Tables of the upkeep of the node; beside those of `ichnode.worklist.schema`, in the same schema."""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, String, Table

from ichnode.worklist.schema import metadata

removals = Table(
    "removals",  # files of purged series that still have to be unlinked
    metadata,
    Column("file", String(160), primary_key=True),
    Column("series_id", Integer, nullable=False),
    Index("removals_of_series", "series_id"),
)

relays = Table(
    "relays",  # who gets the audit journal, and up to which row it has arrived
    metadata,
    Column("name", String(64), primary_key=True),
    Column("last_id", Integer, nullable=False),
)
