"""Work items: claimed once, under one Transaction UID, fetched, analysed, delivered, ended in the service's words."""

from __future__ import annotations

import pytest

from ichnode.steps.examine import examine
from ichnode.steps.fetch import Fetcher
from ichnode.steps.node import WORKITEMS
from ichnode.steps.perform import perform_due
from ichnode.worklist import clock, deliveries, forgetting, schema
from ichnode.worklist.workitem_tables import inputs
from ichnode.worklist.workitem_tables import workitems as table
from tests.heads import series_uid, study_uid, write_head
from tests.made import rows
from tests.steps.giver import Giver, come
from tests.steps.scene import Scene
from tests.ups_service import PERFORMED, PROGRESS, UpsService, code, element, series_input

DESTINATION = {"name": "pacs", "aet": "PACS", "host": "127.0.0.1"}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return write_head(tmp_path_factory.mktemp("heads"), "asked", slices=12)


@pytest.fixture
def archive():
    return Giver()


@pytest.fixture(scope="module")
def listening():
    with UpsService().listening() as ups:
        yield ups


@pytest.fixture
def service(listening):
    listening.clear()
    return listening


@pytest.fixture
def scene(make_node, clock, archive, service):
    made = make_node(source=archive.section, destinations=[DESTINATION], workitems=service.section)
    return Scene(made, clock)


def asks_for(name="asked", count=12, aet=""):
    return series_input(study_uid(name), series_uid(name), count, aet)


def states(scene):
    return [(row["state"], row["attempts"]) for row in rows(scene.worklist, table)]


def go_on(scene, steps=1):
    for _ in range(steps):
        perform_due(scene.node)
        scene.clock.forward(10)


def whole_course(scene, archive):
    """Claimed, begun, fetched, analysed, delivered."""
    go_on(scene, 3)
    with archive.listening():
        Fetcher(scene.node).fetch_due()
    go_on(scene)
    scene.run(60)
    go_on(scene)


def test_an_item_is_claimed_fetched_analysed_delivered_and_completed(scene, archive, service, files):
    archive.add(files)
    uid = service.schedule("1.2.3", asks_for())
    whole_course(scene, archive)
    assert service.state(uid) == "COMPLETED"
    assert states(scene) == [("completed", 0)]
    assert service.claims == [uid]
    assert archive.gets == [series_uid("asked")]
    (done,) = service.items[uid][PERFORMED]["Value"]
    assert done["00404028"]["Value"][0]["00080100"]["Value"] == ["ICHAI"], "Performed Station Name"
    assert done["00404019"]["Value"][0]["00080100"]["Value"] == ["ICH"], "Performed Workitem Code"
    (output,) = done["00404033"]["Value"]
    assert output["0020000D"]["Value"] == [study_uid("asked")]
    assert output["0040E021"]["Value"][0]["00080054"]["Value"] == ["PACS"]
    assert [one["00081155"]["Value"][0] for one in output["00081199"]["Value"]] == [
        sent.sop_instance_uid for sent in scene.pacs
    ]
    assert service.told == ["0 of 1 series are here", "The images are being analysed", "The results are delivered"]


@pytest.mark.parametrize(("priority", "because"), [("HIGH", "workitem"), ("MEDIUM", None)])
def test_what_an_item_of_high_priority_asks_for_is_urgent(scene, archive, service, files, priority, because):
    archive.add(files)
    service.schedule("1.2.3", asks_for(), **{"00741200": element("CS", priority)})
    go_on(scene, 3)
    with archive.listening():
        Fetcher(scene.node).fetch_due()
    assert [row["urgent_because"] for row in rows(scene.worklist, schema.studies)] == [because]


def test_what_is_here_when_an_item_of_high_priority_asks_for_it_is_urgent_too(scene, service, files):
    come(scene.node, files)
    service.schedule("1.2.3", asks_for(), **{"00741200": element("CS", "HIGH")})
    go_on(scene, 3)
    (study,) = rows(scene.worklist, schema.studies)
    assert study["urgent_because"] == "workitem"


def test_what_is_here_and_answered_already_is_completed_without_a_retrieval(scene, archive, service, files):
    archive.add(files)
    service.schedule("1.2.3", asks_for())
    whole_course(scene, archive)
    again = service.schedule("1.2.4", asks_for())
    go_on(scene, 3)
    assert service.state(again) == "COMPLETED"
    assert archive.gets == [series_uid("asked")]
    with scene.worklist.write() as tx:
        forgetting.forget(tx, scene.clock(), 1)
    assert rows(scene.worklist, inputs) == [], "nothing names the study any more"


