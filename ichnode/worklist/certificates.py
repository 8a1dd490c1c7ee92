"""That a certificate ends soon was said: once a day, however often the node was started."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection, select

from ichnode.worklist import schema
from ichnode.worklist.database import note

AGAIN = timedelta(days=1)
_J = schema.journal


def remind(tx: Connection, now: datetime, setting: str, code: str) -> bool:
    """Write down that somebody is told of a certificate; tell whether it is time to.

    Parameters
    ----------
    setting : str
        That names the file.
    code : str
        What is wrong with it.
    """
    said = tx.execute(
        select(_J.c.detail).where(_J.c.event == "certificate.worry", _J.c.at > now - AGAIN, _J.c.study_id.is_(None))
    ).scalars()
    if {"setting": setting, "code": code} in list(said):
        return False
    note(tx, now, "certificate.worry", None, None, setting=setting, code=code)
    return True
