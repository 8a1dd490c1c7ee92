"""Figures against the plain way to compute them, and the command on generated data sets in their true layout."""

import base64
import csv
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from ichnode_training.__main__ import main
from ichnode_training.assessment import Judged, assess
from ichnode_training.commands.evaluate import _flattered
from ichnode_training.evaluation import auc
from ichnode_training.figures import Draws, Samples, mean, row_losses, weighted_log_loss
from ichnode_training.planes import Scan, open_planes
from ichnode_training.protocol import PROTOCOLS
from ichnode_training.publish import parts_of
from ichnode_training.report_page import page
from ichnode_training.subgroups import LEAST_PATIENTS
from ichnode_training.submission import write_submission
from ichnode_training.worst import worst
from PIL import Image

from ichnode.core.findings import CLASSES
from tests.bundles import write_tiny_bundle

from .heads_for_tests import imported, write_ct_ich
from .layouts import plane, rsna_file, save, write_cq500, write_rsna
from .small_data import write_data

HALF = dict.fromkeys(CLASSES, 0.5)
RNG = np.random.default_rng(0)


def samples(count=300, ties=True):
    truth = RNG.random(count) < 0.3
    scores = np.clip(0.4 * truth + RNG.random(count) * 0.6, 0, 1)
    return Samples(truth, np.round(scores, 2) if ties else scores)


@pytest.mark.parametrize("ties", [True, False])
def test_a_weight_is_as_many_copies(ties):
    one = samples(ties=ties)
    counts = RNG.integers(0, 4, len(one.truth))
    many = Samples(np.repeat(one.truth, counts), np.repeat(one.scores, counts))
    whole = np.ones(len(many.truth))
    assert one.auc(counts.astype(float)) == pytest.approx(auc(many.truth, many.scores))
    for figure in ("sensitivity", "specificity"):
        assert getattr(one, figure)(0.4)(counts) == pytest.approx(getattr(many, figure)(0.4)(whole))
    assert one.calibration_error(counts.astype(float)) == pytest.approx(many.calibration_error(whole))
    said = many.scores >= 0.4
    assert many.sensitivity(0.4)(whole) == pytest.approx(said[many.truth].mean())
    assert many.confusion(0.4)["false_positive"] == (said & ~many.truth).sum()
    false, true = one.roc()
    assert np.trapezoid(true, false) == pytest.approx(one.auc(np.ones(len(one.truth))))


def test_calibration_error_is_none_for_what_is_calibrated_and_the_distance_for_what_is_not():
    scores = np.repeat([0.05, 0.55, 0.95], 2000)
    calibrated = Samples(RNG.random(6000) < scores, scores)
    assert calibrated.calibration_error(np.ones(6000)) < 0.02
    assert Samples(np.zeros(6000, bool), scores).calibration_error(np.ones(6000)) == pytest.approx(scores.mean())
    assert [count for _, _, count in calibrated.reliability()] == [2000] * 3


def test_the_loss_is_the_competitions():
    truth = np.array([[1, 0, 0, 1, 0, 0]], np.float32)
    scores = np.array([[0.9, 0.2, 0.1, 0.7, 0.3, 0.05]], np.float32)
    right = np.where(truth == 1, scores, 1 - scores).astype(float)[0]
    weights = [2, 1, 1, 1, 1, 1]
    expected = -sum(w * np.log(p) for w, p in zip(weights, right, strict=True)) / 7
    assert row_losses(truth, scores)[0][0] == pytest.approx(expected)
    half = np.full((5, 6), 0.5, np.float32)
    assert mean(row_losses(np.zeros((5, 6)), half)[0])(np.ones(5)) == pytest.approx(np.log(2))
    assert np.isfinite(row_losses(truth, np.zeros((1, 6)))[0])


def test_of_a_slice_whose_labels_are_known_in_part_the_known_ones_count():
    truth = np.array([[1, np.nan, np.nan, np.nan, np.nan, 0], [0, 0, 0, 0, 0, 0], [np.nan] * 6], np.float32)
    scores = np.array([[0.8, 0.1, 0.1, 0.1, 0.1, 0.4], [0.5] * 6, [0.9] * 6], np.float32)
    losses, known = row_losses(truth, scores)
    assert losses[0] == pytest.approx(-(2 * np.log(0.8) + np.log(0.6)) / 3, rel=1e-6)
    assert known == pytest.approx([3 / 7, 1, 0])
    together = -(2 * np.log(0.8) + np.log(0.6) + 7 * np.log(0.5)) / 10
    assert weighted_log_loss(truth, scores) == pytest.approx(together, rel=1e-6)
    assert np.isnan(weighted_log_loss(truth[2:], scores[2:]))


