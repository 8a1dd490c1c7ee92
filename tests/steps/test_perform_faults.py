"""Work items at a service that is at fault, or not as the rules have it: nothing is lost, and nothing starves."""

from __future__ import annotations

import pytest

from ichnode.steps.node import WORKITEMS
from ichnode.steps.perform import perform_due
from ichnode.worklist import deliveries
from ichnode.worklist.workitem_tables import workitems as table
from tests.heads import series_uid, study_uid
from tests.made import rows
from tests.steps.giver import Giver
from tests.steps.scene import Scene
from tests.ups_service import UpsService, series_input

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
    def of(**more):
        section = {**service.section, **more}
        return Scene(make_node(source=Giver().section, destinations=[DESTINATION], workitems=section), clock)

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
