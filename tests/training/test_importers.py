"""The importers on folders of exactly the layouts in which the data sets come."""

import hashlib
import shutil
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ichnode_training.__main__ import main
from ichnode_training.cq500 import read_majority
from ichnode_training.labels import labelled
from ichnode_training.planes import open_planes
from pydicom import dcmread

from ichnode.core.findings import CLASSES

from .layouts import ct_file, labels_csv, plane, save, write_cq500, write_folder, write_rsna


def bring(kind: str, folder: Path, into: Path, *more: str, code: int = 0):
    assert main(["import", kind, str(folder), "--into", str(into), *more]) == code
    return {scan.study: scan for scan in open_planes(into)}


def row(**known):
    return [known.get(name, 0) for name in CLASSES]


def test_rsna_as_the_archive_unpacks(tmp_path, capsys):
    folder, into = tmp_path / "rsna", tmp_path / "planes"
    write_rsna(folder)
    scans = bring("rsna", folder, into, code=1)
    assert set(scans) == {"ID_studyaaa", "ID_studybbb", "ID_studyccc", "ID_studyddd"}
    bleeding, other, wrapped, unlabelled = (scans[f"ID_study{name}"] for name in ("aaa", "bbb", "ccc", "ddd"))
    assert bleeding.instances == ("ID_aaa00", "ID_aaa01", "ID_aaa02", "ID_aaa03"), "from inferior to superior"
    assert [float(np.median(p[25:40, 25:40])) for p in bleeding.hu()] == [30, 31, 32, 33]
    assert bleeding.labels[:, 0].tolist() == [0, 1, 1, 0] and bleeding.labels[1].tolist() == row(any=1, subdural=1)
    assert bleeding.scan_labels.tolist() == row(any=1, subdural=1)
    assert other.hu().shape == (4, 80, 80), "another matrix"
    assert np.isnan(other.labels[3, 0]) and other.labels[3, 1:].tolist() == [0] * 5, "contradiction"
    assert other.labels[0].tolist() == row()
    assert "WRAP_12BIT_REPAIRED" in wrapped.warnings
    assert len(wrapped.instances) == 4, "without the short file"
    np.testing.assert_array_equal(wrapped.hu()[0], plane(0))
    assert np.isnan(unlabelled.labels).all() and unlabelled.description == "stage_2_test"
    assert unlabelled.split == "test" and bleeding.split == other.split != "test"
    said = capsys.readouterr().err
    assert "ID_6431af929.dcm" in said and "ID_bbb03" in said and "4 series imported" in said
    refused = (into / "refused.txt").read_text().splitlines()
    assert len(refused) == 2 and any("ID_6431af929.dcm" in line and "decoded" in line for line in refused)


def test_an_import_again_reads_nothing_and_takes_new_labels(tmp_path, capsys):
    folder, into = tmp_path / "rsna", tmp_path / "planes"
    write_rsna(folder)
    before = bring("rsna", folder, into, code=1)
    for file in folder.glob("*/*.dcm"):  # the same size, no pixels: only the headers' cache and the index are used
        file.write_bytes(b"\0" * file.stat().st_size)
    table = (folder / "stage_2_train.csv").read_text().replace("ID_ccc01_any,0", "ID_ccc01_any,1")
    (folder / "stage_2_train.csv").write_text(table)
    after = bring("rsna", folder, into, code=1)
    assert "0 series imported, 4 were there already" in capsys.readouterr().err
    assert after["ID_studyccc"].scan_labels[0] == 1 and before["ID_studyccc"].scan_labels[0] == 0
    assert {s.patient: s.split for s in before.values()} == {s.patient: s.split for s in after.values()}


def test_killed_and_started_again_it_is_the_same(tmp_path):
    folder, into = tmp_path / "dicom", tmp_path / "planes"
    write_folder(folder, studies=12)
    command = [sys.executable, "-m", "ichnode_training", "import", "folder", str(folder), "--into", str(into)]
    child = subprocess.Popen([*command, "--threads", "1"], stderr=subprocess.DEVNULL)
    index = into / "index.jsonl"
    while not (index.exists() and index.read_bytes().count(b"\n") >= 3):
        with suppress(subprocess.TimeoutExpired):
            child.wait(0.01)
            break
    child.kill()
    child.wait()
    assert len(open_planes(into)) < 12, "it was killed in the middle"
    resumed = bring("folder", folder, into, code=1)
    (tmp_path / "whole").mkdir()
    shutil.copy(into / "patients.key", tmp_path / "whole")  # with the same key the same names
    whole = bring("folder", folder, tmp_path / "whole", code=1)
    assert len(resumed) == 12
    assert open_planes(into).digest == open_planes(tmp_path / "whole").digest
    assert {s: scan.split for s, scan in resumed.items()} == {s: scan.split for s, scan in whole.items()}