def test_what_the_archive_does_not_give_is_canceled_with_the_reason(scene, archive, service, files):
    archive.files[series_uid("asked")] = []
    archive.files[series_uid("other")] = files
    uid = service.schedule("1.2.3", asks_for(aet="ELSEWHERE"))
    go_on(scene, 2)
    with archive.listening():
        for _ in range(3):
            Fetcher(scene.node).fetch_due()
            scene.clock.forward(1000)
    go_on(scene)
    assert service.state(uid) == "CANCELED"
    (said,) = service.items[uid][PROGRESS]["Value"]
    assert said["0074100E"]["Value"][0]["00080100"]["Value"] == ["110523"], "Object Set incomplete"
    (words,) = said["00741238"]["Value"]
    assert words.startswith("ARCHIVE_GAVE_NONE: The archive lists the series and gives no image of it")
    assert words.endswith("the work item says that it is at ELSEWHERE.")
    (row,) = rows(scene.worklist, table)
    assert (row["state"], row["reason_code"]) == ("canceled", "ARCHIVE_GAVE_NONE")


def test_an_item_without_images_is_canceled(scene, service):
    uid = service.schedule("1.2.3")
    go_on(scene, 3)
    assert service.state(uid) == "CANCELED"
    assert states(scene) == [("canceled", 0)]


@pytest.mark.parametrize(
    "other",
    [{"what": "ECHO^99TEST"}, {"00404041": element("CS", "INCOMPLETE")}, {"00741000": element("CS", "CANCELED")}],
)
@pytest.mark.parametrize("heeds_keys", [True, False])
def test_what_is_not_for_this_node_is_left_alone_even_where_the_service_offers_it(scene, service, other, heeds_keys):
    service.heeds_keys = heeds_keys
    service.schedule("1.2.3", asks_for(), **other)
    go_on(scene, 2)
    assert (service.claims, states(scene)) == ([], [])


def test_a_station_is_heeded_and_named_as_performer(make_node, clock, archive, service):
    section = {**service.section, "station": "NODE^99TEST"}
    scene = Scene(make_node(source=archive.section, destinations=[DESTINATION], workitems=section), clock)
    service.schedule("1.2.3")
    service.schedule("1.2.4", **{"00404025": code("OTHER^99TEST")})
    service.schedule("1.2.5", **{"00404025": code("NODE^99TEST")})
    go_on(scene)
    assert service.claims == ["1.2.5"]


def test_no_more_are_claimed_than_there_is_room_for_and_the_urgent_ones_first(make_node, clock, archive, service):
    section = {**service.section, "at_once": 2}
    scene = Scene(make_node(source=archive.section, destinations=[DESTINATION], workitems=section), clock)
    for number, priority in enumerate(("LOW", "MEDIUM", "HIGH")):
        service.schedule(f"1.2.{number}", asks_for(), **{"00741200": element("CS", priority)})
    go_on(scene, 3)
    assert service.claims == ["1.2.2", "1.2.1"]


def test_more_than_a_page_is_seen(scene, service):
    for number in range(30):
        service.schedule(f"1.2.{number}", **{"00741200": element("CS", "HIGH" if number == 29 else "LOW")})
    go_on(scene)
    assert service.claims[0] == "1.2.29"


def test_of_two_performers_one_gets_it(scene, service):
    """It was scheduled when it was looked at, and another one was faster."""
    service.schedule("1.2.3", asks_for())
    judged = service.judge
    service.judge = lambda uid, state, wanted, lock: judged(uid, "IN PROGRESS", wanted, lock)
    go_on(scene)
    assert states(scene)[0][0] == "lost"
    assert service.claims == []


@pytest.mark.parametrize("answer", [503, 500])
def test_a_claim_whose_answer_is_lost_is_this_nodes_and_stays_it_under_the_same_transaction(scene, service, answer):
    uid = service.schedule("1.2.3", asks_for())
    service.bad = lambda method, path: answer if (method, path) == ("PUT", "IN PROGRESS") else 0
    go_on(scene)
    assert (states(scene)[0][0], service.claims) == ("offered", [uid])
    (row,) = rows(scene.worklist, table)
    service.bad = lambda method, path: 0
    go_on(scene)
    assert states(scene) == [("claimed", 0)]
    assert service.locks[uid] == row["transaction_uid"]
    assert service.claims == [uid], "claimed once"


