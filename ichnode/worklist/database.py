"""Opening the worklist, and the two kinds of transaction."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from sqlalchemy import Connection, Insert, bindparam, insert
from sqlalchemy.exc import DBAPIError

from ichnode.core.group import Group
from ichnode.errors import PermanentError, TransientError
from ichnode.worklist import engines, schema, standings
from ichnode.worklist.hot import Hot

T = TypeVar("T")
_Work: TypeAlias = tuple[Callable[[Connection], Any], tuple[str, ...]]
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
        self._group: Group[_Work, Any] = Group(self._commit_together, everyones=(TransientError,))

    @property
    def is_shared(self) -> bool:
        """Whether several nodes may use it at once."""
        return self._engine.dialect.name == "postgresql"

    def together(self, work: Callable[[Connection], T], *about: str) -> T:
        """Run `work` in a transaction that it may share with other threads' work; return its value once durable.

        When the worklist cannot be written that reaches everyone in it; any other error only the thread whose work
        raises it.

        Parameters
        ----------
        work : callable
        about : str
            UIDs of all that it reads or changes the rows of: other nodes may write about others at the same time.
        """
        value: T = self._group.do((work, about))
        return value

    def _commit_together(self, works: Sequence[_Work]) -> list[Any]:
        with self._transaction([uid for _, about in works for uid in about]) as tx:
            return [work(tx) for work, _ in works]

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
    def _transaction(self, about: Iterable[str] | None) -> Iterator[Connection]:
        try:
            with self._writing, self._engine.connect() as connection, connection.begin():
                engines.lock(connection, about)
                changed = connection.info[_CHANGED] = set[int]()
                yield connection
                standings.refresh(connection, changed)
        except engines.PASSING as error:
            raise TransientError(f"The worklist cannot be written now: {_said(error)}.", "WORKLIST") from error

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
