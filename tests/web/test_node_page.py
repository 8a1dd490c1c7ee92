"""The node page: what an administrator sees and does; what others may not."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from ichnode.core.control import chart_of
from ichnode.steps.node import SOURCE
from ichnode.web.charts import drawn
from ichnode.worklist import associations, boots, deliveries, pauses, schema, vitals
from ichnode.worklist.people import audit
from tests.made import analysed_series, answer, claim, closed_series, events, finish, rows, study_facts

PACS = {"name": "pacs", "aet": "PACS", "host": "127.0.0.1", "port": 11199}


@pytest.fixture
def options():
    return {"destinations": [PACS]}


def words(text: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text))


def test_what_failed_and_what_waits_is_said_in_sentences(morning, visitor):
    said = words(visitor("reader").get("/node").text)
    assert "1 analysis(es) failed" in said
    assert "1 delivery(ies) to pacs failed" in said
    assert "PACS at 127.0.0.1:11199" in said
    assert "Try everything" not in said, "that is the administrator's"


def test_all_is_well(people, visitor):
    assert "All is well." in visitor("reader").get("/node").text


def test_who_sends_and_how_the_worker_is(people, visitor):
    with people.worklist.write() as tx:
        boot = boots.begin_boot(tx, people.now(), "1")
        tx.execute(schema.boots.update().values(id="boot"))
        opened = associations.open_association(tx, people.now(), "boot", "192.0.2.5", "CT2")
        associations.end_association(tx, people.now(), opened, "aborted")
        boots.worker_is(tx, people.now(), "boot", "ready", "cuda:0")
    assert boot != "boot"
    said = words(visitor("reader").get("/node").text)
    assert "CT2 192.0.2.5 12:00 1 0 1" in said
    assert "ready on cuda:0" in said


@pytest.mark.parametrize("options", [{"source": {"aet": "PACS", "host": "192.0.2.7", "port": 104}}])
def test_whether_the_source_answers_is_said(people, visitor):
    visit = visitor("reader")
    assert "C-FIND to PACS at 192.0.2.7:104 : not asked yet" in words(visit.get("/node").text)
    with people.worklist.write() as tx:
        deliveries.break_circuit(tx, people.now(), SOURCE, "No connection within 3 s.", 60)
    said = words(visit.get("/node").text)
    assert "The source does not answer a C-FIND: No connection within 3 s." in said
    assert "does not answer No connection within 3 s. Asked again 12:01." in said
    with people.worklist.write() as tx:
        deliveries.close_circuit(tx, people.now(), SOURCE)
    assert "✓ answers last 12:00" in words(visit.get("/node").text)


def test_a_paused_destination_gets_nothing_until_it_is_resumed_and_nothing_is_given_up(people, visitor):
    analysed_series(people.worklist, people.now, study_facts("a"), 0.9)
    visit = visitor("administrator")
    assert visit.submit("/node/pause", name="pacs").status_code == 400, "without the tick"
    assert visit.submit("/node/pause", name="pacs", sure="yes").status_code == 303
    assert "paused by administrator" in words(visit.get("/node").text)
    with people.worklist.write() as tx:
        assert deliveries.claim_deliveries(tx, people.now(), "pacs", "boot") == []
        assert deliveries.next_delivery_at(tx, "pacs") is None
    people.now.forward(1000)
    assert visit.submit("/node/resume", name="pacs").status_code == 303
    with people.worklist.write() as tx:
        (claimed,) = deliveries.claim_deliveries(tx, people.now(), "pacs", "boot")
    assert claimed.retry_since == people.now()
    assert [e for e in events(people.worklist) if e.startswith("destination")] == [
        "destination.paused", "destination.resumed",
    ]  # fmt: skip
    acts = [(r["who"], r["what"]) for r in rows(people.worklist, audit) if r["what"].startswith("destination")]
    assert acts == [("administrator", "destination.paused"), ("administrator", "destination.resumed")]


def test_pausing_twice_is_once(people):
    with people.worklist.write() as tx:
        assert pauses.pause(tx, people.now(), "pacs", "ada")
        assert not pauses.pause(tx, people.now(), "pacs", "bob")
        assert pauses.pause_of(tx, "pacs").paused_by == "ada"
        assert pauses.resume(tx, people.now(), "pacs", "bob")
        assert not pauses.resume(tx, people.now(), "pacs", "bob")


def test_everything_that_failed_is_tried_again(morning, visitor):
    visit = visitor("administrator")
    assert visit.submit("/node/retry").status_code == 400, "without the tick"
    assert visit.submit("/node/retry", sure="yes").status_code == 303
    counted = [r["detail"] for r in rows(morning.worklist, audit) if r["what"] == "node.retried"]
    assert counted == [{"analyses": 1, "deliveries": 1, "retrievals": 0}]
    assert "failed:" not in words(visit.get("/node").text)


@pytest.mark.parametrize("path", ["pause", "resume", "retry", "promote", "rollback"])
def test_only_an_administrator_does_anything(people, visitor, path):
    answer = visitor("radiologist").submit(f"/node/{path}", name="pacs", sure="yes")
    assert answer.status_code == 403
    assert "node.operate" in answer.text or "model.promote" in answer.text


def test_a_destination_that_is_not_configured_is_not_paused(people, visitor):
    assert visitor("administrator").submit("/node/pause", name="elsewhere", sure="yes").status_code == 404


def test_a_model_is_not_changed_by_one_click_too_many(people, visitor):
    visit = visitor("administrator")
    assert visit.submit("/node/rollback").status_code == 400
    refused = visit.submit("/node/rollback", sure="yes")
    assert refused.status_code == 409
    assert "No model was active before this one" in refused.text


def test_the_audit_journal_is_for_administrators(morning, visitor):
    visitor("reader").get("/")
    assert visitor("reader").get("/node/audit").status_code == 403
    said = words(visitor("administrator").get("/node/audit").text)
    assert "reader 127.0.0.1 worklist.viewed" in said


def test_a_scanner_that_drifts_is_seen(people, visitor):
    for i in range(12):
        score = 0.9 if i == 11 else 0.1 + 0.005 * (i % 3)
        analysed_series(people.worklist, people.now, study_facts(str(i), station_name="CT7"), score)
    text = visitor("reader").get("/node").text
    assert re.search(r'aria-label="Score of CT7: 12 series, mean 0\.\d\d , 1 outside the limits"', text)
    assert text.count('class="out"') == 1


def test_a_page_that_renews_itself_reads_all_answers_once_a_minute(people, visitor):
    analysed_series(people.worklist, people.now, study_facts("1", station_name="CT7"), 0.1)
    visit = visitor("reader")
    assert "1 series; a chart needs 8." in words(visit.get("/node").text)
    analysed_series(people.worklist, people.now, study_facts("2", station_name="CT7"), 0.1)
    people.now.forward(59)
    assert "1 series; a chart needs 8." in words(visit.get("/node/vitals").text)
    people.now.forward(1)
    assert "2 series; a chart needs 8." in words(visit.get("/node/vitals").text)


@pytest.mark.parametrize(
    ("name", "usual", "last", "said"),
    [("brain_hu", 33.0, 41.0, "Brain of CT7: 12 series, mean 33.7 HU"),
     ("spacing_mm", 5.0, 2.5, "Spacing of CT7: 12 series, mean 4.80 mm")],
)  # fmt: skip
def test_a_scanner_whose_images_change_is_seen(people, visitor, name, usual, last, said):
    """As after an exchanged tube or another protocol: the scores say nothing of it yet."""
    for i in range(12):
        closed_series(people.worklist, people.now, study_facts(str(i), station_name="CT7"))
        job = claim(people.worklist, people.now)
        measures = {"brain_hu": 33.0, "spacing_mm": 5.0, name: last if i == 11 else usual + 0.01 * (i % 3)}
        assert finish(people.worklist, people.now, job, replace(answer(job), measures=measures))
    text = visitor("reader").get("/node").text
    assert f'aria-label="{said}, 1 outside the limits"' in text
    assert text.count('class="out"') == 1


def test_a_busy_scanner_takes_no_other_ones_reference_away(people, visitor):
    """What a scanner gave at first is what it is held against, however much came since, from it or from others."""
    for i, station in enumerate(("quiet", "busy")):
        analysed_series(people.worklist, people.now, study_facts(str(i), station_name=station), 0.1)
    kept = rows(people.worklist, schema.results)
    with people.worklist.write() as tx:

        def more(one, number, score):
            copy = {key: value for key, value in one.items() if key != "id"}
            tx.execute(schema.results.insert(), [{**copy, "any_score": score + 0.005 * (i % 3)} for i in range(number)])

        more(kept[0], 25, 0.1)
        more(kept[1], 30, 0.1)
        more(kept[1], 600, 0.6)
    with people.worklist.read() as tx:
        found = vitals.by_scanner(tx)
    assert {station: len(measured) for station, measured in found.items()} == {"quiet": 26, "busy": 80}
    (busy, *_), (quiet, *_) = drawn(found["busy"]), drawn(found["quiet"])
    assert busy.chart.centre == pytest.approx(0.105, abs=0.002)
    assert len(busy.chart.outside) == 60
    assert quiet.chart.outside == ()
    assert "busy: Score outside the limits." in words(visitor("reader").get("/node").text)


def test_scores_of_another_model_are_measured_by_its_own_first_ones(people, visitor):
    for i in range(18):
        analysed_series(people.worklist, people.now, study_facts(str(i), station_name="CT7"), 0.1 + 0.01 * (i % 3))
    with people.worklist.write() as tx:
        other = {"model_digest": "another", "any_score": schema.results.c.any_score + 0.6}
        tx.execute(schema.results.update().where(schema.results.c.id > 9).values(other))
    text = visitor("reader").get("/node").text
    assert 'aria-label="Score of CT7: 9 series, mean 0.71 , 0 outside the limits"' in text
    assert "All is well." in text


def test_not_all_is_well_while_the_worker_loads_for_long_or_an_analysis_waits(people, visitor):
    with people.worklist.write() as tx:
        boots.begin_boot(tx, people.now(), "1")
        tx.execute(schema.boots.update().values(id="boot"))
        boots.worker_is(tx, people.now(), "boot", "loading")
    closed_series(people.worklist, people.now, study_facts("waits"))
    visit = visitor("reader")
    people.now.forward(300)
    assert "All is well." in visit.get("/node").text
    people.now.forward(400)
    said = words(visit.get("/node").text)
    assert "The worker is not ready (loading)" in said
    assert "has been waiting" not in said
    for state, sentence in (("unreachable", "pool does not answer"), ("no worker", "pool has no worker")):
        with people.worklist.write() as tx:
            boots.worker_is(tx, people.now(), "boot", state)
        said = words(visit.get("/node").text)
        assert sentence in said and "The worker is not ready" not in said
    with people.worklist.write() as tx:
        boots.worker_is(tx, people.now(), "boot", "ready")
    people.now.forward(1500)
    said = words(visit.get("/node").text)
    assert "The worker is not ready" not in said
    assert "An analysis has been waiting for 3" in said


def test_limits_come_from_the_first_values():
    steady = [10.0, 10.4, 9.8, 10.1, 9.9, 10.2, 10.0, 9.7, 10.3, 10.0] * 2
    chart = chart_of([*steady, 10.1, 14.0, 6.0])
    assert chart is not None
    assert chart.outside == (21, 22)
    assert chart.low < 9.7 < 10.4 < chart.high
    assert chart_of(steady[:7]) is None
    level = chart_of([5.0] * 30)
    assert level is not None
    assert level.outside == ()
