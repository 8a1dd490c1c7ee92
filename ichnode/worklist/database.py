"""Opening the worklist, and the two kinds of transaction."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Insert, create_engine, event, insert
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError
from sqlalchemy.pool import QueuePool

from ichnode.core.group import Group
from ichnode.errors import PermanentError, TransientError
from ichnode.worklist import schema, standings

BUSY_TIMEOUT_S = 30
T = TypeVar("T")
_CHANGED = "ichnode.changed_studies"


class Worklist:
    """The database, by URL. Safe to share between threads; each transaction has a connection of its own.

    Raises
    ------
    PermanentError
        The URL is none, or its driver is not installed.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        # One writer at a time inside the process: SQLite's own busy wait is unfair under many threads (some wait for
        # seconds); between processes it is what there is.
        self._writing = threading.Lock()
        options: dict[str, Any] = {}
        try:
            self._sqlite = make_url(url).get_backend_name() == "sqlite"
            if self._sqlite:
                options = {"connect_args": {"timeout": BUSY_TIMEOUT_S, "check_same_thread": False}}
            # No reset on return: every connection is used in a `begin` block, which has committed or rolled back.
            self._engine = create_engine(
                url, poolclass=QueuePool, pool_size=8, max_overflow=64, pool_reset_on_return=None, **options
            )
        except (ArgumentError, ImportError) as error:
            raise PermanentError(f"database.url cannot be used: {error}. Empty is SQLite.", "WORKLIST") from None
        if self._sqlite:
            event.listen(self._engine, "connect", _prepare_sqlite)
            event.listen(self._engine, "begin", _begin_sqlite)
        self._group: Group[Callable[[Connection], Any], Any] = Group(self._commit_together, everyones=(TransientError,))

    def together(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a transaction that it may share with other threads' work; return its value once durable.

        When the worklist cannot be written that reaches everyone in it; any other error only the thread whose work
        raises it.
        """
        value: T = self._group.do(work)
        return value

    def _commit_together(self, works: Sequence[Callable[[Connection], Any]]) -> list[Any]:
        with self.write() as tx:
            return [work(tx) for work in works]

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Open a transaction that may read and write; committed at the end, rolled back on any exception.

        Raises
        ------
        TransientError
            The database is locked by another process for longer than the busy time-out, or cannot be written now.
        """
        try:
            with self._writing, self._engine.connect() as connection, connection.begin():
                changed = connection.info[_CHANGED] = set[int]()
                yield connection
                standings.refresh(connection, changed)
        except OperationalError as error:
            raise TransientError(f"The worklist cannot be written now: {error.orig}.", "WORKLIST") from error

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a transaction that only reads: one consistent view, without a lock."""
        with self._engine.connect().execution_options(read_only=True) as connection, connection.begin():
            yield connection

    def migrate(self) -> None:
        """Bring the schema up to this version; creates the file where there is none.

        Raises
        ------
        PermanentError
            The database cannot be opened, or comes from a newer version.
        """
        from alembic import command
        from alembic.config import Config
        from alembic.util.exc import CommandError

        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
        try:
            with self._engine.connect() as connection, connection.begin():
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
                standings.fill(connection)
        except CommandError as error:
            raise PermanentError(f"The worklist comes from another version of ichnode: {error}.", "SCHEMA") from error
        except DBAPIError as error:
            raise PermanentError(
                f"The worklist cannot be opened: {error.orig}. Check node.data and its rights.", "WORKLIST"
            ) from error

    def dispose(self) -> None:
        """Close all connections."""
        self._engine.dispose()


def note(
    tx: Connection, at: datetime, name: str, /, study_id: int | None, series_id: int | None, **detail: Any
) -> None:
    """Write one journal row inside the caller's transaction. Never patient data in `detail`.

    Where the study stands is computed anew at the end of the transaction.
    """
    if study_id is not None:
        tx.info.setdefault(_CHANGED, set()).add(study_id)
    tx.execute(insert(schema.journal).values(at=at, study_id=study_id, series_id=series_id, event=name, detail=detail))


def new_key(tx: Connection, statement: Insert, /) -> int:
    """Insert one row and return its key."""
    key = tx.execute(statement).inserted_primary_key
    assert key is not None
    return int(key[0])


def _prepare_sqlite(connection: Any, _: Any) -> None:
    # The driver must not open transactions by itself: its default mode loses isolation in read-then-write
    # transactions (pysqlite begins only at the first write, after the read).
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={BUSY_TIMEOUT_S * 1000}"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    read_only = connection.get_execution_options().get("read_only", False)
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")
