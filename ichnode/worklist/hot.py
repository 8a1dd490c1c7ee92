"""Statements that run for every slice or with every transition: compiled once per dialect, then handed to the driver.

SQLAlchemy's own execution costs about a quarter of a millisecond of interpreter time a statement, as much as all else
that is done for a slice; a cursor of the driver, its documented way around ("Working with the DBAPI cursor directly"),
a tenth of that. Types are converted by the processors of the columns, and errors are those of SQLAlchemy, so that
callers see no difference. PostgreSQL keeps them prepared.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import BindParameter, Column, Connection, Float, bindparam
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql import Executable
from sqlalchemy.sql.compiler import SQLCompiler


class _Compiled:
    """One statement for one dialect: SQL text, order and processors of parameters, processors of columns."""

    def __init__(self, statement: Any, dialect: Dialect) -> None:
        compiled: SQLCompiler = statement.compile(dialect=dialect)
        self.sql = str(compiled)
        self.options = {"prepare": True} if dialect.name == "postgresql" else {}
        self.order = list(compiled.positiontup) if compiled.positional and compiled.positiontup else None
        self.binds = {
            name: processor
            for name, bind in compiled.binds.items()
            if (processor := bind.type.dialect_impl(dialect).bind_processor(dialect)) is not None
        }
        columns = list(getattr(statement, "selected_columns", ()))
        self.names = [column.key for column in columns]
        self.results = [
            (i, processor)
            for i, column in enumerate(columns)
            # A driver's floats are floats; psycopg's processor would have to know the answer's own column type.
            if not isinstance(column.type, Float)
            and (processor := column.type.dialect_impl(dialect).result_processor(dialect, None)) is not None
        ]

    def parameters(self, values: dict[str, Any]) -> Any:
        for name, processor in self.binds.items():
            values[name] = processor(values[name])
        return values if self.order is None else tuple(values[name] for name in self.order)


class Hot:
    """A statement that is run very often.

    Parameters
    ----------
    statement
        Every parameter a named `bindparam`.
    """

    def __init__(self, statement: Executable) -> None:
        self._statement = statement
        self._compiled: dict[str, _Compiled] = {}

    def run(self, tx: Connection, **values: Any) -> int:
        """Execute what returns no rows; return how many rows it concerned."""
        return int(self._execute(tx, values, fetch=False))

    def rows(self, tx: Connection, **values: Any) -> list[list[Any]]:
        """Execute and return all rows, their values converted as the columns' types say."""
        found = [list(row) for row in self._execute(tx, values, fetch=True)]
        for row in found:
            for index, processor in self._for(tx).results:
                row[index] = processor(row[index])
        return found

    def mappings(self, tx: Connection, **values: Any) -> list[dict[str, Any]]:
        """As `rows`, each a dict by column name."""
        names = self._for(tx).names
        return [dict(zip(names, row, strict=True)) for row in self.rows(tx, **values)]

    def _execute(self, tx: Connection, values: dict[str, Any], *, fetch: bool) -> Any:
        compiled = self._for(tx)
        parameters = compiled.parameters(values)
        cursor = tx.connection.cursor()
        try:
            cursor.execute(compiled.sql, parameters, **compiled.options)
            return cursor.fetchall() if fetch else cursor.rowcount
        except tx.dialect.loaded_dbapi.Error as error:
            raise DBAPIError.instance(compiled.sql, None, error, tx.dialect.loaded_dbapi.Error) from error
        finally:
            cursor.close()

    def _for(self, tx: Connection) -> _Compiled:
        known = self._compiled.get(tx.dialect.name)
        if known is None:
            known = self._compiled[tx.dialect.name] = _Compiled(self._statement, tx.dialect)
        return known


class HotIn:
    """A statement that asks for several keys at once, of which there are sometimes more and sometimes fewer.

    Compiled for 1, 2, 4, 8 ... keys; the last one fills what is left.

    Parameters
    ----------
    build : callable
        Called with a list of parameters for each of `names`; returns the statement.
    names : str
        Of the lists.
    """

    def __init__(self, build: Callable[..., Executable], *names: str) -> None:
        self._build, self._names = build, names
        self._sizes: dict[int, tuple[Hot, list[str]]] = {}

    def run(self, tx: Connection, *keys: Sequence[Any]) -> None:
        """Execute what returns no rows; one sequence, not empty, for each of the names."""
        hot, values = self._filled(keys)
        hot.run(tx, **values)

    def rows(self, tx: Connection, *keys: Sequence[Any]) -> list[list[Any]]:
        """Execute and return all rows."""
        hot, values = self._filled(keys)
        return hot.rows(tx, **values)

    def mappings(self, tx: Connection, *keys: Sequence[Any]) -> list[dict[str, Any]]:
        """As `rows`, each a dict by column name."""
        hot, values = self._filled(keys)
        return hot.mappings(tx, **values)

    def _filled(self, keys: Sequence[Sequence[Any]]) -> tuple[Hot, dict[str, Any]]:
        size = 1 << (max(map(len, keys)) - 1).bit_length()
        hot, names = self._sizes.get(size) or self._sizes.setdefault(size, self._made(size))
        filled = (key for some in keys for key in (*some, *(some[-1] for _ in range(size - len(some)))))
        return hot, dict(zip(names, filled, strict=True))

    def _made(self, size: int) -> tuple[Hot, list[str]]:
        lists: list[list[BindParameter[Any]]] = [
            [bindparam(f"{name}_{number}") for number in range(size)] for name in self._names
        ]
        return Hot(self._build(*lists)), [parameter.key for some in lists for parameter in some]


class HotRows:
    """A statement that writes several rows at once, of which there are sometimes more and sometimes fewer.

    One execution, and not one a row: every step of one lets other threads have the interpreter first.

    Parameters
    ----------
    build : callable
        Called with a list of dicts of parameters by name, one a row; returns the statement.
    columns : sequence of Column
        Those that the parameters are named after.
    """

    _MOST = 64

    def __init__(
        self, build: Callable[[list[dict[str, BindParameter[Any]]]], Executable], columns: Sequence[Column[Any]]
    ) -> None:
        self._build = build
        self._types = {column.name: column.type for column in columns}
        self._sizes: dict[int, tuple[Hot, list[str]]] = {}

    def run(self, tx: Connection, rows: Sequence[dict[str, Any]]) -> None:
        """Write all rows, which may be none."""
        for at in range(0, len(rows), self._MOST):
            some = rows[at : at + self._MOST]
            hot, names = self._sizes.get(len(some)) or self._sizes.setdefault(len(some), self._made(len(some)))
            given = (row[name] for row in some for name in self._types)
            hot.run(tx, **dict(zip(names, given, strict=True)))

    def _made(self, size: int) -> tuple[Hot, list[str]]:
        def row(number: int) -> dict[str, BindParameter[Any]]:
            return {name: bindparam(f"{name}_{number}", type_=kind) for name, kind in self._types.items()}

        rows = [row(number) for number in range(size)]
        return Hot(self._build(rows)), [parameter.key for one in rows for parameter in one.values()]
