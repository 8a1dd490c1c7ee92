"""Tables of who uses the pages and the JSON: accounts, sessions, tokens, failed sign-ins, searches, audit journal."""

from __future__ import annotations

from sqlalchemy import JSON, Boolean, Column, ForeignKey, Index, Integer, String, Table, Text

from ichnode.worklist.schema import metadata
from ichnode.worklist.utc import UtcTime

accounts = Table(
    "accounts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("role", String(16), nullable=False),
    Column("password", Text),  # argon2; none: signs in at the proxy only
    Column("disabled", Boolean, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("seen_at", UtcTime),
)

sessions = Table(
    "sessions",
    metadata,
    Column("digest", String(64), primary_key=True),  # SHA-256 of what the cookie holds
    Column("account_id", Integer, ForeignKey("accounts.id"), nullable=False),
    Column("begun_at", UtcTime, nullable=False),
    Column("seen_at", UtcTime, nullable=False),
    Column("address", String(64), nullable=False),
    Index("sessions_of_account", "account_id"),
)

api_tokens = Table(
    "api_tokens",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("digest", String(64), nullable=False, unique=True),
    Column("scopes", JSON, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime),
    Column("seen_at", UtcTime),
    Column("revoked_at", UtcTime),
)

sign_in_failures = Table(
    "sign_in_failures",
    metadata,
    Column("digest", String(64), primary_key=True),  # of whom, and from where
    Column("failures", Integer, nullable=False),
    Column("not_before", UtcTime, nullable=False),
)

searches = Table(
    "searches",
    metadata,
    Column("key", String(32), primary_key=True),  # random: what an address says in place of a name
    Column("text", Text, nullable=False),
    Column("account", String(64), nullable=False),
    Column("at", UtcTime, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", UtcTime, nullable=False),
    Column("who", String(80), nullable=False),
    Column("address", String(64), nullable=False),
    Column("what", String(64), nullable=False),
    Column("study_id", Integer),
    Column("detail", JSON, nullable=False),
    Index("audit_of_study", "study_id", "id"),
)
