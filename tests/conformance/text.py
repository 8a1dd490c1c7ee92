"""Markdown, and names of UIDs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pydicom.uid import UID


def table(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table."""
    lines = [_row(titles), "|" + "---|" * len(titles), *(_row(row) for row in rows)]
    assert len(lines) > 2, f"an empty table: {titles}"
    return "\n".join(lines)


def name_of(uid: str) -> str:
    """Return the name of a UID in PS3.6; the UID itself where it has none."""
    return str(UID(uid).name)


def _row(cells: Sequence[object]) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
