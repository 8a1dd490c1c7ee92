"""Many threads and several processes write at once: no update is lost, no job is claimed twice."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ichnode.core.group import Group
from ichnode.core.lifecycle import JobState
from ichnode.errors import TransientError
from ichnode.worklist import assembly, associations, deliveries, jobs, receipts, schema
from ichnode.worklist.receipts import Disposition
from tests.made import (
    Clock,
    analysed_series,
    answer,
    closed_series,
    finish,
    head_slices,
    receipt_of,
    rows,
    series_row,
    study_facts,
    take,
)

ROOT = Path(__file__).parents[2]


def together(act, arguments, threads=8):
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(act, arguments))


def test_eight_threads_of_fifty_receipts(worklist, clock):
    together(lambda n: take(worklist, head_slices(50, seed=str(n)), clock()), range(8))
    assert series_row(worklist).received == 400
    assert len(rows(worklist, schema.instances)) == 400


def test_receipts_that_share_transactions(worklist, clock):
    """As the receiver does it; one of them cannot be written, and the others are none the worse for it."""
    slices = [one for seed in range(8) for one in head_slices(25, seed=str(seed))]
    unwritable = study_facts("unwritable", patient_name="\ud800")

    def record(some):
        with worklist.write_about([]) as tx:
            return receipts.record_receipts(tx, some, 0.5, keep_conflict=False)

    group = Group(record, everyones=(TransientError,))

    def receive(numbered):
        number, one = numbered
        facts = unwritable if number % 50 == 7 else study_facts()
        try:
            return group.do(receipt_of(one, clock(), facts))[0]
        except UnicodeEncodeError:
            return None

    said = together(receive, list(enumerate(slices)), 16)
    assert said.count(None) == 4
    assert said.count(Disposition.NEW) == series_row(worklist).received == len(rows(worklist, schema.instances)) == 196


def test_the_same_slices_over_eight_associations_are_there_once(worklist, clock):
    slices = head_slices(25)
    said = together(lambda _: take(worklist, slices, clock()), range(8))
    flat = [disposition for one in said for disposition in one]
    assert flat.count(Disposition.NEW) == 25
    assert flat.count(Disposition.DUPLICATE) == 175
    assert series_row(worklist).received == 25


def test_of_eight_contents_of_one_uid_one_is_the_first(worklist, clock):
    (one,) = head_slices(1)
    said = together(lambda n: take(worklist, [one], clock(), content=str(n)), range(8))
    assert sum(s == [Disposition.NEW] for s in said) == 1
    assert sum(s == [Disposition.CONFLICT] for s in said) == 7
    assert (series_row(worklist).received, series_row(worklist).conflicts) == (1, 7)


def test_several_processes_write_to_one_file(worklist, clock):
    command = [sys.executable, "-m", "tests.worklist.writer", worklist.url]
    writers = [subprocess.Popen([*command, str(n), "40"], cwd=ROOT) for n in range(3)]
    take(worklist, head_slices(40, seed="here"), clock())
    assert [writer.wait(300) for writer in writers] == [0, 0, 0]
    assert series_row(worklist).received == 160
    assert len(rows(worklist, schema.instances)) == 160
    assert len(rows(worklist, schema.series)) == len(rows(worklist, schema.studies)) == 1


def test_a_job_is_claimed_by_one_of_eight_workers(worklist, clock):
    for number in range(12):
        closed_series(worklist, clock, study_facts(str(number)), number=1)

    def work(number):
        claimed = []
        while True:
            with worklist.write() as tx:
                job = jobs.claim_job(tx, clock(), "analyse", f"boot/{number}", 600)
            if job is None:
                return claimed
            claimed.append(job.id)
            assert finish(worklist, clock, job, answer(job))

    claimed = [one for each in together(work, range(8)) for one in each]
    assert sorted(claimed) == [row["id"] for row in rows(worklist, schema.jobs)]
    assert {row["state"] for row in rows(worklist, schema.jobs)} == {JobState.DONE}


def test_a_delivery_is_claimed_by_one(worklist, clock):
    for number in range(10):
        analysed_series(worklist, clock, study_facts(str(number)))

    def send(number):
        with worklist.write() as tx:
            return [d.id for d in deliveries.claim_deliveries(tx, clock(), "pacs", str(number), most=3)]

    claimed = [one for each in together(send, range(8)) for one in each]
    assert sorted(claimed) == [row["id"] for row in rows(worklist, schema.deliveries)]


def test_slices_that_come_while_a_series_is_closed_over_and_over(worklist):
    """Whatever the order, the last look at the series is at all of its slices."""
    clock = Clock()
    slices = head_slices(60)

    def send(part):
        for one in slices[part::3]:
            take(worklist, [one], clock())

    def close(_):
        closed = 0
        while closed < 200 and (not rows(worklist, schema.series) or series_row(worklist).received < len(slices)):
            closed += 1
            with worklist.write() as tx:
                for row in assembly.due_series(tx, clock.at.replace(year=2030)):
                    assembly.close(tx, clock(), row, "test", None, {})

    together(lambda act: act[0](act[1]), [(send, 0), (send, 1), (send, 2), (close, None)], 4)
    row = series_row(worklist)
    if row.state == "receiving":
        with worklist.write() as tx:
            assert assembly.close(tx, clock(), row, "test", None, {})
    with worklist.write() as tx:
        job = jobs.claim_job(tx, clock(), "analyse", "boot/w", 600)
    assert job is not None
    assert len(job.filed) == 60
    waiting = [r for r in rows(worklist, schema.jobs) if r["state"] in ("queued", "running")]
    assert [r["revision"] for r in waiting] == [series_row(worklist).revision], "one job, of the last revision"


def test_associations_open_and_end_in_any_order(worklist, clock, boot_id):
    def associate(number):
        with worklist.write() as tx:
            one = associations.open_association(tx, clock(), boot_id, "127.0.0.1", "CT")
        take(worklist, head_slices(3, seed=str(number)), clock(), association_id=one)
        with worklist.write() as tx:
            return associations.end_association(tx, clock(), one, "released")

    assert together(associate, range(16)) == [1] * 16
    with worklist.read() as tx:
        assert assembly.association_evidence(tx, series_row(worklist).id) == (False, True)
