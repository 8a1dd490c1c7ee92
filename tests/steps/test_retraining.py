"""Retraining by schedule: at its time, by the clockwork of the node, and a line in the log when it cannot be done."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
from apscheduler.schedulers.background import BackgroundScheduler

from ichnode import retraining
from ichnode.config import load
from ichnode.cron import cron_trigger
from ichnode.errors import ConfigError
from ichnode.retraining import schedule_retraining
from ichnode.steps.retrain import Retrained


@pytest.fixture
def scheduled(make_node):
    """``scheduled("0 2 * * sat")`` → the jobs that the scheduler was given, and the stop event."""

    def schedule(expression):
        scheduler, stopping = BackgroundScheduler(timezone="UTC"), threading.Event()
        schedule_retraining(make_node(retrain={"schedule": expression}), scheduler, stopping, lambda: True)
        return scheduler.get_jobs(), stopping

    return schedule


def test_off_by_default(scheduled):
    assert scheduled("")[0] == []


def test_at_the_time_that_was_asked_for(scheduled):
    ((job,), _) = scheduled("30 2 * * sat")
    friday = datetime(2026, 3, 6, 12, tzinfo=UTC)
    assert job.trigger.get_next_fire_time(None, friday) == datetime(2026, 3, 7, 2, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("days", "names"),
    [
        ("0", ["Sun"]), ("7", ["Sun"]), ("1", ["Mon"]), ("6", ["Sat"]), ("sat", ["Sat"]), ("SUN", ["Sun"]),
        ("1-5", ["Mon", "Tue", "Wed", "Thu", "Fri"]), ("5-7", ["Fri", "Sat", "Sun"]), ("sat-sun", ["Sat", "Sun"]),
        ("0,3", ["Wed", "Sun"]), ("mon,6", ["Mon", "Sat"]), ("1-5/2", ["Mon", "Wed", "Fri"]), ("5/1", ["Fri", "Sat"]),
        ("*/3", ["Wed", "Sat", "Sun"]), ("*", ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]),
    ],
)  # fmt: skip
def test_days_are_counted_as_cron_counts_them(days, names):
    trigger, now, found = cron_trigger(f"0 2 * * {days}"), datetime(2026, 3, 2, tzinfo=UTC), []
    while (now := trigger.get_next_fire_time(None, now)) < datetime(2026, 3, 9, tzinfo=UTC):  # from a Monday on
        found.append(now.strftime("%a"))
        now += timedelta(minutes=1)
    assert found == names


@pytest.mark.parametrize("days", ["8", "sonntag", "1-", "day", "*-3", "1/0"])
def test_what_is_no_day_is_refused(days):
    with pytest.raises(ValueError, match="no day of the week"):
        cron_trigger(f"0 2 * * {days}")


def test_it_retrains_and_ends_with_the_node(scheduled, monkeypatch):
    asked = []

    def retrain(node, by, outcomes, told, stopping):
        told("training", 1, 2)
        asked.append((by.name, outcomes, stopping))
        return Retrained("d" * 64, {"passed": True, "checks": []}, (), (), 0)

    monkeypatch.setattr(retraining, "retrain", retrain)
    ((job,), stopping) = scheduled("* * * * *")
    job.func()
    assert asked == [("node", None, stopping)]


def test_too_few_labels_are_a_line_in_the_log(scheduled, capsys):
    ((job,), _) = scheduled("* * * * *")
    job.func()
    said = "".join(capsys.readouterr())
    assert "tick.failed" in said and "TOO_FEW_LABELS" in said


def test_what_is_no_cron_expression_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"retrain.schedule: 'nightly' is no cron expression"):
        load(None, {"retrain.schedule": "nightly"}, {})
