"""The outbox: urgent first, back-off, giving up in time, the circuit breaker, and a retry on demand."""

from __future__ import annotations

import pytest

from ichnode.core.lifecycle import DeliveryState
from ichnode.worklist import deliveries, schema
from tests.made import analysed_series, answer, claim, closed_series, events, finish, not_analysed, rows, study_facts

WEEK_S = 7 * 86400


def claimed(worklist, clock, destination="pacs", sender="boot", **options):
    with worklist.write() as tx:
        return deliveries.claim_deliveries(tx, clock(), destination, sender, **options)


def again(worklist, clock, delivery, delay_s=5.0, give_up_s=WEEK_S):
    with worklist.write() as tx:
        deliveries.try_again(tx, clock(), delivery, None, "The PACS does not answer.", delay_s, give_up_s)


def next_at(worklist, destination="pacs"):
    with worklist.read() as tx:
        return deliveries.next_delivery_at(tx, destination)


def the_row(worklist):
    (row,) = rows(worklist, schema.deliveries)
    return row


def test_the_most_urgent_goes_first_then_the_oldest(worklist, clock):
    expected = {}
    for name, score in (("negative", 0.1), ("positive", 0.9), ("late positive", 0.8)):
        expected[name] = analysed_series(worklist, clock, study_facts(name), score).series_id
        clock.forward(1)
    closed_series(worklist, clock, study_facts("unreadable"))
    job = claim(worklist, clock)
    assert finish(worklist, clock, job, not_analysed(job))
    order = ["positive", "late positive", "unreadable", "negative"]
    expected["unreadable"] = job.series_id
    assert [d.series_id for d in claimed(worklist, clock)] == [expected[name] for name in order]


def test_a_claim_counts_the_attempt_and_is_made_once(worklist, clock):
    analysed_series(worklist, clock)
    (delivery,) = claimed(worklist, clock)
    assert (delivery.attempts, delivery.destination, delivery.retry_since) == (1, "pacs", clock())
    row = the_row(worklist)
    assert (row["state"], row["attempts"], row["sender"]) == ("sending", 1, "boot")
    assert claimed(worklist, clock) == []
    assert events(worklist)[-1] == "delivery.claimed"


def test_only_so_many_at_once_and_only_for_the_destination(worklist, clock):
    for name in ("one", "two", "three"):
        analysed_series(worklist, clock, study_facts(name), destinations=["pacs", "archive"])
    assert len(claimed(worklist, clock, most=2)) == 2
    assert len(claimed(worklist, clock)) == 1
    assert {r["destination"] for r in rows(worklist, schema.deliveries, state="sending")} == {"pacs"}


def test_accepted(worklist, clock):
    analysed_series(worklist, clock)
    (delivery,) = claimed(worklist, clock)
    with worklist.write() as tx:
        deliveries.accepted(tx, clock.forward(1), delivery, 0xB000)
    row = the_row(worklist)
    assert (row["state"], row["status"], row["delivered_at"], row["error"]) == ("delivered", 0xB000, clock(), None)
    assert next_at(worklist) is None
    assert events(worklist)[-1] == "delivery.accepted"


def test_refused_for_good_is_visible(worklist, clock):
    analysed_series(worklist, clock)
    (delivery,) = claimed(worklist, clock)
    with worklist.write() as tx:
        deliveries.refused(tx, clock(), delivery, 0xA900, "wrong class")
    row = the_row(worklist)
    assert (row["state"], row["status"], row["error"]) == ("failed", 0xA900, "wrong class")
    assert next_at(worklist) is None
    assert events(worklist)[-1] == "delivery.refused"


def test_not_now_comes_back_after_its_delay(worklist, clock):
    analysed_series(worklist, clock)
    (delivery,) = claimed(worklist, clock)
    again(worklist, clock, delivery, 20)
    assert (next_at(worklist) - clock()).total_seconds() == 20
    assert the_row(worklist)["error"] == "The PACS does not answer."
    clock.forward(19)
    assert claimed(worklist, clock) == []
    clock.forward(1)
    assert claimed(worklist, clock)[0].attempts == 2
    assert events(worklist)[-2:] == ["delivery.again", "delivery.claimed"]


def test_an_answer_counts_once(worklist, clock):
    analysed_series(worklist, clock)
    (delivery,) = claimed(worklist, clock)
    with worklist.write() as tx:
        deliveries.accepted(tx, clock(), delivery, 0)
        deliveries.refused(tx, clock(), delivery, 0xA900, "late news")
    assert the_row(worklist)["state"] == DeliveryState.DELIVERED
    assert "delivery.refused" not in events(worklist)


def test_an_attempt_after_seven_days_is_the_last(worklist, clock):
    analysed_series(worklist, clock)
    clock.forward(WEEK_S - 1)
    (delivery,) = claimed(worklist, clock)
    again(worklist, clock, delivery, 1)
    assert the_row(worklist)["state"] == DeliveryState.PENDING
    clock.forward(1)
    (delivery,) = claimed(worklist, clock)
    again(worklist, clock, delivery, 1)
    assert the_row(worklist)["state"] == DeliveryState.FAILED
    assert the_row(worklist)["error"] == "The PACS does not answer. Given up after 7 days."


def test_what_waits_for_a_dead_peer_is_given_up_without_an_attempt(worklist, clock):
    analysed_series(worklist, clock, study_facts("old"))
    clock.forward(WEEK_S - 3600)
    analysed_series(worklist, clock, study_facts("young"))
    with worklist.write() as tx:
        assert deliveries.give_up(tx, clock(), "pacs", "No answer.", WEEK_S) == 0
        assert deliveries.give_up(tx, clock.forward(3600), "pacs", "No answer.", WEEK_S) == 1
        assert deliveries.give_up(tx, clock(), "elsewhere", "No answer.", 1) == 0
    old, young = rows(worklist, schema.deliveries)
    assert (old["state"], young["state"]) == ("failed", "pending")
    assert old["error"] == "No answer. Given up after 7 days."
    assert events(worklist)[-1] == "delivery.given_up"


