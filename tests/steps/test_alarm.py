"""Overdue studies and silent senders: said once, counted, and taken back when the facts change."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from ichnode.core.wanted import Listed
from ichnode.steps.alarm import watch
from ichnode.steps.examine import examine
from ichnode.steps.recover import begin_boot
from ichnode.worklist import alarms, associations, retrievals, triage_list
from ichnode.worklist.retrieval_tables import alarms as table
from tests.made import analysed_series, answer, claim, closed_series, events, finish, rows, study_facts


@pytest.fixture
def node(make_node):
    node = make_node(source={"alarm_minutes": 30}, peers=[{"aet": "CT1", "silent_after_h": 12}, {"aet": "CT2"}])
    return replace(node, boot_id=begin_boot(node))


def count(node, kind=alarms.NO_RESULT):
    with node.worklist.read() as tx:
        return alarms.count(tx, kind)


def test_a_study_without_an_answer_is_an_alarm_once_and_until_it_is_answered(node, clock):
    analysed_series(node.worklist, clock, study_facts("answered"), 0.1)
    closed_series(node.worklist, clock, study_facts("waits"))
    clock.forward(29 * 60)
    watch(node)
    assert count(node) == 0
    clock.forward(120)
    with capture_logs() as logged:
        watch(node)
        watch(node)
    (said,) = logged
    assert (said["event"], said["study"], said["minutes"]) == ("study.overdue", 2, 31)
    assert count(node) == 1
    with node.worklist.read() as tx:
        marked = {line["study_instance_uid"]: line["overdue_since"] for line in triage_list.page(tx)}
    assert marked[study_facts("answered").study_instance_uid] is None
    assert marked[study_facts("waits").study_instance_uid] is not None
    found = {check.name: check for check in examine(node.settings)}
    assert found["overdue studies"].found.startswith("1 without a result")
    job = claim(node.worklist, clock)
    assert finish(node.worklist, clock, job, answer(job, 0.9))
    watch(node)
    assert count(node) == 0
    assert [e for e in events(node.worklist) if e.startswith("alarm")] == ["alarm.no_result", "alarm.cleared"]
    (row,) = rows(node.worklist, table)
    assert row["cleared_at"] is not None


def test_a_study_that_never_came_is_an_alarm_for_as_long_as_a_look_takes_it_in(node, clock):
    with node.worklist.write() as tx:
        retrievals.list_new(tx, clock(), Listed("1.2", "1.2.3", images=30), clock(), retrievals.SHOULD_HAVE_COME)
        retrievals.list_new(tx, clock(), Listed("1.9", "1.9.3", images=30), clock(), retrievals.BACKFILL)
    clock.forward(31 * 60)
    watch(node)
    assert count(node) == 1
    clock.forward(25 * 3600)
    watch(node)
    assert count(node) == 0


def test_nobody_waits_for_what_was_ordered(node, clock):
    facts = study_facts("old")
    listed = Listed(facts.study_instance_uid, facts.series_instance_uid)
    with node.worklist.write() as tx:
        retrievals.list_new(tx, clock(), listed, clock(), retrievals.BACKFILL)
        assert retrievals.claim(tx, clock(), "boot", [], []) is not None
    closed_series(node.worklist, clock, facts)
    clock.forward(3600)
    watch(node)
    assert count(node) == 0


def test_an_order_that_has_only_listed_a_study_makes_nobody_wait_longer(node, clock):
    facts = study_facts("old")
    listed = Listed(facts.study_instance_uid, facts.series_instance_uid)
    with node.worklist.write() as tx:
        retrievals.list_new(tx, clock(), listed, clock(), retrievals.BACKFILL)
    closed_series(node.worklist, clock, facts)
    clock.forward(3600)
    watch(node)
    assert count(node) == 1


def test_no_minutes_no_alarm(make_node, clock):
    node = make_node(source={"alarm_minutes": 0})
    closed_series(node.worklist, clock, study_facts("waits"))
    clock.forward(36000)
    watch(node)
    assert count(node) == 0


def send(node, aet):
    with node.worklist.write() as tx:
        associations.open_association(tx, node.now(), node.boot_id, "127.0.0.1", aet)


def test_a_sender_that_fell_silent_is_an_alarm_until_it_sends_again(node, clock):
    clock.forward(13 * 3600)
    watch(node)
    assert count(node, alarms.SILENT_SENDER) == 0, "it has never sent: nobody expects it"
    send(node, "CT1")
    send(node, "CT2")
    clock.at += timedelta(hours=13)
    with capture_logs() as logged:
        watch(node)
    assert [(one["event"], one["sender"]) for one in logged] == [("sender.silent", "CT1")]
    assert any(check.name == "sender CT1" and check.remedy for check in examine(node.settings))
    send(node, "CT1")
    watch(node)
    assert count(node, alarms.SILENT_SENDER) == 0
