"""Scanners, a node and a PACS on a simulated clock: everything but the wire, the pixels and the network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from ichnode.core.lifecycle import JobState
from ichnode.core.slices import Slice, StudyFacts
from ichnode.steps.assemble import assemble_due
from ichnode.steps.node import Node
from ichnode.steps.recover import begin_boot, free_leases
from ichnode.worklist import assembly, associations, deliveries, jobs, receipts, results, schema
from ichnode.worklist.receipts import Disposition
from tests.made import Clock, answer, not_analysed, receipt_of, report_row, rows, series_row, study_facts

SLICE_S = 0.05
"""Seconds a sender takes for one slice."""


@dataclass
class Sent:
    """What the PACS holds of one report."""

    sop_instance_uid: str
    predecessor: str | None


class Scene:
    """Acts happen in the order they are called; between them the node does whatever is due by then."""

    def __init__(self, node: Node, clock: Clock, analysis_s: float = 0.0) -> None:
        self.node, self.clock, self.analysis_s = replace(node, now=clock), clock, analysis_s
        self.worklist = node.worklist
        self.pacs: list[Sent] = []
        self._predecessors: dict[str, str | None] = {}
        self._busy_until: tuple[datetime, jobs.Job] | None = None
        self._queued: datetime | None = None
        self._start()

    def _start(self) -> None:
        self.node = replace(self.node, boot_id=begin_boot(self.node))
        self.boot_at = self.clock()
        free_leases(self.node)
        self._queued = self.clock()

    # What scanners do

    def associate(self) -> int:
        with self.worklist.write() as tx:
            return associations.open_association(tx, self.clock(), self.node.boot_id, "127.0.0.1", "CT")

    def send(self, association_id: int, slices: Iterable[Slice], study: StudyFacts | None = None) -> list[Disposition]:
        said = []
        for one in slices:
            self.run(SLICE_S)
            with self.worklist.write() as tx:
                receipt = receipt_of(one, self.clock(), study, association_id)
                said.append(receipts.record_receipt(tx, receipt, 0.5, keep_conflict=True)[0])
        return said

    def end(self, association_id: int, how: str = "released") -> None:
        with self.worklist.write() as tx:
            associations.end_association(tx, self.clock(), association_id, how)

    def send_all(self, slices: Sequence[Slice], study: StudyFacts | None = None) -> None:
        """One association with everything, released."""
        one = self.associate()
        self.send(one, slices, study)
        self.end(one)

    # What the node does

    def run(self, seconds: float) -> None:
        """Let time pass; the node acts whenever something is due."""
        end = self.clock() + timedelta(seconds=seconds)
        for _ in range(10_000):
            due = self._due()
            if due is not None and due <= self.clock():
                self._act()
                due = self._due()
            if self.clock() >= end:
                return
            tick = self.clock() + timedelta(milliseconds=10)
            self.clock.at = min(end, max(tick, due) if due is not None else end)
        raise AssertionError("the node is busy for ever")

    def _due(self) -> datetime | None:
        with self.worklist.read() as tx:
            times = [assembly.next_due(tx), self._busy_until[0] if self._busy_until else self._queued]
        return min((t for t in times if t is not None), default=None)

    def restart(self, after_s: float = 5.0) -> None:
        """The node dies and comes back."""
        self.clock.forward(after_s)
        self._busy_until = None
        self._start()

    def _act(self) -> None:
        assemble_due(self.node, self.boot_at)
        while self.worked():
            self.deliver()

    def worked(self) -> bool:
        """Answer one job; an analysis takes `analysis_s`."""
        if self._busy_until is not None:
            if self.clock() < self._busy_until[0]:
                return False
            job, self._busy_until = self._busy_until[1], None
            self._queued = self.clock()
            self.finish(job)
            return True
        self._queued = None
        for kind in ("report", "analyse"):
            with self.worklist.write() as tx:
                job = jobs.claim_job(tx, self.clock(), kind, f"{self.node.boot_id}/worker", 600)
            if job is None:
                continue
            if kind == "analyse" and self.analysis_s:
                self._busy_until = (self.clock() + timedelta(seconds=self.analysis_s), job)
                return False
            self.finish(job)
            return True
        return False

    def finish(self, job: jobs.Job) -> bool:
        with self.worklist.write() as tx:
            edition, older = results.predecessors(tx, self.clock(), job)
        outcome = answer(job) if job.kind == "analyse" else not_analysed(job)
        row = report_row(job, edition)
        self._predecessors[row.sop_instance_uid] = older[0].sop_instance_uid if older else None
        with self.worklist.write() as tx:
            return results.finish(tx, self.clock(), job, outcome, None, {}, [row], {"sr": ["pacs"]})

    def deliver(self) -> None:
        with self.worklist.write() as tx:
            for delivery in deliveries.claim_deliveries(tx, self.clock(), "pacs", self.node.boot_id):
                self.pacs.append(Sent(delivery.sop_instance_uid, self._predecessors[delivery.sop_instance_uid]))
                deliveries.accepted(tx, self.clock(), delivery, 0)

    # What has to be true

    def current(self, study: StudyFacts | None = None) -> dict[str, Any]:
        """The one current result of a series; fails when there is none or more than one."""
        found = rows(self.worklist, schema.results, series_id=series_row(self.worklist, study).id)
        (current,) = [result for result in found if result["superseded_at"] is None]
        return current

    def verdict(self, name: str, study: str = "study") -> str | None:
        """State and reason of a series, such as "closed" or "ignored LOCALIZER"."""
        (row,) = rows(self.worklist, schema.series, id=series_row(self.worklist, study_facts(study, name)).id)
        return " ".join(filter(None, (row["state"], row["reason_code"])))

    def check_final(self, slices: Sequence[Slice], study: StudyFacts | None = None) -> None:
        """Exactly one final result that references all slices, and in the PACS nothing beside it but what it names."""
        current = self.current(study)
        assert not current["preliminary"]
        assert sorted(uid for uid, _ in current["outcome"]["order"]) == sorted(s.sop_instance_uid for s in slices)
        assert current["revision"] == series_row(self.worklist, study).revision
        unfinished = {JobState.QUEUED, JobState.RUNNING, JobState.FAILED}
        assert not unfinished & {row["state"] for row in rows(self.worklist, schema.jobs)}
        assert {row["state"] for row in rows(self.worklist, schema.deliveries)} <= {"delivered", "withdrawn"}
        uids = [sent.sop_instance_uid for sent in self.pacs]
        assert len(set(uids)) == len(uids), "nothing was sent twice"
        assert [sent.predecessor for sent in self.pacs] == [None, *uids[:-1]], "each names the one before it"
        (report,) = rows(self.worklist, schema.reports, result_id=current["id"])
        assert uids[-1] == report["sop_instance_uid"]
