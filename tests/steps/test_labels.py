"""What readers and reports say becomes labels: together, without contradiction, and nobody's name with them."""

from __future__ import annotations

import json

import pytest

from ichnode.core.feedback import Feedback, Label
from ichnode.errors import PermanentError
from ichnode.steps.labels import check_enough, gather, manifest, split
from ichnode.worklist import feedback, model_tables, schema
from tests.made import analysed_series, events, rows, study_facts


@pytest.fixture
def node(make_node, clock):
    """Six answered series of five patients: studies s0 to s5, the last two of one patient."""
    node = make_node(retrain={"test_share": 0.5, "least_positives": 2, "least_negatives": 2})
    for number in range(6):
        facts = study_facts(f"s{number}", patient_id=f"SECRET{min(number, 4)}", accession_number=f"A{number}")
        analysed_series(node.worklist, clock, facts, 0.9 if number < 3 else 0.1)
    return node


def say(node, result_id, agrees, *labels):
    with node.worklist.write() as tx:
        feedback.give(tx, node.now(), "reader", result_id, Feedback(agrees, labels))


def outcomes(tmp_path, text):
    file = tmp_path / "outcomes.csv"
    file.write_text(text)
    return file


def test_readers_and_reports_together(node, tmp_path):
    order = rows(node.worklist, schema.results, id=1)[0]["outcome"]["order"]
    say(node, 1, True, Label("subdural", True, tuple(order[1])))
    say(node, 2, False)
    file = outcomes(tmp_path, "accession,any,epidural\nA0,1,0\nA2,1,1\nA3,0,\nA2,1,\nNOWHERE,1,\n")
    gathered = gather(node, file)
    known = {one.series.series_id: one for one in gathered.labelled}
    assert known[1].scan == {"any": True, "subdural": True, "epidural": False}
    assert known[1].slices == {tuple(order[1]): {"subdural": True, "any": True}}
    assert known[2].scan["any"] is False, "the reader did not agree with the positive"
    assert known[3].scan == {"any": True, "epidural": True}
    assert known[4].scan["any"] is False
    assert (gathered.contradictory, gathered.without_answer) == ((), 1)
    assert sorted(gathered.bleeds.values()) == [False, False, True, True]


def test_what_contradicts_itself_is_left_out_and_named(node, tmp_path):
    say(node, 1, True)
    gathered = gather(node, outcomes(tmp_path, "accession,any\nA0,0\nA1,1\n"))
    assert gathered.contradictory == (1,)
    assert [one.series.series_id for one in gathered.labelled] == [2]


def test_what_does_not_say_whether_there_is_blood_is_no_use(node, tmp_path):
    assert gather(node, outcomes(tmp_path, "accession,any,epidural\nA0,,0\n")).labelled == ()


def test_a_patient_with_several_scans_is_one_and_in_one_part(node, tmp_path):
    gathered = gather(node, outcomes(tmp_path, "accession,any\nA3,0\nA4,0\nA5,1\n"))
    assert len(gathered.labelled) == 3
    assert len({one.patient for one in gathered.labelled}) == len(gathered.bleeds) == 2
    parts = split(node, gathered)
    entries = manifest(node, gathered, parts)["series"]
    assert entries[1]["part"] == entries[2]["part"] == parts[gathered.labelled[1].patient]


def test_the_test_set_stays_when_labels_come(node, tmp_path):
    first = split(node, gather(node, outcomes(tmp_path, "accession,any\nA0,1\nA1,1\nA3,0\n")))
    later = split(node, gather(node, outcomes(tmp_path, "accession,any\nA0,1\nA1,1\nA2,1\nA3,0\nA4,0\n")))
    assert first.items() <= later.items()
    assert {row["patient"]: row["part"] for row in rows(node.worklist, model_tables.lab_patients)} == later
    assert events(node.worklist).count("lab.patients_joined") == 2


def test_the_manifest_has_the_files_in_order_and_nobody_s_identity(node, tmp_path):
    say(node, 1, True, Label("subdural", True, tuple(rows(node.worklist, schema.results)[0]["outcome"]["order"][2])))
    gathered = gather(node, None)
    entry = manifest(node, gathered, split(node, gathered))["series"][0]
    assert len(entry["files"]) == len(entry["positions_mm"]) == 3
    assert entry["positions_mm"] == sorted(entry["positions_mm"])
    assert entry["slices"] == {"2": {"subdural": True, "any": True}}
    text = json.dumps(entry)
    study = rows(node.worklist, schema.studies)[0]
    for secret in ("SECRET", "A0", "DOE", study["study_instance_uid"]):
        assert secret not in text
    assert "SECRET" not in json.dumps(rows(node.worklist, model_tables.lab_patients), default=str)


def test_too_little_is_refused_with_what_there_is(node, tmp_path):
    gathered = gather(node, outcomes(tmp_path, "accession,any\nA0,1\nA3,0\nA4,0\n"))
    with pytest.raises(PermanentError, match=r"of 1 patients with haemorrhage and 2 without; .* needs 2 and 2"):
        check_enough(gathered, 2, 2)
    check_enough(gathered, 1, 2)


def test_a_result_that_does_not_stand_is_no_answer(node, tmp_path):
    with node.worklist.write() as tx:
        tx.execute(schema.results.update().where(schema.results.c.id == 1).values(superseded_at=node.now()))
        tx.execute(schema.series.update().where(schema.series.c.id == 2).values(revision=9))
    gathered = gather(node, outcomes(tmp_path, "accession,any\nA0,1\nA1,1\nA2,1\n"))
    assert [one.series.series_id for one in gathered.labelled] == [3]
    assert gathered.without_answer == 2


def test_a_word_on_slices_that_are_no_longer_all_teaches_nothing(node):
    say(node, 4, True)
    say(node, 5, True)
    with node.worklist.write() as tx:
        tx.execute(schema.series.update().where(schema.series.c.id == 4).values(revision=2))
        result = dict(rows(node.worklist, schema.results, id=4)[0], id=99, revision=2)
        tx.execute(schema.results.update().where(schema.results.c.id == 4).values(superseded_at=node.now()))
        tx.execute(schema.results.insert().values(result))
    gathered = gather(node, None)
    assert [one.series.series_id for one in gathered.labelled] == [5]
    assert gathered.without_answer == 1, "and it is counted"
    say(node, 99, False)
    assert {one.series.series_id: one.scan["any"] for one in gather(node, None).labelled} == {4: True, 5: False}


def test_an_accession_number_of_two_patients_labels_neither_and_names_both(node, tmp_path):
    with node.worklist.write() as tx:
        tx.execute(schema.studies.update().where(schema.studies.c.id == 2).values(accession_number="A0"))
        tx.execute(schema.studies.update().where(schema.studies.c.id == 6).values(accession_number="A4"))
    file = outcomes(tmp_path, "accession,any\nA0,1\nA4,0\n")
    gathered = gather(node, file)
    assert [one.series.series_id for one in gathered.labelled] == [5, 6], "two scans of one patient are no riddle"
    assert (gathered.shared, gathered.without_answer) == ((1, 2), 0)
    uid = rows(node.worklist, schema.studies, id=2)[0]["study_instance_uid"]
    gathered = gather(node, outcomes(tmp_path, f"accession,study_instance_uid,any\nA0,,1\n,{uid},0\n"))
    assert {one.series.series_id: one.scan["any"] for one in gathered.labelled} == {2: False}
