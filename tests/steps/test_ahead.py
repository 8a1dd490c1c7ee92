"""The next series is made ready while the present one is computed: the same answers, and a hint that may be lost."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace

import pytest
from pydicom import dcmread
from pydicom.uid import RLELossless

from ichnode.core.urgency import PEER, Said
from ichnode.dicom.decoding import Decoders
from ichnode.inference.engine import Engine
from ichnode.steps import ahead as module
from ichnode.steps import analyse
from ichnode.steps.ahead import MOST_LANES, Ahead, lanes
from ichnode.steps.analyse import analyse_next
from ichnode.steps.assemble import assemble_due
from ichnode.worklist import schema
from ichnode.worklist.database import Worklist
from ichnode.worklist.urgency import hasten
from tests.heads import write_head
from tests.made import rows
from tests.steps.giver import come

OWNER = "boot/worker"


@pytest.fixture(scope="module")
def engine(tiny_bundle):
    return Engine.load(tiny_bundle.folder, "cpu", 1)


@pytest.fixture(scope="module")
def heads(tmp_path_factory):
    """Files of three studies, those of the second compressed."""
    folder = tmp_path_factory.mktemp("heads")
    found = {name: write_head(folder, name) for name in ("one", "two", "three")}
    for file in found["two"]:
        compressed = dcmread(file)
        compressed.compress(RLELossless)
        compressed.save_as(file)
    return found


@pytest.fixture
def node(make_node, clock, heads):
    """A node with the first two to be analysed."""
    made = make_node()
    for name in ("one", "two"):
        queued(made, clock, heads[name])
    return made


def queued(node, clock, files):
    come(node, files)
    boot_at = clock()
    clock.forward(60)
    assemble_due(node, boot_at)


@pytest.fixture
def ahead(node):
    made = Ahead(node, 2)
    made._decoders = Decoders(2, timeout_s=600)  # a machine that stands still for a while loses no hint
    yield made
    made.close()


@pytest.fixture
def used(monkeypatch):
    """Whether each series that was interpreted had been made ready, and prepared."""
    found, interpret = [], analyse.interpret

    def noted(*arguments):
        loaded = arguments[-1]
        found.append(loaded is not None and loaded.prepared is not None)
        return interpret(*arguments)

    monkeypatch.setattr(analyse, "interpret", noted)
    return found


def answers(node):
    """The last one of each series."""
    return {row["series_id"]: row["outcome"] for row in rows(node.worklist, schema.results)}


def answers_in_turn(node, engine):
    """What is said where each series is read when it is claimed."""
    with node.worklist.write() as tx:
        tx.execute(schema.jobs.update().where(schema.jobs.c.kind == "analyse").values(state="queued", attempts=0))
    while analyse_next(node, engine, OWNER):
        pass
    return answers(node)


def attempts(node):
    return {
        (row["series_id"], row["state"]): row["attempts"] for row in rows(node.worklist, schema.jobs, kind="analyse")
    }


def test_the_next_series_is_ready_when_its_turn_comes_and_its_answer_is_the_same(node, engine, ahead, used):
    assert analyse_next(node, engine, OWNER, None, ahead)
    assert attempts(node) == {(1, "done"): 1, (2, "queued"): 0}, "nothing is claimed for it"
    assert analyse_next(node, engine, OWNER, None, ahead)
    assert used == [False, True]
    assert not analyse_next(node, engine, OWNER, None, ahead)
    read = answers(node)
    assert len(read) == 2
    assert answers_in_turn(node, engine) == read


def test_an_urgent_series_goes_first_and_what_was_made_ready_is_not_lost(node, engine, ahead, used, clock, heads):
    assert analyse_next(node, engine, OWNER, None, ahead)
    ready = ahead._hint
    queued(node, clock, heads["three"])
    with node.worklist.write() as tx:
        hasten(tx, clock(), 3, Said(PEER, "ED_CT"))
    assert analyse_next(node, engine, OWNER, None, ahead)
    assert [row["series_id"] for row in rows(node.worklist, schema.results)] == [1, 3]
    assert ahead._hint is ready
    assert analyse_next(node, engine, OWNER, None, ahead)
    assert used == [False, False, True]


def test_a_slice_that_came_meanwhile_makes_another_series_of_it(node, engine, ahead, used, clock, tmp_path):
    assert analyse_next(node, engine, OWNER, None, ahead)
    more = write_head(tmp_path / "late", "two", slices=13)
    queued(node, clock, more[12:])
    assert analyse_next(node, engine, OWNER, None, ahead)
    assert used == [False, False]
    (row,) = rows(node.worklist, schema.results, series_id=2)
    assert (row["revision"], len(row["outcome"]["order"])) == (2, 13)


def test_what_ends_its_decoder_costs_nobody_an_attempt(node, engine, ahead, used, monkeypatch):
    monkeypatch.setattr(sys, "executable", shutil.which("false"))  # a child that ends as soon as it is asked
    assert analyse_next(node, engine, OWNER, None, ahead)
    assert attempts(node) == {(1, "done"): 1, (2, "queued"): 0}
    assert analyse_next(node, engine, OWNER, None, ahead), "in its turn it is decoded here"
    assert attempts(node) == {(1, "done"): 1, (2, "done"): 1}
    assert used == [False, False]


def test_what_nobody_foresaw_loses_only_the_hint(node, engine, ahead, used, monkeypatch):
    monkeypatch.setattr(module, "load", lambda *_: 1 / 0)
    while analyse_next(node, engine, OWNER, None, ahead):
        pass
    assert attempts(node) == {(1, "done"): 1, (2, "done"): 1}
    assert used == [False, False]


def test_a_worklist_that_cannot_be_read_costs_nothing(node, engine, ahead, used, monkeypatch):
    monkeypatch.setattr(ahead, "_node", type("Node", (), {
        "worklist": Worklist("sqlite:////nowhere/at/all.sqlite"), "now": node.now, "settings": node.settings,
    }))  # fmt: skip
    while analyse_next(node, engine, OWNER, None, ahead):
        pass
    assert attempts(node) == {(1, "done"): 1, (2, "done"): 1}


@pytest.mark.parametrize("ahead_bytes", [0, 2 * 12 * 64 * 64 - 1])
def test_what_is_too_large_is_loaded_in_its_turn(make_node, clock, heads, engine, used, ahead_bytes):
    node = make_node(engine={"ahead_bytes": ahead_bytes})
    for name in ("one", "two"):
        queued(node, clock, heads[name])
    ahead = Ahead(node, 1)
    while analyse_next(node, engine, OWNER, None, ahead):
        pass
    ahead.close()
    assert used == [False, False]


def test_what_was_made_ready_is_forgotten_where_nothing_waits(node, engine, ahead, clock):
    assert analyse_next(node, engine, OWNER, None, ahead)
    assert ahead._hint is not None
    with node.worklist.write() as tx:  # another node has it
        tx.execute(schema.jobs.update().where(schema.jobs.c.state == "queued").values(state="superseded"))
    assert not analyse_next(node, engine, OWNER, None, ahead)
    assert ahead._hint is None


def test_a_model_that_prepares_otherwise_does_so_itself(node, tiny_bundle, engine, ahead, used):
    other = Engine.load(tiny_bundle.folder, "cpu", 1)
    how = replace(other.bundle.preprocessing, field_of_view_mm=150.0)
    other.bundle = replace(other.bundle, preprocessing=how)
    assert analyse_next(node, engine, OWNER, None, ahead)
    assert analyse_next(node, other, OWNER, None, ahead)
    assert used == [False, True]
    read = answers(node)[2]
    assert answers_in_turn(node, other)[2] == read
    assert answers_in_turn(node, engine)[2] != read


def test_a_processor_keeps_its_cores_for_the_network_and_a_gpu_gets_many_decoders():
    assert [lanes("cpu", 64), lanes("cuda:0", 1), lanes("cuda:0", 4), lanes("cuda:0", 64)] == [1, 1, 3, MOST_LANES]
