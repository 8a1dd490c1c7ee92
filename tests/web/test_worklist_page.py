"""The worklist page: order, words, filters in the address, and no patient there; live news; what is audited."""

from __future__ import annotations

import json
import re

import pytest

from ichnode.web import events, worklist_page
from ichnode.web.seen import Seen
from ichnode.web.visitor import Visitor
from ichnode.worklist import readings
from ichnode.worklist.people import audit, searches
from tests.made import Clock, head_slices, rows, study_facts, take
from tests.web import ward


def names(text: str) -> list[str]:
    return re.findall(r'class="open"[^>]*>([A-Z]+),', text)


def test_unread_positives_first_then_what_failed_what_waits_and_the_rest(morning, visitor):
    text = visitor("reader").get("/").text
    assert names(text) == ["LIND", "OKAFOR", "BERG", "SILVA", "TANAKA", "ROSSI", "HADDAD", "NOVAK", "WEBER", "MOREAU"]


def test_every_state_is_told_in_words(morning, visitor):
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", visitor("reader").get("/").text))
    for words in (
        "▲ Suspected score 0.97", "◐ Running 32 slices, for 33 s", "◌ Waiting 11 slices so far",
        "? Not analysed The series was made with contrast medium.",
        "✕ Failed The pixels of a slice cannot be decoded.", "○ None detected", "delivery failed", "✓ after 22 s",
        "read by radiologist", "21 s",
    ):  # fmt: skip
        assert words in text, words


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("?status=positive", ["LIND", "OKAFOR", "MOREAU"]),
        ("?status=positive&read=no", ["LIND", "OKAFOR"]),
        ("?read=yes", ["MOREAU"]),
        ("?status=waiting&status=running", ["TANAKA", "ROSSI"]),
        ("?from=2026-03-02", []),
        ("?from=2026-03-01&to=2026-03-01&status=failed", ["SILVA"]),
    ],
)
def test_filters_are_in_the_address(morning, visitor, query, expected):
    assert names(visitor("reader").get(f"/{query}").text) == expected


def test_paper_has_all_that_the_filters_show_and_says_where_there_is_more(morning, visitor, monkeypatch):
    monkeypatch.setattr(worklist_page, "LINES", 2)
    visit = visitor("reader")
    assert 'href="/worklist/print?status=positive&amp;read=no"' in visit.get("/?status=positive&read=no").text
    text = visit.get("/worklist/print?status=positive&from=2026-03-01").text
    assert names(text) == ["LIND", "OKAFOR", "MOREAU"]
    assert "Suspected · from 2026-03-01 · 3 studies" in text
    visit.submit("/worklist/search", text="moreau")
    (row,) = rows(morning.worklist, searches)
    assert "found by “moreau” · 1 study<" in visit.get(f"/worklist/print?search={row['key']}").text
    views = [r["detail"]["studies"] for r in rows(morning.worklist, audit) if r["what"] == "worklist.viewed"]
    assert [len(seen) for seen in views[-3:]] == [3, 2, 1], "the page before the search, too"
    monkeypatch.setattr(worklist_page, "LINES_ON_PAPER", 4)
    text = visit.get("/worklist/print").text
    assert names(text) == ["LIND", "OKAFOR", "BERG", "SILVA"]
    assert "all studies · the 4 most urgent; there are more" in text


@pytest.mark.parametrize(
    "query",
    ["?status=<script>", "?from=yesterday", "?read=maybe", "?after=1_2", "?after=0_nan_0_1", "?search=../x"],
)
def test_a_filter_that_there_cannot_be_is_refused(morning, visitor, query):
    answer = visitor("reader").get(f"/{query}")
    assert answer.status_code == 400
    assert "<script>" not in answer.text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("okafor", ["OKAFOR"]),
        ("20481-a", ["LIND"]),
        ("ACC-20877", ["OKAFOR"]),
        ("%", []),
        ("jean", ["MOREAU"]),
        ("LIND, ASTRID M", ["LIND"]),
        ("astrid lind", ["LIND"]),
        ("lind, chidi", []),
        ("Lind 20481", ["LIND"]),
    ],
)
def test_a_search_finds_by_name_number_and_accession_and_its_address_names_nobody(morning, visitor, text, expected):
    visit = visitor("reader")
    led = visit.submit("/worklist/search", text=text)
    assert re.fullmatch(r"/\?search=[\w-]{16}", led.headers["Location"])
    assert names(visit.get(led.headers["Location"]).text) == expected


def test_an_answer_that_slices_came_after_says_no_time_that_it_took(morning, visitor):
    take(morning.worklist, head_slices(1, seed="late"), morning.now.forward(60), ward.facts("okafor"))
    row = re.search(r"<tr(?:(?!</tr>).)*OKAFOR.*?</tr>", visitor("reader").get("/").text, re.DOTALL)[0]
    assert re.search(r'class="num after"></td>', row)
    assert "0 s" not in row


