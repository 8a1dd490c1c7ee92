"""Attacks that are not about signing in: guessed ids and paths, addresses that leak, what is said to strangers."""

from __future__ import annotations

import re

import pytest

from ichnode.web.doors import Door
from ichnode.worklist import schema
from tests.made import rows


def doors(served):
    return [route for route in served.app.routes if isinstance(route, Door)]


def filled(path: str) -> str:
    return re.sub(r"{\w+(:int)?}", "1", path)


def test_no_door_is_open_to_strangers(morning, served, stranger):
    visit = stranger()
    visit.headers["Accept"] = "application/json"
    for door in doors(served):
        for method in door.methods - {"HEAD"}:
            answer = visit.request(method, filled(door.path))
            assert answer.status_code == 401, (method, door.path, answer.status_code)
            assert "LIND" not in answer.text


def test_what_is_there_and_what_is_not_looks_the_same_to_strangers(morning, stranger):
    visit = stranger()
    visit.headers["Accept"] = "application/json"
    there, nowhere = visit.get("/studies/1"), visit.get("/studies/999999")
    assert (there.status_code, there.text) == (nowhere.status_code, nowhere.text)


def test_no_door_that_changes_anything_opens_without_the_token_of_its_page(morning, served, visitor):
    visit = visitor("administrator")
    before = rows(morning.worklist, schema.journal)
    for door in doors(served):
        for method in door.methods - {"GET", "HEAD"}:
            answer = visit.request(method, filled(door.path), data={"sure": "yes", "name": "pacs"})
            assert answer.status_code == 403, (method, door.path)
    assert rows(morning.worklist, schema.journal) == before


@pytest.mark.parametrize(
    "path",
    [
        "/studies/0", "/studies/-1", "/studies/1e3", "/studies/99999999999999999999999", "/studies/1%27--",
        "/studies/..%2f..%2fetc%2fpasswd", "/studies/1/reports/999", "/studies/1/open/%2e%2e", "/api/v1/studies/%00",
        "/node/audit/../../etc/passwd", "/static/%00", "/static/" + "a" * 5000,
    ],
)  # fmt: skip
def test_guessed_ids_and_paths_lead_nowhere(morning, visitor, path):
    answer = visitor("administrator").get(path)
    assert answer.status_code == 404, (path, answer.status_code)


def test_no_address_that_a_page_offers_names_a_patient(morning, visitor):
    visit = visitor("administrator")
    known = re.compile("|".join(("lind", "okafor", "20481", "acc-2", "astrid")), re.IGNORECASE)
    for page in ("/", "/node", "/node/audit", "/rules", "/api", "/studies/1"):
        addresses = re.findall(r'(?:href|src|action|hx-get|hx-post)="([^"]*)"', visit.get(page).text)
        assert addresses
        assert [address for address in addresses if known.search(address)] == []


def test_the_log_names_no_patient(morning, visitor, capfd):
    visit = visitor("administrator")
    visit.submit("/worklist/search", text="okafor")
    for page in ("/", "/studies/1", "/studies/x", "/?status=nothing"):
        visit.get(page)
    out, err = capfd.readouterr()
    assert not re.search("okafor|lind|20481", out + err, re.IGNORECASE)
