"""What becomes of the series of a study: which is read, which not and why, and when the PACS is asked."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ichnode.errors import PeerUnreachable
from ichnode.steps import assemble
from ichnode.steps.assemble import assemble_due
from ichnode.worklist import retention, schema
from ichnode.worklist.retention import Rule
from tests.made import events, head_slices, rows, series_row, study_facts, take
from tests.steps.pacs import Pacs
from tests.steps.scene import Scene

THICK = head_slices(32, 5.0, "thick")
THIN = head_slices(160, 1.0, "thin", series_number=3, series_description="HEAD 1 H31s")
BONE = head_slices(32, 5.0, "bone", series_number=4, series_description="HEAD 5 H60s", kernel=("H60s",))
SCOUT = head_slices(1, 5.0, "scout", series_number=1, image_type=("ORIGINAL", "PRIMARY", "LOCALIZER"))
CHEST = head_slices(
    80, 5.0, "chest", body_part="CHEST", protocol_name="Thorax", series_description="Thorax 5",
    study_description="CT Thorax",
)  # fmt: skip


def facts(name):
    return study_facts(series=name)


def test_one_series_of_a_study_is_read_and_the_others_say_why(scene):
    for name, slices in (("scout", SCOUT), ("thick", THICK), ("thin", THIN), ("bone", BONE)):
        scene.send_all(slices, facts(name))
    scene.run(300)
    assert scene.verdict("thick") == "closed"
    assert scene.verdict("scout") == "ignored LOCALIZER"
    assert scene.verdict("thin") == "ignored ANOTHER_SERIES_CHOSEN"
    assert scene.verdict("bone") == "ignored BONE_KERNEL"
    for name in ("scout", "thick", "thin", "bone"):
        assert scene.current(facts(name))["verdict"] == ("negative" if name == "thick" else "not_analysed")
    (study,) = rows(scene.worklist, schema.studies)
    assert study["chosen_series_id"] == series_row(scene.worklist, facts("thick")).id


def test_a_better_series_that_comes_later_takes_the_place(scene):
    scene.send_all(THIN, facts("thin"))
    scene.run(60)
    assert scene.verdict("thin") == "closed"
    scene.send_all(THICK, facts("thick"))
    scene.run(60)
    assert scene.verdict("thick") == "closed"
    assert scene.verdict("thin") == "ignored ANOTHER_SERIES_CHOSEN"
    assert scene.current(facts("thin"))["outcome"]["reason"]["code"] == "ANOTHER_SERIES_CHOSEN"
    first, _, second = scene.pacs if scene.pacs[1].predecessor is None else (scene.pacs[0], *scene.pacs[2:0:-1])
    assert first.sop_instance_uid in {sent.predecessor for sent in scene.pacs}, "what was sent is superseded"
    assert second is not None


def test_a_series_waits_for_a_better_one_that_is_still_arriving(scene):
    thin, thick = scene.associate(), scene.associate()
    scene.send(thin, THIN, facts("thin"))
    scene.send(thick, THICK[:10], facts("thick"))
    scene.end(thin)
    scene.run(5)
    assert scene.verdict("thin") == "receiving"
    (row,) = rows(scene.worklist, schema.series, id=series_row(scene.worklist, facts("thin")).id)
    assert row["waiting_for"] == "another series of the study is still arriving"
    scene.send(thick, THICK[10:], facts("thick"))
    scene.end(thick)
    scene.run(30)
    assert scene.verdict("thick") == "closed"
    assert scene.verdict("thin") == "ignored ANOTHER_SERIES_CHOSEN"
    assert scene.current(facts("thin"))["revision"] == 1, "it was never read"


def test_two_series_that_are_ready_do_not_wait_for_each_other(scene):
    thick, thin = scene.associate(), scene.associate()
    for index, one in enumerate(THICK):
        scene.send(thin, THIN[5 * index : 5 * index + 5], facts("thin"))
        scene.send(thick, [one], facts("thick"))
    scene.end(thick)
    scene.end(thin)
    scene.run(2)
    assert scene.verdict("thick") == "closed"
    assert scene.verdict("thin") == "ignored ANOTHER_SERIES_CHOSEN"
    assert scene.current(facts("thin"))["revision"] == scene.current(facts("thick"))["revision"] == 1


def test_three_series_at_once_end_with_one_choice(scene):
    lines = {name: scene.associate() for name in ("thick", "thin", "bone", "scout")}
    for name, slices in (("scout", SCOUT), ("thin", THIN), ("bone", BONE), ("thick", THICK)):
        scene.send(lines[name], slices, facts(name))
    for line in lines.values():
        scene.end(line)
    scene.run(15)
    assert scene.verdict("thick") == "closed"
    assert scene.verdict("thin") == "ignored ANOTHER_SERIES_CHOSEN"
    assert {series_row(scene.worklist, facts(name)).revision for name in lines} == {1}, "each was decided once"


def test_nobody_waits_for_a_series_that_stopped_arriving(scene):
    scene.send(scene.associate(), THICK[:4], facts("stuck"))
    scene.send_all(THIN, facts("thin"))
    scene.run(11)
    assert scene.verdict("thin") == "closed"


THIN_BONE = head_slices(160, 1.0, "thin bone", kernel=("H60s",))


@pytest.mark.parametrize("slices", [THIN, THIN_BONE, CHEST], ids=["thin", "bone", "chest"])
def test_nobody_waits_for_a_series_that_can_only_be_worse(scene, slices):
    thick, other = scene.associate(), scene.associate()
    for index, one in enumerate(THICK):
        scene.send(other, slices[index : index + 1], facts("other"))
        scene.send(thick, [one], facts("thick"))
    scene.end(thick)
    for one in slices[32:100]:
        scene.send(other, [one], facts("other"))
        if scene.verdict("thick") == "closed":
            break
    row = series_row(scene.worklist, facts("thick"))
    assert row.state == "closed"
    assert (scene.clock() - row.last_slice_at).total_seconds() < 1


def test_a_series_that_waits_for_nobody_is_closed_at_its_first_look(make_node, clock):
    """With a clock that, as real ones, has moved on whenever it is looked at again."""
    node = replace(make_node(), now=lambda: clock.forward(0.000_001))
    take(node.worklist, THICK, clock())
    boot_at = clock()
    clock.forward(30)
    assemble_due(node, boot_at)
    assert series_row(node.worklist).state == "closed"


def test_nobody_waits_for_a_series_that_is_rejected_anyway(scene):
    one = scene.associate()
    scene.send(one, SCOUT, facts("scout"))
    scene.run(1)
    scene.send_all(THICK, facts("thick"))
    scene.run(1)
    assert scene.verdict("thick") == "closed"


def test_when_the_chosen_series_cannot_be_read_after_all_the_next_best_is(scene):
    scene.send_all(THICK, facts("thick"))
    scene.send_all(THIN, facts("thin"))
    scene.run(60)
    assert scene.verdict("thin") == "ignored ANOTHER_SERIES_CHOSEN"
    again = [replace(s, sop_instance_uid=f"{s.sop_instance_uid[:-2]}.1{i}", acquisition_number=2, kernel=("H60s",))
             for i, s in enumerate(THICK)]  # fmt: skip
    scene.send_all(again, facts("thick"))
    scene.run(60)
    assert scene.verdict("thick").startswith("ignored ")
    assert scene.verdict("thin") == "closed"
    assert scene.current(facts("thin"))["verdict"] == "negative"
    assert scene.current(facts("thick"))["verdict"] == "not_analysed"


def test_series_of_other_studies_do_not_wait_for_each_other(scene):
    scene.send(scene.associate(), THIN[:5], study_facts("one"))
    scene.send_all(THICK, study_facts("other"))
    scene.run(1)
    assert scene.current(study_facts("other"))["verdict"] == "negative"


def test_a_fragment_is_not_read_and_says_so(scene):
    scene.send_all(THICK[:4])
    scene.run(119)
    assert scene.verdict("series") == "receiving"
    scene.run(2)
    assert scene.verdict("series") == "ignored TOO_FEW_SLICES"
    scene.send_all(THICK[4:])
    scene.run(10)
    scene.check_final(THICK)


def test_a_study_of_another_body_part(scene):
    scene.send_all(CHEST)
    scene.run(20)
    assert scene.verdict("series") == "ignored NOT_HEAD"
    assert scene.current()["outcome"]["reason"]["code"] == "NOT_HEAD"


def test_rejections_are_reported_only_when_asked_for(make_node, clock):
    scene = Scene(make_node(report={"not_analysed": "candidates"}), clock)
    scene.send_all(SCOUT, facts("scout"))
    scene.send_all(THIN, facts("thin"))
    scene.run(60)
    assert scene.verdict("scout") == "ignored LOCALIZER"
    assert len(rows(scene.worklist, schema.results)) == 1
    scene.send_all(THICK, facts("thick"))
    scene.run(60)
    assert scene.current(facts("thin"))["verdict"] == "not_analysed", "but what was sent is always taken back"


def test_a_series_whose_every_instance_is_a_conflict(scene):
    scene.send_all(THICK, facts("original"))
    scene.send_all(THICK, facts("copy"))
    scene.run(300)
    assert scene.verdict("copy") == "ignored CONFLICTING_INSTANCE"
    assert scene.current(facts("copy"))["verdict"] == "not_analysed"
    assert scene.current(facts("original"))["verdict"] == "negative"


def test_a_series_that_cannot_be_looked_at_does_not_hold_up_the_others(make_node, clock, monkeypatch):
    node = make_node()
    take(node.worklist, THICK, clock(), facts("poison"))
    take(node.worklist, THIN, clock.forward(1), study_facts("fine"))
    clock.forward(300)
    look_at = assemble.look_at

    def looks(slices, policy):
        if slices[0] == THICK[0]:
            raise ZeroDivisionError
        return look_at(slices, policy)

    monkeypatch.setattr(assemble, "look_at", looks)
    with pytest.raises(ZeroDivisionError):
        assemble_due(node, clock())
    clock.forward(300)
    with pytest.raises(ZeroDivisionError):
        assemble_due(node, clock.at.replace(year=2025))
    assert series_row(node.worklist, study_facts("fine")).state == "closed"
    assert series_row(node.worklist, facts("poison")).state == "receiving"
    monkeypatch.undo()
    assemble_due(node, clock.at.replace(year=2025))
    assert series_row(node.worklist, facts("poison")).state == "closed"


@pytest.fixture
def source():
    pacs = Pacs(aet="SOURCE")
    with pacs.listening():
        yield pacs


@pytest.fixture
def asking(make_node, clock, source):
    """A scene whose node asks `source` for counts."""
    section = {"aet": source.aet, "host": "127.0.0.1", "port": source.port, "ask_every_s": 15}
    return Scene(make_node(source=section), clock)


def test_the_count_of_the_pacs_completes_a_series_that_does_not_look_whole(asking, source):
    source.count = lambda: 20
    slices = head_slices(24)[:10] + head_slices(24)[14:]
    asking.send_all(slices)
    asking.run(1)
    asking.check_final(slices)
    query = source.queries[-1]
    assert query.StudyInstanceUID == study_facts().study_instance_uid
    assert query.SeriesInstanceUID == study_facts().series_instance_uid


def test_a_higher_count_is_waited_for_and_then_named(asking, source):
    source.count = lambda: 40
    asking.send_all(THICK)
    asking.run(118)
    assert asking.verdict("series") == "receiving", "though it looks whole"
    asking.run(3)
    assert asking.current()["preliminary"]
    assert asking.current()["outcome"]["missing"] == "8 of 40 images that the PACS counts"
    assert len(source.queries) <= 120 / 15 + 3


def test_a_count_that_is_reached_while_waiting(asking, source):
    source.count = lambda: 40
    asking.send_all(THICK)
    asking.run(20)
    more = head_slices(40, 5.0, "thick")[32:]
    asking.send_all(more)
    asking.run(16)
    asking.check_final(THICK + more)


@pytest.mark.parametrize("each_alone", [False, True], ids=["one association", "an association per slice"])
def test_a_pacs_that_forwards_while_it_is_being_sent_to_gives_no_report_per_slice(asking, source, each_alone):
    """It counts what it has, and that is always what is here."""
    source.count = lambda: series_row(asking.worklist).received
    one = asking.associate()
    for slice_ in THICK[:16]:
        asking.send(one, [slice_])
        if each_alone:
            asking.end(one)
            one = asking.associate()
        asking.run(1)
    asking.end(one)
    asking.run(15)
    asking.check_final(THICK[:16])
    assert len(asking.pacs) <= 1 + each_alone, "the first slice alone, of which nobody knows that more follow"


def test_a_pacs_that_does_not_know_the_series_is_no_evidence(asking, source):
    asking.send_all(THICK)
    asking.run(1)
    asking.check_final(THICK)
    assert source.queries


def test_a_silent_source_delays_nothing(make_node, clock):
    section = {"aet": "NOBODY", "host": "127.0.0.1", "port": Pacs().port}
    scene = Scene(make_node(source=section), clock)
    scene.send_all(THICK)
    scene.run(1)
    scene.check_final(THICK)
    assert events(scene.worklist).count("destination.down") == 1


def test_a_silent_source_is_asked_seldom_and_is_heard_when_it_is_back(asking, source, monkeypatch):
    calls = []
    count = assemble.series_count

    def silent(*_):
        calls.append(asking.clock())
        raise PeerUnreachable("It does not answer.")

    monkeypatch.setattr(assemble, "series_count", silent)
    for name in ("one", "two", "three", "four"):
        asking.send_all(THICK[:10], study_facts(name))
    asking.run(60)
    assert len(calls) <= 5, "once for all series, at growing intervals"
    monkeypatch.setattr(assemble, "series_count", count)
    source.count = lambda: 10
    asking.run(60)
    assert {row["expected"] for row in rows(asking.worklist, schema.series)} == {10}
    assert "destination.up" in events(asking.worklist)


def test_nobody_is_asked_about_a_localizer(asking, source):
    asking.send_all(SCOUT)
    asking.run(30)
    assert asking.verdict("series") == "ignored LOCALIZER"
    assert source.queries == []


def test_the_journal_tells_the_story(scene):
    scene.send_all(THICK[:-1])
    scene.run(60)
    scene.send_all(THICK[-1:])
    scene.run(60)
    assert events(scene.worklist) == [
        "study.opened", "series.opened",
        "series.closed", "job.claimed", "result.made", "delivery.claimed", "delivery.accepted",
        "series.reopened",
        "series.closed", "job.claimed", "result.made", "delivery.claimed", "delivery.accepted",
    ]  # fmt: skip


@pytest.mark.parametrize("number", [3, 20])
def test_some_slices_of_a_purged_series_do_not_overturn_its_answer_and_all_of_them_may(scene, number):
    scene.send_all(THIN, facts("thin"))
    scene.run(60)
    scene.send_all(THICK, facts("thick"))
    scene.run(60)
    before, sent = scene.current(facts("thick")), len(scene.pacs)
    with scene.worklist.write() as tx:
        tx.execute(schema.studies.update().values(notices_due_at=None))
        rule = Rule(scene.clock())
        (thick,) = [one for one in retention.candidates(tx, rule) if one.id == before["series_id"]]
        assert retention.purge(tx, scene.clock(), thick, rule, "age")
    scene.send_all(THICK[:number], facts("thick"))
    scene.run(3600)
    assert scene.verdict("thick") == "ignored REMNANT"
    assert scene.current(facts("thick")) == before
    assert scene.verdict("thin") == "ignored ANOTHER_SERIES_CHOSEN", "it is not read in its place"
    assert len(scene.pacs) == sent
    ignored = [one for one in rows(scene.worklist, schema.journal) if one["event"] == "series.ignored"]
    assert ignored[-1]["detail"]["answer_stands"] is True
    scene.send_all(THICK[number:], facts("thick"))
    scene.run(3600)
    assert scene.verdict("thick") == "closed"
    assert scene.current(facts("thick"))["id"] != before["id"]
