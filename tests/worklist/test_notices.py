"""Who is told of what, exactly once: by the rows of a real file, whatever came before."""

from __future__ import annotations

import pytest
from sqlalchemy.exc import IntegrityError

from ichnode.core.alerts import Ladder, Rule
from ichnode.core.findings import Warned
from ichnode.worklist import assembly, associations, deliveries, jobs, notices, readings, retractions, schema, told
from tests.made import (
    analysed_series,
    answer,
    claim,
    closed_series,
    finish,
    head_slices,
    not_analysed,
    rows,
    series_row,
    study_facts,
)
from tests.made import take as record

ALL = ("positive", "negative", "not_analysed", "failed")


@pytest.fixture
def look(worklist, clock):
    """``look(oncall=Rule())``: file what is due; returns (channel, kind, call) of each notice."""

    def until_nothing_is_due(ladders=None, **rules):
        found = []
        while True:
            with worklist.write() as tx:
                filed = notices.announce(tx, clock(), rules, ladders or {})
                if filed is None:
                    filed = notices.escalate(tx, clock(), ladders or {})
            if filed is None:
                return found
            found += [(one.channel, one.kind, one.called) for one in filed]

    return until_nothing_is_due


@pytest.fixture
def heard(worklist, clock):
    """``heard("oncall")``: the channel takes everything that waits; returns the kinds."""

    def take(channel="oncall"):
        with worklist.write() as tx:
            claimed = deliveries.claim_deliveries(tx, clock(), channel, "boot")
            for delivery in claimed:
                deliveries.accepted(tx, clock(), delivery, None)
        return [delivery.kind for delivery in claimed]

    return take


@pytest.fixture
def revise(worklist, clock):
    """``revise(0.1)``: one more slice, one more analysis of the series."""

    def again(score, name="study", missing=None):
        clock.forward(60)
        study = study_facts(name)
        more = series_row(worklist, study).revision
        record(worklist, head_slices(1, seed=f"late {more} {name}"), clock(), study)
        with worklist.write() as tx:
            row = series_row(worklist, study)
            assert assembly.close(tx, clock(), row, "test", missing, {})
        job = claim(worklist, clock)
        assert finish(worklist, clock, job, answer(job, score))

    return again


def states(worklist, channel="oncall"):
    return [row["state"] for row in rows(worklist, schema.deliveries, destination=channel)]


def test_a_positive_makes_exactly_one_alert_for_each_channel(worklist, clock, look, heard):
    analysed_series(worklist, clock, score=0.9)
    assert look(oncall=Rule(), ris=Rule()) == [("oncall", "alert", "positive"), ("ris", "alert", "positive")]
    assert look(oncall=Rule(), ris=Rule()) == []
    assert heard() == ["alert"]
    assert heard() == []


def test_a_negative_makes_none_unless_asked_for(worklist, clock, look):
    analysed_series(worklist, clock, score=0.1)
    assert look(oncall=Rule(), all=Rule(calls=ALL)) == [("all", "alert", "negative")]


def test_a_revision_with_the_same_call_makes_none(worklist, clock, look, heard, revise):
    analysed_series(worklist, clock, score=0.9)
    look(oncall=Rule())
    heard()
    revise(0.8)
    assert look(oncall=Rule()) == []


RECORDS = Rule(keeps_records=True)


def test_a_preliminary_message_is_made_final_where_records_are_kept_and_nowhere_else(
    worklist, clock, look, heard, revise
):
    analysed_series(worklist, clock, score=0.9)
    revise(0.9, missing="slice 4")
    assert look(oncall=Rule(), ris=RECORDS) == [("oncall", "alert", "positive"), ("ris", "alert", "positive")]
    heard("oncall"), heard("ris")
    revise(0.8, missing="slice 5")
    assert look(oncall=Rule(), ris=RECORDS) == []
    revise(0.8)
    assert look(oncall=Rule(), ris=RECORDS) == [("ris", "final", "positive")]
    first, second = rows(worklist, schema.notices, channel="ris")
    assert (first["preliminary"], second["preliminary"], second["corrects_id"]) == (True, False, first["id"])
    assert heard("ris") == ["final"]
    revise(0.9, missing="slice 6")
    assert look(oncall=Rule(), ris=RECORDS) == [], "what is final does not become preliminary again"
    revise(0.1)
    assert look(ris=RECORDS) == [("ris", "correction", "negative")]
    assert rows(worklist, schema.notices, kind="correction")[0]["corrects_id"] == second["id"]


