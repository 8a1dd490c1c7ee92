"""Pictures come after the answer, once, of that answer, or not at all."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom import dcmread

from ichnode.core import heat
from ichnode.errors import BadObject, PermanentError
from ichnode.inference.engine import Engine
from ichnode.reporting.picture.places import SLICES
from ichnode.steps import illustrate, load, turn
from ichnode.steps.analyse import analyse_next
from ichnode.steps.illustrate import MOST_KEPT, PATIENCE_S, Readings, illustrate_next, pictures_are_late
from ichnode.steps.recover import free_leases
from ichnode.steps.turn import Turns
from ichnode.worklist import jobs, retractions, schema
from ichnode.worklist.opening import supersede_jobs
from tests.bundles import write_tiny_bundle
from tests.made import rows

from .test_analyse import OWNER, closed, jobs_by_kind

PICTURES = ["sc", "sc-frames", "pm"]


@pytest.fixture(scope="module")
def engine(tiny_bundle):
    return Engine.load(tiny_bundle.folder, "cpu", 1)


@pytest.fixture
def node(make_node, clock, slice_files):
    return closed(make_node, clock, slice_files, ["sc", "pm", "kos"])


def pictured(node, engine):
    readings = Readings()
    assert analyse_next(node, engine, OWNER, readings)
    assert illustrate_next(node, engine, OWNER, readings)


def kinds(node):
    return {row["kind"] for row in rows(node.worklist, schema.reports)}


def content(node):
    """The bytes of every picture, by kind, and of the heat maps."""
    made = {row["kind"]: row["file"] for row in rows(node.worklist, schema.reports)}
    made["heat"] = rows(node.worklist, schema.results)[0]["heat_file"]
    return {kind: node.spool.path(file).read_bytes() for kind, file in made.items()}


def test_the_answer_is_on_its_way_before_its_pictures(node, engine):
    readings = Readings()
    assert analyse_next(node, engine, OWNER, readings)
    assert kinds(node) == {"sr", "kos"}
    assert rows(node.worklist, schema.results)[0]["heat_file"] is None
    assert [row["state"] for row in rows(node.worklist, schema.deliveries)] == ["pending"]
    assert jobs_by_kind(node) == {"analyse": "done", "illustrate": "queued"}
    assert illustrate_next(node, engine, OWNER, readings)
    assert kinds(node) == {"sr", "kos", "sc", "pm"}
    assert len(rows(node.worklist, schema.deliveries)) == 3, "the sr of these goes nowhere"
    (result,) = rows(node.worklist, schema.results)
    assert set(result["seconds"]) == {"load", "inference", "report", "explain", "pictures"}
    assert jobs_by_kind(node) == {"analyse": "done", "illustrate": "done"}
    assert not illustrate_next(node, engine, OWNER, readings)


def test_pictures_show_the_slices_and_the_heat_maps_that_were_made(make_node, clock, slice_files, engine):
    node = closed(make_node, clock, slice_files, ["sc", "sc-frames", "pm"])
    pictured(node, engine)
    made = {row["kind"]: dcmread(node.spool.path(row["file"])) for row in rows(node.worklist, schema.reports)}
    assert set(made) == {"sr", "sc", "sc-frames", "pm"}
    left, top, right, bottom = SLICES
    shown = made["sc"].pixel_array[top:bottom, left:right]
    assert (shown.max(axis=2) > 200).mean() > 0.02, "skulls"
    assert (shown.max(axis=2) - shown.min(axis=2) > 60).mean() > 0.005, "heat maps"
    assert made["sc-frames"].NumberOfFrames == len(slice_files)
    kept = heat.unpack(node.spool.path(rows(node.worklist, schema.results)[0]["heat_file"]).read_bytes())
    sent = np.frombuffer(made["pm"].FloatPixelData, "<f4").reshape(len(slice_files), *kept.maps.shape[1:])
    places = list(kept.indices)
    assert np.abs(kept.maps / 255 - sent[places]).max() < 1.01 / 255, "pages show the maps that were sent"
    assert {int(index) for index in np.flatnonzero(sent.max((1, 2)))} <= set(places), "and no others"


def test_a_worker_that_knows_nothing_of_the_series_makes_the_same_pictures(node, engine, monkeypatch):
    readings = Readings()
    assert analyse_next(node, engine, OWNER, readings)

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(illustrate.results, "illustrate", killed)
        with pytest.raises(KeyboardInterrupt):
            illustrate_next(node, engine, OWNER, readings)
    before = {file.name for file in (node.spool.root / "reports").rglob("*.dcm")}
    free_leases(node, OWNER)
    assert illustrate_next(node, engine, "first boot/another", Readings())
    assert {file.name for file in (node.spool.root / "reports").rglob("*.dcm")} == before, "byte for byte"
    assert kinds(node) == {"sr", "kos", "sc", "pm"}


def test_after_a_promotion_the_model_that_answered_explains(node, engine, tmp_path, monkeypatch):
    assert analyse_next(node, engine, OWNER)
    other = Engine.load(write_tiny_bundle(tmp_path / "other", seed=8).folder, "cpu", 1)
    loaded = []
    monkeypatch.setattr(load, "load_engine", lambda settings, folder: loaded.append(folder.name) or engine)
    assert illustrate_next(node, other, OWNER, Readings())
    assert loaded == [engine.bundle.digest]
    assert dcmread(
        node.spool.path(next(row["file"] for row in rows(node.worklist, schema.reports) if row["kind"] == "pm"))
    ).NumberOfFrames  # fmt: skip


def test_what_was_taken_back_gets_no_pictures(node, engine, clock):
    readings = Readings()
    assert analyse_next(node, engine, OWNER, readings)
    with node.worklist.write() as tx:
        retractions.retract(tx, clock(), [rows(node.worklist, schema.series)[0]["id"]], "wrong-result", "")
    assert illustrate_next(node, engine, OWNER, readings)
    assert kinds(node) == {"sr", "kos"}
    assert jobs_by_kind(node)["illustrate"] == "done"


@pytest.mark.parametrize("meanwhile", ["a slice", "taken back"])
def test_what_is_superseded_or_taken_back_in_the_middle_gets_none_either(meanwhile, node, engine, clock, monkeypatch):
    readings = Readings()
    assert analyse_next(node, engine, OWNER, readings)
    with_heat = illustrate.with_heat

    def and_then(*arguments):
        series_id = rows(node.worklist, schema.series)[0]["id"]
        with node.worklist.write() as tx:
            if meanwhile == "a slice":
                supersede_jobs(tx, series_id)
            else:
                retractions.retract(tx, clock(), [series_id], "wrong-result", "")
        return with_heat(*arguments)

    monkeypatch.setattr(illustrate, "with_heat", and_then)
    assert illustrate_next(node, engine, OWNER, readings)
    assert kinds(node) == {"sr", "kos"}
    assert rows(node.worklist, schema.results)[0]["heat_file"] is None


def test_pictures_that_cannot_be_made_leave_the_answer_and_can_be_tried_again(node, engine, clock, monkeypatch):
    readings = Readings()
    assert analyse_next(node, engine, OWNER, readings)

    def unreadable(*_):
        raise BadObject("The pixel data of a slice cannot be decoded.", "PIXELS_UNREADABLE")

    with monkeypatch.context() as patch:
        patch.setattr(illustrate, "with_heat", unreadable)
        assert illustrate_next(node, engine, OWNER, readings)
    assert jobs_by_kind(node) == {"analyse": "done", "illustrate": "failed"}, "and no report that it was not analysed"
    with node.worklist.write() as tx:
        assert jobs.retry_jobs(tx, clock(), None) == 1
    assert illustrate_next(node, engine, OWNER, readings)
    assert kinds(node) == {"sr", "kos", "sc", "pm"}


def test_what_nobody_foresaw_costs_an_attempt_and_ends_the_worker(node, engine, monkeypatch):
    assert analyse_next(node, engine, OWNER)
    monkeypatch.setattr(illustrate, "with_heat", lambda *_: 1 / 0)
    with pytest.raises(PermanentError, match="An unexpected ZeroDivisionError ended the making of pictures"):
        illustrate_next(node, engine, OWNER, Readings())
    assert jobs_by_kind(node)["illustrate"] == "queued"


def test_pictures_that_have_waited_long_go_first(node, engine, clock):
    assert analyse_next(node, engine, OWNER)
    assert not pictures_are_late(node)
    clock.forward(PATIENCE_S + 1)
    assert pictures_are_late(node)
    assert illustrate_next(node, engine, OWNER, Readings())
    assert not pictures_are_late(node)


def test_late_pictures_take_turns_with_analyses(node, engine, clock, monkeypatch):
    done = []
    monkeypatch.setattr(turn, "pictures_are_late", lambda _: True)
    monkeypatch.setattr(turn, "illustrate_next", lambda *_: not done.append("pictures"))
    monkeypatch.setattr(turn, "analyse_next", lambda *_: not done.append("analysis"))
    turns = Turns()
    assert all(turns.take(node, engine, OWNER, Readings()) for _ in range(4))
    assert done == ["pictures", "analysis"] * 2


def test_few_readings_are_kept(engine):
    readings = Readings()
    many = [type("Job", (), {"series_id": number, "revision": 1})() for number in range(MOST_KEPT + 1)]
    for job in many:
        readings.keep(job, engine, job)
    assert readings.take(many[0]) is None
    assert readings.take(many[1]) == (engine, many[1])
    assert readings.take(many[1]) is None


def test_who_wants_no_pictures_of_a_negative_series_waits_for_none(make_node, clock, slice_files, tmp_path):
    from dataclasses import replace

    from ichnode.core.findings import CLASSES

    node = closed(make_node, clock, slice_files, ["sr"])
    engine = Engine.load(write_tiny_bundle(tmp_path / "bundle").folder, "cpu", 1)
    engine.bundle = replace(engine.bundle, thresholds=dict.fromkeys(CLASSES, 0.999))
    assert analyse_next(node, engine, OWNER, Readings())
    assert rows(node.worklist, schema.results)[0]["verdict"] == "negative"
    assert jobs_by_kind(node) == {"analyse": "done"}