def test_cq500_with_its_folders_and_reads(tmp_path, capsys):
    write_cq500(tmp_path / "cq500")
    scans = bring("cq500", tmp_path / "cq500", tmp_path / "planes", code=1)
    assert set(scans) == {"CQ500-CT-66", "CQ500-CT-7"}
    thick, thin = scans["CQ500-CT-66"], scans["CQ500-CT-7"]
    assert thick.description == "CT Plain" and thick.thickness_mm == 5
    assert thick.scan_labels.tolist() == row(any=1, subarachnoid=1), "two of three readers"
    assert np.isnan(thick.labels[:, [0, 3]]).all() and (thick.labels[:, [1, 2, 4, 5]] == 0).all()
    assert thin.description == "CT PLAIN THIN" and thin.scan_labels.tolist() == row() and (thin.labels == 0).all()
    assert thick.split == thin.split == "test"
    said = capsys.readouterr().err
    assert "CQ500-CT-8" in said and "contrast" in said and "CQ500-CT-9" in said and "not here" not in said


def test_cq500_takes_the_next_series_where_the_best_does_not_decode_and_names_who_is_missing(tmp_path, capsys):
    write_cq500(tmp_path / "cq500")
    for number in (7, 8, 9):
        shutil.rmtree(tmp_path / "cq500" / f"CQ500CT{number} CQ500CT{number}")
    for file in (tmp_path / "cq500").glob("*66/*/CT Plain/*.dcm"):
        ds = dcmread(file)
        ds.PixelData = b"\0" * 1000
        ds.save_as(file)
    (scan,) = bring("cq500", tmp_path / "cq500", tmp_path / "planes", code=1).values()
    assert scan.description == "CT PLAIN THIN" and len(scan.instances) == 60
    assert "2 of its studies are not here, CQ500-CT-7 among them" in capsys.readouterr().err


@pytest.mark.data
def test_the_true_reads_have_205_by_majority(test_data):
    rows = np.stack(list(read_majority(test_data / "cq500" / "reads.csv").values()))
    assert len(rows) == 491
    assert rows.sum(axis=0).tolist() == [205, 134, 28, 60, 53, 13]


@pytest.mark.data
def test_ct_ich_as_dicom_is_ct_ich_as_pictures(test_data, ct_ich_dicom, tmp_path):
    labels = tmp_path / "labels.csv"
    lines = (test_data / "ct_ich" / "labels.csv").read_text().splitlines()
    labels.write_text("\n".join(line for line in lines if line.split(",")[0] in ("patient", "50")) + "\n")
    for name in ("brain", "bone", "masks"):
        (tmp_path / "jpeg").mkdir(exist_ok=True)
        (tmp_path / "jpeg" / name).symlink_to(test_data / "ct_ich" / name)
    bring("ct-ich", tmp_path / "jpeg", tmp_path / "a", "--labels", str(labels))
    bring("ct-ich", ct_ich_dicom(50), tmp_path / "b", "--labels", str(labels))
    (one,), (two,) = open_planes(tmp_path / "a"), open_planes(tmp_path / "b")
    assert one.instances == two.instances and (one.hu() == two.hu()).mean() > 0.9999
    np.testing.assert_array_equal(one.labels, two.labels)
    assert one.labels[:, 0].any() and (one.scanner, one.kernel) == (two.scanner, two.kernel)


def test_a_folder_with_labels_of_slices_series_and_studies(tmp_path, capsys):
    folder = tmp_path / "dicom"
    write_folder(folder, studies=4)
    (folder / "notes.txt").write_text("not DICOM")
    table = labels_csv(
        folder / "labels.csv",
        [
            {"study_instance_uid": "1.2.1", "any": "0", "split": "test"},
            {"series_instance_uid": "1.2.2.1", "subdural": "1"},
            {"sop_instance_uid": "1.2.3.1.4", "any": "1", "epidural": "1", "subdural": "0"},
            {"sop_instance_uid": "1.2.3.1.5", "any": "0"},
            {"study_instance_uid": "1.2.9", "any": "1"},
        ],
    )
    scans = bring("folder", folder, tmp_path / "planes", "--labels", str(table), code=1)
    assert set(scans) == {"1.2.1", "1.2.2", "1.2.3", "1.2.4"}
    negative, of_series, of_slices, unknown = (scans[f"1.2.{n}"] for n in (1, 2, 3, 4))
    assert (negative.labels == 0).all() and negative.split == "test"
    assert of_series.scan_labels[0] == of_series.scan_labels[4] == 1 and np.isnan(of_series.labels).all()
    assert of_slices.labels[4, 0] == of_slices.labels[4, 5] == of_slices.scan_labels[0] == 1
    assert (of_slices.labels[5] == 0).all() and np.isnan(of_slices.labels[6]).all()
    assert np.isnan(unknown.scan_labels).all()
    assert "PAT" not in (tmp_path / "planes" / "index.jsonl").read_text(), "of the Patient ID a digest is kept"
    said = capsys.readouterr().err
    assert "notes.txt" in said and "1.2.9" in said and "localizer" in said


