"""What people see: the order of the studies, and all that is known of one."""

from __future__ import annotations

import json

import pytest

from ichnode.core.findings import Warned
from ichnode.worklist import assembly, deliveries, jobs, readings, triage_list, views
from tests.made import (
    analysed_series,
    answer,
    claim,
    closed_series,
    finish,
    head_slices,
    not_analysed,
    series_row,
    study_facts,
    take,
)

REASON = Warned("NOT_HEAD", "The series does not show a head.")


def page(worklist, **options):
    with worklist.read() as tx:
        return triage_list.page(tx, **options)


def ignored(worklist, clock, facts, report=False):
    take(worklist, head_slices(2, seed=facts.series_instance_uid), clock(), facts)
    with worklist.write() as tx:
        assert assembly.ignore(tx, clock(), series_row(worklist, facts), "x", REASON, {}, report)


@pytest.fixture
def filled(worklist, clock):
    """One study of each kind, in the order opposite to that of the worklist."""
    analysed_series(worklist, clock, study_facts("negative"), 0.1)
    clock.forward(60)
    ignored(worklist, clock, study_facts("not analysed"))
    clock.forward(60)
    take(worklist, head_slices(5, seed="pending"), clock(), study_facts("pending"))
    clock.forward(60)
    closed_series(worklist, clock, study_facts("failed"))
    job = claim(worklist, clock)
    with worklist.write() as tx:
        jobs.fail(tx, clock(), job, "broken", Warned("ANALYSIS_FAILED", "It failed."))
    job = claim(worklist, clock, "report")
    assert finish(worklist, clock, job, not_analysed(job))
    clock.forward(60)
    analysed_series(worklist, clock, study_facts("positive"), 0.9)
    clock.forward(60)
    return worklist


def names(worklist, **options):
    return [row["accession_number"].removeprefix("A-") for row in page(worklist, **options)]


def test_the_most_urgent_first(filled):
    assert names(filled) == ["positive", "failed", "pending", "not analysed", "negative"]
    assert [row["verdict"] for row in page(filled)] == [
        "positive", "not_analysed", "pending", "not_analysed", "negative",
    ]  # fmt: skip
    assert [row["failed"] for row in page(filled)] == [False, True, False, False, False]
    assert [row["any_score"] for row in page(filled)] == [0.9, None, None, None, 0.1]


def test_what_waits_for_somebody_stands_the_higher_the_longer_and_of_the_rest_the_newest_comes_first(worklist, clock):
    for name, score in (("a", 0.9), ("b", 0.9), ("c", 0.1), ("d", 0.1), ("e", 0.95)):
        analysed_series(worklist, clock, study_facts(name), score)
        clock.forward(1)
    assert names(worklist) == ["e", "a", "b", "d", "c"]


def test_what_was_read_goes_below_everything_that_was_not(filled, clock):
    top = page(filled)[0]["id"]
    with filled.write() as tx:
        readings.sign_off(tx, clock(), "ada", top, readings.latest_result(tx, top))
    assert names(filled) == ["failed", "pending", "not analysed", "negative", "positive"]
    assert page(filled)[-1]["read_by"] == "ada"


def test_page_by_page(filled):
    first = page(filled, most=2)
    assert [line["accession_number"] for line in first] == ["A-positive", "A-failed"]
    second = page(filled, most=2, after=triage_list.key_of(first[-1]))
    assert [line["accession_number"] for line in second] == ["A-pending", "A-not analysed"]
    assert page(filled, most=2, before=triage_list.key_of(second[0])) == first


def test_a_line_says_what_a_person_needs(filled, clock):
    line = page(filled)[0]
    assert line["study_instance_uid"] == study_facts("positive").study_instance_uid
    assert (line["patient_id"], line["patient_name"], line["series"], line["slices"]) == ("P1", "DOE^JANE", 1, 3)
    assert line["deliveries"] == {"pending": 1}
    assert line["preliminary"] is False
    assert json.dumps(page(filled))


