"""Every rule of the table at the top of `ichnode.core.completeness`, and what holds whatever the evidence."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ichnode.core.completeness import Close, CompletenessPolicy, Evidence, Wait, decide

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
POLICY = CompletenessPolicy(quiet_s=10, settle_s=0.5, max_wait_s=120)


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def evidence(**facts) -> Evidence:
    """A series of 30 slices, the last at noon, looked at one second later, about which nothing good is known."""
    plain = {
        "now": after(1), "boot_at": after(-3600), "last_slice_at": NOON, "longest_pause_s": 0.1, "received": 30,
        "expected": None, "count_is_fresh": False, "open_associations": False, "released_cleanly": False,
        "whole": False, "plausible": False, "rejection_settled": False, "shortfall": "90 mm covered",
    }  # fmt: skip
    return Evidence(**{**plain, **facts})


def closes_at(facts: Evidence, policy: CompletenessPolicy = POLICY) -> float:
    """Seconds after noon at which `decide` closes when it is asked again whenever it says so."""
    for _ in range(20):
        decision = decide(facts, policy)
        if isinstance(decision, Close):
            return (facts.now - NOON).total_seconds()
        assert decision.until > facts.now, "it would be asked again at once"
        facts = replace(facts, now=decision.until)
    raise AssertionError("it never closes")


def test_rule_1_count_of_the_pacs_is_reached():
    assert decide(evidence(expected=30, count_is_fresh=True), POLICY) == Close(
        "the PACS counts no more images than are here"
    )
    assert isinstance(decide(evidence(expected=29, count_is_fresh=True), POLICY), Close)


def test_rule_1_settles():
    facts = evidence(expected=30, count_is_fresh=True, longest_pause_s=2.0)
    assert closes_at(facts) == 6
    assert closes_at(replace(facts, longest_pause_s=0.0, now=after(0.1))) == 0.5


def test_rule_1_waits_for_quiet_while_the_sender_has_not_ended():
    facts = evidence(expected=30, count_is_fresh=True, open_associations=True)
    assert closes_at(facts) == 10
    assert decide(replace(facts, now=after(10)), POLICY).missing is None
    assert closes_at(replace(facts, whole=True)) == 10


def test_rule_1_needs_an_answer_from_after_the_last_slice():
    assert closes_at(evidence(expected=30, count_is_fresh=False)) == 120


def test_rule_1_does_not_speak_for_a_series_that_is_rejected_anyway():
    assert closes_at(evidence(expected=30, count_is_fresh=True, rejection_settled=True)) == 10


@pytest.mark.parametrize("fresh", [True, False])
def test_rule_2_waits_for_what_the_pacs_counts(fresh):
    facts = evidence(expected=32, count_is_fresh=fresh, whole=True, plausible=True, released_cleanly=True)
    assert decide(facts, POLICY) == Wait(after(120), "the PACS counts more images")
    assert decide(replace(facts, now=after(120)), POLICY) == Close(
        "the wait for counted images is over", "2 of 32 images that the PACS counts"
    )


def test_rule_3_rejection_that_no_slice_can_change():
    facts = evidence(rejection_settled=True)
    assert closes_at(facts) == 10
    assert decide(replace(facts, now=after(10)), POLICY) == Close("no further slice can change the rejection")
    assert closes_at(replace(facts, expected=99)) == 10, "nobody waits for slices that change nothing"


def test_rule_4_whole_head_released_cleanly():
    facts = evidence(whole=True, plausible=True, released_cleanly=True)
    assert closes_at(replace(facts, now=after(0.1))) == 0.5
    assert decide(facts, POLICY) == Close("released cleanly with a whole head")


@pytest.mark.parametrize(("pause_s", "settled_s"), [(0.0, 0.5), (0.1, 0.5), (1.0, 3.0), (3.0, 9.0), (30.0, 10.0)])
def test_rule_4_settles_three_of_its_own_pauses_but_never_longer_than_quiet(pause_s, settled_s):
    facts = evidence(whole=True, plausible=True, released_cleanly=True, longest_pause_s=pause_s, now=after(0.1))
    assert closes_at(facts) == pytest.approx(settled_s)


@pytest.mark.parametrize("pause_s", [0.0, 1.0, 30.0])
def test_rule_4_hardly_waits_for_who_sent_all_of_it_in_one_association(pause_s):
    facts = evidence(whole=True, released_cleanly=True, in_one=True, longest_pause_s=pause_s, now=after(0.05))
    assert closes_at(facts) == pytest.approx(0.1)
    assert closes_at(replace(facts, released_cleanly=False)) == 10
    assert closes_at(replace(facts, open_associations=True)) == 10


def test_rule_4_is_not_put_off_by_a_restart():
    facts = evidence(whole=True, released_cleanly=True, boot_at=after(30), now=after(30.1))
    assert isinstance(decide(facts, POLICY), Close)


@pytest.mark.parametrize("facts", [{"open_associations": True, "released_cleanly": False}, {"released_cleanly": False}])
def test_rule_5_whole_head_and_quiet(facts):
    facts = evidence(whole=True, plausible=True, **facts)
    assert closes_at(facts) == 10
    assert decide(replace(facts, now=after(10)), POLICY) == Close("a head's length and quiet")


def test_rule_5_numbers_without_holes_and_quiet_once_nobody_is_sending():
    facts = evidence(plausible=True)
    assert closes_at(facts) == 10
    assert closes_at(replace(facts, open_associations=True)) == 120


def test_rule_5_quiet_counts_from_the_boot():
    facts = evidence(whole=True, boot_at=after(300), now=after(301))
    assert decide(facts, POLICY) == Wait(after(310), "quiet time")


def test_rule_6_anything_else_is_preliminary_after_the_longest_wait():
    facts = evidence()
    assert decide(facts, POLICY) == Wait(after(120), "not whole yet")
    assert decide(replace(facts, now=after(120)), POLICY) == Close("the longest wait is over", "90 mm covered")
    assert closes_at(replace(facts, boot_at=after(60), now=after(61))) == 180, "counts from the boot"


def test_clock_set_back_since_the_boot_does_not_freeze_a_series():
    facts = evidence(whole=True, boot_at=after(3600))
    assert closes_at(facts) == 10, "a boot in the future is no boot to wait for"
    assert closes_at(evidence(boot_at=after(3600))) == 120
    assert closes_at(evidence(whole=True, released_cleanly=True, boot_at=after(3600), now=after(0.1))) == 0.5


FACTS = st.builds(
    evidence,
    now=st.floats(-500, 500).map(after),
    boot_at=st.floats(-500, 500).map(after),
    longest_pause_s=st.floats(0, 100),
    received=st.integers(1, 400),
    expected=st.none() | st.integers(0, 400),
    count_is_fresh=st.booleans(),
    open_associations=st.booleans(),
    released_cleanly=st.booleans(),
    whole=st.booleans(),
    plausible=st.booleans(),
    rejection_settled=st.booleans(),
)
POLICIES = st.builds(
    CompletenessPolicy, quiet_s=st.floats(0.1, 60), settle_s=st.floats(0.1, 5), max_wait_s=st.floats(60, 600)
)


@given(FACTS, POLICIES)
def test_waiting_ends_in_the_future_and_never_later_than_the_longest_wait(facts, policy):
    decision = decide(facts, policy)
    if isinstance(decision, Wait):
        assert facts.now < decision.until
        since = max(facts.last_slice_at, facts.boot_at if facts.boot_at <= facts.now else facts.last_slice_at)
        assert decision.until <= max(since, facts.now) + timedelta(seconds=policy.max_wait_s)


@given(FACTS, POLICIES)
def test_a_decision_to_close_stands_as_time_goes_by(facts, policy):
    if isinstance(decide(facts, policy), Close):
        later = replace(facts, now=max(facts.now, facts.boot_at, facts.last_slice_at) + timedelta(seconds=601))
        assert isinstance(decide(later, policy), Close)


@given(FACTS, POLICIES)
def test_a_close_is_final_only_on_evidence(facts, policy):
    decision = decide(facts, policy)
    if isinstance(decision, Close) and decision.missing is None:
        counted = facts.expected is not None and facts.count_is_fresh and facts.received >= facts.expected
        assert counted or facts.rejection_settled or facts.whole or facts.plausible
    if isinstance(decision, Close) and facts.expected is not None and facts.received < facts.expected:
        assert decision.missing is not None or facts.rejection_settled


@given(FACTS, POLICIES, st.floats(0, 300))
def test_every_series_closes_in_the_end(facts, policy, later_s):
    facts = replace(facts, now=max(facts.now, NOON))
    for _ in range(10):
        decision = decide(facts, policy)
        if isinstance(decision, Close):
            return
        facts = replace(facts, now=decision.until)
    raise AssertionError(decision)