def test_what_makes_it_final_does_not_keep_a_reminder_from_coming(worklist, clock, look, heard, revise):
    analysed_series(worklist, clock, score=0.9)
    revise(0.9, missing="slice 4")
    ladders = {"ris": Ladder(((10.0, "ris"), (20.0, "ris")))}
    look(ladders, ris=RECORDS)
    heard("ris")
    revise(0.8)
    assert look(ladders, ris=RECORDS) == [("ris", "final", "positive")]
    clock.forward(9 * 60)
    assert look(ladders, ris=RECORDS) == [("ris", "escalation", "positive")], "ten minutes after the alert"
    assert sorted(heard("ris")) == ["escalation", "final"]
    final, reminder = rows(worklist, schema.notices)[1:]
    assert reminder["result_id"] == final["result_id"]
    revise(0.8)
    assert look(ladders, ris=RECORDS) == []
    clock.forward(10 * 60)
    assert look(ladders, ris=RECORDS) == [("ris", "escalation", "positive")]


def test_a_revision_that_flips_the_call_corrects_what_was_heard(worklist, clock, look, heard, revise):
    analysed_series(worklist, clock, score=0.9)
    look(oncall=Rule())
    heard()
    revise(0.1)
    assert look(oncall=Rule()) == [("oncall", "correction", "negative")]
    first, second = rows(worklist, schema.notices)
    assert second["corrects_id"] == first["id"]
    assert heard() == ["correction"]
    revise(0.1)
    assert look(oncall=Rule()) == [], "it knows"
    revise(0.9)
    assert look(oncall=Rule()) == [("oncall", "alert", "positive")]
    assert rows(worklist, schema.notices)[2]["corrects_id"] == second["id"], "which overturns the correction"


def test_what_nobody_heard_is_not_corrected_but_withdrawn(worklist, clock, look, heard, revise):
    analysed_series(worklist, clock, score=0.9)
    look(oncall=Rule())
    revise(0.1)
    assert look(oncall=Rule()) == []
    assert states(worklist) == ["withdrawn"]
    assert heard() == []


def test_what_may_have_been_heard_is_corrected_and_never_sent_again(worklist, clock, look, heard, revise):
    analysed_series(worklist, clock, score=0.9)
    look(oncall=Rule())
    with worklist.write() as tx:
        (alert,) = deliveries.claim_deliveries(tx, clock(), "oncall", "boot")
        deliveries.try_again(tx, clock(), alert, None, "No answer.", 5, 600)
    revise(0.1)
    assert look(oncall=Rule()) == [("oncall", "correction", "negative")]
    assert states(worklist) == ["withdrawn", "pending"]
    revise(0.9)  # the correction was heard by nobody, and nobody knows of the alert
    assert look(oncall=Rule()) == [("oncall", "alert", "positive")]
    assert states(worklist) == ["withdrawn", "withdrawn", "pending"]
    assert heard() == ["alert"], "a positive is never lost between the two"


def test_an_alert_on_its_way_while_the_call_flips_is_not_sent_again(worklist, clock, look, heard, revise):
    analysed_series(worklist, clock, score=0.9)
    look(oncall=Rule())
    with worklist.write() as tx:
        (alert,) = deliveries.claim_deliveries(tx, clock(), "oncall", "boot")
    revise(0.1)
    assert look(oncall=Rule()) == [("oncall", "correction", "negative")]
    with worklist.write() as tx:
        deliveries.try_again(tx, clock(), alert, None, "No answer.", 5, 600)
    assert states(worklist) == ["withdrawn", "pending"]


def test_a_correction_withdrawn_in_between_is_said_again(worklist, clock, look, heard, revise):
    analysed_series(worklist, clock, score=0.9)
    look(oncall=Rule())
    heard()
    revise(0.1)
    look(oncall=Rule())
    with worklist.write() as tx:
        (correction,) = deliveries.claim_deliveries(tx, clock(), "oncall", "boot")
        deliveries.try_again(tx, clock(), correction, None, "No answer.", 5, 600)
    revise(0.9)
    assert look(oncall=Rule()) == [("oncall", "alert", "positive")]
    revise(0.1)
    assert look(oncall=Rule()) == [("oncall", "correction", "negative")], "else the channel would believe the alert"


