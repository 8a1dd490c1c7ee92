"""What should have come is found at the archive and fetched; an archive that counts short or lies makes no loop."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ichnode.steps.assemble import assemble_due
from ichnode.steps.fetch import Fetcher
from ichnode.steps.node import FETCHING, LOOKING
from ichnode.steps.reconcile import look_due
from ichnode.steps.recover import begin_boot
from ichnode.worklist import deliveries, retrievals, schema
from ichnode.worklist.retrieval_tables import retrievals as table
from tests.heads import series_uid, study_uid, write_head
from tests.made import NOON, events, rows
from tests.steps.giver import Giver, come

TODAY = {"StudyDate": "20260301", "StudyTime": "110000"}


@pytest.fixture(autouse=True)
def _utc(monkeypatch):
    """StudyDate and StudyTime are local time."""
    import time

    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def giver():
    made = Giver()
    with made.listening():
        yield made


@pytest.fixture
def booted(make_node):
    """``booted(source={…})`` → a node that has been started."""

    def make(**sections):
        node = make_node(**sections)
        return replace(node, boot_id=begin_boot(node))

    return make


@pytest.fixture
def node(booted, giver):
    return booted(source=giver.section)


@pytest.fixture(scope="module")
def head(tmp_path_factory):
    return write_head(tmp_path_factory.mktemp("heads"), "one", **TODAY)


def work(node, clock, minutes):
    """Let the node do what is due, every half minute."""
    for _ in range(int(minutes * 2)):
        look_due(node)
        while Fetcher(node).fetch_due() is not None:
            pass
        clock.forward(30)


def row(node):
    (found,) = rows(node.worklist, table)
    return found


def received(node, name="one"):
    found = [r["received"] for r in rows(node.worklist, schema.series, series_instance_uid=series_uid(name))]
    return found[0] if found else 0


def test_a_series_that_never_came_is_fetched_through_the_receive_path(node, giver, clock, head):
    giver.add(head)
    work(node, clock, 1)
    assert giver.gets == [], "it may still come by itself"
    work(node, clock, 1)
    assert giver.gets == [series_uid("one")]
    assert received(node) == 12
    assert row(node)["state"] == "fetched"
    (association,) = rows(node.worklist, schema.associations)
    assert (association["calling_aet"], association["ending"]) == ("ARCHIVE", "released")
    assert_closed(node, clock)
    work(node, clock, 6)
    assert len(giver.gets) == 1
    said = [e for e in events(node.worklist) if e.startswith("retrieval")]
    assert said == ["retrieval.listed", "retrieval.claimed", "retrieval.complete"]


def assert_closed(node, clock):
    clock.forward(2)
    assemble_due(node, clock.at - timedelta(hours=1))
    assert {s["state"] for s in rows(node.worklist, schema.series)} == {"closed"}


def test_what_came_by_itself_meanwhile_is_not_fetched(node, giver, clock, head):
    giver.add(head)
    look_due(node)
    come(node, head)
    work(node, clock, 6)
    assert giver.gets == []
    assert row(node)["state"] == "fetched"


def test_a_series_that_is_still_coming_is_left_alone_and_its_rest_fetched_when_it_stops(node, giver, clock, head):
    giver.add(head)
    look_due(node)
    for file in head[:6]:
        come(node, [file])
        work(node, clock, 0.5)
    assert giver.gets == []
    work(node, clock, 2)
    assert giver.gets == [series_uid("one")]
    assert received(node) == 12


def test_what_is_all_here_is_never_filed(node, giver, clock, head):
    giver.add(head)
    come(node, head)
    work(node, clock, 10)
    assert rows(node.worklist, table) == []
    assert giver.looks == 2


@pytest.mark.parametrize(
    "attributes",
    [
        {"SeriesDescription": "Topogram"},
        {"SeriesDescription": "Thorax"},
        {"StudyDate": "20260227"},
        {"StudyTime": "110000", "StudyDate": "20260228"},
    ],
)
def test_what_nobody_waits_for_is_not_fetched(node, giver, clock, tmp_path, attributes):
    giver.add(write_head(tmp_path / "heads", "other", **{**TODAY, **attributes}))
    work(node, clock, 3)
    assert rows(node.worklist, table) == []
    assert giver.looks == 1


def test_a_series_that_the_node_refused_by_its_headers_is_not_fetched_again_for_more(node, giver, clock, tmp_path):
    files = write_head(tmp_path / "heads", "bone", ConvolutionKernel=["H70h", "2"], **TODAY)
    giver.says[giver.add(files)] = 40
    come(node, files)
    clock.forward(130)
    assemble_due(node, clock.at - timedelta(hours=1))
    (series,) = rows(node.worklist, schema.series)
    assert series["reason_code"] == "BONE_KERNEL"
    work(node, clock, 6)
    assert giver.gets == []


def test_an_archive_that_counts_more_than_it_gives_makes_no_loop(node, giver, clock, head):
    uid = giver.add(head)
    giver.says[uid] = 34
    work(node, clock, 12)
    assert giver.gets == [uid] * 3
    found = row(node)
    assert (found["state"], found["reason_code"], found["attempts"]) == ("failed", "ARCHIVE_GAVE_LESS", 3)
    assert found["error"] == "The archive counts more images than it gives: the archive says 34, it gave 12."
    assert received(node) == 12
    giver.says[uid] = 35
    work(node, clock, 12)
    assert len(giver.gets) == 4, "one more for a count that grew"
    giver.says[uid] = 12
    work(node, clock, 6)
    assert row(node)["state"] == "fetched", "it has come to its senses"
    assert len(giver.gets) == 4


def test_an_archive_that_counts_short_is_not_asked_for_more(node, giver, clock, head):
    giver.says[giver.add(head)] = 8
    come(node, head)
    work(node, clock, 6)
    assert giver.gets == []


def test_an_archive_that_does_not_count(node, giver, clock, head):
    uid = giver.add(head)
    giver.says[uid] = None
    work(node, clock, 6)
    assert giver.gets == [uid]
    assert row(node)["state"] == "fetched"


def test_an_archive_that_lists_and_gives_nothing(node, giver, clock, head):
    uid = giver.add(head)
    giver.gives[uid] = 0
    work(node, clock, 6)
    assert giver.gets == [uid] * 3
    assert row(node)["reason_code"] == "ARCHIVE_GAVE_NONE"
    with node.worklist.write() as tx:
        assert retrievals.retry(tx, clock(), [study_uid("one")]) == 1
        assert retrievals.retry(tx, clock(), None) == 0
    giver.gives[uid] = 12
    work(node, clock, 1)
    assert row(node)["state"] == "fetched"


def test_a_series_that_grows_in_the_archive_is_fetched_again(node, giver, clock, head):
    uid = giver.add(head[:9])
    work(node, clock, 5)
    assert received(node) == 9
    giver.files[uid] = head
    work(node, clock, 7)
    assert received(node) == 12
    assert len(giver.gets) == 2


def test_an_archive_that_is_down_is_asked_seldom_and_all_is_fetched_when_it_is_back(booted, clock, head):
    giver = Giver()
    node = booted(source=giver.section)
    giver.add(head)
    work(node, clock, 16)
    with node.worklist.read() as tx:
        circuit = deliveries.circuit(tx, LOOKING)
    assert 3 <= circuit.failures <= 6
    assert "no connection" in circuit.last_error
    assert events(node.worklist).count("destination.down") == 1
    with giver.listening():
        work(node, clock, 17)
    assert row(node)["state"] == "fetched"
    assert "destination.up" in events(node.worklist)


def test_an_archive_that_goes_down_between_look_and_fetch_costs_no_attempt(booted, clock, head):
    giver = Giver()
    node = booted(source=giver.section)
    giver.add(head)
    with giver.listening():
        look_due(node)
    work(node, clock, 4)
    with node.worklist.read() as tx:
        assert deliveries.circuit(tx, FETCHING).failures > 1
    assert (row(node)["state"], row(node)["attempts"]) == ("pending", 0)
    with giver.listening():
        work(node, clock, 4)
    assert (row(node)["state"], row(node)["attempts"]) == ("fetched", 1)


def test_after_a_long_silence_the_look_goes_back_as_far(booted, clock, tmp_path):
    giver = Giver()
    node = booted(source=giver.section)
    giver.add(write_head(tmp_path / "heads", "one", StudyDate="20260303", StudyTime="000000"))
    with giver.listening():
        look_due(node)
    clock.at = datetime(2026, 3, 6, 12, tzinfo=UTC)
    with giver.listening():
        work(node, clock, 2)
    assert received(node) == 12


def test_what_was_being_fetched_when_the_node_died_is_due_again(node, giver, clock, head):
    giver.add(head)
    look_due(node)
    clock.forward(61)
    with node.worklist.write() as tx:
        assert retrievals.claim(tx, clock(), "first boot", [], []) is not None
        assert retrievals.claim(tx, clock(), "first boot", [], []) is None
    with node.worklist.write() as tx:
        assert retrievals.release(tx, clock(), {"first boot"}) == 0
        assert retrievals.release(tx, clock(), {"second boot"}) == 1
    work(node, clock, 1)
    assert (row(node)["state"], row(node)["attempts"]) == ("fetched", 2)


def test_nothing_is_fetched_onto_a_disk_that_is_full(booted, giver, clock, head):
    node = booted(source=giver.section, receive={"low_disk_bytes": 1 << 60})
    giver.add(head)
    work(node, clock, 3)
    assert giver.gets == []
    assert row(node)["state"] == "pending"


def test_nothing_is_looked_for_unless_that_is_switched_on(booted, giver, clock, head):
    node = booted(source={**giver.section, "retrieve": ""})
    giver.add(head)
    work(node, clock, 1)
    assert giver.looks == 0


def test_the_clock_is_set_back(node, giver, clock, head):
    giver.add(head)
    look_due(node)
    clock.at = NOON - timedelta(days=1, hours=-2)
    look_due(node)
    assert giver.looks == 2


def test_a_fetch_that_broke_off_is_due_again_while_the_node_runs(node, giver, clock, head, monkeypatch):
    giver.add(head)
    look_due(node)
    clock.forward(61)
    fetcher = Fetcher(node)
    with monkeypatch.context() as broken:
        broken.setattr("ichnode.steps.fetch.retrieve", lambda *given: (_ for _ in ()).throw(OSError(28, "full")))
        with pytest.raises(OSError, match="full"):
            fetcher.fetch_due()
    assert row(node)["state"] == "fetching"
    assert fetcher.fetch_due() is None, "not before its time"
    assert row(node)["state"] == "pending"
    clock.forward(61)
    assert fetcher.fetch_due() is not None
    assert (row(node)["state"], row(node)["attempts"]) == ("fetched", 2)
