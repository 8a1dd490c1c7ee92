"""A morning on the ward: studies of invented people in every state that the worklist knows."""

from __future__ import annotations

from ichnode.core.findings import Warned
from ichnode.worklist import assembly, deliveries, jobs, readings
from tests.made import (
    Clock,
    analysed_series,
    answer,
    claim,
    closed_series,
    finish,
    head_slices,
    not_analysed,
    series_row,
    study_facts,
    take,
)

PEOPLE = {
    "lind": ("LIND^ASTRID^M", "20481-A", "19410212", "F"), "okafor": ("OKAFOR^CHIDI", "20877-C", "19630930", "M"),
    "moreau": ("MOREAU^JEAN-LUC", "19002-B", "19550714", "M"), "tanaka": ("TANAKA^YUKI", "21544-A", "19880405", "F"),
    "weber": ("WEBER^KLARA", "20019-F", "19370118", "F"), "silva": ("SILVA^JOAO", "22310-D", "19711122", "M"),
    "novak": ("NOVAK^PETR", "18733-A", "19490601", "M"), "haddad": ("HADDAD^LEILA", "21001-E", "19921209", "F"),
    "berg": ("BERG^NILS", "20642-A", "19580317", "M"), "rossi": ("ROSSI^ELENA", "22005-C", "19660825", "F"),
    "fischer": ("FISCHER^UWE", "22400-B", "19490215", "M"), "larsen": ("LARSEN^IDA", "22511-E", "19530919", "F"),
}  # fmt: skip


def facts(who: str, **more: str):
    name, number, birth, sex = PEOPLE[who]
    return study_facts(
        who, patient_name=name, patient_id=number, patient_birth_date=birth, patient_sex=sex,
        accession_number=f"ACC-{number[:5]}", study_date="20260301", study_time="112500", study_description="CT Head",
        station_name="CT2", **more,
    )  # fmt: skip


def positive(worklist, clock: Clock, who: str, score: float = 0.93) -> None:
    """A study with a positive answer that has been delivered."""
    closed_series(worklist, clock, facts(who), 34)
    job = claim(worklist, clock)
    clock.forward(21)
    assert finish(worklist, clock, job, answer(job, score))
    deliver(worklist, clock)


def deliver(worklist, clock: Clock) -> None:
    clock.forward(1.4)
    with worklist.write() as tx:
        for delivery in deliveries.claim_deliveries(tx, clock(), "pacs", "boot"):
            deliveries.accepted(tx, clock(), delivery, 0)


def negative(worklist, clock: Clock, who: str, score: float = 0.08) -> None:
    closed_series(worklist, clock, facts(who), 32)
    job = claim(worklist, clock)
    clock.forward(17)
    assert finish(worklist, clock, job, answer(job, score))
    deliver(worklist, clock)


def ignored(worklist, clock: Clock, who: str) -> None:
    take(worklist, head_slices(24, seed=facts(who).series_instance_uid), clock(), facts(who))
    reason = Warned("CONTRAST", "The series was made with contrast medium.")
    with worklist.write() as tx:
        assert assembly.ignore(tx, clock(), series_row(worklist, facts(who)), "x", reason, {}, True)
    job = claim(worklist, clock, "report")
    assert finish(worklist, clock, job, not_analysed(job))
    deliver(worklist, clock)


def failed(worklist, clock: Clock, who: str) -> None:
    closed_series(worklist, clock, facts(who), 30)
    job = claim(worklist, clock)
    with worklist.write() as tx:
        jobs.fail(tx, clock(), job, "broken", Warned("PIXELS_UNREADABLE", "The pixels of a slice cannot be decoded."))
    job = claim(worklist, clock, "report")
    assert finish(worklist, clock, job, not_analysed(job))
    deliver(worklist, clock)


def morning(worklist, clock: Clock) -> None:
    """Fill the worklist."""
    negative(worklist, clock, "weber")
    clock.forward(340)
    ignored(worklist, clock, "haddad")
    clock.forward(500)
    positive(worklist, clock, "moreau", 0.71)
    with worklist.write() as tx:
        number = tx.exec_driver_sql("select max(id) from studies").scalar()
        readings.sign_off(tx, clock(), "radiologist", number, readings.latest_result(tx, number))
    clock.forward(800)
    failed(worklist, clock, "silva")
    clock.forward(130)
    negative(worklist, clock, "novak", 0.31)
    clock.forward(200)
    positive(worklist, clock, "lind", 0.97)
    clock.forward(250)
    analysed_series(worklist, clock, facts("berg"), 0.12)
    with worklist.write() as tx:
        for delivery in deliveries.claim_deliveries(tx, clock.forward(2), "pacs", "boot"):
            deliveries.refused(tx, clock(), delivery, 0xA900, "pacs refused the object with status 0xA900.")
    clock.forward(60)
    positive(worklist, clock, "okafor", 0.82)
    clock.forward(40)
    closed_series(worklist, clock, facts("tanaka"), 32)
    claim(worklist, clock)
    clock.forward(25)
    take(worklist, head_slices(11, seed="rossi"), clock(), facts("rossi"))
    clock.forward(8)