def test_a_study_is_one_line_whatever_it_holds(worklist, clock):
    facts = study_facts("big", "read")
    analysed_series(worklist, clock, facts, 0.1, destinations=["pacs", "archive"])
    take(worklist, head_slices(4, seed=facts.series_instance_uid)[3:], clock.forward(60), facts)
    with worklist.write() as tx:
        assert assembly.close(tx, clock(), series_row(worklist, facts), "x", None, {})
    job = claim(worklist, clock)
    assert finish(worklist, clock, job, answer(job, 0.2), ["pacs", "archive"])
    ignored(worklist, clock, study_facts("big", "localizer"))
    ignored(worklist, clock, study_facts("big", "bone"))
    (line,) = page(worklist)
    assert (line["series"], line["slices"], line["verdict"], line["any_score"]) == (3, 4 + 2 + 2, "negative", 0.2)
    assert line["deliveries"] == {"pending": 2}


def test_a_positive_study_that_gets_more_slices_stays_on_top(worklist, clock):
    facts = study_facts("positive")
    analysed_series(worklist, clock, facts, 0.9)
    take(worklist, head_slices(4, seed=facts.series_instance_uid)[3:], clock.forward(60), facts)
    assert page(worklist)[0]["verdict"] == "positive"


def test_a_preliminary_result_is_marked(worklist, clock):
    closed_series(worklist, clock, missing="2 slices")
    job = claim(worklist, clock)
    assert finish(worklist, clock, job, answer(job))
    assert page(worklist)[0]["preliminary"] is True


def test_a_delivery_that_failed_lifts_its_study(worklist, clock):
    analysed_series(worklist, clock, study_facts("fine"), 0.1)
    clock.forward(-60)
    analysed_series(worklist, clock, study_facts("stuck"), 0.1)
    with worklist.write() as tx:
        for delivery in deliveries.claim_deliveries(tx, clock.forward(120), "pacs", "boot"):
            if delivery.series_id == series_row_id(worklist, "stuck"):
                deliveries.refused(tx, clock(), delivery, 0xA900, "refused")
            else:
                deliveries.accepted(tx, clock(), delivery, 0)
    assert names(worklist) == ["stuck", "fine"]
    assert page(worklist)[0]["failed"] is True


def series_row_id(worklist, name):
    return series_row(worklist, study_facts(name)).id


def test_a_study_is_found_by_number_uid_or_accession(filled):
    facts = study_facts("positive")
    with filled.read() as tx:
        (number,) = views.find_study(tx, "A-positive")
        for text in (str(number), facts.study_instance_uid, facts.series_instance_uid):
            assert views.find_study(tx, text) == [number]
        assert views.find_study(tx, "999") == []
        assert views.find_study(tx, "9" * 30) == []


def test_no_text_names_no_study(worklist, clock):
    take(worklist, head_slices(1), clock(), study_facts(accession_number=""))
    with worklist.read() as tx:
        assert views.find_study(tx, "") == []


def test_an_accession_number_that_looks_like_a_number_is_one_of_both(worklist, clock):
    take(worklist, head_slices(1, seed="1"), clock(), study_facts("first"))
    take(worklist, head_slices(1, seed="2"), clock(), study_facts("second", accession_number="1"))
    with worklist.read() as tx:
        assert len(views.find_study(tx, "1")) == 1
        (found,) = views.find_study(tx, "1")
        assert views.study(tx, found)["accession_number"] == "1"


def test_one_study_with_everything(filled, clock):
    with filled.read() as tx:
        (number,) = views.find_study(tx, "A-failed")
        study = views.study(tx, number)
    (series,) = study["series"]
    assert [job["kind"] for job in series["jobs"]] == ["analyse", "report"]
    assert series["jobs"][0]["error"] == "broken"
    (result,) = series["results"]
    assert result["outcome"]["reason"]["code"] == "ANALYSIS_FAILED"
    (report,) = result["reports"]
    assert [d["state"] for d in report["deliveries"]] == ["pending"]
    happened = [line["event"] for line in study["journal"]]
    assert happened == [
        "study.opened", "series.opened", "series.closed", "job.claimed", "job.failed", "job.claimed", "result.made",
    ]  # fmt: skip
    assert all(line["at"].endswith("+00:00") for line in study["journal"])
    assert json.dumps(study)


def test_counts(filled):
    with filled.read() as tx:
        assert views.counts(tx) == {
            "series.closed": 3, "series.ignored": 1, "series.receiving": 1, "jobs.done": 3, "jobs.failed": 1,
            "deliveries.pending": 3,
        }  # fmt: skip


def test_series_of_studies(filled):
    with filled.read() as tx:
        number = views.find_study(tx, "A-positive")
        assert views.series_ids(tx, number) == [series_row_id(filled, "positive")]
