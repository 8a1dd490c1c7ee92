"""``ichnode export``: what a node holds, de-identified, with what readers said of it, into a data set of the lab."""

import csv
from types import SimpleNamespace

import pytest
from ichnode_training.__main__ import main as lab
from ichnode_training.planes import open_planes
from pydicom import dcmread

from ichnode.core.feedback import Feedback, Label, Truth
from ichnode.core.findings import CLASSES
from ichnode.core.pseudonyms import Pseudonyms
from ichnode.steps import labels
from ichnode.steps.export import _labels
from ichnode.steps.receive import receive_slice
from ichnode.worklist import assembly, audit, feedback, model_tables, schema
from tests.made import answer, claim, finish, rows
from tests.steps.spooled import as_received
from tests.training.layouts import ct_file, plane, save

WORDS = ("KOWALSKI", "PAT-4711", "ACC-8812", "19500203", "SAINTMARY", "1.2.840.55.")


@pytest.fixture
def received(node, tmp_path, capsys):
    """Two studies of one patient that were read, the first with a scout and a slice with text burned in."""
    for study in ("1.2.840.55.1", "1.2.840.55.2"):
        for z in range(30):
            ds = ct_file(study, f"{study}.1", z, plane(z % 10), "Head KOWALSKI 5.0")
            ds.PatientName, ds.PatientID, ds.AccessionNumber = "KOWALSKI^JAN", "PAT-4711", "ACC-8812"
            ds.PatientBirthDate, ds.InstitutionName, ds.StudyDate = "19500203", "SAINTMARY", "20260105"
            if (study, z) == ("1.2.840.55.1", 7):
                ds.BurnedInAnnotation = "YES"
            if z == 29:
                ds.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
            save(ds, tmp_path / "in.dcm")
            assert receive_slice(node, as_received(tmp_path / "in.dcm")) == 0
    with node.worklist.write() as tx:
        for row in assembly.due_series(tx, node.now.forward(60)):
            assert assembly.close(tx, node.now(), row, "test", None, {"could_win": True, "rank": [1.0]})
    for _ in range(2):
        job = claim(node.worklist, node.now)
        assert finish(node.worklist, node.now, job, answer(job, 0.9))
    result = rows(node.worklist, schema.results)[0]["id"]
    uid = rows(node.worklist, schema.results)[0]["outcome"]["order"][3][0]
    with node.worklist.write() as tx:
        feedback.give(tx, node.now(), "ada", result, Feedback(True, (Label("subdural", True, (uid, 1)),)))
    capsys.readouterr()
    return node


def test_what_is_exported_names_nobody_and_teaches_the_lab(received, data, ichnode, tmp_path):
    out = tmp_path / "out"
    done = ichnode("export", "--data", data, "--all", "--descriptors", "--out", out)
    assert done.code == 1 and "left out of study 1: slice 8: The image says that text is burned" in done.err
    assert "Nothing is in the export of" not in done.err
    assert "57 objects of 2 series, 2 lines of labels" in done.out
    files = sorted(out.rglob("*.dcm"))
    assert len(files) == 57, "29 and 29, without the scouts, and one refused"
    assert len({file.parent.parent.name for file in files}) == 1, "one patient"
    for path in (*files, out / "labels.csv"):
        content = path.read_bytes().upper()
        assert not [word for word in WORDS if word.encode() in content or word in str(path.relative_to(out)).upper()]
    with received.worklist.read() as tx:
        entries = [(e["who"], e["what"], e["study_id"], e["detail"]) for e in audit.latest(tx)]
    options = {"options": ["basic", "dates", "descriptors"]}
    assert entries == [(audit.terminal().name, "study.exported", study, options) for study in (2, 1)]
    first = dcmread(files[0])
    assert first.SeriesDescription == "Head 5.0" and first.PatientIdentityRemoved == "YES"
    with (out / "labels.csv").open() as lines:
        scan, one = csv.DictReader(lines)
    assert (scan["any"], scan["subdural"], scan["epidural"], one["subdural"]) == ("1", "1", "", "1")
    into = tmp_path / "planes"
    assert lab(["import", "folder", str(out), "--labels", str(out / "labels.csv"), "--into", str(into)]) == 0
    taught, other = sorted(open_planes(into), key=lambda scan: len(scan.instances))
    assert taught.patient == other.patient
    assert taught.scan_labels[CLASSES.index("subdural")] == 1 and (taught.labels[:, 4] == 1).sum() == 1
    assert taught.labels[3, 4] == 1, "the slice that the reader named"


