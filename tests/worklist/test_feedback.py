"""What readers say of results: kept, revised, taken back, read as labels, counted."""

from __future__ import annotations

import pytest

from ichnode.core.feedback import Feedback, Label
from ichnode.core.findings import CLASSES, Verdict
from ichnode.errors import PermanentError
from ichnode.worklist import agreement, feedback, retractions, schema
from tests.made import analysed_series, answer, events, finish, rows, study_facts
from tests.worklist.test_results import next_revision

NONE = dict.fromkeys(CLASSES, False)


def results_of(worklist):
    return [row["id"] for row in rows(worklist, schema.results)]


def say(worklist, clock, result_id, agrees, labels=(), reader="ada", comment=""):
    with worklist.write() as tx:
        return feedback.give(tx, clock.forward(1), reader, result_id, Feedback(agrees, tuple(labels), comment))


def taught(worklist):
    with worklist.read() as tx:
        return list(feedback.taught(tx))


def by_month(worklist):
    with worklist.read() as tx:
        return agreement.by_month(tx)


def a_slice(job, index):
    return job.filed[index].slice.sop_instance_uid, 1


def test_what_is_said_is_kept_with_what_the_model_had_said(worklist, clock):
    job = analysed_series(worklist, clock, score=0.9)
    (result,) = results_of(worklist)
    labels = (Label("subdural", True), Label("any", False, a_slice(job, 1)))
    say(worklist, clock, result, True, labels, comment="Thin, along the falx.")
    with worklist.read() as tx:
        (given,) = feedback.of_study(tx, job.study_id)
    assert given.feedback == Feedback(True, labels, "Thin, along the falx.")
    assert (given.reader, given.given_at, given.superseded_at, given.revision) == ("ada", clock(), None, 1)
    assert [row["called"] for row in rows(worklist, schema.feedback_labels)] == [False, True]
    (note,) = [row for row in rows(worklist, schema.journal) if row["event"] == "feedback.given"]
    assert note["detail"] == {"by": "ada", "result": result, "agrees": True, "labels": 2}, "and not the comment"
    (known,) = taught(worklist)
    assert known.truth.scan == {"any": True, "subdural": True}
    assert known.truth.slices == {a_slice(job, 1): NONE}
    assert (known.verdict, known.model_digest, known.reader) == (Verdict.POSITIVE, "digest", "ada")
    assert known.series_instance_uid == study_facts().series_instance_uid


def test_said_anew_it_supersedes_the_own_word_only_and_the_last_word_teaches(worklist, clock):
    analysed_series(worklist, clock, score=0.9)
    (result,) = results_of(worklist)
    say(worklist, clock, result, True)
    say(worklist, clock, result, False, reader="bob")
    assert [known.truth.scan["any"] for known in taught(worklist)] == [False], "the last word"
    say(worklist, clock, result, True, [Label("epidural", True)])
    assert [known.truth.scan for known in taught(worklist)] == [{"any": True, "epidural": True}]
    kept = [(row["reader"], row["agrees"], row["superseded_at"] is None) for row in rows(worklist, schema.feedback)]
    assert kept == [("ada", True, False), ("bob", False, True), ("ada", True, True)]


def test_taken_back_it_teaches_nothing_and_stays_in_the_history(worklist, clock):
    job = analysed_series(worklist, clock, score=0.9)
    (result,) = results_of(worklist)
    say(worklist, clock, result, False)
    with worklist.write() as tx:
        assert feedback.take_back(tx, clock.forward(1), "ada", result)
        assert not feedback.take_back(tx, clock(), "ada", result), "once"
        assert not feedback.take_back(tx, clock(), "ada", 999)
    assert taught(worklist) == []
    assert by_month(worklist) == []
    with worklist.read() as tx:
        (given,) = feedback.of_study(tx, job.study_id)
    assert given.superseded_at == clock()
    assert events(worklist)[-2:] == ["feedback.given", "feedback.taken_back"]


@pytest.mark.parametrize(
    ("labels", "code"),
    [
        ([Label("subdural", True, ("1.2.3", 1))], "FEEDBACK"),  # a slice of nowhere
        ([Label("any", False)], "FEEDBACK"),  # agrees with a positive
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(worklist, clock, labels, code):
    analysed_series(worklist, clock, score=0.9)
    (result,) = results_of(worklist)
    say(worklist, clock, result, True)
    with pytest.raises(PermanentError) as refused:
        say(worklist, clock, result, True, labels)
    assert refused.value.code == code
    assert len(rows(worklist, schema.feedback)) == 1
    assert rows(worklist, schema.feedback)[0]["superseded_at"] is None
    with pytest.raises(PermanentError, match="no such result"):
        say(worklist, clock, 999, True)


def test_a_series_has_one_label_the_last_and_none_when_it_is_another_patients(worklist, clock):
    first = analysed_series(worklist, clock, score=0.9)
    say(worklist, clock, results_of(worklist)[0], True)
    job = next_revision(worklist, clock, 4)
    assert finish(worklist, clock, job, answer(job, 0.1))
    say(worklist, clock, results_of(worklist)[1], False, reader="bob")
    (known,) = taught(worklist)
    assert (known.verdict, known.truth.scan, known.reader) == (Verdict.NEGATIVE, {"any": True}, "bob")
    with worklist.write() as tx:
        retractions.retract(tx, clock(), [first.series_id], retractions.WRONG_PATIENT, "")
    assert taught(worklist) == []


def test_agreement_counts_the_last_word_by_month_and_model(worklist, clock):
    scores = {"a": 0.9, "b": 0.9, "c": 0.9, "d": 0.1, "e": 0.1, "f": 0.9}
    for name, score in scores.items():
        analysed_series(worklist, clock, study_facts(name), score)
    a, b, c, d, e, _ = results_of(worklist)
    say(worklist, clock, a, True, [Label("subdural", True)])
    say(worklist, clock, b, False)
    say(worklist, clock, c, False)
    say(worklist, clock, c, True, [Label("subdural", False)], reader="bob")
    say(worklist, clock, d, True)
    say(worklist, clock, e, False, [Label("epidural", True), Label("epidural", True, a_slice_of(worklist, e))])
    verdicts, epidural, subdural = by_month(worklist)
    assert (verdicts.month, verdicts.model_digest, verdicts.name) == ("2026-03", "digest", "verdict")
    assert (verdicts.positives, verdicts.confirmed_positives) == (3, 2)
    assert (verdicts.negatives, verdicts.confirmed_negatives) == (2, 1)
    assert (verdicts.agreement, verdicts.ppv, verdicts.npv) == (3 / 5, 2 / 3, 1 / 2)
    assert (epidural.name, epidural.negatives, epidural.confirmed_negatives, epidural.ppv) == ("epidural", 1, 0, None)
    assert (subdural.name, subdural.negatives, subdural.confirmed_negatives) == ("subdural", 2, 1)
    clock.forward(31 * 86400)
    analysed_series(worklist, clock, study_facts("g"), 0.9)
    say(worklist, clock, results_of(worklist)[-1], True)
    assert [(one.month, one.ppv) for one in by_month(worklist) if one.name == "verdict"] == [
        ("2026-03", 2 / 3), ("2026-04", 1.0),
    ]  # fmt: skip


def a_slice_of(worklist, result_id):
    (result,) = rows(worklist, schema.results, id=result_id)
    return tuple(result["outcome"]["order"][0])
