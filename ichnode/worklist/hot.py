"""Statements that run for every slice or with every transition: compiled once per dialect, then handed to the driver.

SQLAlchemy's own execution costs about a quarter of a millisecond of interpreter time a statement, as much as all else
that is done for a slice; a cursor of the driver, its documented way around ("Working with the DBAPI cursor directly"),
a tenth of that. Types are converted by the processors of the columns, and errors are those of SQLAlchemy, so that
callers see no difference. PostgreSQL keeps them prepared.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Float
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
