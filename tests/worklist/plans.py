"""How a database goes about the statements that transitions execute: what it reads whole, and what by an index."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection

GROWING = {
    "alarms", "associations", "audit", "deliveries", "feedback", "feedback_labels", "instances", "jobs", "journal",
    "notices", "removals", "reports", "results", "retrievals", "series", "shadow_results", "standings", "studies",
}  # fmt: skip
"""Tables that grow with what comes."""


def read_whole(worklist: Any, act: Callable[[Connection], Any]) -> set[str]:
    """Run `act` in a transaction; return the growing tables that a statement of it reads from one end to the other.

    The tables are small here, and a database that counts its rows would rather read them whole: SQLite does not count,
    PostgreSQL is told not to do that where an index serves.
    """
    with worklist.write() as tx:
        if tx.dialect.name == "postgresql":
            return _of_postgresql(tx, act)
        return _of_sqlite(tx, act)


def _of_sqlite(tx: Connection, act: Callable[[Connection], Any]) -> set[str]:
    said: list[str] = []
    driver = tx.connection.driver_connection
    driver.set_trace_callback(said.append)
    try:
        act(tx)
    finally:
        driver.set_trace_callback(None)
    found = set()
    for statement in said:
        if statement.startswith(("SELECT", "UPDATE", "DELETE", "INSERT")):
            for *_, step in driver.execute(f"EXPLAIN QUERY PLAN {statement}"):
                # An index that is read in order until enough is found counts as one; a whole table does not.
                scanned = re.match(r"SCAN (\w+)(?! USING)", step)
                found |= {_table(statement, scanned[1])} & GROWING if scanned and "USING" not in step else set()
    return found


def _table(statement: str, name: str) -> str:
    """Return the table of an alias."""
    aliased = re.search(rf"\b(\w+) AS {name}\b", statement)
    return aliased[1] if aliased else name


def _of_postgresql(tx: Connection, act: Callable[[Connection], Any]) -> set[str]:
    said: list[str] = []
    driver = tx.connection.driver_connection
    hear = lambda notice: said.append(notice.message_primary)  # noqa: E731
    for order in (
        "LOAD 'auto_explain'", "SET LOCAL auto_explain.log_min_duration = 0", "SET LOCAL client_min_messages = log",
        "SET LOCAL enable_seqscan = off", "SET LOCAL auto_explain.log_nested_statements = on",
    ):  # fmt: skip
        tx.exec_driver_sql(order)
    driver.add_notice_handler(hear)
    try:
        act(tx)
    finally:
        driver.remove_notice_handler(hear)
    return {table for plan in said for table in re.findall(r"Seq Scan on (\w+)", plan)} & GROWING
