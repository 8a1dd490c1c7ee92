"""Opening the worklist, and the two kinds of transaction."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Insert, RootTransaction, bindparam, insert
from sqlalchemy.exc import DBAPIError

from ichnode.errors import PermanentError, TransientError
from ichnode.worklist import engines, schema, standings
from ichnode.worklist.hot import Hot

_CHANGED = "ichnode.changed_studies"
_NOTE = Hot(insert(schema.journal).values({c.name: bindparam(c.name) for c in schema.journal.c if c.name != "id"}))


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
        self._engine = engines.open_engine(url)
        self._kept: Connection | None = None

    @property
    def is_shared(self) -> bool:
        """Whether several nodes may use it at once."""
        return self._engine.dialect.name == "postgresql"

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Open a transaction that may read and write; committed at the end, rolled back on any exception.

        Nobody else writes meanwhile, in no process and on no machine.

        Raises
        ------
        TransientError
            The database is locked by another process for longer than the busy time-out, or cannot be written now.
        """
        with self._transaction(None) as connection:
            yield connection

    @contextmanager
    def write_about(self, uids: Iterable[str]) -> Iterator[Connection]:
        """As `write`; but other nodes may write about other studies meanwhile.

        Parameters
        ----------
        uids : iterable of str
            Of all that the transaction reads or changes the rows of.
        """
        with self._transaction(uids) as connection:
            yield connection

    @contextmanager
    def _transaction(self, about: Iterable[str] | None) -> Iterator[Connection]:
        try:
            with self._writing, self._begun(about) as transaction:
                changed = transaction.connection.info[_CHANGED] = set[int]()
                yield transaction.connection
                standings.refresh(transaction.connection, changed)
        except engines.PASSING as error:
            raise TransientError(f"The worklist cannot be written now: {_said(error)}.", "WORKLIST") from error

    def _begun(self, about: Iterable[str] | None) -> RootTransaction:
        """Begin on the connection that is kept for writing, since asking the pool costs as much as a slice's rows."""
        if self._kept is not None:
            try:
                return self._begun_on(self._kept, about)
            except DBAPIError as error:
                if not error.connection_invalidated:  # else the server was started anew since, which is no trouble
                    raise
        self._kept = self._engine.connect()
        engines.make_impatient(self._kept)
        return self._begun_on(self._kept, about)

    def _begun_on(self, connection: Connection, about: Iterable[str] | None) -> RootTransaction:
        try:
            transaction = connection.begin()
            engines.lock(connection, about)
        except BaseException:
            self._let_go()
            raise
        return transaction

    def _let_go(self) -> None:
        kept, self._kept = self._kept, None
        if kept is not None:
            kept.invalidate()  # not fit for others
            kept.close()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a transaction that only reads: one consistent view, without a lock.

        Raises
        ------
        TransientError
            The database is not there now.
        """
        options = engines.reading(self._engine)
        try:
            with self._engine.connect().execution_options(**options) as connection, connection.begin():
                yield connection
        except engines.PASSING as error:
            raise TransientError(f"The worklist cannot be read now: {_said(error)}.", "WORKLIST") from error

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
                engines.lock(connection)  # another node may be at it
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
                standings.fill(connection)
        except CommandError as error:
            raise PermanentError(f"The worklist comes from another version of ichnode: {error}.", "SCHEMA") from error
        except DBAPIError as error:
            raise PermanentError(
                f"The worklist cannot be opened: {_said(error)}. Check "
                + ("database.url." if self.is_shared else "node.data and its rights."),
                "WORKLIST",
            ) from error

    def dispose(self) -> None:
        """Close all connections; nobody writes any more."""
        with self._writing:
            self._let_go()
        self._engine.dispose()


def note(
    tx: Connection, at: datetime, name: str, /, study_id: int | None, series_id: int | None, **detail: Any
) -> None:
    """Write one journal row inside the caller's transaction. Never patient data in `detail`.

    Where the study stands is computed anew at the end of the transaction.
    """
    if study_id is not None:
        tx.info.setdefault(_CHANGED, set()).add(study_id)
    _NOTE.run(tx, at=at, study_id=study_id, series_id=series_id, event=name, detail=detail)


def new_key(tx: Connection, statement: Insert, /, **values: Any) -> int:
    """Insert one row, its values in the statement or apart, and return its key."""
    key = tx.execute(statement, values).inserted_primary_key
    assert key is not None
    return int(key[0])


def _said(error: Exception) -> str:
    """Return what the driver says, in one line."""
    told = str(error.orig if isinstance(error, DBAPIError) else error).strip()
    return " ".join(told.split()).rstrip(".") or type(error).__name__
