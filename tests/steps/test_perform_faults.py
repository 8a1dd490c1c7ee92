"""Work items at a service that is at fault, or not as the rules have it: nothing is lost, and nothing starves."""

from __future__ import annotations

import pytest

from ichnode.core.workitem import Input
from ichnode.steps.fetch import Fetcher
from ichnode.steps.node import WORKITEMS
from ichnode.steps.perform import perform_due
from ichnode.worklist import deliveries, schema
from ichnode.worklist.workitem_standing import stands
from ichnode.worklist.workitem_tables import inputs
from ichnode.worklist.workitem_tables import workitems as table
from tests.heads import series_uid, study_uid, write_head
from tests.made import rows
from tests.steps.giver import Giver
from tests.steps.scene import Scene
from tests.ups_service import PROGRESS, UpsService, element, series_input

DESTINATION = {"name": "pacs", "aet": "PACS", "host": "127.0.0.1"}


@pytest.fixture(scope="module")
def listening():
    with UpsService().listening() as ups:
        yield ups


@pytest.fixture
def service(listening):
    listening.clear()
    return listening


@pytest.fixture
def new_scene(make_node, clock, service):
    def of(archive=None, **more):
        section = {**service.section, **more}
        source = (archive or Giver()).section
        return Scene(make_node(source=source, destinations=[DESTINATION], workitems=section), clock)

    return of


def asks_for(name="asked", count=12):
    return series_input(study_uid(name), series_uid(name), count)


def go_on(scene, steps=1):
    for _ in range(steps):
        perform_due(scene.node)
        scene.clock.forward(1000)


def states(scene):
    return {row["workitem_uid"]: row["state"] for row in rows(scene.worklist, table)}


def said_of(scene):
    with scene.worklist.read() as tx:
        return deliveries.circuit(tx, WORKITEMS).last_error or ""


@pytest.mark.parametrize("status", [404, 405, 501])
def test_a_service_that_is_away_for_a_while_costs_no_item(new_scene, service, status):
    scene = new_scene()
    service.schedule("1.2.3")
    go_on(scene, 2)
    service.bad = lambda method, path: status
    go_on(scene, 3)
    assert states(scene) == {"1.2.3": "working"}
    assert f"HTTP {status}" in said_of(scene)
    service.bad = lambda method, path: 0
    go_on(scene, 2)
    assert states(scene) == {"1.2.3": "canceled"}, "it asks for nothing, and has been told so"


def test_items_whose_claim_is_refused_take_no_room_from_others_and_are_tried_ever_less_often(new_scene, service):
    scene = new_scene(at_once=2, look_every_s=1, first_retry_s=1400, longest_retry_s=86400)
    for number in range(4):
        service.schedule(f"1.2.{number}", asks_for(), **{"00741200": element("CS", "HIGH")})
    service.schedule("1.3", asks_for("other"))
    judged = service.judge
    service.judge = lambda uid, *asked: judged(uid, *asked) if uid == "1.3" else 409
    go_on(scene)
    assert states(scene) == {**{f"1.2.{n}": "lost" for n in range(4)}, "1.3": "claimed"}
    go_on(scene, 9)  # a look each 1000 s: again after 1400 s, then after 2800 s, not in each
    offered = [row["detail"]["workitem"] for row in rows(scene.worklist, schema.journal, event="workitem.offered")]
    assert sorted(offered) == [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 5]


@pytest.mark.parametrize("status", [404, 405])
def test_a_service_that_wants_a_requester_is_told_apart_from_one_that_has_no_such_item(new_scene, service, status):
    scene = new_scene()
    service.schedule("1.2.3")
    service.judge = lambda *_: status
    go_on(scene, 5)
    assert states(scene) == {"1.2.3": "offered"}
    assert "set requester" in said_of(scene)
    assert len(rows(scene.worklist, schema.journal, event="workitem.offered")) == 1, "no row for each attempt"
    vars(service).pop("judge")
    go_on(scene)
    assert states(scene) == {"1.2.3": "claimed"}


def test_nothing_is_completed_of_which_a_part_never_came_whatever_else_is_answered(
    new_scene, service, tmp_path, capsys
):
    archive = Giver()
    archive.add(write_head(tmp_path, "asked", slices=12))
    scene = new_scene(archive, at_once=5)
    whole = service.schedule("1.2.1", asks_for())
    more = service.schedule("1.2.2", asks_for(count=30))
    series = service.schedule("1.2.3", asks_for(), series_input(study_uid("asked"), "1.2.3.4", 5, "DOE^JANE"))
    study = service.schedule("1.2.4", asks_for(), asks_for("never"))
    stubborn = service.schedule("1.2.5", asks_for())
    judged = service.judge
    service.judge = lambda *asked: 409 if asked[0] == stubborn and asked[2] == "COMPLETED" else judged(*asked)
    go_on(scene, 2)
    with archive.listening():
        for _ in range(12):
            Fetcher(scene.node).fetch_due()
            scene.clock.forward(1000)
    scene.run(60)
    go_on(scene, 10)
    named = [Input(study_uid("asked"), series_uid("asked"))]
    with scene.worklist.read() as tx:
        assert stands(tx, named, ["pacs"]).outputs
        assert stands(tx, named, ["another"]).outputs == (), "that destination is not there any more"
    assert [service.state(uid) for uid in (whole, more, series, study, stubborn)] == ["COMPLETED", *["CANCELED"] * 4]
    for uid, code in (
        (stubborn, "ENDING_REFUSED"),
        (more, "ARCHIVE_GAVE_LESS"),
        (series, "ARCHIVE_GAVE_NONE"),
        (study, "ARCHIVE_GAVE_NONE"),
    ):
        (said,) = service.items[uid][PROGRESS]["Value"]
        assert said["00741238"]["Value"][0].startswith(f"{code}: ")
        assert "DOE" not in said["00741238"]["Value"][0]
    assert "DOE" not in capsys.readouterr().out


def test_an_item_that_the_service_lets_not_end_does_not_stay_in_hand_for_ever(new_scene, service):
    scene = new_scene()
    uid = service.schedule("1.2.3")
    go_on(scene, 2)
    service.locks[uid] = "9.9"  # somebody else's by now
    go_on(scene, 8)
    assert states(scene) == {uid: "working"}
    go_on(scene, 2)
    assert states(scene) == {uid: "lost"}


def test_what_an_item_asks_for_is_what_it_asks_for_when_it_is_claimed(new_scene, service):
    scene = new_scene()
    uid = service.schedule("1.2.3", asks_for("before"))
    judged = service.judge

    def changed(*asked):
        service.items[uid]["00404021"] = element("SQ", asks_for("after"))
        return judged(*asked)

    service.judge = changed
    go_on(scene, 2)
    assert [row["study_instance_uid"] for row in rows(scene.worklist, inputs)] == [study_uid("after")]


def test_an_item_that_cannot_be_read_is_said_and_left(new_scene, service, capsys):
    scene = new_scene()
    service.schedule("1.2.3")
    service.bad = lambda method, path: 400 if path.endswith("/1.2.3") else 0
    go_on(scene)
    assert "workitem.unreadable" in capsys.readouterr().out
    assert states(scene) == {}


def test_a_node_that_drains_stops_looking(new_scene, service):
    scene, asked = new_scene(), []
    service.heeds_keys = False
    for number in range(3):
        service.schedule(f"1.2.{number}", what="ECHO^99TEST")

    def ends(method, path):
        if path != "/workitems":
            asked.append(path)
            scene.node.draining.set()
        return 0

    service.bad = ends
    go_on(scene)
    assert asked == ["/workitems/1.2.0"]
