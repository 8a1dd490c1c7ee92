"""``make demo``, as a person would run it, on smaller slices."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pydicom
import pytest


def run_demo(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ichnode_training.demo", "--folder", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)


def processes_that_know(folder: Path) -> list[psutil.Process]:
    return [p for p in psutil.process_iter(["cmdline"]) if any(str(folder) in part for part in p.info["cmdline"] or ())]


@pytest.mark.slow
def test_the_demo_answers_both_heads_and_leaves_nothing_running(tmp_path):
    folder = tmp_path / "demo"
    done = run_demo(folder, "--matrix", "128")
    assert done.returncode == 0, done.stdout + done.stderr
    reports = [pydicom.dcmread(path) for path in (folder / "pacs").glob("*.dcm")]
    answered = {r.AccessionNumber for r in reports if r.Modality == "SR"}
    assert answered == {"DEMO0001", "DEMO0002"}
    for phrase in ("Structured Report on with-bleed", "DEMO0002", "A phantom is not a patient", "not for diagnosis"):
        assert phrase in done.stdout
    for name in ("with-bleed", "without-bleed"):
        assert f"{name}: made with" in done.stdout
    assert len(list((folder / "heads" / "with-bleed").glob("*.dcm"))) == 32
    assert processes_that_know(folder) == []


def test_the_demo_fails_when_no_report_comes(tmp_path):
    folder = tmp_path / "demo"
    done = run_demo(folder, "--matrix", "64", "--timeout", "1")
    assert done.returncode == 1
    assert "2 of 2 reports did not come" in done.stderr
    assert processes_that_know(folder) == []


def test_the_demo_touches_no_folder_of_somebody_else(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    done = run_demo(tmp_path)
    assert done.returncode == 1
    assert "choose another --folder" in done.stderr
    assert (tmp_path / "thesis.txt").read_text() == "mine"
