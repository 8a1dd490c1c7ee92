"""A node with an answered series whose files really lie in the spool, as retention meets it weeks later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ichnode.core.identity import digest_of
from ichnode.core.reasons import because
from ichnode.steps.node import Node
from ichnode.worklist import assembly, deliveries, jobs, results, schema
from tests.made import answer, claim, report_row, rows
from tests.steps.spooled import put, started

DAY_S = 86400.0


def answered(node: Node, files: Sequence[Path], *, sent: bool = True, fails: bool = False) -> int:
    """Receive `files` as one series and answer it; `sent` also delivers the report to "pacs". Returns its number."""
    known = {row["id"] for row in rows(node.worklist, schema.series)}
    for file in files:
        put(node, file)
    started(node)
    (series,) = [row for row in rows(node.worklist, schema.series) if row["state"] == "receiving"]
    with node.worklist.write() as tx:
        (due,) = assembly.due_series(tx, node.now().replace(year=node.now().year + 1))
        assert assembly.close(tx, node.now(), due, "test", None, {"could_win": True, "rank": [1.0]})
    job = claim(node.worklist, node.now)
    if fails:
        with node.worklist.write() as tx:
            jobs.fail(tx, node.now(), job, "It failed.", because("ANALYSIS_FAILED"))
        return series["id"]
    content = f"a report of {job.series_id} {job.revision}".encode() * 50
    heat = f"a heat map of {job.series_id} {job.revision}".encode()
    file = node.spool.put_report(content, digest_of(content))
    report = replace(report_row(job, len(known) + job.revision), file=file, size=len(content))
    with node.worklist.write() as tx:
        results.predecessors(tx, node.now(), job)
    with node.worklist.write() as tx:
        assert results.finish(
            tx, node.now(), job, answer(job, 0.9), ("model", "1.0", "digest"), {}, [report], {"sr": ["pacs"]},
            node.spool.put_heat(heat, digest_of(heat)),
        )  # fmt: skip
        tx.execute(schema.studies.update().values(notices_due_at=None))  # announced; no channel is told
    if sent:
        deliver_all(node)
    return series["id"]


def deliver_all(node: Node) -> None:
    with node.worklist.write() as tx:
        for delivery in deliveries.claim_deliveries(tx, node.now(), "pacs", "boot"):
            deliveries.accepted(tx, node.now(), delivery, 0)


def files_of(node: Node) -> list[str]:
    """Everything that lies in the spool."""
    return sorted(str(path.relative_to(node.spool.root)) for path in node.spool.root.rglob("*") if path.is_file())


def state_of(node: Node, series_id: int) -> str:
    (row,) = rows(node.worklist, schema.series, id=series_id)
    return str(row["state"])
