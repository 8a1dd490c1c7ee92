"""The audit journal: who saw which patient, and who did what. Rows are only ever added."""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import Connection, insert, select

from ichnode.worklist.people import audit


class Actor(Protocol):
    """Who acts: whoever was let in to the pages, a command, or the node by itself."""

    @property
    def name(self) -> str:
        """As the journal has it."""

    @property
    def address(self) -> str:
        """From which network address; empty on the machine itself."""


@dataclass(frozen=True, slots=True)
class Local:
    """A command, or the node by itself."""

    name: str
    address: str = ""


NODE = Local("node")


def terminal() -> Local:
    """Return who runs this command: ``terminal:LOGIN``, behind sudo whoever called it."""
    login = os.environ.get("SUDO_USER", "")
    if not login:
        try:
            login = pwd.getpwuid(os.getuid()).pw_name
        except KeyError:  # in a container a user needs no name
            login = str(os.getuid())
    return Local(f"terminal:{login}"[:64])


def record(
    tx: Connection, at: datetime, who: str, what: str, study_id: int | None = None, address: str = "", **detail: Any
) -> None:
    """Write one row inside the caller's transaction.

    Parameters
    ----------
    who : str
        An account, ``token:NAME``, ``terminal:LOGIN`` for a command, or ``node``.
    what : str
        A named event such as ``study.viewed``.
    **detail
        Never patient data: `study_id` leads there.
    """
    tx.execute(insert(audit).values(at=at, who=who, address=address, what=what, study_id=study_id, detail=detail))


def latest(
    tx: Connection, most: int = 100, before: int | None = None, study_id: int | None = None
) -> list[dict[str, Any]]:
    """Return rows, the latest first.

    Parameters
    ----------
    before : int or None
        Only rows with a smaller id: the next page.
    """
    chosen = select(audit).order_by(audit.c.id.desc()).limit(most)
    if before is not None:
        chosen = chosen.where(audit.c.id < before)
    if study_id is not None:
        chosen = chosen.where(audit.c.study_id == study_id)
    return [{**row, "at": row["at"].isoformat()} for row in tx.execute(chosen).mappings()]
