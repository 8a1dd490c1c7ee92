"""A worklist of a million series beside one of a thousand: what the busy transitions take in each.

Both have, for each series, a row of each table that an analysed study fills: one slice, one object delivered, one line
of the journal. Rounds are interleaved; a transaction counts until it is on the disk, with PostgreSQL as well.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, insert, text

from ichnode.config import Settings
from ichnode.core.slices import Slice, StudyFacts
from ichnode.steps.node import Node, open_node
from ichnode.steps.recover import begin_boot, end_boot, recover
from ichnode.worklist import jobs, receipts, retention, schema, triage_list
from tests import postgresql

from .pages import NOW, STUDIES, fill
from .record import Record, median

SMALL, LARGE = 1_000, 1_000_000
REPEATS = 40
CT = "1.2.840.10008.5.1.4.1.1.2"
LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
_LEFT = (
    f"""INSERT INTO instances (series_id, sop_instance_uid, sop_class_uid, transfer_syntax_uid, digest, size, file,
        slices, conflict, received_at) SELECT id, '2.25.7' || id, '{CT}', '{LITTLE_ENDIAN}', 'd' || id, 525312,
        'slices/' || id || '.dcm', '[]', false, last_slice_at FROM series""",
    """INSERT INTO jobs (series_id, revision, kind, state, attempts, not_before, queued_at, started_at, finished_at)
        SELECT id, 1, 'analyse', 'done', 1, last_slice_at, last_slice_at, last_slice_at, last_slice_at FROM series""",
    """INSERT INTO results (job_id, series_id, revision, verdict, preliminary, any_score, outcome, seconds, created_at)
        SELECT id, series_id, 1, 'negative', false, 0.1, '{}', '{}', finished_at FROM jobs""",
    f"""INSERT INTO reports (result_id, kind, study_instance_uid, series_instance_uid, sop_class_uid, sop_instance_uid,
        file, size) SELECT id, 'sr', '2.25.' || series_id, '2.25.8' || id, '{CT}', '2.25.6' || id,
        'reports/' || id || '.dcm', 20000 FROM results""",
    """INSERT INTO deliveries (report_id, destination, state, urgency, attempts, not_before, created_at, retry_since,
        delivered_at, commitment_requests) SELECT reports.id, 'pacs', 'delivered', 1, 1, created_at, created_at,
        created_at, created_at, 0 FROM reports JOIN results ON results.id = result_id""",
    """INSERT INTO journal (at, study_id, series_id, event, detail)
        SELECT created_at, series_id, series_id, 'result.made', '{}' FROM results""",
)


def measure(folder: Path, rounds: int, say: Callable[[str], None]) -> list[Record]:
    """Measure receipt, claim, page, retention and start on SQLite."""
    nodes = {size: _made(folder / str(size), size, say) for size in (SMALL, LARGE)}
    return _measured(nodes, rounds, say, "SQLite", "growth")


def measure_on_postgresql(folder: Path, rounds: int, say: Callable[[str], None]) -> list[Record]:
    """Measure the same on PostgreSQL, with its own settings but for the size of its log, where it is installed."""
    programs = postgresql.programs()
    if programs is None:
        say("postgresql is not installed: no figure on it")
        return []
    with ExitStack() as stack:
        server = postgresql.Postgresql(programs, durable=True)
        stack.callback(server.stop)
        server.start()
        nodes = {}
        for size in (SMALL, LARGE):
            url = stack.enter_context(server.copied())
            nodes[size] = _made(folder / f"postgresql-{size}", size, say, url)
            server.tell(url, "VACUUM ANALYZE")  # as its own autovacuum does sooner or later
        return _measured(nodes, rounds, say, "PostgreSQL", "growth-on-postgresql")


def _measured(
    nodes: dict[int, Node], rounds: int, say: Callable[[str], None], database: str, part: str
) -> list[Record]:  # fmt: skip
    taken: dict[str, dict[int, list[float]]] = {}
    for number in range(rounds):
        say(f"{part}: round {number + 1} of {rounds}")
        for size, node in nodes.items():
            for name, milliseconds in _round(node, size + 1 + number * REPEATS).items():
                taken.setdefault(name, {}).setdefault(size, []).append(milliseconds)
    for node in nodes.values():
        node.worklist.dispose()
    records = []
    for name, of in taken.items():
        small = statistics.median(of[SMALL])
        note = f"in a worklist of {LARGE:,} series, {database}; median of {REPEATS} a round"
        ratio = round(statistics.median(of[LARGE]) / small, 2)
        against = f"{SMALL:,} series: {small:.2f} ms"
        command = f"python -m benchmarks {part}"
        records.append(median(f"{part}.{name}", of[LARGE], "ms", command, ratio=ratio, against=against, note=note))
    return records


def _made(folder: Path, size: int, say: Callable[[str], None], url: str = "") -> Node:
    say(f"a worklist of {size:,} series is made")
    settings = Settings.model_validate({"node": {"data": str(folder)}, "database": {"url": url}})
    node = replace(open_node(settings, "boot"), now=lambda: NOW)
    for first in range(1, size + 1, STUDIES):
        fill(node, first, min(STUDIES, size))
    with node.worklist.write() as tx:
        for statement in _LEFT:
            tx.execute(text(statement))
        if url:  # rows that came with their number did not draw it from the sequence
            for table in ("studies", "series"):
                tx.execute(text(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), {size})"))
    return node


def _round(node: Node, first: int) -> dict[str, float]:
    number = count(first)
    rule = retention.Rule(NOW - timedelta(days=1))
    return {
        "receipt": _written(node, lambda tx: _receive(tx, next(number))),
        "claim": _written(node, lambda tx: _claimed(tx, next(number))),
        "page": _written(node, triage_list.page),
        "retention": _written(node, lambda tx: next(retention.candidates(tx, rule), None)),
        "start": _started(node),
    }


def _written(node: Node, act: Callable[[Connection], Any]) -> float:
    took = []
    for _ in range(REPEATS):
        with _timed(took), node.worklist.write() as tx:
            act(tx)
    return statistics.median(took)


def _receive(tx: Connection, number: int) -> None:
    study = StudyFacts(f"2.25.5{number}", f"2.25.4{number}", patient_id="P", patient_name="P", accession_number="A")
    uid = f"2.25.3{number}"
    facts = receipts.Receipt(study, uid, CT, LITTLE_ENDIAN, uid, 525312, f"slices/{uid}.dcm", (Slice(uid, CT),), NOW)
    receipts.record_receipt(tx, facts, 0.5, keep_conflict=False)


def _claimed(tx: Connection, number: int) -> None:
    tx.execute(
        insert(schema.jobs).values(
            series_id=1, revision=number, kind="analyse", state="queued", attempts=0, not_before=NOW, queued_at=NOW
        )
    )
    if jobs.claim_job(tx, NOW, "analyse", "boot/worker", 600) is None:
        raise RuntimeError("nothing was claimed")


def _started(node: Node) -> float:
    took: list[float] = []
    with _timed(took):
        begun = replace(open_node(node.settings), now=lambda: NOW)
        begun = replace(begun, boot_id=begin_boot(begun))
        recover(begun)
    end_boot(begun)
    begun.worklist.dispose()
    return took[0]


@contextmanager
def _timed(took: list[float]) -> Iterator[None]:
    began = time.perf_counter()
    yield
    took.append((time.perf_counter() - began) * 1000)
