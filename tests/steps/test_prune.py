"""Retention: what is old goes, what is needed stays; also when killed in between, or when a slice comes back."""

from __future__ import annotations

import os
from datetime import timedelta

import pytest
from sqlalchemy import insert, text, update
from structlog.testing import capture_logs

from ichnode.core.feedback import Feedback
from ichnode.core.test_set import TEST
from ichnode.errors import PermanentError
from ichnode.steps import prune as pruning
from ichnode.steps.export import _series as _export_series
from ichnode.steps.labels import patient_digest
from ichnode.steps.prune import Plan, node_id, plan, prune, sweep_strays
from ichnode.steps.receive import receive_slice
from ichnode.steps.restraint import Restraint
from ichnode.steps.stack import stack_of
from ichnode.storage.holding import held as holding
from ichnode.worklist import feedback, forgetting, lab, model_tables, retractions, schema, standings, upkeep_tables
from tests.made import events, rows
from tests.steps.pruned import DAY_S, answered, deliver_all, files_of, state_of
from tests.steps.spooled import as_received, started

PACS = {"name": "pacs", "aet": "PACS", "host": "127.0.0.1", "port": 1}


@pytest.fixture
def node(make_node):
    return make_node(retention={"images_days": 30, "free_bytes": 0}, destinations=[PACS])


def test_by_default_age_alone_removes_nothing(make_node, clock, slice_files):
    node = make_node(destinations=[PACS], retention={"free_bytes": 0})
    answered(node, slice_files[:3])
    clock.forward(5000 * DAY_S)
    assert plan(node) == Plan()
    prune(node)
    assert len(files_of(node)) == 5


def test_what_is_old_goes_and_its_answer_stays(node, clock, slice_files):
    series = answered(node, slice_files[:3])
    answers = (schema.results, schema.reports, schema.deliveries)
    before = [rows(node.worklist, table) for table in answers]
    clock.forward(29.9 * DAY_S)
    assert prune(node).series == 0
    clock.forward(0.2 * DAY_S)
    done = prune(node)
    assert (done.series, done.files) == (1, 5)
    assert files_of(node) == []
    (row,) = rows(node.worklist, schema.series)
    assert (row["id"], row["state"], row["purged_at"], row["received"]) == (series, "purged", clock(), 3)
    assert [rows(node.worklist, table) for table in answers] == before
    assert rows(node.worklist, schema.instances) == rows(node.worklist, upkeep_tables.removals) == []
    (purged,) = [one for one in rows(node.worklist, schema.journal) if one["event"] == "series.purged"]
    assert purged["detail"] == {"because": "age", "files": 5}
    assert stack_of(node, series).slices == ()
    assert prune(node) == pruning.Pruned(), "and once is enough"


def deliver_nothing(node, series):
    with node.worklist.write() as tx:
        tx.execute(update(schema.deliveries).values(state="pending"))


def delivery_failed(node, series):
    with node.worklist.write() as tx:
        tx.execute(update(schema.deliveries).values(state="failed"))


def commitment_awaited(node, series):
    with node.worklist.write() as tx:
        tx.execute(update(schema.deliveries).values(state="awaiting"))


def analysis_failed(node, series):
    with node.worklist.write() as tx:
        tx.execute(update(schema.jobs).values(state="failed"))


def analysis_runs(node, series):
    with node.worklist.write() as tx:
        tx.execute(update(schema.jobs).values(state="running", lease_owner="boot/worker"))


def study_is_to_be_announced(node, series):
    with node.worklist.write() as tx:
        tx.execute(update(schema.studies).values(notices_due_at=node.now()))


def notice(node, state, **more):
    with node.worklist.write() as tx:
        key = tx.execute(insert(schema.notices).values(
            uid="u", study_id=1, result_id=1, channel="oncall", ordinal=1, kind="alert", called="positive", scores={},
            present=[], wanted=True, created_at=node.now(), **more,
        )).inserted_primary_key[0]  # fmt: skip
        tx.execute(insert(schema.deliveries).values(
            notice_id=key, destination="oncall", state=state, urgency=0, attempts=1, not_before=node.now(),
            created_at=node.now(), retry_since=node.now(),
        ))  # fmt: skip


def notice_waits(node, series):
    notice(node, "pending")


def somebody_is_to_be_reminded(node, series):
    notice(node, "delivered", escalate_at=node.now())


def rejection_note_is_due(node, series):
    with node.worklist.write() as tx:
        retractions.retract(tx, node.now(), [series], "wrong-result", "")
        tx.execute(update(schema.studies).values(notices_due_at=None))


