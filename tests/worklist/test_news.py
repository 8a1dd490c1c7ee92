"""What open pages are told of, and how long answers took."""

from __future__ import annotations

from ichnode.worklist import news, readings, vitals
from tests.made import analysed_series, answer, claim, closed_series, finish, head_slices, study_facts, take


def test_of_many_positives_the_news_are_those_answered_last(worklist, clock, monkeypatch):
    monkeypatch.setattr(news, "MOST", 2)
    for name, score in (("a", 0.9), ("b", 0.8), ("c", 0.7), ("d", 0.1)):
        analysed_series(worklist, clock, study_facts(name), score)
        clock.forward(60)
    with worklist.read() as tx:
        assert news.latest(tx)[1] == [(3, 3), (2, 2)], "the least urgent is the newest"
    with worklist.write() as tx:
        readings.sign_off(tx, clock(), "ada", 3, 3)
    with worklist.read() as tx:
        assert news.latest(tx)[1] == [(2, 2), (1, 1)], "what moves up has an older answer than what was told"


def test_an_answer_that_slices_came_after_is_not_one_of_no_time(worklist, clock):
    for name in ("a", "b", "c"):
        closed_series(worklist, clock, study_facts(name))
        job = claim(worklist, clock)
        clock.forward(40)
        assert finish(worklist, clock, job, answer(job, 0.9))
    for name in ("a", "b"):
        take(worklist, head_slices(1, seed=f"late {name}"), clock.forward(300), study_facts(name))
    with worklist.read() as tx:
        found = vitals.turnaround(tx, clock())
    assert (found["answered"], found["median_s"], found["p95_s"]) == (3, 40.0, 40.0)