def test_retry_starts_the_seven_days_anew(worklist, clock):
    analysed_series(worklist, clock)
    clock.forward(WEEK_S)
    again(worklist, clock, claimed(worklist, clock)[0])
    with worklist.write() as tx:
        assert deliveries.retry_deliveries(tx, clock.forward(60), None) == 1
    (delivery,) = claimed(worklist, clock)
    assert delivery.retry_since == clock()
    again(worklist, clock, delivery, 1)
    assert the_row(worklist)["state"] == DeliveryState.PENDING
    assert "delivery.retried" in events(worklist)


def test_retry_makes_waiting_ones_due_and_closes_the_circuit(worklist, clock):
    first = analysed_series(worklist, clock, study_facts("one"))
    analysed_series(worklist, clock, study_facts("two"))
    for delivery in claimed(worklist, clock):
        again(worklist, clock, delivery, 600)
    with worklist.write() as tx:
        deliveries.break_circuit(tx, clock(), "pacs", "down", 600)
        assert deliveries.retry_deliveries(tx, clock(), [first.series_id]) == 1
        assert deliveries.circuit(tx, "pacs").open_until is None
    assert [d.series_id for d in claimed(worklist, clock)] == [first.series_id]


def test_retry_leaves_what_is_delivered_or_being_sent(worklist, clock):
    analysed_series(worklist, clock, study_facts("one"))
    analysed_series(worklist, clock, study_facts("two"))
    one, _ = claimed(worklist, clock)
    with worklist.write() as tx:
        deliveries.accepted(tx, clock(), one, 0)
        assert deliveries.retry_deliveries(tx, clock(), None) == 0
    assert [r["state"] for r in rows(worklist, schema.deliveries)] == ["delivered", "sending"]


def test_a_new_boot_sends_again_what_the_dead_one_was_sending(worklist, clock):
    analysed_series(worklist, clock)
    claimed(worklist, clock, sender="old")
    clock.forward(3)
    with worklist.write() as tx:
        assert deliveries.release_sending(tx, clock(), but_of=["old"]) == 0, "it still runs"
        assert deliveries.release_sending(tx, clock(), but_of=["new"]) == 1
    row = the_row(worklist)
    assert (row["state"], row["not_before"], row["attempts"]) == ("pending", clock(), 1)
    assert events(worklist)[-1] == "delivery.released"


def test_an_interrupted_call_for_one_destination_is_taken_up(worklist, clock):
    analysed_series(worklist, clock, destinations=["pacs", "archive"])
    claimed(worklist, clock)
    claimed(worklist, clock, "archive")
    with worklist.write() as tx:
        assert deliveries.is_sending(tx, "pacs", "boot")
        assert not deliveries.is_sending(tx, "pacs", "another node")
        assert deliveries.release_sending(tx, clock(), of="another node", destination="pacs") == 0
        assert deliveries.release_sending(tx, clock(), of="boot", destination="pacs") == 1
        assert not deliveries.is_sending(tx, "pacs", "boot")
        assert deliveries.is_sending(tx, "archive", "boot")


def test_backlog(worklist, clock):
    with worklist.read() as tx:
        assert deliveries.backlog(tx, "pacs") == (0, None)
    since = clock()
    analysed_series(worklist, clock, study_facts("one"))
    clock.forward(60)
    analysed_series(worklist, clock, study_facts("two"))
    claimed(worklist, clock, most=1)
    with worklist.read() as tx:
        assert deliveries.backlog(tx, "pacs") == (2, since)


def test_circuit_breaker(worklist, clock):
    with worklist.write() as tx:
        assert deliveries.circuit(tx, "pacs") == deliveries.Circuit(0, None, None, None)
        deliveries.break_circuit(tx, clock(), "pacs", "no connection", 5)
        first = deliveries.circuit(tx, "pacs")
        deliveries.break_circuit(tx, clock(), "pacs", "still none", 10)
        second = deliveries.circuit(tx, "pacs")
    assert (first.failures, (first.open_until - clock()).total_seconds(), first.last_error) == (1, 5, "no connection")
    assert (second.failures, (second.open_until - clock()).total_seconds(), second.last_error) == (2, 10, "still none")
    with worklist.write() as tx:
        deliveries.close_circuit(tx, clock.forward(7), "pacs")
        assert deliveries.circuit(tx, "pacs") == deliveries.Circuit(0, None, clock(), None)
        deliveries.close_circuit(tx, clock(), "pacs")
    assert events(worklist) == ["destination.down", "destination.up"], "once each"


def test_circuits_are_one_a_destination(worklist, clock):
    with worklist.write() as tx:
        deliveries.break_circuit(tx, clock(), "pacs", "down", 5)
        assert deliveries.circuit(tx, "archive").failures == 0


@pytest.mark.parametrize("attempts", [1, 40])
def test_the_object_sent_again_is_the_same(worklist, clock, attempts):
    job = analysed_series(worklist, clock)
    sent = set()
    for _ in range(attempts):
        (delivery,) = claimed(worklist, clock)
        sent.add((delivery.sop_instance_uid, delivery.file))
        again(worklist, clock, delivery, 0)
    assert len(sent) == 1
    assert the_row(worklist)["attempts"] == attempts
    assert answer(job).order == answer(job).order
