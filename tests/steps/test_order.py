"""Backfill and priors: slow, within their hours, behind all else, told to no channel, and never lost."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from ichnode.core.triage import place_of_study
from ichnode.core.urgency import Urgency
from ichnode.errors import ConfigError, PeerRefused
from ichnode.steps.alarm import watch
from ichnode.steps.fetch import Fetcher
from ichnode.steps.node import LOOKING
from ichnode.steps.order import held, list_day, list_due, missing_of, place_backfill, place_priors
from ichnode.steps.reconcile import look_due
from ichnode.steps.recover import begin_boot
from ichnode.worklist import alarms, deliveries, forgetting, jobs, notices, orders, retrievals, schema
from ichnode.worklist.audit import NODE
from ichnode.worklist.orders import Progress
from ichnode.worklist.retrieval_tables import orders as order_table
from ichnode.worklist.retrieval_tables import retrievals as table
from ichnode.worklist.standing_table import standings
from tests.heads import series_uid, study_uid, write_head
from tests.made import NOON, analysed_series, closed_series, events, rows, study_facts
from tests.steps.giver import Giver, come
from tests.steps.spooled import started

DAYS = (date(2026, 2, 1), date(2026, 2, 3))


@pytest.fixture(autouse=True)
def _utc(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture(scope="module")
def old_heads(tmp_path_factory):
    folder = tmp_path_factory.mktemp("heads")
    days = enumerate(("20260201", "20260203", "20260203"), 1)
    return [write_head(folder, f"old{number}", StudyDate=day, slices=8) for number, day in days]


@pytest.fixture
def giver(old_heads):
    made = Giver()
    for files in old_heads:
        made.add(files)
    with made.listening():
        yield made


@pytest.fixture
def node(make_node, giver):
    made = make_node(source={**giver.section, "attempts": 1}, channels=[CHANNEL])
    return replace(made, boot_id=begin_boot(made))


CHANNEL = {
    "name": "oncall", "kind": "webhook", "url": "http://127.0.0.1:9/", "secret_file": "/nowhere",
    "verdicts": ["positive", "negative", "failed"],
}  # fmt: skip


def work(node):
    while list_due(node) is not None or Fetcher(node).fetch_due() is not None:
        pass


def progress(node, order) -> Progress:
    with node.worklist.read() as tx:
        return orders.progress(tx, order.id)


def state(node, order) -> str:
    with node.worklist.read() as tx:
        return orders.of(tx, order.id).state


def test_the_studies_of_some_days_are_fetched(node, giver):
    order = place_backfill(node, NODE, *DAYS)
    work(node)
    assert sorted(giver.gets) == sorted(series_uid(f"old{n}") for n in (1, 2, 3))
    assert progress(node, order) == Progress(3, 0, 3, 0, 3)
    list_due(node)
    assert state(node, order) == "done"
    assert {row["received"] for row in rows(node.worklist, schema.series)} == {8}


def test_it_goes_on_where_it_was_after_the_node_died(node, giver, clock):
    order = place_backfill(node, NODE, *DAYS)
    list_due(node)
    Fetcher(node).fetch_due()
    assert len(giver.gets) == 1
    again = replace(node, boot_id=begin_boot(node))
    started(again)
    work(again)
    assert len(giver.gets) == 3
    assert progress(again, order).fetched == 3


def test_so_many_studies_an_hour(node, giver, clock):
    order = place_backfill(node, NODE, *DAYS, per_hour=1)
    work(node)
    assert len(giver.gets) == 1
    clock.forward(3500)
    work(node)
    assert len(giver.gets) == 1
    clock.forward(200)
    work(node)
    assert len(giver.gets) == 2
    assert state(node, order) == "open"


def test_a_study_that_was_begun_goes_on_with_its_other_series(node, giver, clock, tmp_path):
    giver.add(write_head(tmp_path / "heads", "old1", "thin", StudyDate="20260201", slices=8))
    place_backfill(node, NODE, DAYS[0], DAYS[0], per_hour=1)
    work(node)
    assert set(giver.gets) == {series_uid("old1"), series_uid("old1", "thin")}


def test_so_many_studies_at_once(node, giver, clock):
    order = place_backfill(node, NODE, *DAYS, at_once=2)
    work(node)
    assert len(giver.gets) == 2
    assert progress(node, order).unanswered == 2
    with node.worklist.write() as tx:
        tx.execute(schema.studies.update().values(read_at=NOON))  # no answer: still busy
    work(node)
    assert len(giver.gets) == 2


@pytest.mark.parametrize(("hour", "begins"), [(12, False), (20, True), (3, True), (6, False)])
def test_only_in_its_hours(node, giver, clock, hour, begins):
    clock.at = datetime(2026, 3, 1, hour, 30, tzinfo=UTC)
    place_backfill(node, NODE, *DAYS, hours="19:00-06:00")
    work(node)
    assert bool(giver.gets) is begins


def test_an_order_is_stopped_and_goes_on_with_other_limits(node, giver, clock):
    order = place_backfill(node, NODE, *DAYS, per_hour=1)
    work(node)
    with node.worklist.write() as tx:
        assert orders.stop(tx, clock(), order.id)
        assert not orders.stop(tx, clock(), order.id)
    clock.forward(7200)
    work(node)
    assert len(giver.gets) == 1
    assert {row["state"] for row in rows(node.worklist, table)} == {"fetched", "withdrawn"}
    again = place_backfill(node, NODE, *DAYS)
    assert again.id == order.id
    work(node)
    assert len(giver.gets) == 3
    assert len(rows(node.worklist, order_table)) == 1


def test_the_same_order_again_is_one_order(node, giver):
    first, second = place_backfill(node, NODE, *DAYS), place_backfill(node, NODE, *DAYS, at_once=7)
    assert first.id == second.id
    assert second.at_once == 7


def test_what_the_looks_take_in_is_left_to_them(node, giver, tmp_path):
    giver.add(write_head(tmp_path / "heads", "live", StudyDate="20260301", StudyTime="100000", slices=8))
    place_backfill(node, NODE, date(2026, 2, 28), date(2026, 3, 1))
    work(node)
    assert giver.gets == []


def test_what_was_ordered_is_analysed_last_told_to_nobody_and_stands_behind(node, giver, clock):
    place_backfill(node, NODE, DAYS[0], DAYS[0])
    work(node)
    (old,) = rows(node.worklist, schema.studies)
    assert old["ordered_at"] is not None
    with node.worklist.write() as tx:
        tx.execute(schema.series.update().values(state="closed", closed_at=clock()))
        jobs.queue_job(tx, clock(), 1, 1, "analyse", None)
    clock.forward(60)
    closed_series(node.worklist, clock, study_facts("live"))
    with node.worklist.write() as tx:
        first = jobs.claim_job(tx, clock(), "analyse", "boot/w", 600)
        second = jobs.claim_job(tx, clock(), "analyse", "boot/w", 600)
    assert first.study_instance_uid == study_facts("live").study_instance_uid
    assert second.study_instance_uid == study_uid("old1")
    assert place_of_study(0, 0.99, NOON, False, True) > place_of_study(0, 0.01, NOON, False)


def test_no_channel_hears_of_what_was_ordered(node, giver, clock):
    place_backfill(node, NODE, DAYS[0], DAYS[0])
    work(node)
    analysed_series(node.worklist, clock, study_facts("live"), 0.9)
    with node.worklist.write() as tx:
        tx.execute(schema.studies.update().values(ordered_at=clock(), notices_due_at=clock()))
        rules = {channel.name: channel.rule for channel in node.settings.channels}
        while notices.announce(tx, clock(), rules, {}) is not None:
            pass
    assert rows(node.worklist, schema.notices) == []


def test_what_an_archive_has_of_a_day_is_counted_without_an_order(node, giver):
    wanted, missing = missing_of(node, list_day(node, "20260203"))
    assert (len(wanted), len(missing)) == (2, 2)
    assert rows(node.worklist, table) == []


def test_an_archive_that_is_down_delays_an_order(make_node, giver, clock):
    node = make_node(source={**giver.section, "port": Giver().port})
    order = place_backfill(node, NODE, *DAYS)
    list_due(node)
    assert list_due(node) is None
    assert state(node, order) == "open"
    assert "does not tell more" in held(node, order)
    assert look_due(node) is None
    with node.worklist.read() as tx:
        assert orders.unlisted(tx)[0].next_date == "20260201"


def priors_of(node, clock, **facts):
    closed_series(node.worklist, clock, study_facts("now", patient_id="P-1", study_date="20260228", **facts))
    return place_priors(node, NODE, 1)


def test_the_priors_of_a_patient(node, giver, clock, tmp_path):
    for name, more in {
        "prior": {}, "others": {"PatientID": "P-2"}, "namesake": {"PatientBirthDate": "19700101"},
        "later": {"StudyDate": "20260301"},
    }.items():  # fmt: skip
        given = {"StudyDate": "20250101", "PatientID": "P-1", **more}
        giver.add(write_head(tmp_path / "heads", name, slices=8, **given))
    order = priors_of(node, clock, patient_birth_date="19500101")
    work(node)
    assert giver.gets == [series_uid("prior")]
    list_due(node)
    assert state(node, order) == "done"


@pytest.mark.parametrize("number", ["", "*", "P?"])
def test_a_patient_id_that_would_find_others_is_no_question(node, clock, number):
    closed_series(node.worklist, clock, study_facts("now", patient_id=number))
    with pytest.raises(ConfigError, match="Patient ID"):
        place_priors(node, NODE, 1)


def test_without_a_source_nothing_can_be_ordered(make_node):
    with pytest.raises(ConfigError, match="source"):
        place_backfill(make_node(), NODE, *DAYS)


@pytest.mark.parametrize("end", ["pending", "withdrawn", "failed"])
def test_a_study_that_an_order_has_only_listed_and_that_comes_by_itself_is_one_that_somebody_waits_for(
    node, giver, old_heads, clock, end
):
    order = place_backfill(node, NODE, DAYS[0], DAYS[0])
    list_due(node)
    if end == "failed":
        giver.gives[series_uid("old1")] = 0
        work(node)
    if end == "withdrawn":
        with node.worklist.write() as tx:
            orders.stop(tx, clock(), order.id)
    assert [row["state"] for row in rows(node.worklist, table)] == [end]
    come(node, old_heads[0])
    (study,) = rows(node.worklist, schema.studies)
    assert study["ordered_at"] is None


def test_a_study_of_an_order_of_which_another_series_comes_by_itself_is_no_longer_silent(node, giver, tmp_path):
    place_backfill(node, NODE, DAYS[0], DAYS[0])
    work(node)
    assert rows(node.worklist, schema.studies)[0]["ordered_at"] is not None
    with node.worklist.write() as tx:
        jobs.queue_job(tx, node.now(), 1, 1, "analyse", None)
    assert [row["urgency"] for row in rows(node.worklist, schema.jobs)] == [Urgency.ORDERED]
    come(node, write_head(tmp_path / "heads", "old1", "thin", StudyDate="20260201", slices=8))
    assert rows(node.worklist, schema.studies)[0]["ordered_at"] is None
    assert [row["urgency"] for row in rows(node.worklist, schema.jobs)] == [Urgency.ROUTINE]


def test_that_a_prior_was_urgent_years_ago_is_no_haste(node, tmp_path, clock, giver):
    giver.files[series_uid("old1")] = write_head(
        tmp_path / "stat", "old1", StudyDate="20260201", slices=8, RequestedProcedurePriority="STAT"
    )
    place_backfill(node, NODE, DAYS[0], DAYS[0])
    work(node)
    (study,) = rows(node.worklist, schema.studies)
    assert (study["ordered_at"] is None, study["urgent_because"]) == (False, None)


@pytest.mark.parametrize("closed", [False, True])
def test_slices_of_a_series_that_an_order_brought_in_part_and_that_come_by_themselves_are_waited_for(
    node, giver, clock, old_heads, closed
):
    giver.gives[series_uid("old1")] = 6
    place_backfill(node, NODE, DAYS[0], DAYS[0])
    work(node)
    (before,) = rows(node.worklist, standings)
    assert rows(node.worklist, schema.studies)[0]["ordered_at"] is not None
    if closed:
        with node.worklist.write() as tx:
            tx.execute(schema.series.update().values(state="closed", closed_at=clock()))
    come(node, old_heads[0][:6])
    assert rows(node.worklist, schema.studies)[0]["ordered_at"] is not None, "the same slices again say nothing new"
    come(node, old_heads[0][6:])
    assert rows(node.worklist, schema.studies)[0]["ordered_at"] is None
    (after,) = rows(node.worklist, standings)
    assert after["minus_score"] < before["minus_score"], "its place on the worklist is that of the others"
    assert [e for e in events(node.worklist) if e == "study.awaited"] == ["study.awaited"]
    clock.forward(3600)
    watch(node)
    with node.worklist.read() as tx:
        assert alarms.count(tx) == 1, "its alarm rings"


def test_what_a_look_finds_missing_is_taken_from_the_order_that_listed_it(node, giver, clock, tmp_path):
    giver.add(write_head(tmp_path / "heads", "late", StudyDate="20260227", StudyTime="110000", slices=8))
    place_backfill(node, NODE, date(2026, 2, 27), date(2026, 2, 27), hours="19:00-06:00")
    work(node)
    with node.worklist.write() as tx:  # the node was down for three days: the look goes back as far
        deliveries.close_circuit(tx, clock() - timedelta(days=3), LOOKING)
    look_due(node)
    (row,) = rows(node.worklist, table)
    assert (row["urgency"], row["order_id"]) == (retrievals.SHOULD_HAVE_COME, None)
    clock.forward(61)
    work(node)
    assert giver.gets == [series_uid("late")]
    assert rows(node.worklist, schema.studies)[0]["ordered_at"] is None


def test_an_order_whose_question_fails_holds_up_no_other_and_no_look(node, giver, clock, monkeypatch):
    bad, good = (
        place_backfill(node, NODE, date(2026, 1, 1), date(2026, 1, 1)),
        place_backfill(node, NODE, DAYS[0], DAYS[0]),
    )
    ask = list_day

    def answer(node, day):
        if day == "20260101":
            raise PeerRefused("The source answers with more than 2000 studies: ask for fewer days.")
        return ask(node, day)

    with monkeypatch.context() as failing:
        failing.setattr("ichnode.steps.order.list_day", answer)
        work(node)
        assert giver.gets == [series_uid("old1")]
        assert "fewer days" in held(node, bad)
        assert held(node, good) == ""
        with node.worklist.read() as tx:
            assert deliveries.circuit(tx, LOOKING).failures == 0
    clock.forward(61)
    work(node)
    assert (held(node, bad), state(node, bad)) == ("", "done")


def test_the_study_of_an_open_order_is_not_forgotten(node, giver, clock):
    order = priors_of(node, clock)
    closed_series(node.worklist, clock, study_facts("newer"))
    with node.worklist.write() as tx:
        tx.execute(schema.series.update().values(state="purged"))
    later = clock.at + timedelta(days=1)
    with node.worklist.read() as tx:
        assert forgetting.forgettable(tx, later) == []
    work(node)
    list_due(node)
    assert state(node, order) == "done"
    with node.worklist.read() as tx:
        assert forgetting.forgettable(tx, later) == [order.study_id]


def test_priors_of_a_study_that_is_gone_are_none(node, giver, clock):
    order = priors_of(node, clock)
    with node.worklist.write() as tx:
        tx.execute(order_table.update().values(study_id=None))
    work(node)
    list_due(node)
    assert state(node, order) == "done"


def test_orders_leave_the_disk_to_what_comes_live(make_node, giver, clock, monkeypatch, tmp_path):
    giver.add(write_head(tmp_path / "heads", "today", StudyDate="20260301", StudyTime="110000", slices=8))
    low = 1 << 30
    made = make_node(source=giver.section, receive={"low_disk_bytes": low}, retention={"free_bytes": 2 * low})
    node = replace(made, boot_id=begin_boot(made))
    order = place_backfill(node, NODE, DAYS[0], DAYS[0])
    monkeypatch.setattr(node.spool, "free_bytes", lambda: 2 * low + low // 4)
    look_due(node)
    clock.forward(61)
    work(node)
    assert giver.gets == [series_uid("today")]
    assert "less than 2.5 GiB free" in held(node, order)
    monkeypatch.setattr(node.spool, "free_bytes", lambda: 3 * low)
    work(node)
    assert giver.gets == [series_uid("today"), series_uid("old1")]
    assert held(node, order) == ""


def test_nothing_is_written_while_an_order_only_waits_for_its_hours(node, giver, monkeypatch):
    place_backfill(node, NODE, DAYS[0], DAYS[0], hours="19:00-06:00")
    while list_due(node) is not None:
        pass
    fetcher = Fetcher(node)
    monkeypatch.setattr(node.worklist, "write", lambda: pytest.fail("the worklist was locked for nothing"))
    assert fetcher.fetch_due() is None