def another_series_arrives(node, series):
    with node.worklist.write() as tx:
        tx.execute(text(
            "INSERT INTO series (study_id, series_instance_uid, state, revision, received, conflicts, first_slice_at, "
            "last_slice_at, longest_pause_s, due_at) SELECT study_id, '1.2.3', 'receiving', 1, 1, 0, first_slice_at, "
            "last_slice_at, 0, due_at FROM series"
        ))  # fmt: skip


def shadow_has_it_to_read(node, series):
    with node.worklist.write() as tx:
        tx.execute(insert(model_tables.models).values(
            digest="d", name="n", version="1", state="shadow", origin="import", pinned=False,
            registered_at=node.now(), shadowed_at=node.now() - timedelta(days=365),
        ))  # fmt: skip


def a_reader_labelled_it(node, series):
    with node.worklist.write() as tx:
        feedback.give(tx, node.now(), "ada", 1, Feedback(True, (), ""))


def its_patient_judges_models(node, series, part=TEST):
    (study,) = rows(node.worklist, schema.studies)
    digest = patient_digest(node_id(node), study["patient_id"], study["study_instance_uid"])
    with node.worklist.write() as tx:
        lab.keep_parts(tx, node.now(), {digest: part})


def its_patient_teaches_models(node, series):
    its_patient_judges_models(node, series, "training")


@pytest.mark.parametrize(
    ("needed", "held"),
    [
        (deliver_nothing, "object not delivered"), (delivery_failed, "object not delivered"),
        (commitment_awaited, "object not delivered"), (analysis_failed, "analysis unfinished or failed"),
        (analysis_runs, "analysis unfinished or failed"), (study_is_to_be_announced, "notice not delivered"),
        (notice_waits, "notice not delivered"), (somebody_is_to_be_reminded, "notice not delivered"),
        (rejection_note_is_due, "rejection note unmade"), (another_series_arrives, "study still arriving"),
        (shadow_has_it_to_read, "shadow still to read"), (a_reader_labelled_it, "labelled by a reader"),
        (its_patient_judges_models, "judges models"), (its_patient_teaches_models, "teaches models"),
    ],
)  # fmt: skip
def test_what_is_needed_stays_whatever_its_age_and_the_disk(node, clock, slice_files, needed, held, monkeypatch):
    series = answered(node, slice_files[:3])
    needed(node, series)
    before = files_of(node)
    clock.forward(5000 * DAY_S)
    monkeypatch.setattr(type(node.spool), "free_bytes", lambda _: 0)
    assert plan(node).held == {held: 1}
    assert prune(node).series == 0
    assert (files_of(node), state_of(node, series)) == (before, "closed")


def test_what_became_needed_after_the_plan_stays(node, clock, slice_files, monkeypatch):
    series = answered(node, slice_files[:3])
    clock.forward(31 * DAY_S)
    planned = plan(node)
    assert len(planned.series) == 1
    delivery_failed(node, series)
    monkeypatch.setattr(pruning, "plan", lambda *_: planned)
    assert prune(node).series == 0
    assert state_of(node, series) == "closed"


def test_labels_stay_only_as_long_as_they_are_wanted_and_the_test_set_for_ever(make_node, clock, slice_files):
    node = make_node(retention={"images_days": 30, "free_bytes": 0, "keep_labelled": False}, destinations=[PACS])
    series = answered(node, slice_files[:3])
    a_reader_labelled_it(node, series)
    its_patient_judges_models(node, series)
    clock.forward(31 * DAY_S)
    assert prune(node).series == 0
    with node.worklist.write() as tx:
        tx.execute(update(model_tables.lab_patients).values(part="training"))
    assert prune(node).series == 1
    with node.worklist.read() as tx:
        assert lab.answered(tx, [series]) == [], "nothing teaches that is not there"
    assert _export_series(node, [], node.spool.root, None, None) == (0, [])


def test_a_commitment_that_is_to_come_holds_what_was_delivered(make_node, clock, slice_files):
    node = make_node(retention={"images_days": 30, "free_bytes": 0}, destinations=[{**PACS, "commitment": True}])
    answered(node, slice_files[:3])
    clock.forward(31 * DAY_S)
    assert plan(node).held == {"object not delivered": 1}
    with node.worklist.write() as tx:
        tx.execute(update(schema.deliveries).values(state="committed"))
    assert prune(node).series == 1


