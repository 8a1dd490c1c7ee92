"""How a time is kept in a row."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import String
from sqlalchemy.types import TypeDecorator


class UtcTime(TypeDecorator[datetime]):
    """An aware UTC datetime kept as ``2026-01-31T12:00:00.000000Z``."""

    impl = String(27)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> str | None:
        """Refuse naive times: they mean something else on the next machine."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive time cannot be stored")
        return value.astimezone(UTC).isoformat(timespec="microseconds")[:-6] + "Z"  # strftime takes ten times as long

    def process_result_value(self, value: str | None, dialect: Any) -> datetime | None:
        """Read back what `process_bind_param` wrote."""
        return None if value is None else datetime.fromisoformat(value)