def test_intervals_are_over_patients():
    patients = [str(i // 20) for i in range(400)]
    values = np.repeat(RNG.random(20), 20)
    draws = Draws.of(patients, 500)
    assert draws.counts.sum(axis=1).tolist() == [20] * 500
    wide = draws.interval(mean(values))
    narrow = Draws.of([str(i) for i in range(400)], 500).interval(mean(values))
    assert wide.low < wide.value < wide.high
    assert (wide.high - wide.low) > 3 * (narrow.high - narrow.low), "slices of one patient are no new patients"
    assert wide == Draws.of(patients, 500).interval(mean(values))


def judged(patient, positive, score, **facts):
    labels = np.zeros((3, 6), np.float32)
    labels[1, [0, 4]] = positive
    scores = np.full((3, 6), 0.1, np.float32)
    scores[1] = score
    scan = Scan(patient, patient, patient, ("a", "b", "c"), (1.0, 1.0), np.arange(3.0), labels, labels[1], **facts)
    return Judged(scan, scores)


def test_subgroups_hold_what_belongs_to_them():
    volume = np.full(6, np.nan, np.float32)
    volume[[0, 4]] = 3
    thick = {"thickness_mm": 5.0, "kernel": "STANDARD", "manufacturer": "GE", "model": "A"}
    thin = {"thickness_mm": 1.0, "kernel": "BONE", "manufacturer": "GE", "model": "A"}
    those = [
        one
        for n in range(LEAST_PATIENTS)
        for one in (
            judged(f"small{n}", 1, 0.9, lesion_ml=volume, **thick),
            judged(f"large{n}", 1, 0.2, lesion_ml=volume * 10, **thin),
            judged(f"well{n}", 0, 0.3, **thick),
            judged(f"elsewhere{n}", 0, 0.7, manufacturer="Siemens", model="B"),
        )
    ]
    figures = assess(those, HALF, rounds=50)
    groups = {(row["class"], row["level"], row["kind"], row["name"]): row for row in figures["subgroups"]}
    many = LEAST_PATIENTS
    assert groups["any", "scan", "thickness", "4 to 6 mm"]["scans"] == 2 * many
    assert groups["any", "scan", "thickness", "unknown"]["scans"] == many
    bone = groups["any", "scan", "kernel", "bone"]
    assert bone["positive"] == many and bone["auc"] is None and bone["sensitivity"]["value"] == 0
    assert groups["any", "scan", "scanner", "GE A"]["specificity"]["value"] == 1
    assert groups["any", "scan", "scanner", "Siemens B"]["sensitivity"] is None
    small, large = ("lesion volume", "under 5 mL"), ("lesion volume", "25 mL and more")
    for name in ("any", "subdural"):
        assert groups[name, "scan", *small]["auc"]["value"] == 1, "against all that are negative"
        assert groups[name, "scan", *large]["auc"]["value"] == 0
        assert groups[name, "scan", *small]["specificity"] is None
        slices = groups[name, "slice", *large]
        assert (slices["scans"], slices["positive"], slices["known"]) == (many, many, many * (1 + 2 + 2 + 3 + 3))
        ahead = (many * (2 + 2 + 2 + 2)) / (many * (2 + 2 + 3 + 3))  # of the negative slices, those at 0.1
        assert slices["auc"]["value"] == pytest.approx(ahead) and slices["sensitivity"]["value"] == 0
    assert not [key for key in groups if key[0] == "epidural"], "nobody bears it: there is nothing to say"
    assert not [key for key in groups if key[0] == "subdural" and key[3] == "Siemens B"]
    fewer = assess([one for one in those if one.scan.patient != "small0"], HALF, rounds=10)["subgroups"]
    kept = {(row["class"], row["level"], row["kind"], row["name"]): row for row in fewer}
    assert kept["any", "scan", *small]["positive"] == many - 1 and kept["any", "scan", *small]["auc"] is None
    assert ("subdural", "scan", *small) not in kept and ("any", "slice", *small) not in kept, "silence below the least"
    assert figures["scan"]["any"]["confusion"] == {
        "true_positive": many, "false_negative": many, "false_positive": many, "true_negative": many,
    }  # fmt: skip
    assert figures["slice"]["any"]["positive"] == 2 * many and figures["scan"]["epidural"]["auc"] is None
    json.dumps(figures, allow_nan=False)
    html = page({}, figures, PROTOCOLS["own"], [])
    assert "<h3>subdural, by slice</h3>" in html and "epidural, by" not in html


def test_unknown_labels_take_no_part():
    one, two = judged("1", 1, 0.9), judged("2", 0, 0.2)
    two.scan.labels[2] = np.nan
    figures = assess([one, two], HALF, rounds=10)
    assert figures["slice"]["any"]["known"] == 5
    expected = row_losses(np.concatenate([one.scan.labels, two.scan.labels[:2]]),
                          np.concatenate([one.scores, two.scores[:2]]))[0].mean()  # fmt: skip
    assert figures["log_loss"]["value"] == pytest.approx(expected, abs=1e-5)


def test_a_slice_at_anothers_place_is_in_the_submission(tmp_path):
    one = judged("1", 1, 0.9, duplicates=(("twin", 1),))
    images, prior = {"a", "b", "c", "twin", "lost"}, np.full(6, 0.125, np.float32)
    assert write_submission(tmp_path / "s.csv", [one], images, prior) == ("lost",)
    with (tmp_path / "s.csv").open() as lines:
        rows = {row["ID"]: float(row["Label"]) for row in csv.DictReader(lines)}
    assert len(rows) == 30 and rows["lost_any"] == 0.125
    assert rows["twin_any"] == rows["b_any"] == pytest.approx(0.9)


def evaluate(data: Path, into: Path, bundle: Path, *more: str) -> int:
    threads = str(torch.get_num_threads())
    return main(["evaluate", str(data), "--into", str(into), "--bundle", str(bundle), "--device", "cpu",
                 "--threads", threads, "--rounds", "20", *more])  # fmt: skip


@pytest.fixture
def bundle(tmp_path):
    return write_tiny_bundle(tmp_path / "bundle").folder


def test_table_1_and_the_submission_on_the_layout_of_rsna(tmp_path, bundle, capsys):
    write_rsna(tmp_path / "rsna")
    assert (
        main(["import", "rsna", str(tmp_path / "rsna"), "--into", str(tmp_path / "p"), "--split", "0", "1", "0"]) == 1
    )
    report = tmp_path / "report"
    assert evaluate(tmp_path / "p", report, bundle, "--protocol", "rsna", "--part", "validation") == 0
    said = capsys.readouterr()
    assert "0.05218" in said.out and "this model" in said.out
    figures = json.loads((report / "evaluation.json").read_text())
    (wanted,) = re.findall(r"this model\s*│\s*([0-9.]+)", said.out)
    assert figures["log_loss"]["value"] == pytest.approx(float(wanted), abs=1e-5)
    assert figures["scans"] == 3 and figures["slice"]["any"]["known"] == 11, "one label contradicts itself"
    html = (report / "report.html").read_text()
    assert "<svg" in html and "data:image/png;base64," in html
    assert not re.search(r"(src|href)=\"(?!data:)|https?://|<script", html), "nothing is fetched"
    assert evaluate(tmp_path / "p", tmp_path / "test", bundle, "--protocol", "rsna", "--part", "test") == 0
    lines = (tmp_path / "test" / "submission.csv").read_text().splitlines()
    assert lines[0] == "ID,Label" and len(lines) == 1 + 4 * 6 and lines[1].startswith("ID_ddd00_any,0.")


def test_the_submission_is_of_all_test_images_and_of_no_other(tmp_path, bundle, capsys):
    folder, data = tmp_path / "rsna", tmp_path / "p"
    write_rsna(folder)
    later = folder / "stage_2_test"
    later.rename(tmp_path / "later")
    split = ("--split", "0", "1", "0")
    assert main(["import", "rsna", str(folder), "--into", str(data), *split]) == 1
    (tmp_path / "later").rename(later)  # unpacked only now: its patients in both folders have a part already
    for number in range(4):
        hu = plane(number)
        save(
            rsna_file(f"ID_eee{number:02d}", "ID_p1", "ID_studyeee", 10 + 5.0 * number, hu),
            later / f"ID_eee{number:02d}.dcm",
        )
    save(rsna_file("ID_eee04", "ID_p1", "ID_studyeee", 30, hu, PixelData=b"\0" * 1000), later / "ID_eee04.dcm")
    (later / "ID_eee05.dcm").write_bytes(b"no DICOM")
    assert main(["import", "rsna", str(folder), "--into", str(data), *split]) == 1
    assert {s.split for s in open_planes(data) if s.patient == "ID_p1"} == {"validation"}
    capsys.readouterr()
    assert evaluate(data, tmp_path / "test", bundle, "--protocol", "rsna", "--part", "test") == 0
    said = capsys.readouterr().err
    assert "10 images" in said and "2 of them could not be read, ID_eee04 among them" in said and "any 0.18" in said
    with (tmp_path / "test" / "submission.csv").open() as lines:
        rows = {line["ID"]: float(line["Label"]) for line in csv.DictReader(lines)}
    assert {name.rpartition("_")[0] for name in rows} == {
        *(f"ID_ddd{n:02d}" for n in range(4)), *(f"ID_eee{n:02d}" for n in range(6)),
    }  # fmt: skip
    assert rows["ID_eee04_any"] == rows["ID_eee05_any"] == pytest.approx(2 / 11)


def test_who_is_in_both_folders_counts_in_no_figure_of_the_test(tmp_path, bundle, capsys):
    folder, data = tmp_path / "rsna", tmp_path / "p"
    write_rsna(folder)
    for number in range(4):
        save(
            rsna_file(f"ID_eee{number:02d}", "ID_p1", "ID_studyeee", 10 + 5.0 * number, plane(number)),
            folder / "stage_2_test" / f"ID_eee{number:02d}.dcm",
        )
    assert main(["import", "rsna", str(folder), "--into", str(data), "--split", "0", "1", "0"]) == 1
    assert {s.split for s in open_planes(data) if s.patient == "ID_p1"} == {"test"}
    assert evaluate(data, tmp_path / "test", bundle, "--protocol", "rsna", "--part", "test") == 0
    assert "nothing to judge" in capsys.readouterr().err
    assert len((tmp_path / "test" / "submission.csv").read_text().splitlines()) == 1 + 8 * 6


def test_table_2_on_the_layout_of_cq500_as_the_node_starts_it(tmp_path, bundle):
    write_cq500(tmp_path / "cq500")
    assert main(["import", "cq500", str(tmp_path / "cq500"), "--into", str(tmp_path / "p")]) == 1
    command = [sys.executable, "-m", "ichnode", "evaluate", "--protocol", "cq500", "--into", str(tmp_path / "report"),
               "--bundle", str(bundle), "--device", "cpu", "--threads", "1", "--rounds", "20",
               str(tmp_path / "p")]  # fmt: skip
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    assert "Chilamkurthy" in done.stdout and "0.961" in done.stdout
    figures = json.loads((tmp_path / "report" / "evaluation.json").read_text())
    assert figures["scan"]["any"]["auc"]["value"] in (0.0, 0.5, 1.0)
    assert figures["log_loss"] is None and figures["slice"]["any"]["known"] == 0, "no bleeding slice is labelled"
    wrong = [*command[:5], "rsna", *command[6:]]
    refused = subprocess.run(wrong, check=False, capture_output=True, text=True, timeout=200)
    assert refused.returncode == 1 and "is about RSNA" in refused.stderr and "Traceback" not in refused.stderr


def test_scores_are_kept_and_the_worst_are_shown(tmp_path, bundle, capsys):
    write_ct_ich(tmp_path, tuple((p, n, int(p % 2 and n == 2)) for p in (1, 2, 3, 4) for n in (1, 2, 3)))
    data = imported(tmp_path)
    assert evaluate(tmp_path / "planes", tmp_path / "r", bundle) == 0
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "r" / "scores").rglob("*.f32")}
    assert len(kept) == 1, "all four are the same picture"
    first = (tmp_path / "r" / "evaluation.json").read_text()
    assert evaluate(tmp_path / "planes", tmp_path / "r", bundle) == 0
    assert (
        kept == {path: path.stat().st_mtime_ns for path in kept}
        and first == (tmp_path / "r/evaluation.json").read_text()
    )
    those = [Judged(scan, np.full((3, 6), 0.1 * i, np.float32)) for i, scan in enumerate(data)]
    shown = list(worst(those))
    assert [(w.positive, w.scan, w.slice) for w in shown] == [
        (True, "1", 2),
        (True, "3", 2),
        (False, "4", 1),
        (False, "2", 1),
    ]
    assert shown[0].why_this == "most outlined"
    coloured = [_coloured(one.png) for one in shown]
    assert coloured[0] > 50 and coloured[2:] == [0, 0], "the rim of what is outlined, and nothing else"
    assert evaluate(tmp_path, tmp_path / "r", bundle) == 1 and "no data set" in capsys.readouterr().err


def _coloured(png):
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(png))), np.int16)
    return int((picture[..., 0] - picture[..., 2] > 100).sum())


def test_open_data_must_fit(tmp_path, bundle, capsys):
    write_ct_ich(tmp_path, ((1, 1, 0), (2, 1, 1)))
    imported(tmp_path)
    assert evaluate(tmp_path / "planes", tmp_path / "r", bundle, "--part", "validation") == 1
    assert "no scan in the part validation" in capsys.readouterr().err
    assert len(open_planes(tmp_path / "planes").of("train")) == 2


def test_a_report_says_what_flatters_a_model_and_not_that_its_test_part_does(tmp_path):
    data = write_data(tmp_path / "data", patients=8, slices=3)
    split = json.loads(json.dumps(parts_of(data)))
    card = {"training_data": [{"name": "discs"}], "provenance": {"split": split}}
    assert _flattered(card, data, "test") is None
    assert "were chosen" in _flattered(card, data, "validation")
    assert "has seen in training" in _flattered(card, data, "train")
    assert "has seen in training" in _flattered(card, data, "all")
    split["train"]["digest"] = "of another split"
    assert "has seen in training" in _flattered(card, data, "test")
    assert _flattered({"training_data": [{"name": "other"}]}, data, "train") is None