def test_a_retraction_corrects(worklist, clock, look, heard):
    analysed_series(worklist, clock, score=0.9)
    look(oncall=Rule())
    heard()
    with worklist.write() as tx:
        retractions.retract(tx, clock(), [1], retractions.WRONG_RESULT, "")
    assert look(oncall=Rule()) == [("oncall", "correction", "retracted")]
    with worklist.read() as tx:
        first, second = told.of_study(tx, 1)
    assert second["corrects"] == first["uid"]


def test_a_failure_is_told_as_one(worklist, clock, look):
    closed_series(worklist, clock)
    job = claim(worklist, clock)
    with worklist.write() as tx:
        jobs.fail(tx, clock(), job, "broken", Warned("PIXELS_UNREADABLE", "Unreadable."))
    assert look(it=Rule(calls=("failed",))) == []
    job = claim(worklist, clock, kind="report")
    finish(worklist, clock, job, not_analysed(job))
    assert look(it=Rule(calls=("failed",)), oncall=Rule(), na=Rule(calls=("not_analysed",))) == [
        ("it", "alert", "failed")
    ]


def test_anything_but_a_positive_waits_for_the_rest_of_the_study(worklist, clock, look):
    analysed_series(worklist, clock, study_facts(series="one"), score=0.1)
    record(worklist, head_slices(3, seed="two"), clock(), study_facts(series="two"))
    assert look(all=Rule(calls=ALL)) == []
    closed_series(worklist, clock, study_facts(series="two"))
    assert look(all=Rule(calls=ALL)) == []
    job = claim(worklist, clock)
    finish(worklist, clock, job, answer(job, 0.9))
    assert look(all=Rule(calls=ALL)) == [("all", "alert", "positive")]


def test_a_channel_that_is_new_hears_nothing_of_old_answers(worklist, clock, look, revise):
    analysed_series(worklist, clock, score=0.9)
    look()
    assert look(oncall=Rule()) == []


def test_whoever_was_told_hears_the_correction_whatever_the_rule_says_by_now(worklist, clock, look, heard, revise):
    analysed_series(worklist, clock, score=0.9)
    look(oncall=Rule())
    heard()
    revise(0.1)
    assert look(oncall=Rule(calls=("failed",), institutions=("elsewhere",))) == [("oncall", "correction", "negative")]


def test_calling_ae_titles_and_institution(worklist, clock, look, boot_id):
    with worklist.write() as tx:
        one = associations.open_association(tx, clock(), boot_id, "192.0.2.1", "CT_ER")
    study = study_facts(institution="St. Elsewhere", station_name="CT2")
    record(worklist, head_slices(3), clock(), study, association_id=one)
    with worklist.write() as tx:
        assembly.close(tx, clock(), series_row(worklist, study), "test", None, {})
    job = claim(worklist, clock)
    finish(worklist, clock, job, answer(job, 0.9))
    assert look(
        er=Rule(calling_aets=("ct_er",)), icu=Rule(calling_aets=("CT_ICU",)),
        here=Rule(institutions=("ST. ELSEWHERE",), stations=("CT2",)), there=Rule(institutions=("Mercy",)),
    ) == [("er", "alert", "positive"), ("here", "alert", "positive")]  # fmt: skip


LADDERS = {"oncall": Ladder(((10, "oncall"), (30, "chief")))}
RULES = {"oncall": Rule(), "chief": Rule(calls=("failed",))}


