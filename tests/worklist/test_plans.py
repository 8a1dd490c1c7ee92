"""However many series there are: each statement of the busy paths goes by an index, on both databases."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ichnode.core.findings import Warned
from ichnode.core.urgency import Said
from ichnode.core.workitem import Input
from ichnode.worklist import (
    alarms,
    assembly,
    associations,
    boots,
    deliveries,
    jobs,
    notices,
    receipts,
    retention,
    retractions,
    retrievals,
    triage_list,
    urgency,
    views,
    vitals,
    workitem_standing,
    workitems,
)
from ichnode.worklist.database import Worklist
from ichnode.worklist.retention import Rule
from ichnode.worklist.triage_list import Chosen
from tests.made import (
    analysed_series,
    closed_series,
    head_slices,
    receipt_of,
    study_facts,
    take,
)
from tests.worklist.plans import read_whole

POISON = Warned("ANALYSIS_FAILED", "It ended every worker.")


def one_of(seed: str):
    return head_slices(1, seed=seed)[0]


PATHS = {
    "a slice of a new study": lambda tx, at: receipts.record_receipt(
        tx, receipt_of(one_of("new"), at, study_facts("new")), 0.5, keep_conflict=False
    ),
    "a slice of a known series": lambda tx, at: receipts.record_receipt(
        tx, receipt_of(one_of("more"), at), 0.5, keep_conflict=False
    ),
    "a slice that reopens a series": lambda tx, at: receipts.record_receipt(
        tx, receipt_of(one_of("late"), at, study_facts("done")), 0.5, keep_conflict=False
    ),
    "a file of the spool": lambda tx, at: receipts.known_files(tx, ["slices/a.dcm", "slices/b.dcm"]),
    "an association ends": lambda tx, at: associations.end_association(tx, at, 1, "released"),
    "a receiver dies": lambda tx, at: associations.lose_associations(tx, at, "boot", 2),
    "a node begins": lambda tx, at: boots.begin_boot(tx, at, "1"),
    "a node is there": lambda tx, at: boots.beat(tx, at, "boot", 30),
    "which series are due": lambda tx, at: assembly.due_series(tx, at + timedelta(days=1)),
    "when one is due next": lambda tx, at: assembly.next_due(tx),
    "an analysis is claimed": lambda tx, at: jobs.claim_job(tx, at, "analyse", "boot/w", 600),
    "an analysis may be looked at ahead": lambda tx, at: jobs.next_in_turn(tx, at, "analyse", 600),
    "a study becomes urgent": lambda tx, at: urgency.hasten(tx, at, 1, Said("peer", "ED_CT")),
    "whether a study is asked for urgently": lambda tx, at: urgency.asked_urgently(tx, "1.2.3"),
    "a report is claimed": lambda tx, at: jobs.claim_job(tx, at, "report", "boot/w", 600),
    "leases are looked at": jobs.overdue_owners,
    "leases are freed": lambda tx, at: jobs.release_leases(tx, at, ["boot"], 3, POISON),
    "deliveries are claimed": lambda tx, at: deliveries.claim_deliveries(tx, at, "pacs", "boot"),
    "when a delivery is due": lambda tx, at: deliveries.next_delivery_at(tx, "pacs"),
    "whether something is being sent": lambda tx, at: deliveries.is_sending(tx, "pacs", "boot"),
    "sendings are freed": lambda tx, at: deliveries.release_sending(tx, at, but_of=["other"]),
    "channels are told": lambda tx, at: notices.announce(tx, at, {}, {}),
    "when a channel is told": lambda tx, at: notices.next_look_at(tx),
    "what to retract": lambda tx, at: retractions.next_retraction(tx),
    "what to fetch": retrievals.is_due,
    "which work items are due": workitems.due,
    "how a work item stands": lambda tx, at: workitem_standing.stands(tx, [Input("1.2.3", "1.2.4")], ["pacs"]),
    "what was answered lately": vitals.turnaround,
    "an accession number": lambda tx, at: views.find_study(tx, "A-1"),
    "who fell silent": lambda tx, at: alarms.silent_senders(tx, at, {"CT": 1.0}),
    "a page": lambda tx, at: triage_list.page(tx),
    "a page of one status": lambda tx, at: triage_list.page(tx, chosen=Chosen(("positive",), False)),
    "files to unlink": lambda tx, at: retention.take_removals(tx, 64),
    "which series may go": lambda tx, at: list(retention.candidates(tx, Rule(at))),
}


@pytest.mark.parametrize("path", PATHS)
def test_goes_by_an_index(worklist, clock, path):
    take(worklist, head_slices(2), clock())
    closed_series(worklist, clock, study_facts("closed"))
    analysed_series(worklist, clock, study_facts("done"))
    assert read_whole(worklist, lambda tx: PATHS[path](tx, clock())) == set()


def test_what_reads_a_table_whole_is_found(worklist, clock):
    take(worklist, head_slices(1), clock())
    assert read_whole(worklist, lambda tx: tx.exec_driver_sql("SELECT size FROM instances WHERE size > 7").all()) == {
        "instances"
    }


def test_postgresql_keeps_prepared_only_what_a_receipt_runs(postgresql, clock):
    """A prepared statement is planned for values that nobody knows: on a large worklist the wrong plan."""
    rule = Rule(clock())
    with postgresql.copied() as url:
        worklist = Worklist(url)
        for number in range(12):
            with worklist.write() as tx:
                receipts.record_receipt(tx, receipt_of(one_of(f"{number}"), clock()), 0.5, keep_conflict=False)
                list(retention.candidates(tx, rule))
                triage_list.page(tx)
                jobs.claim_job(tx, clock(), "analyse", "boot/w", 600)
                kept = [*tx.exec_driver_sql("SELECT statement FROM pg_prepared_statements").scalars()]
        worklist.dispose()
    assert any(statement.startswith("INSERT INTO instances") for statement in kept)
    assert not [statement for statement in kept if "last_slice_at <=" in statement or "sum(" in statement]
    assert not [statement for statement in kept if "standings" in statement and statement.startswith("SELECT")]