def test_labels_of_slices_that_are_nowhere_are_listed_and_a_table_in_the_folder_is_no_image(
    tmp_path, capsys, monkeypatch
):
    folder = tmp_path / "dicom"
    write_folder(folder, studies=1)
    (folder / "s1" / "scout.dcm").unlink()
    lines = [{"sop_instance_uid": name, "any": "0"} for name in ("1.2.1.1.4", "1.2.1.1.77", "1.2.1.1.78")]
    labels_csv(folder / "labels.csv", lines)
    monkeypatch.chdir(tmp_path)
    scans = bring("folder", folder, tmp_path / "planes", "--labels", "dicom/labels.csv", code=1)
    assert scans["1.2.1"].labels[4, 0] == 0
    refused = (tmp_path / "planes" / "refused.txt").read_text()
    assert refused == "labels.csv: 2 labelled slices are in no scan of the data set: 1.2.1.1.77 …\n"


def test_a_patient_is_in_one_part_and_stays_there(tmp_path, capsys):
    folder, into = tmp_path / "dicom", tmp_path / "planes"
    for study in (1, 2):
        for z in range(30):
            uid = f"1.2.{study}"
            save(ct_file(uid, f"{uid}.1", z, plane(z % 10), PatientID="PAT-1"), folder / uid / f"{z}.dcm")

    def parts(*given, code):
        lines = [{"study_instance_uid": study, "split": part} for study, part in given]
        table = str(labels_csv(tmp_path / "labels.csv", lines))
        assert main(["import", "folder", str(folder), "--into", str(into), "--labels", table]) == code
        return capsys.readouterr().err

    assert "study 1.2.1 is given to two parts" in parts(("1.2.1", "train"), ("1.2.1", "test"), code=1)
    assert "the patient of study 1.2.2 is given to two parts" in parts(("1.2.1", "train"), ("1.2.2", "test"), code=1)
    assert "refused" not in parts(("1.2.1", "train"), code=0)
    assert "1 patients keep the part they have" in parts(("1.2.1", "test"), code=1)
    data = open_planes(into)
    (patient,) = data.patients
    assert {one.split for one in data} == {"train"}
    assert patient != hashlib.sha256(b"PAT-1").hexdigest()[:16], "nobody without the key can try whose it is"
    assert (into / "patients.key").stat().st_mode & 0o077 == 0
    (into / "patients.key").unlink()
    assert "import into a new folder" in parts(("1.2.1", "train"), code=1)


def test_a_manifest_says_which_files(tmp_path):
    folder = tmp_path / "dicom"
    write_folder(folder, studies=2)
    lines = [{"file": f"s2/{z}.dcm"} for z in range(30)] + [{"study_instance_uid": "1.2.2", "any": "1"}]
    scans = bring("folder", folder, tmp_path / "planes", "--labels", str(labels_csv(tmp_path / "m.csv", lines)))
    assert list(scans) == ["1.2.2"] and scans["1.2.2"].scan_labels[0] == 1


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ({"any": "1"}, "names nothing"),
        ({"file": "a.dcm", "any": "1"}, "does not say of what"),
        ({"study_instance_uid": "1.2", "any": "yes"}, "1, 0 or empty"),
        ({"study_instance_uid": "1.2", "split": "exam"}, "split is one of"),
    ],
)
def test_a_table_that_is_wrong_is_refused_with_its_line(tmp_path, capsys, line, why):
    table = labels_csv(tmp_path / "labels.csv", [line])
    assert main(["import", "folder", str(tmp_path), "--into", str(tmp_path / "p"), "--labels", str(table)]) == 1
    said = capsys.readouterr().err
    assert why in said and "labels.csv:2" in said


@pytest.mark.parametrize("kind", ["rsna", "cq500", "ct-ich"])
def test_another_folder_is_refused(tmp_path, capsys, kind):
    assert main(["import", kind, str(tmp_path), "--into", str(tmp_path / "p")]) == 1
    assert capsys.readouterr().err.strip().count("\n") <= 1


def test_a_slice_that_repeats_a_place_lends_its_label(tmp_path):
    write_folder(tmp_path / "dicom", studies=1)
    (scan,) = bring("folder", tmp_path / "dicom", tmp_path / "planes", code=1).values()
    twice = replace(scan, duplicates=(("again", 2),))
    known = {"again": np.array(row(any=1), np.float32)}
    assert labelled(twice, known).labels[2].tolist() == row(any=1)