class TestEscalation:
    @pytest.fixture
    def step(self, look, clock):
        return lambda minutes=0.0: clock.forward(60 * minutes) and look(LADDERS, **RULES)

    def test_exactly_once_a_step(self, worklist, clock, step):
        analysed_series(worklist, clock, score=0.9)
        assert step() == [("oncall", "alert", "positive")]
        assert step(9) == []
        assert step(1) == [("oncall", "escalation", "positive")]
        assert step(0) == step(19) == []
        assert step(1) == [("chief", "escalation", "positive")]
        assert step(600) == []
        assert [n["step"] for n in rows(worklist, schema.notices)] == [None, 1, 2]

    def test_not_once_it_was_read(self, worklist, clock, step):
        analysed_series(worklist, clock, score=0.9)
        step()
        with worklist.write() as tx:
            readings.sign_off(tx, clock(), "reader", 1, readings.latest_result(tx, 1))
        assert step(60) == []

    @pytest.mark.parametrize("attempts", [0, 1])
    def test_what_says_that_nobody_read_it_is_not_sent_once_somebody_did(
        self, worklist, clock, step, heard, revise, attempts
    ):
        analysed_series(worklist, clock, score=0.9)
        step()
        heard()
        step(10)
        for _ in range(attempts):
            with worklist.write() as tx:
                (reminder,) = deliveries.claim_deliveries(tx, clock(), "oncall", "boot")
                deliveries.try_again(tx, clock(), reminder, None, "No answer.", 5, 600)
        with worklist.write() as tx:
            readings.sign_off(tx, clock(), "reader", 1, readings.latest_result(tx, 1))
        assert states(worklist) == ["delivered", "withdrawn"]
        revise(0.8)
        assert step(600) == [], "the alert was heard, and stays true"
        revise(0.1)
        assert step() == [("oncall", "correction", "negative")]

    def test_a_node_that_was_down_is_late_and_not_silent(self, worklist, clock, step):
        analysed_series(worklist, clock, score=0.9)
        step()
        assert step(600) == [("oncall", "escalation", "positive"), ("chief", "escalation", "positive")]

    def test_not_once_it_was_corrected_and_everybody_hears_of_that(self, worklist, clock, step, heard, revise):
        analysed_series(worklist, clock, score=0.9)
        step()
        step(30)
        assert heard("oncall") == ["alert", "escalation"]
        assert heard("chief") == ["escalation"]
        revise(0.1)
        assert step() == [("oncall", "correction", "negative"), ("chief", "correction", "negative")]
        told_of = {row["id"]: row for row in rows(worklist, schema.notices)}
        by_channel = {n["channel"]: told_of[n["corrects_id"]]["kind"] for n in told_of.values() if n["corrects_id"]}
        assert by_channel == {"oncall": "alert", "chief": "escalation"}

    def test_an_alert_that_was_withdrawn_escalates_no_more(self, worklist, clock, step, revise):
        analysed_series(worklist, clock, score=0.9)
        step()
        revise(0.1)
        assert step() == step(60) == []

    def test_the_database_holds_that_a_step_is_once(self, worklist, clock, step):
        analysed_series(worklist, clock, score=0.9)
        step()
        step(10)
        (_, escalation) = rows(worklist, schema.notices)
        again = {**escalation, "id": None, "uid": "another", "ordinal": 9}
        with pytest.raises(IntegrityError), worklist.write() as tx:
            tx.execute(schema.notices.insert().values(again))


def test_retry_sends_a_failed_notice_again(worklist, clock, look, heard):
    analysed_series(worklist, clock, score=0.9)
    look(oncall=Rule())
    with worklist.write() as tx:
        (alert,) = deliveries.claim_deliveries(tx, clock(), "oncall", "boot")
        deliveries.refused(tx, clock(), alert, 400, "Refused.")
    assert look(oncall=Rule()) == [], "it is visible and waits for a person"
    with worklist.write() as tx:
        assert deliveries.retry_deliveries(tx, clock(), [1]) == 2, "the report that waits, and the notice"
    assert heard() == ["alert"]


def test_a_localizer_that_comes_first_makes_no_alert(worklist, clock, look):
    localizer = study_facts(series="localizer")
    record(worklist, head_slices(1, seed="localizer"), clock(), localizer)
    with worklist.write() as tx:
        row = series_row(worklist, localizer)
        assembly.ignore(tx, clock(), row, "test", Warned("LOCALIZER", "A localizer."), {}, True)
    job = claim(worklist, clock, kind="report")
    finish(worklist, clock, job, not_analysed(job))
    assert look(ris=Rule(calls=ALL)) == []
    analysed_series(worklist, clock, study_facts(series="head"), score=0.1)
    assert look(ris=Rule(calls=ALL)) == [("ris", "alert", "negative")]
    (row,) = rows(worklist, schema.notices)
    assert row["corrects_id"] is None