def test_a_search_is_nobody_elses(morning, visitor):
    address = visitor("reader").submit("/worklist/search", text="okafor").headers["Location"]
    other = visitor("radiologist").get(address)
    assert names(other.text) == []
    assert "forgotten" in other.text


def test_page_by_page_there_and_back(morning, visitor, monkeypatch):
    monkeypatch.setattr(worklist_page, "LINES", 4)
    visit = visitor("reader")
    seen, address = [], "/"
    while address:
        text = visit.get(address).text
        seen.append(names(text))
        found = re.search(r'id="next"[^>]*href="([^"]+)"', text)
        address = found[1].replace("&amp;", "&") if found else ""
    assert [len(part) for part in seen] == [4, 4, 2]
    assert len({name for part in seen for name in part}) == 10
    back = re.search(r'id="previous"[^>]*href="([^"]+)"', text)
    assert names(visit.get(back[1].replace("&amp;", "&")).text) == seen[1]


def test_every_view_of_patients_is_audited_and_a_renewal_only_where_it_shows_somebody_new(morning, visitor):
    visit = visitor("reader")
    visit.get("/")
    visit.get("/worklist/list")
    views = [r for r in rows(morning.worklist, audit) if r["what"] == "worklist.viewed"]
    assert len(views) == 1
    assert len(views[0]["detail"]["studies"]) == 10
    take(morning.worklist, head_slices(1, seed="late"), morning.now(), study_facts("late"))
    visit.get("/worklist/list")
    views = [r for r in rows(morning.worklist, audit) if r["what"] == "worklist.viewed"]
    assert [len(r["detail"]["studies"]) for r in views] == [10, 1]
    assert "LIND" not in json.dumps([r["detail"] for r in rows(morning.worklist, audit)])


def test_every_program_is_audited_on_its_own(morning, program):
    for one in (first := program("worklist.read"), program("worklist.read"), first):
        one.get("/worklist/list")
    views = [r for r in rows(morning.worklist, audit) if r["what"] == "worklist.viewed"]
    assert [r["who"] for r in views] == ["token:program 0", "token:program 1", "token:program 0"]
    assert [len(r["detail"]["studies"]) for r in views] == [10, 10, 10]


def test_what_was_shown_is_forgotten_after_an_hour_and_beyond_a_number():
    seen, clock = Seen(most=2), Clock()
    ada, bob, eve = (Visitor(name, "reader", frozenset(), "", "127.0.0.1", "session") for name in "abe")
    for one in (ada, bob, eve):
        seen.note(one, "list", clock(), frozenset({1}))
    assert len(seen) == 2
    assert [bool(seen.last(one, "list", clock())) for one in (ada, bob, eve)] == [False, True, True]
    assert not seen.last(eve, "list", clock.forward(3600))


def test_news_come_when_something_changes_and_name_nobody(morning, visitor):
    visit = visitor("reader")
    with visit.stream("GET", "/events") as stream:
        assert stream.headers["Content-Type"].startswith("text/event-stream")
        lines = stream.iter_lines()
        first = _next_news(lines)
        assert len(first["positives"]) == 2
        with morning.worklist.write() as tx:
            top = first["positives"][0]
            readings.sign_off(tx, morning.now(), "ada", top, readings.latest_result(tx, top))
        second = _next_news(lines)
    assert second["positives"] == first["positives"][1:]
    assert second["answers"] == first["answers"][1:]
    assert second["change"] > first["change"]
    assert set(second) == {"change", "positives", "answers"}


def test_a_page_may_ask_whether_its_session_holds(morning, visitor):
    visit = visitor("reader")
    assert visit.head("/events").status_code == 204
    morning.now.forward(1801)
    assert visit.head("/events", headers={"Accept": "application/json"}).status_code == 401


def test_news_end_with_the_session(morning, visitor, monkeypatch):
    monkeypatch.setattr(events, "CHECK_EVERY_S", 0.05)
    visit = visitor("reader")
    with visit.stream("GET", "/events") as stream:
        lines = stream.iter_lines()
        _next_news(lines)
        morning.now.forward(1801)
        assert "event: ended" in list(lines)


def test_an_open_page_does_not_keep_a_session_from_ending(morning, visitor):
    visit = visitor("reader")
    for _ in range(4):
        morning.now.forward(600)
        last = visit.get("/worklist/list")
    assert last.status_code == 303


def _next_news(lines) -> dict:
    for line in lines:
        if line.startswith("data: {"):
            return json.loads(line.removeprefix("data: "))
    raise AssertionError("the stream has ended")