def test_who_judges_models_here_is_in_the_test_part_elsewhere(received, data, ichnode, tmp_path):
    labels.split(received, labels.gather(received, None))
    with received.worklist.write() as tx:
        tx.execute(model_tables.lab_patients.update().values(part="test"))
    out, into = tmp_path / "out", tmp_path / "planes"
    ichnode("export", "--data", data, "--all", "--out", out)
    with (out / "labels.csv").open() as lines:
        parts = [line["split"] for line in csv.DictReader(lines) if line["split"]]
    assert parts == ["test", "test"], "both studies of the patient"
    assert lab(["import", "folder", str(out), "--labels", str(out / "labels.csv"), "--into", str(into)]) == 0
    assert [scan.split for scan in open_planes(into)] == ["test", "test"]


def test_outcomes_of_reports_are_joined_under_the_new_names(received, data, ichnode, tmp_path):
    out, into, file = tmp_path / "out", tmp_path / "planes", tmp_path / "reports.csv"
    file.write_text(
        "study_instance_uid,accession,any,subdural,epidural\n"
        "1.2.840.55.1,,1,0,1\n"  # the reader saw a subdural there
        "1.2.840.55.2,,0,,\n,ACC-OTHER,1,,\n"
    )
    done = ichnode("export", "--data", data, "--all", "--outcomes", file, "--out", out)
    assert "1 outcomes are of studies of which nothing is in the export." in done.err
    assert "4 lines of labels" in done.out
    text = (out / "labels.csv").read_text()
    assert not [word for word in WORDS if word in text]
    assert lab(["import", "folder", str(out), "--labels", str(out / "labels.csv"), "--into", str(into)]) == 1
    taught, other = sorted(open_planes(into), key=lambda scan: len(scan.instances))
    assert taught.scan_labels[0] == 1 and taught.scan_labels[CLASSES.index("epidural")] == 1
    assert "contradict" in (into / "refused.txt").read_text(), "reader and report, of the subdural"
    assert (other.scan_labels == 0).all() and (other.labels == 0).all(), "nothing on no slice"
    again = ichnode("export", "--data", data, "--outcomes", file, "--out", tmp_path / "later", "1.2.840.55.2")
    later = (tmp_path / "later" / "labels.csv").read_text().splitlines()
    assert "2 outcomes are of studies" in again.err and later[1] in text, "the same names in every export"


def test_an_accession_number_of_two_patients_says_nothing(received, data, ichnode, tmp_path):
    with received.worklist.write() as tx:
        tx.execute(schema.studies.update().where(schema.studies.c.id == 2).values(patient_id="PAT-OTHER"))
    file = tmp_path / "reports.csv"
    file.write_text("accession,any\nACC-8812,1\n")
    done = ichnode("export", "--data", data, "--all", "--outcomes", file, "--out", tmp_path / "out")
    assert "1 outcomes were left out: several patients" in done.err and "2 lines of labels" in done.out


def test_who_is_to_judge_here_is_settled_before_the_labels_leave(received, data, ichnode, tmp_path):
    with received.worklist.write() as tx:
        tx.execute(schema.studies.update().where(schema.studies.c.id == 2).values(patient_id="PAT-OTHER"))
    file = tmp_path / "reports.csv"
    file.write_text("study_instance_uid,any\n1.2.840.55.2,0\n")
    ichnode("export", "--data", data, "--out", tmp_path / "out", "--outcomes", file, "2")
    settled = {row["patient"] for row in rows(received.worklist, model_tables.lab_patients)}
    assert settled == set(labels.gather(received, file).bleeds) and len(settled) == 2


