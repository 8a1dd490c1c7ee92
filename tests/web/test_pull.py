"""What the pages say of fetching, and the button that orders priors."""

from __future__ import annotations

import fastjsonschema
import pytest

from ichnode.core.findings import Warned
from ichnode.core.urgency import PEER, Said
from ichnode.core.wanted import Listed
from ichnode.web.api_schemas import ANSWERS
from ichnode.worklist import alarms, orders, retrievals
from ichnode.worklist.people import audit
from ichnode.worklist.retrieval_tables import orders as order_table
from ichnode.worklist.urgency import hasten
from tests.made import analysed_series, closed_series, rows, study_facts
from tests.web.test_node_page import words

SOURCE = {"aet": "PACS", "host": "192.0.2.7", "port": 104, "retrieve": "c-get"}


@pytest.fixture
def options():
    return {"source": SOURCE}


def test_what_was_not_fetched_is_named_with_its_reason_and_fetched_again_by_a_button(people, visitor):
    with people.worklist.write() as tx:
        retrievals.list_new(tx, people.now(), Listed("1.2.9", "1.2.9.1", images=34), people.now(), 0)
        one = retrievals.claim(tx, people.now(), "boot", [], [])
        reason = Warned("ARCHIVE_GAVE_LESS", "The archive counts more: it says 34, it gave 30.")
        retrievals.give_up(tx, people.now(), one, retrievals.Here(), reason)
        orders.place(tx, people.now(), orders.BACKFILL, first_date="20260101", last_date="20260131")
    visit = visitor("administrator")
    said = words(visit.get("/node").text)
    assert "1 series that the archive lists could not be fetched" in said
    assert "it says 34, it gave 30" in said
    assert "backfill" in said
    assert visit.submit("/node/retry", sure="yes").status_code == 303
    with people.worklist.read() as tx:
        assert retrievals.counts(tx)["pending"] == 1


def test_uids_are_for_those_who_may_see_studies_and_that_is_written_down_once_an_hour(people, program):
    with people.worklist.write() as tx:
        retrievals.list_new(tx, people.now(), Listed("1.2.9", "1.2.9.1", images=34), people.now(), 0)
        one = retrievals.claim(tx, people.now(), "boot", [], [])
        retrievals.give_up(tx, people.now(), one, retrievals.Here(), Warned("ARCHIVE_GAVE_LESS", "It gave 30."))
    monitor, seer = program("node.read"), program("node.read", "study.read")

    def named(client):
        (row,) = client.get("/api/v1/node").json()["pull"]["not_fetched"]
        return row["study_instance_uid"], row["series_instance_uid"], row["error"]

    assert named(monitor) == ("", "", "It gave 30.")
    assert "1.2.9" not in monitor.get("/node").text
    for after in (0, 60, 3600):
        people.now.forward(after)
        assert named(seer) == ("1.2.9", "1.2.9.1", "It gave 30.")
    views = [(r["who"], r["detail"]) for r in rows(people.worklist, audit) if r["what"] == "retrievals.viewed"]
    assert views == [("token:program 1", {"series": 1})] * 2


def test_an_overdue_study_is_marked(people, visitor):
    closed_series(people.worklist, people.now, study_facts("late"))
    with people.worklist.write() as tx:
        uid = study_facts("late").study_instance_uid
        assert alarms.raise_alarm(tx, people.now(), alarms.NO_RESULT, uid, people.now())
    visit = visitor("reader")
    assert "overdue" in words(visit.get("/").text)
    assert "1 study(ies) without a result" in words(visit.get("/node").text)


def test_an_urgent_study_is_marked_and_stands_before_others_that_wait(people, visitor, program):
    closed_series(people.worklist, people.now, study_facts("routine"))
    closed_series(people.worklist, people.now, study_facts("urgent", patient_name="STAT^HEAD"))
    with people.worklist.write() as tx:
        hasten(tx, people.now(), 2, Said(PEER, "ED_CT"))
    assert visitor("reader").get("/").text.count(">urgent</span>") == 1
    assert "Urgent: ED_CT sends it" in words(visitor("reader").get("/studies/2").text)
    listed = program("study.read", "worklist.read").get("/api/v1/worklist").json()["studies"]
    assert [(one["id"], one["urgent_because"]) for one in listed] == [(2, "peer"), (1, None)]


def test_priors_are_ordered_from_the_study_page_by_who_may(people, visitor):
    analysed_series(people.worklist, people.now, study_facts("a"), 0.9)
    assert "Fetch priors" not in visitor("reader").get("/studies/1").text
    visit = visitor("radiologist")
    assert "Fetch priors" in visit.get("/studies/1").text
    assert visit.submit("/studies/1/priors").status_code == 303
    (order,) = rows(people.worklist, order_table)
    assert (order["kind"], order["study_id"]) == ("priors", 1)
    acts = [(r["who"], r["study_id"], r["detail"]) for r in rows(people.worklist, audit) if "priors" in r["what"]]
    assert acts == [("radiologist", 1, {"order": order["id"]})]


def test_a_program_orders_priors_within_its_scope_and_hears_why_not(people, program):
    analysed_series(people.worklist, people.now, study_facts("a"), 0.9)
    analysed_series(people.worklist, people.now, study_facts("b", patient_id=""), 0.9)
    address = "/api/v1/studies/1/priors"
    assert program("study.read").post(address).status_code == 403
    signer = program("study.sign")
    said = signer.post(address)
    fastjsonschema.validate(ANSWERS["post", "/api/v1/studies/{study}/priors"], said.json(), use_default=False)
    (order,) = rows(people.worklist, order_table)
    assert said.json() == {"order": order["id"]}
    refused = signer.post("/api/v1/studies/2/priors")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "NO_PATIENT_ID")
