"""The worklist with 100,000 studies: how long its pages take, asked over HTTP as a browser does."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import httpx2
from sqlalchemy import insert

from ichnode.config import Settings
from ichnode.core.triage import place_of_study, urgency_of
from ichnode.steps.node import Node, open_node
from ichnode.web.passwords import hash_password
from ichnode.web.server import WebServer
from ichnode.worklist import accounts, schema, searches
from ichnode.worklist.standing_table import standings

from .record import Record, median

STUDIES = 100_000
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
REPEATS = 9
COMMAND = "python -m benchmarks pages"


def measure(folder: Path, rounds: int, say: Callable[[str], None]) -> list[Record]:
    """Measure the first page, a page in the middle, a filter, a date, a search and the list that renews itself."""
    say(f"pages: a worklist of {STUDIES} studies is made")
    settings = Settings.model_validate({"node": {"data": str(folder / "pages")}, "web": {"port": 0}})
    node = replace(open_node(settings, "boot"), now=lambda: NOW)
    middle = fill(node)
    with node.worklist.write() as tx:
        accounts.add(tx, NOW, "bench", "reader", hash_password("only for this benchmark"))
        searches.keep(tx, NOW, "bench", "known", "patient 77777")
        searches.keep(tx, NOW, "bench", "nobody", "zzzz")
    server = WebServer(node)
    server.start()
    asked = {
        "first": "/", "middle": f"/?after={middle}", "status": "/?status=negative&read=no",
        "dates": "/?from=2026-02-20&to=2026-02-21", "search": "/?search=known", "nothing": "/?search=nobody",
        "renewed": "/worklist/list",
    }  # fmt: skip
    found: dict[str, list[float]] = {name: [] for name in asked} | {f"{name}.cpu": [] for name in asked}
    with httpx2.Client(base_url=server.address, timeout=60) as client:
        client.post("/sign-in", data={"name": "bench", "password": "only for this benchmark"})
        for number in range(rounds):
            say(f"pages: round {number + 1} of {rounds}")
            for name, address in asked.items():
                wall, cpu = _milliseconds(client, address)
                found[name].append(wall)
                found[f"{name}.cpu"].append(cpu)
    server.stop()
    node.worklist.dispose()
    return [median(f"pages.{name}", values, "ms", COMMAND, note=_NOTE) for name, values in found.items()]


_NOTE = (
    f"median of {REPEATS} requests a round; {STUDIES} studies, 50 a page, SQLite; each view is audited (fsync); "
    ".cpu is what the processor did, client included"
)


def _milliseconds(client: httpx2.Client, address: str) -> tuple[float, float]:
    """Return what passed by the clock, and of the processor (client included), both in ms."""
    wall, cpu = [], []
    for _ in range(REPEATS):
        begun, worked = time.perf_counter(), time.process_time()
        answer = client.get(address)
        wall.append((time.perf_counter() - begun) * 1000)
        cpu.append((time.process_time() - worked) * 1000)
        if answer.status_code != 200:
            raise RuntimeError(f"{address} was answered with {answer.status_code}")
    return statistics.median(wall), statistics.median(cpu)


def fill(node: Node, first: int = 1, count: int = STUDIES) -> str:
    """Put `count` studies into the worklist, numbered from `first`; return the key of the one in the middle."""
    chance = Random(1)
    rows: tuple[list[dict[str, Any]], ...] = ([], [], [])
    for number in range(first, first + count):
        for table, row in zip(rows, _study(number, chance), strict=True):
            table.append(row)
    with node.worklist.write() as tx:
        for table, values in zip((schema.studies, schema.series, standings), rows, strict=True):
            tx.execute(insert(table), values)
    middle = sorted((r["rank"], r["minus_score"], r["age_key"], r["study_id"]) for r in rows[2])[count // 2]
    return "_".join(repr(part) for part in middle)


def _study(number: int, chance: Random) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    came = NOW - timedelta(minutes=3 * number)
    verdict = chance.choices(("positive", "negative", "not_analysed", "pending"), (12, 70, 17, 1))[0]
    score = None if verdict in ("not_analysed", "pending") else round(chance.random(), 5)
    urgency = urgency_of(verdict, chance.random() < 0.01)
    read = came if number > 400 and verdict != "pending" else None
    place = place_of_study(urgency, score, came, read is not None)
    study = {
        "id": number, "study_instance_uid": f"2.25.{number}", "patient_id": f"P{number:06d}",
        "patient_name": f"PATIENT {number}^ANNA", "patient_birth_date": "19500101", "patient_sex": "F",
        "accession_number": f"A{number:07d}", "study_date": f"{came:%Y%m%d}", "study_time": f"{came:%H%M%S}",
        "description": "CT Head", "referring_physician": "", "station_name": "CT1", "first_seen_at": came,
        "read_at": read, "read_by": read and "ada", "read_verdict": read and verdict,
    }  # fmt: skip
    series = {
        "id": number, "study_id": number, "series_instance_uid": f"2.25.9{number}", "state": "closed", "revision": 1,
        "received": 34, "conflicts": 0, "first_slice_at": came, "last_slice_at": came, "longest_pause_s": 0.0,
        "due_at": came,
    }  # fmt: skip
    standing = {
        "study_id": number, **place._asdict(), "status": "waiting" if verdict == "pending" else verdict,
        "study_date": study["study_date"], "verdict": verdict, "urgency": urgency, "any_score": score,
        "preliminary": False, "failed": False, "deliveries": {"delivered": 1}, "notices": {}, "arrived_at": came,
        "answered_at": None if verdict == "pending" else came + timedelta(seconds=20),
        "delivered_at": None if verdict == "pending" else came + timedelta(seconds=21),
        "search": f"{study['patient_name']}\n{study['patient_id']}\n{study['accession_number']}".casefold(),
    }  # fmt: skip
    return study, series, standing
