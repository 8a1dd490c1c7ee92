"""SQLite and PostgreSQL: how each is opened so that a transaction means the same on both.

Transitions read, decide and write. On SQLite one transaction writes at a time in all processes together, and so nothing
changes between the three. PostgreSQL gives the same by an advisory lock that every writing transaction takes first: all
of it by itself, or, for what is written for every slice, shared with others that concern other studies.
"""

from __future__ import annotations

import hashlib
import sqlite3
import sys
import time
from collections.abc import Iterable
from typing import Any

from sqlalchemy import BIGINT, Connection, Engine, bindparam, create_engine, event, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import QueuePool

from ichnode.errors import PermanentError
from ichnode.worklist.hot import Hot

BUSY_TIMEOUT_S = 30
_TURN_S, _LONGEST_TURN_S = 0.0005, 0.01
_IDLE_S = 60
"""A transaction that does nothing for so long belongs to a process that hangs: PostgreSQL ends it, and its locks."""
_NEVER = sys.maxsize
"""Executions after which the driver has a statement prepared by itself. PostgreSQL plans a prepared one for values that
it does not know, and of a worklist of a million series the plan of retention then reads every row. What runs for every
slice goes by keys and is prepared at once: `ichnode.worklist.hot`."""
_BEGIN, _BEGIN_WRITING = Hot(text("BEGIN")), Hot(text("BEGIN IMMEDIATE"))
_ALL = int.from_bytes(b"ichnode\0")
_LOCK_ALL = text(f"SELECT pg_advisory_xact_lock({_ALL})")
_SHARE = text(f"SELECT pg_advisory_xact_lock_shared({_ALL})")
_LOCK_SOME = text("SELECT pg_advisory_xact_lock(key) FROM unnest(:keys) AS key").bindparams(
    bindparam("keys", type_=ARRAY(BIGINT))
)
PASSING = (OperationalError, InterfaceError, PoolTimeout)
"""What a database says that is locked, full, restarting or gone."""


def open_engine(url: str) -> Engine:
    """Return the engine for a URL; nothing is connected yet.

    Raises
    ------
    PermanentError
        The URL is none, its database is neither of the two, or its driver is not installed.
    """
    try:
        known = make_url(url)
        backend = known.get_backend_name()
        if backend == "sqlite":
            return _sqlite(known)
        if backend == "postgresql":
            return _postgresql(known)
    except (ArgumentError, ImportError) as error:
        driver = " PostgreSQL needs its driver: pip install 'ichnode[postgresql]'." if "psycopg" in str(error) else ""
        raise PermanentError(f"database.url cannot be used: {error}.{driver} Empty is SQLite.", "WORKLIST") from None
    sentence = f"database.url cannot be used: {backend} is neither sqlite nor postgresql. Empty is SQLite."
    raise PermanentError(sentence, "WORKLIST")


def reading(engine: Engine) -> dict[str, Any]:
    """Return the options of a connection that only reads, and sees one moment."""
    if engine.dialect.name == "postgresql":
        return {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    return {"read_only": True}


def lock(connection: Connection, about: Iterable[str] | None = None) -> None:
    """Take what a writing transaction needs on PostgreSQL, until it ends; SQLite has it from its beginning.

    Parameters
    ----------
    about : iterable of str or None
        UIDs of all that it is about, so that others may write about others; None: nobody else writes.
    """
    if connection.dialect.name != "postgresql":
        return
    if about is None:
        connection.execute(_LOCK_ALL)
        return
    connection.execute(_SHARE)
    # In one order everywhere, so that no two wait for each other.
    connection.execute(_LOCK_SOME, {"keys": sorted({_key(uid) for uid in about})})


def _key(uid: str) -> int:
    return int.from_bytes(hashlib.blake2b(uid.encode(), digest_size=8).digest(), signed=True)


def _sqlite(url: URL) -> Engine:
    # No reset on return: every connection is used in a `begin` block, which has committed or rolled back.
    engine = create_engine(
        url, poolclass=QueuePool, pool_size=8, max_overflow=64, pool_reset_on_return=None,
        connect_args={"timeout": BUSY_TIMEOUT_S, "check_same_thread": False},
    )  # fmt: skip
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _: Any) -> None:
    # The driver must not open transactions by itself: its default mode loses isolation in read-then-write
    # transactions (pysqlite begins only at the first write, after the read).
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={BUSY_TIMEOUT_S * 1000}"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    if connection.get_execution_options().get("read_only", False):
        _BEGIN.run(connection)
        return
    # Left to itself SQLite looks again after 1, 2, 5, 10, 15, 20, 25 ms, and finds mostly that the next one is at it.
    deadline, pause_s = time.monotonic() + BUSY_TIMEOUT_S, _TURN_S
    while True:
        try:
            _BEGIN_WRITING.run(connection)
        except OperationalError as error:
            if not _is_busy(error) or time.monotonic() >= deadline:
                raise
            time.sleep(pause_s)
            pause_s = min(1.1 * pause_s, _LONGEST_TURN_S)
        else:
            return


def _is_busy(error: OperationalError) -> bool:
    """Tell whether another process is at it; the extended code says how, as recovering the log of one that died."""
    return getattr(error.orig, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY


def make_impatient(connection: Connection) -> None:
    """Let a connection that writes again and again say at once that another process does: see `_begin_sqlite`."""
    if connection.dialect.name == "sqlite":
        connection.connection.cursor().execute("PRAGMA busy_timeout=0")


def _postgresql(url: URL) -> Engine:
    engine = create_engine(
        url, pool_size=4, max_overflow=12, pool_pre_ping=True, isolation_level="READ COMMITTED",
        connect_args={
            "application_name": "ichnode", "connect_timeout": 10, "keepalives_idle": 10, "keepalives_interval": 5,
            "keepalives_count": 3, "prepare_threshold": _NEVER,
            "options": f"-c lock_timeout={BUSY_TIMEOUT_S}s -c idle_in_transaction_session_timeout={_IDLE_S}s",
        },
    )  # fmt: skip
    event.listen(engine, "connect", _prepare_postgresql)
    return engine


def _prepare_postgresql(connection: Any, _: Any) -> None:
    # A commit that is not on the disk yet would be acknowledged to the scanner.
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
        )
    connection.commit()
