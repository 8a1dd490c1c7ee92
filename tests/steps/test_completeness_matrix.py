"""However a series comes, it ends in exactly one final result that references all of its slices."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ichnode.worklist import schema
from ichnode.worklist.receipts import Disposition
from tests.made import Clock, head_slices, rows, series_row, study_facts
from tests.steps.scene import Scene

SLICES = head_slices(32)


def closed_after(scene):
    """Seconds from the last slice to the close."""
    (row,) = rows(scene.worklist, schema.series)
    return (row["closed_at"] - row["last_slice_at"]).total_seconds()


def parts(number):
    size = -(-len(SLICES) // number)
    return [SLICES[i : i + size] for i in range(0, len(SLICES), size)]


def test_one_association(scene):
    scene.send_all(SLICES)
    scene.run(1)
    scene.check_final(SLICES)
    assert closed_after(scene) <= 0.5, "on evidence, without quiet time"
    assert len(scene.pacs) == 1


def test_an_association_that_stays_open(scene):
    one = scene.associate()
    scene.send(one, SLICES)
    scene.run(9)
    assert rows(scene.worklist, schema.results) == []
    scene.run(2)
    scene.check_final(SLICES)
    assert closed_after(scene) == pytest.approx(10, abs=0.1)
    scene.end(one)
    scene.run(300)
    assert len(scene.pacs) == 1


@pytest.mark.parametrize("pause_s", [0.0, 30.0])
@pytest.mark.parametrize("number", [2, 3, 4])
def test_split_over_associations(scene, number, pause_s):
    for part in parts(number):
        scene.send_all(part)
        scene.run(pause_s)
    scene.run(300)
    scene.check_final(SLICES)


def test_four_associations_at_once(scene):
    four = [scene.associate() for _ in range(4)]
    for index, one in enumerate(SLICES):
        scene.send(four[index % 4], [one])
    for one in four:
        scene.end(one)
    scene.run(1)
    scene.check_final(SLICES)
    assert closed_after(scene) <= 0.5


def test_an_association_per_slice(scene):
    for one in SLICES:
        scene.send_all([one])
        scene.run(1.0)
    scene.run(300)
    scene.check_final(SLICES)
    assert len(scene.pacs) <= 2, "its own pauses are waited for: not a report per slice"


@pytest.mark.parametrize("pause_s", [5.0, 30.0, 60.0])
def test_a_pause_in_the_middle(scene, pause_s):
    one = scene.associate()
    scene.send(one, SLICES[:16])
    scene.run(pause_s)
    scene.send(one, SLICES[16:])
    scene.end(one)
    scene.run(300)
    scene.check_final(SLICES)
    assert len(scene.pacs) == 1, "80 mm are not taken for a head while the association is open"


@pytest.mark.parametrize("at", [1, 10, 31])
@pytest.mark.parametrize("again_after_s", [0.0, 30.0, 300.0])
def test_abort_and_send_again(scene, at, again_after_s):
    first = scene.associate()
    scene.send(first, SLICES[:at])
    scene.end(first, "aborted")
    scene.run(again_after_s)
    second = scene.associate()
    said = scene.send(second, SLICES)
    scene.end(second)
    assert said.count(Disposition.DUPLICATE) == at
    scene.run(300)
    scene.check_final(SLICES)
    if again_after_s <= 30 and at != 31:
        assert len(scene.pacs) == 1, "the fragment was never reported"


def test_everything_twice(scene):
    scene.send_all(SLICES)
    scene.send_all(SLICES)
    scene.run(60)
    scene.send_all(SLICES)
    scene.run(300)
    scene.check_final(SLICES)
    assert len(scene.pacs) == 1
    assert series_row(scene.worklist).revision == 1


def test_each_slice_twice_in_a_row(scene):
    scene.send_all([s for one in SLICES for s in (one, one)])
    scene.run(60)
    scene.check_final(SLICES)


@pytest.mark.parametrize("order", ["reversed", "odd then even", "outside in"])
def test_any_order(scene, order):
    slices = {
        "reversed": SLICES[::-1],
        "odd then even": SLICES[1::2] + SLICES[::2],
        "outside in": [s for pair in zip(SLICES, SLICES[::-1], strict=True) for s in pair][: len(SLICES)],
    }[order]
    scene.send_all(slices)
    scene.run(60)
    scene.check_final(SLICES)
    assert len(scene.pacs) == 1


def test_the_last_slice_ten_minutes_late(scene):
    scene.send_all(SLICES[:-1])
    scene.run(600)
    assert scene.current()["revision"] == 1
    scene.send_all(SLICES[-1:])
    scene.run(60)
    scene.check_final(SLICES)
    first, second = scene.pacs
    assert second.predecessor == first.sop_instance_uid


def test_a_slice_in_the_middle_ten_minutes_late_was_preliminary_before(scene):
    scene.send_all(SLICES[:10] + SLICES[11:])
    scene.run(119)
    assert rows(scene.worklist, schema.results) == [], "31 of 32 numbers are a hole, not a head"
    scene.run(2)
    early = scene.current()
    assert early["preliminary"]
    assert "1 slices missing inside the scan" in early["outcome"]["missing"]
    scene.run(480)
    scene.send_all(SLICES[10:11])
    scene.run(60)
    scene.check_final(SLICES)


def test_the_same_late_slice_twice_is_one_more_revision(scene):
    scene.send_all(SLICES[:-1])
    scene.run(600)
    scene.send_all(SLICES[-1:])
    scene.send_all(SLICES[-1:])
    scene.run(60)
    scene.check_final(SLICES)
    assert series_row(scene.worklist).revision == 2


@pytest.mark.parametrize("at", [1, 16, 25, 31])
def test_restart_between_slices(scene, at):
    one = scene.associate()
    scene.send(one, SLICES[:at])
    scene.restart()
    scene.send_all(SLICES[at:])
    scene.run(300)
    scene.check_final(SLICES)


def test_restart_after_the_last_slice_before_the_release(scene):
    one = scene.associate()
    scene.send(one, SLICES)
    scene.restart()
    scene.run(60)
    scene.check_final(SLICES)
    assert len(scene.pacs) == 1


def test_restart_between_every_two_slices(scene):
    for one in SLICES:
        scene.send_all([one])
        scene.restart(0.1)
    scene.run(300)
    scene.check_final(SLICES)


def test_restart_in_the_middle_of_the_analysis(make_node, clock):
    scene = Scene(make_node(), clock, analysis_s=30)
    scene.send_all(SLICES)
    scene.run(10)
    assert rows(scene.worklist, schema.jobs)[0]["state"] == "running"
    scene.restart()
    scene.run(60)
    scene.check_final(SLICES)
    assert rows(scene.worklist, schema.jobs)[0]["attempts"] == 2


def test_a_late_slice_in_the_middle_of_the_analysis(make_node, clock):
    scene = Scene(make_node(), clock, analysis_s=30)
    scene.send_all(SLICES[:-1])
    scene.run(10)
    scene.send_all(SLICES[-1:])
    scene.run(300)
    scene.check_final(SLICES)
    assert len(scene.pacs) == 1, "the analysis of the fragment was discarded"


def test_a_clock_set_back_in_the_middle(scene):
    from ichnode.steps.catch_up import catch_up

    one = scene.associate()
    scene.send(one, SLICES[:16])
    seen_at = scene.clock()
    scene.clock.forward(-3600)
    catch_up(scene.node, seen_at)
    scene.send(one, SLICES[16:])
    scene.end(one)
    scene.run(60)
    scene.check_final(SLICES)


def test_a_clock_set_back_after_the_last_slice(scene):
    from ichnode.steps.catch_up import catch_up

    one = scene.associate()
    scene.send(one, SLICES)
    seen_at = scene.clock()
    scene.clock.forward(-3600)
    assert catch_up(scene.node, seen_at) == scene.clock()
    scene.run(15)
    scene.check_final(SLICES)


def test_a_clock_set_back_while_the_node_was_down(scene):

    one = scene.associate()
    scene.send(one, SLICES)
    scene.restart(-3600)
    from tests.steps.spooled import started

    started(scene.node)
    scene.run(15)
    scene.check_final(SLICES)


ACTS = st.one_of(
    st.tuples(st.just("send"), st.integers(0, 2), st.integers(0, 31), st.integers(1, 12)),
    st.tuples(st.just("end"), st.integers(0, 2), st.sampled_from(["released", "aborted", "lost"])),
    st.tuples(st.just("run"), st.floats(0, 40)),
    st.tuples(st.just("restart")),
)


@settings(
    max_examples=12,
    phases=[Phase.explicit, Phase.generate],
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(script=st.lists(ACTS, max_size=8), analysis_s=st.sampled_from([0.0, 7.0]))
def test_whatever_happened_before(make_node, script, analysis_s):
    run = uuid.uuid4().hex  # another study each time: the file stays
    facts, slices = study_facts(run), head_slices(32, seed=run)
    scene = Scene(make_node(), Clock(), analysis_s)
    lines: dict[int, int] = {}
    for act in script:
        if act[0] == "send":
            _, line, start, number = act
            lines.setdefault(line, scene.associate())
            scene.send(lines[line], slices[start : start + number], facts)
        elif act[0] == "end" and act[1] in lines:
            scene.end(lines.pop(act[1]), act[2])
        elif act[0] == "run":
            scene.run(act[1])
        elif act[0] == "restart":
            lines.clear()
            scene.restart()
    scene.send_all(slices, facts)
    scene.run(400)
    scene.check_final(slices, facts)