def test_a_full_disk_takes_the_oldest_and_no_more_than_it_needs(make_node, clock, slice_files, monkeypatch):
    node = make_node(retention={"free_bytes": 1000_000}, destinations=[PACS])
    old = answered(node, slice_files[:6])
    clock.forward(2 * DAY_S)
    assert plan(node) == Plan()
    size = sum(row["size"] for row in rows(node.worklist, schema.instances))
    monkeypatch.setattr(type(node.spool), "free_bytes", lambda _: 1000_000 - size // 2)
    ((one, because),) = plan(node).series
    assert (one.id, because) == (old, "disk")
    monkeypatch.setattr(type(node.spool), "free_bytes", lambda _: 0)
    assert plan(node).missing_bytes == 1000_000 - plan(node).bytes, "all there is to go is not enough, and it says so"
    clock.forward(-1.5 * DAY_S)
    assert plan(node).series == (), "what came within a day stays"


def three_old_series(node, clock, slice_files):
    """Of three studies, a slice each; two days old."""
    for number in range(3):
        series = answered(node, slice_files[number : number + 1])
        with node.worklist.write() as tx:
            tx.execute(
                update(schema.series).where(schema.series.c.id == series).values(series_instance_uid=f"s{number}")
            )
            ours = schema.studies.c.study_instance_uid.not_like("s%")
            tx.execute(update(schema.studies).where(ours).values(study_instance_uid=f"s{number}"))
    clock.forward(2 * DAY_S)


def test_while_marked_files_wait_a_full_disk_takes_no_more(make_node, clock, slice_files, monkeypatch):
    node = make_node(retention={"free_bytes": 1000_000}, destinations=[PACS])
    three_old_series(node, clock, slice_files)
    monkeypatch.setattr(type(node.spool), "free_bytes", lambda _: 1000_000 - 1)
    with holding(node.settings.node.data.resolve()):
        assert [prune(node).series for _ in range(3)] == [1, 0, 0]
    assert prune(node).series == 1, "what was marked is unlinked first; the disk is as full as before"


def test_where_unlinking_frees_nothing_the_disk_takes_no_more_until_it_does(make_node, clock, slice_files, monkeypatch):
    node = make_node(retention={"free_bytes": 1000_000}, destinations=[PACS])
    three_old_series(node, clock, slice_files)
    free = [1000_000 - 1]
    monkeypatch.setattr(type(node.spool), "free_bytes", lambda _: free[0])
    restraint = Restraint()
    with capture_logs() as logged:
        assert [prune(node, restraint).series for _ in range(3)] == [1, 0, 0]
    assert [one["event"] for one in logged] == ["retention.unlinking_frees_nothing"]
    free[0] = 999_000
    assert prune(node, restraint).series == 0
    free[0] = 2000_000
    assert prune(node, restraint).series == 0, "there is room"
    assert restraint.disk_gains(node)
    free[0] = 1000_000 - 1
    assert prune(node, restraint).series == 1


def test_free_bytes_count_above_those_at_which_slices_are_refused(make_node, clock, slice_files, monkeypatch):
    node = make_node(retention={"free_bytes": 1}, destinations=[PACS], receive={"low_disk_bytes": 1000})
    answered(node, slice_files[:3])
    clock.forward(2 * DAY_S)
    monkeypatch.setattr(type(node.spool), "free_bytes", lambda _: 1249)
    assert len(plan(node).series) == 1
    monkeypatch.setattr(type(node.spool), "free_bytes", lambda _: 1250)
    assert plan(node).series == ()


def test_a_late_slice_of_a_purged_series_makes_a_new_revision(node, clock, slice_files):
    series = answered(node, slice_files[:3])
    clock.forward(31 * DAY_S)
    prune(node)
    assert receive_slice(node, as_received(slice_files[1])) == 0
    (row,) = rows(node.worklist, schema.series)
    assert (row["id"], row["state"], row["revision"], row["received"]) == (series, "receiving", 2, 1)
    assert (row["purged_at"], row["longest_pause_s"], row["first_slice_at"]) == (None, 0.0, clock())
    assert "series.reopened" in events(node.worklist)
    (instance,) = rows(node.worklist, schema.instances)
    assert node.spool.holds(instance["file"])


def test_killed_between_mark_and_unlink_nothing_is_adopted_and_it_goes_on(node, clock, slice_files, monkeypatch):
    answered(node, slice_files[:3])
    clock.forward(31 * DAY_S)
    with monkeypatch.context() as patch:
        patch.setattr(pruning, "_unlink", lambda _: (0, 0))
        assert prune(node).series == 1
    assert len(files_of(node)) == len(rows(node.worklist, upkeep_tables.removals)) == 5
    started(node)
    assert rows(node.worklist, schema.instances) == [], "no file of a purged series is taken for a new one"
    assert prune(node).files == 5
    assert files_of(node) == []


def test_a_transaction_that_does_not_commit_after_the_unlink_is_done_again(node, clock, slice_files, monkeypatch):
    answered(node, slice_files[:3])
    clock.forward(31 * DAY_S)
    discard = node.spool.discard

    def cut_short(*names):
        discard(*names)
        raise PermanentError("cut short")

    with monkeypatch.context() as patch:
        patch.setattr(node.spool, "discard", cut_short)
        with pytest.raises(PermanentError, match="cut short"):
            prune(node)
    assert len(rows(node.worklist, upkeep_tables.removals)) == 5
    prune(node)
    assert rows(node.worklist, upkeep_tables.removals) == [] == files_of(node)


def test_a_slice_that_comes_back_before_the_unlink_is_kept(node, clock, slice_files, monkeypatch):
    answered(node, slice_files[:3])
    clock.forward(31 * DAY_S)
    with monkeypatch.context() as patch:
        patch.setattr(pruning, "_unlink", lambda _: (0, 0))
        prune(node)
    assert receive_slice(node, as_received(slice_files[0])) == 0
    prune(node)
    (instance,) = rows(node.worklist, schema.instances)
    assert node.spool.holds(instance["file"])
    left = files_of(node)
    assert [name for name in left if name.startswith("slices/")] == [instance["file"]]
    assert len(left) == 3, "report and heat map stay as long as the series is looked at again"


def test_a_slice_that_comes_back_in_the_moment_of_the_unlink_is_put_again(node, clock, slice_files, monkeypatch):
    answered(node, slice_files[:3])
    clock.forward(31 * DAY_S)
    unlink, settle = pruning._unlink, node.spool.settle
    with monkeypatch.context() as patch:
        patch.setattr(pruning, "_unlink", lambda _: (0, 0))
        prune(node)

    def settled(name):  # the file is there and has no row yet: now retention takes it
        unlink(node)
        settle(name)

    monkeypatch.setattr(node.spool, "settle", settled)
    assert receive_slice(node, as_received(slice_files[0])) == 0
    (instance,) = rows(node.worklist, schema.instances)
    assert node.spool.holds(instance["file"]), "acknowledged, and there"


def test_what_attempts_left_behind_is_swept_after_a_day(node, clock, slice_files):
    answered(node, slice_files[:3])
    stray = node.spool.path(node.spool.put_report(b"of an attempt that died", "a" * 64))
    young = node.spool.path(node.spool.put_report(b"of an attempt that goes on", "b" * 64))
    now = clock().timestamp()
    for path in (*(node.spool.root / "reports").rglob("*.dcm"), *(node.spool.root / "heat").rglob("*.npz")):
        os.utime(path, (now - 2 * DAY_S,) * 2)
    os.utime(young, (now - 60,) * 2)
    assert sweep_strays(node) == 1
    assert not stray.exists()
    assert young.exists()
    assert len(files_of(node)) == 6
    os.utime(young, (now - 2 * DAY_S,) * 2)
    node.spool.put_report(b"of an attempt that goes on", "b" * 64)
    assert sweep_strays(node) == 0, "put again, it counts as new"


def test_records_are_forgotten_last_and_journals_stay(make_node, clock, slice_files):
    days = {"images_days": 30, "records_days": 300, "free_bytes": 0}
    node = make_node(retention=days, destinations=[PACS])
    series = answered(node, slice_files[:3])
    a_reader_labelled_it(node, series)
    notice(node, "delivered")
    with node.worklist.write() as tx:
        feedback.take_back(tx, node.now(), "ada", 1)
        standings.refresh(tx, [1])
    clock.forward(301 * DAY_S)
    assert prune(node).forgotten == 0, "the newest study keeps its number"
    with node.worklist.write() as tx:
        tx.execute(text(
            "INSERT INTO studies (id, study_instance_uid, patient_id, patient_name, patient_birth_date, patient_sex, "
            "accession_number, study_date, study_time, description, referring_physician, station_name, first_seen_at) "
            "SELECT 7, 'x', '', '', '', '', '', '', '', '', '', '', first_seen_at FROM studies LIMIT 1"
        ))  # fmt: skip
        tx.execute(text(
            "INSERT INTO series (study_id, series_instance_uid, state, revision, received, conflicts, first_slice_at, "
            "last_slice_at, longest_pause_s, due_at) SELECT 7, '1.2.3', 'receiving', 1, 1, 0, first_slice_at, "
            "last_slice_at, 0, due_at FROM series"
        ))  # fmt: skip
    journal = len(rows(node.worklist, schema.journal))
    assert prune(node).forgotten == 1
    for table in (schema.results, schema.reports, schema.deliveries, schema.notices, schema.feedback, schema.jobs,
                  schema.feedback_labels):  # fmt: skip
        assert rows(node.worklist, table) == [], table.name
    assert [row["id"] for row in rows(node.worklist, schema.studies)] == [7]
    assert len(rows(node.worklist, schema.journal)) == journal + 1
    assert events(node.worklist)[-1] == "study.forgotten"
    deliver_all(node)


def test_a_study_that_a_slice_comes_for_in_the_moment_of_forgetting_stays(make_node, clock, slice_files, monkeypatch):
    node = make_node(retention={"images_days": 1, "records_days": 1, "free_bytes": 0}, destinations=[PACS])
    three_old_series(node, clock, slice_files)
    forgettable, called = forgetting.forgettable, []

    def then_a_slice_comes(tx, *args, **only):
        found = forgettable(tx, *args, **only)
        if not called:
            with node.worklist.write() as writing:
                writing.execute(update(schema.series).where(schema.series.c.id == 1).values(state="receiving"))
        called.append(found)
        return found

    monkeypatch.setattr(forgetting, "forgettable", then_a_slice_comes)
    assert prune(node).forgotten == 1
    assert called[0] == [1, 2]
    assert [row["id"] for row in rows(node.worklist, schema.studies)] == [1, 3]


def test_series_that_share_a_heat_map_go_and_it_goes_with_the_last(make_node, clock, slice_files):
    node = make_node(retention={"images_days": 1, "free_bytes": 0}, destinations=[PACS])
    three_old_series(node, clock, slice_files)
    shared = rows(node.worklist, schema.results)[0]["heat_file"]
    with node.worklist.write() as tx:
        tx.execute(update(schema.results).values(heat_file=shared))
    with holding(node.settings.node.data.resolve()):  # the marks of the one are there when the other is marked
        assert prune(node).series == 3
    prune(node)
    assert not node.spool.holds(shared)
    assert rows(node.worklist, upkeep_tables.removals) == []


def test_one_series_that_cannot_be_marked_does_not_keep_the_others(make_node, clock, slice_files, monkeypatch):
    node = make_node(retention={"free_bytes": 1000_000}, destinations=[PACS])
    three_old_series(node, clock, slice_files)
    with node.worklist.write() as tx:
        tx.execute(text(
            "CREATE TRIGGER broken BEFORE INSERT ON removals WHEN NEW.series_id = 1 "
            "BEGIN SELECT RAISE(ABORT, 'broken'); END"
        ))  # fmt: skip
    monkeypatch.setattr(type(node.spool), "free_bytes", lambda _: 1000_000 - 1)
    restraint = Restraint()
    with capture_logs() as logged:
        assert [prune(node, restraint).series for _ in range(2)] == [0, 1]
    assert [(one["event"], one.get("series")) for one in logged][:1] == [("retention.series_stays", 1)]
    assert (state_of(node, 1), state_of(node, 2)) == ("closed", "purged")


def test_a_clock_that_is_set_forward_makes_nothing_old_for_a_day(make_node, clock, slice_files):
    node = make_node(retention={"images_days": 30, "records_days": 30, "free_bytes": 0}, destinations=[PACS])
    three_old_series(node, clock, slice_files)
    steady = [0.0]
    restraint = Restraint(lambda: steady[0])

    def passes(seconds):
        steady[0] += seconds
        clock.forward(seconds)
        done = prune(node, restraint)
        return done.series, done.forgotten

    with capture_logs() as logged:
        assert passes(60) == (0, 0)
        clock.forward(365 * DAY_S)
        assert [passes(60), passes(DAY_S / 2)] == [(0, 0), (0, 0)]
        clock.forward(-365 * DAY_S)
        assert passes(60) == (0, 0)
        clock.forward(365 * DAY_S)
        assert [passes(60), passes(DAY_S - 60)] == [(0, 0), (0, 0)]
    assert [one["event"] for one in logged] == ["retention.clock_set_forward"] * 2
    assert passes(60) == (3, 2), "so it is right"
    assert restraint.clock_is_believed(node)


def test_time_that_really_passes_is_believed(make_node, clock, slice_files):
    node = make_node(retention={"images_days": 30, "free_bytes": 0}, destinations=[PACS])
    three_old_series(node, clock, slice_files)
    steady = [0.0]
    restraint = Restraint(lambda: steady[0])
    assert prune(node, restraint).series == 0
    steady[0] += 31 * DAY_S
    clock.forward(31 * DAY_S)
    assert prune(node, restraint).series == 3
