"""The machines: every pair of state and event either leads somewhere or raises."""

from __future__ import annotations

import re
from enum import StrEnum

import pytest

from ichnode.core.lifecycle import (
    DELIVERY,
    JOB,
    MODEL,
    ORDER,
    RETRIEVAL,
    SERIES,
    WORKITEM,
    DeliveryState,
    IllegalTransition,
    JobState,
    ModelState,
    OrderState,
    RetrievalState,
    SeriesState,
    Transitions,
    WorkitemState,
    advance,
    diagram,
    sources,
    target,
)

MACHINES: list[tuple[Transitions, type[StrEnum], str]] = [
    (SERIES, SeriesState, "receiving"),
    (JOB, JobState, "queued"),
    (DELIVERY, DeliveryState, "pending"),
    (RETRIEVAL, RetrievalState, "pending"),
    (ORDER, OrderState, "open"),
    (WORKITEM, WorkitemState, "offered"),
    (MODEL, ModelState, "candidate"),
]


@pytest.mark.parametrize(("machine", "states", "first"), MACHINES)
def test_only_listed_pairs_are_legal(machine, states, first):
    events = {event for _, event in machine}
    for state in states:
        for event in events:
            if (state, event) in machine:
                assert advance(machine, state, event) == machine[state, event]
            else:
                with pytest.raises(IllegalTransition, match=event):
                    advance(machine, state, event)


@pytest.mark.parametrize(("machine", "states", "first"), MACHINES)
def test_names_are_states_and_every_state_is_reached(machine, states, first):
    assert {s for s, _ in machine} | set(machine.values()) <= set(states)
    reached = {first}
    while more := {after for (before, _), after in machine.items() if before in reached} - reached:
        reached |= more
    assert reached == set(states)


@pytest.mark.parametrize(("machine", "states", "first"), MACHINES)
def test_an_event_leads_to_one_state(machine, states, first):
    for event in {event for _, event in machine}:
        assert {advance(machine, state, event) for state in sources(machine, event)} == {target(machine, event)}


def test_nothing_that_failed_is_a_dead_end():
    for machine in (JOB, DELIVERY, RETRIEVAL):
        assert advance(machine, "failed", "retry") in ("queued", "pending")


def test_a_late_slice_opens_every_closed_series():
    assert {state for state, event in SERIES if event == "slice"} == set(SeriesState)


def test_what_was_delivered_or_is_superseded_never_moves_by_itself():
    assert not [event for state, event in DELIVERY if state in ("committed", "withdrawn")]
    assert [event for state, event in DELIVERY if state == "delivered"] == ["ask", "commit"], "storage commitment only"
    assert [event for state, event in JOB if state == "superseded"] == ["queue_again"]


def test_diagram_shows_every_transition():
    lines = [line for line in diagram().splitlines() if "-->" in line]
    assert len(lines) == sum(len(machine) for machine, _, _ in MACHINES)
    assert all(re.fullmatch(r"    \w+ --> \w+: \w+", line) for line in lines)


def test_nobody_promotes_what_was_rejected_and_a_shadow_can_be_ended():
    assert [event for state, event in MODEL if state == "rejected"] == ["install"], "only who writes the configuration"
    assert {event for state, event in MODEL if state == "shadow"} == {"end_shadow", "promote", "reject", "install"}
