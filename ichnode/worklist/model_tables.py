"""Tables of the models; beside those of `ichnode.worklist.schema`, in the same schema."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from ichnode.worklist.schema import metadata
from ichnode.worklist.utc import UtcTime


def _only(state: str) -> Index:
    """One model at most is in this state: the database itself holds it."""
    where = text(f"state = '{state}'")
    return Index(f"models_one_{state}", "state", unique=True, sqlite_where=where, postgresql_where=where)


models = Table(
    "models",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("name", Text, nullable=False),
    Column("version", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("origin", String(16), nullable=False),  # shipped, configuration, import, retrain
    Column("pinned", Boolean, nullable=False),  # named in the configuration: nothing else can be active
    Column("registered_at", UtcTime, nullable=False),
    Column("shadowed_at", UtcTime),
    Column("activated_at", UtcTime),
    Column("retired_at", UtcTime),
    Column("judgement", JSON),  # of the gate: checks with their figures
    Column("judged_at", UtcTime),
    Column("forced_because", Text),
    Column("rejected_because", Text),
    _only("active"),
    _only("shadow"),
)

shadow_results = Table(
    "shadow_results",  # beside `results`, and nothing that is sent refers to it
    metadata,
    Column("id", Integer, primary_key=True),
    Column("model_digest", String(64), nullable=False),
    Column("result_id", Integer, ForeignKey("results.id"), nullable=False),
    Column("state", String(16), nullable=False),  # running, done, failed
    Column("verdict", String(16)),
    Column("any_score", Float),
    Column("outcome", JSON),
    Column("seconds", JSON),
    Column("error", Text),
    Column("began_at", UtcTime, nullable=False),
    Column("ended_at", UtcTime),
    UniqueConstraint("model_digest", "result_id"),
    Index("shadow_results_of_result", "result_id"),
)

lab_patients = Table(
    "lab_patients",
    metadata,
    Column("patient", String(64), primary_key=True),  # a digest; means something only on this installation
    Column("part", String(16), nullable=False),  # test, training: for ever
    Column("joined_at", UtcTime, nullable=False),
)