def test_what_was_left_out_is_told_in_a_line_and_counts_for_nothing(received, data, ichnode, tmp_path):
    with received.worklist.read() as tx:
        files = {str(one.file) for one in assembly.filed_slices(tx, 1)}
    for name in files:
        path = received.spool.path(name)
        ds = dcmread(path)
        ds.ManufacturerModelName = "Scanner of Kowalski"
        path.unlink()
        save(ds, path)
    done = ichnode("export", "--data", data, "--all", "--out", tmp_path / "out")
    why = "Something that identifies the patient stands in ManufacturerModelName."
    left_out = [line for line in done.err.splitlines() if why in line]
    assert left_out == [f"left out of study 1: slices 1 to 7, 9 to 29: {why}"]
    assert "29 objects of 1 series, 0 lines of labels" in done.out
    assert "Nothing is in the export of 1 of 2 series." in done.err and done.code == 1


def test_where_nothing_can_be_written_it_says_so(received, data, ichnode, tmp_path):
    (tmp_path / "file").write_text("")
    done = ichnode("export", "--data", data, "--all", "--out", tmp_path / "file" / "out")
    assert done.code == 1 and done.err.splitlines()[-1] == (
        f"{tmp_path / 'file' / 'out'}: Not a directory. Take another --out, or make room."
    )


@pytest.mark.parametrize("option", ["--key", "--outcomes"])
def test_what_has_to_stay_may_not_lie_in_what_leaves(received, data, ichnode, tmp_path, option):
    out = tmp_path / "out"
    out.mkdir()
    (out / "secret").write_text("accession,any\n")
    said = ichnode("export", "--data", data, "--all", "--out", out, option, out / "secret")
    assert said.code == 2 and "lies in the folder that leaves" in said.err and not list(out.rglob("*.dcm"))


def test_a_word_on_a_frame_stays_with_the_frame():
    said = {("1.2.3", 1): {"any": False}, ("1.2.3", 5): {"any": True}}
    word = SimpleNamespace(study_instance_uid="1.2", series_instance_uid="1.2.9", truth=Truth({"any": True}, said))
    pseudonyms = Pseudonyms(b"k" * 32)
    uids = [row.get("sop_instance_uid") for row in _labels(word, pseudonyms)]
    assert uids == [None, pseudonyms.uid("1.2.3"), f"{pseudonyms.uid('1.2.3')}#5"], "as the importer names frames"


def test_the_key_keeps_pseudonyms_and_a_name_in_what_stays_is_refused(received, data, ichnode, tmp_path):
    one, two, three = tmp_path / "1", tmp_path / "2", tmp_path / "3"
    ichnode("export", "--data", data, "--out", one, "2")
    ichnode("export", "--data", data, "--out", two, "1.2.840.55.2")
    ichnode("export", "--data", data, "--out", three, "--key", tmp_path / "other.key", "2")
    names = [sorted(str(path.relative_to(folder)) for path in folder.rglob("*.dcm")) for folder in (one, two, three)]
    assert names[0] == names[1] and not set(names[0]) & set(names[2])
    assert (data / "export.key").stat().st_mode & 0o077 == 0
    (tmp_path / "bad.key").write_text("secret")
    bad = ichnode("export", "--data", data, "--out", one, "--key", tmp_path / "bad.key", "2")
    assert bad.code == 2 and "is no key" in bad.err


@pytest.mark.parametrize(("more", "code", "why"), [((), 2, "--all"), (("77",), 1, "No such study")])
def test_what_to_export_has_to_be_said(received, data, ichnode, tmp_path, more, code, why):
    said = ichnode("export", "--data", data, "--out", tmp_path / "out", *more)
    assert said.code == code and why in said.err
