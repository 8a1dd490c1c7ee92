"""Storage commitment in the worklist: asked once, answered in any order, sent again, given up, never twice."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy.exc import NoResultFound

from ichnode.worklist import assembly, commitments, deliveries, schema
from ichnode.worklist import clock as worklist_clock
from ichnode.worklist.commitments import Patience
from tests.made import analysed_series, answer, claim, events, finish, rows, study_facts

WAIT_S, WEEK_S = 3600, 7 * 86400
PATIENCE = Patience(5, 600, WEEK_S)


def deliver(worklist, clock, destination="pacs"):
    """Send what is due; returns the SOP Instance UIDs."""
    with worklist.write() as tx:
        claimed = deliveries.claim_deliveries(tx, clock(), destination, "boot")
        for delivery in claimed:
            deliveries.accepted(tx, clock(), delivery, 0)
    return [delivery.sop_instance_uid for delivery in claimed]


def delivered(worklist, clock, *names):
    """SOP Instance UIDs of a report for each study, delivered."""
    for name in names or ("study",):
        analysed_series(worklist, clock, study_facts(name))
    return deliver(worklist, clock)


def ask(worklist, clock, transaction="2.25.1", destination="pacs"):
    with worklist.write() as tx:
        return commitments.request(tx, clock(), destination, transaction, WAIT_S)


def tell(worklist, clock, transaction="2.25.1", kept=(), lost=()):
    with worklist.write() as tx:
        return commitments.answered(
            tx, clock(), transaction, kept, dict.fromkeys(lost, "pacs does not keep it."), PATIENCE
        )


def expire(worklist, clock):
    with worklist.write() as tx:
        return commitments.expire(tx, clock(), "pacs", PATIENCE)


def states(worklist):
    return [row["state"] for row in rows(worklist, schema.deliveries)]


def next_at(worklist):
    with worklist.read() as tx:
        return commitments.next_request_at(tx, "pacs")


def test_what_was_delivered_is_asked_about_once_in_one_request(worklist, clock):
    assert next_at(worklist) is None
    assert ask(worklist, clock) is None
    uids = delivered(worklist, clock, "one", "two")
    assert next_at(worklist) == clock()
    request = ask(worklist, clock)
    assert [uid for _, uid in request.instances] == uids
    assert {sop_class for sop_class, _ in request.instances} == {"1.2.840.10008.5.1.4.1.1.88.33"}
    assert states(worklist) == ["awaiting", "awaiting"]
    assert ask(worklist, clock, "2.25.2") is None
    (row,) = rows(worklist, schema.commitments)
    assert (row["transaction_uid"], row["destination"], row["instances"]) == ("2.25.1", "pacs", 2)
    assert events(worklist)[-2:] == ["commitment.requested"] * 2


def test_only_what_the_destination_has(worklist, clock):
    analysed_series(worklist, clock, destinations=["pacs", "archive"])
    deliver(worklist, clock)
    assert ask(worklist, clock, destination="archive") is None


def test_no_more_than_a_peer_takes_at_once(worklist, clock, monkeypatch):
    monkeypatch.setattr(commitments, "MOST_INSTANCES", 2)
    delivered(worklist, clock, "one", "two", "three")
    assert len(ask(worklist, clock).instances) == 2
    assert len(ask(worklist, clock, "2.25.2").instances) == 1


def test_committed(worklist, clock):
    uids = delivered(worklist, clock)
    ask(worklist, clock)
    with worklist.read() as tx:
        assert not commitments.is_settled(tx, "2.25.1")
        assert (commitments.asked(tx, "2.25.1"), commitments.asked(tx, "2.25.9")) == ("pacs", None)
    assert tell(worklist, clock, kept=uids) == (1, 0, 0)
    (row,) = rows(worklist, schema.deliveries)
    assert (row["state"], row["committed_at"], row["error"]) == ("committed", clock(), None)
    assert next_at(worklist) is None
    with worklist.read() as tx:
        assert commitments.is_settled(tx, "2.25.1")
    assert events(worklist)[-1] == "commitment.given"
    before = events(worklist)
    assert tell(worklist, clock, kept=uids) == (0, 0, 0), "the same answer again"
    assert events(worklist) == before


def test_lost_is_sent_again_and_then_committed(worklist, clock):
    uids = delivered(worklist, clock)
    ask(worklist, clock)
    assert tell(worklist, clock, lost=uids) == (0, 1, 0)
    (row,) = rows(worklist, schema.deliveries)
    assert (row["state"], row["error"]) == ("pending", "pacs does not keep it.")
    assert (row["not_before"] - clock()).total_seconds() == 5
    clock.forward(5)
    assert deliver(worklist, clock) == uids, "the very same object"
    assert [uid for _, uid in ask(worklist, clock, "2.25.2").instances] == uids
    assert tell(worklist, clock, "2.25.1", lost=uids) == (0, 0, 0), "old news of the object that was sent again"
    assert states(worklist) == ["awaiting"]
    assert tell(worklist, clock, "2.25.2", kept=uids) == (1, 0, 0)
    assert states(worklist) == ["committed"]


def test_back_off_grows_with_every_loss_until_it_is_given_up(worklist, clock):
    uids = delivered(worklist, clock)
    began, pauses = clock(), []
    for number in range(30):
        transaction = f"2.25.{number + 1}"
        assert ask(worklist, clock, transaction)
        tell(worklist, clock, transaction, lost=uids)
        (row,) = rows(worklist, schema.deliveries)
        if row["state"] == "failed":
            break
        pauses.append((row["not_before"] - clock()).total_seconds())
        clock.at = row["not_before"]
        if pauses[-2:] == [600, 600] and len(pauses) < 20:  # and so on for a week, of which the end is looked at
            clock.at = max(clock.at, began + timedelta(seconds=WEEK_S - 1800))
        deliver(worklist, clock)
    assert pauses[:4] == [5, 10, 20, 40]
    assert max(pauses) == 600
    assert WEEK_S <= (clock() - began).total_seconds() < WEEK_S + 600
    assert row["error"] == "pacs does not keep it. Given up after 7 days."
    assert events(worklist)[-1] == "commitment.given_up"
    with worklist.write() as tx:
        assert deliveries.retry_deliveries(tx, clock(), None) == 1
    assert states(worklist) == ["pending"]


def test_giving_up_counts_from_the_first_request_not_from_the_delivery(worklist, clock):
    uids = delivered(worklist, clock)
    clock.forward(2 * WEEK_S)
    ask(worklist, clock)
    tell(worklist, clock, lost=uids)
    assert states(worklist) == ["pending"]


def test_some_kept_some_lost_some_not_mentioned(worklist, clock):
    one, two, _ = delivered(worklist, clock, "one", "two", "three")
    ask(worklist, clock)
    assert tell(worklist, clock, kept=[one], lost=[two]) == (1, 1, 0)
    assert states(worklist) == ["committed", "pending", "awaiting"]
    clock.forward(WAIT_S)
    assert expire(worklist, clock) == 1
    assert states(worklist) == ["committed", "pending", "delivered"]


def test_who_says_both_says_lost(worklist, clock):
    uids = delivered(worklist, clock)
    ask(worklist, clock)
    assert tell(worklist, clock, kept=uids, lost=uids) == (0, 1, 0)


def test_what_nobody_asked_about_changes_nothing(worklist, clock):
    delivered(worklist, clock, "one")
    ask(worklist, clock)
    later = delivered(worklist, clock, "later")
    assert tell(worklist, clock, kept=[*later, "2.25.77"]) == (0, 0, 2)
    assert states(worklist) == ["awaiting", "delivered"]


def test_unanswered_is_asked_again_and_says_so(worklist, clock):
    uids = delivered(worklist, clock)
    ask(worklist, clock)
    assert (next_at(worklist) - clock()).total_seconds() == WAIT_S
    clock.forward(WAIT_S - 1)
    assert expire(worklist, clock) == 0
    clock.forward(1)
    assert expire(worklist, clock) == 1
    (row,) = rows(worklist, schema.deliveries)
    assert row["error"].startswith("pacs has not answered 1 request(s) for storage commitment. Check ")
    assert (row["state"], row["not_before"]) == ("delivered", clock())
    assert ask(worklist, clock, "2.25.2")
    assert tell(worklist, clock, "2.25.1", kept=uids) == (1, 0, 0), "a promise counts whichever request it answers"
    assert states(worklist) == ["committed"]


def test_never_answered_ends_in_failed(worklist, clock):
    delivered(worklist, clock)
    for number in range(10_000):
        if ask(worklist, clock, f"2.25.{number + 1}") is None:
            break
        clock.forward(WAIT_S)
        expire(worklist, clock)
    (row,) = rows(worklist, schema.deliveries)
    assert (row["state"], row["commitment_requests"]) == ("failed", 7 * 24)
    assert row["error"].endswith(" Given up after 7 days.")
    assert row["attempts"] == 1


def test_a_request_that_was_not_taken_is_made_again_after_a_pause(worklist, clock):
    delivered(worklist, clock)
    for number, pause_s in ((1, 5), (2, 10)):
        transaction = f"2.25.{number}"
        assert ask(worklist, clock, transaction)
        with worklist.write() as tx:
            assert commitments.not_taken(tx, clock(), transaction, "No connection.", PATIENCE) == 1
        assert ask(worklist, clock, "2.25.9") is None
        assert (next_at(worklist) - clock()).total_seconds() == pause_s
        clock.forward(pause_s)
    (row,) = rows(worklist, schema.deliveries)
    assert (row["state"], row["error"]) == ("delivered", "No connection.")


@pytest.mark.parametrize(("said", "left"), [("kept", "committed"), ("lost", "withdrawn")])
def test_a_superseded_object_may_be_committed_and_is_never_sent_again(worklist, clock, said, left):
    job = analysed_series(worklist, clock)
    uids = deliver(worklist, clock)
    ask(worklist, clock)
    with worklist.write() as tx:
        assembly.queue_job(tx, clock(), job.series_id, job.revision, "analyse", None)
    again = claim(worklist, clock)
    assert finish(worklist, clock, again, answer(again, 0.2))
    tell(worklist, clock, **{said: uids})
    assert states(worklist) == [left, "pending"]


def test_a_clock_set_back_makes_it_due_now(worklist, clock):
    delivered(worklist, clock, "one")
    ask(worklist, clock)
    delivered(worklist, clock, "two")
    clock.forward(-86400)
    with worklist.write() as tx:
        worklist_clock.catch_up(tx, clock())
    assert expire(worklist, clock) == 1
    assert len(ask(worklist, clock, "2.25.2").instances) == 2


def test_a_transaction_is_known_by_its_uid_alone(worklist, clock):
    delivered(worklist, clock)
    ask(worklist, clock)
    with pytest.raises(NoResultFound):
        tell(worklist, clock, "2.25.2", kept=["2.25.3"])