def test_a_claim_that_never_arrived_is_lost_when_another_one_has_it_by_then(scene, service):
    uid = service.schedule("1.2.3", asks_for())
    judged = service.judge
    service.judge = lambda *_: 409
    service.bad = lambda method, path: 503 if method == "PUT" else 0
    go_on(scene)
    assert states(scene)[0][0] == "offered"
    service.judge, service.bad = judged, lambda method, path: 0
    service.items[uid]["00741000"] = element("CS", "IN PROGRESS")
    service.locks[uid] = "9.9"
    go_on(scene)
    assert states(scene)[0][0] == "lost"


def test_an_ending_whose_answer_is_lost_is_recorded_once(scene, service):
    uid = service.schedule("1.2.3")
    service.bad = lambda method, path: 503 if (method, path) == ("PUT", "CANCELED") else 0
    go_on(scene, 3)
    assert (states(scene)[0][0], service.state(uid)) == ("working", "CANCELED")
    service.bad = lambda method, path: 0
    go_on(scene)
    assert states(scene) == [("canceled", 0)]


@pytest.mark.parametrize("known", [404, 410])
def test_an_item_that_is_deleted_is_left(scene, service, known):
    uid = service.schedule("1.2.3", asks_for())
    go_on(scene, 2)
    del service.items[uid]
    if known == 410:
        service.gone.add(uid)
    go_on(scene)
    assert states(scene)[0][0] == "lost"


def test_one_over_which_the_service_fails_holds_up_no_other_one(scene, service):
    first, second = service.schedule("1.2.3"), service.schedule("1.2.4")
    service.bad = lambda method, path: 500 if (method, path) == ("POST", f"/workitems/{first}") else 0
    go_on(scene, 3)
    assert service.state(second) == "CANCELED"
    (row,) = rows(scene.worklist, table, workitem_uid=first)
    assert row["state"] == "working"
    assert "look at its log" in row["error"]
    service.bad = lambda method, path: 0
    go_on(scene)
    assert service.state(first) == "CANCELED"


def test_what_was_put_off_is_due_after_the_clock_was_set_back(scene, service):
    service.schedule("1.2.3")
    service.bad = lambda method, path: 500 if method == "PUT" else 0
    go_on(scene)
    service.bad = lambda method, path: 0
    scene.clock.forward(-86400)
    with scene.worklist.write() as tx:
        clock.catch_up(tx, scene.clock())
    go_on(scene)
    assert states(scene) == [("claimed", 0)]


def test_a_service_put_back_to_an_older_state_gets_its_item_again_under_the_same_transaction(scene, service):
    uid = service.schedule("1.2.3", asks_for())
    go_on(scene, 2)
    lock = service.locks.pop(uid)
    service.items[uid]["00741000"] = element("CS", "SCHEDULED")
    go_on(scene, 2)
    assert service.locks[uid] == lock
    assert len(rows(scene.worklist, table)) == 1


def test_a_service_that_is_not_there_costs_nothing_and_a_node_that_ends_claims_nothing(make_node, clock, archive):
    ups = UpsService()
    scene = Scene(make_node(source=archive.section, destinations=[DESTINATION], workitems=ups.section), clock)
    go_on(scene)
    with scene.worklist.read() as tx:
        assert "no connection" in deliveries.circuit(tx, WORKITEMS).last_error
    found = {check.name: check for check in examine(scene.node.settings)}
    assert "no connection" in found["workitems"].remedy
    with ups.listening():
        ups.schedule("1.2.3")
        go_on(scene)
        assert ups.claims == ["1.2.3"]
        scene.node.draining.set()
        go_on(scene)
        assert states(scene) == [("claimed", 0)]
        found = {check.name: check for check in examine(scene.node.settings)}
        assert found["workitems"].found.endswith("answers a search")
        assert found["work items"].found.startswith("1 in hand, the oldest for")


def test_by_token_and_with_the_requester_behind_the_state(make_node, clock, archive, tmp_path):
    ups = UpsService(token="secret", paths=("/workitems/{uid}/state/ICHAI",))
    (tmp_path / "token").write_text("secret\n")
    section = {**ups.section, "token_file": str(tmp_path / "token"), "requester": "ICHAI"}
    scene = Scene(make_node(source=archive.section, destinations=[DESTINATION], workitems=section), clock)
    with ups.listening():
        uid = ups.schedule("1.2.3")
        go_on(scene, 3)
    assert ups.state(uid) == "CANCELED"
