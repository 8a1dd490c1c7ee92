"""The lab's child process, with small programs in its place: told, timed, ended with all that it started."""

from __future__ import annotations

import importlib.metadata
import sys
import threading

import psutil
import pytest

from ichnode.errors import PermanentError
from ichnode.steps.lab_process import alone, check_lab, paced, run_lab
from tests.peers import wait_until


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """``lab(program, timeout_s=…)`` → what it told; `program` runs in the lab's place."""
    real = sys.executable

    def run(program, timeout_s=300.0, stopping=None):
        file = tmp_path / "lab.py"
        file.write_text(program)
        python = tmp_path / "python"
        python.write_text(f'#!/bin/sh\nexec "{real}" "{file}" "$@"\n')
        python.chmod(0o700)
        monkeypatch.setattr(sys, "executable", str(python))
        told = []
        run_lab("retrain", tmp_path, timeout_s, 1, lambda *given: told.append(given), stopping or threading.Event())
        return told

    return run


HANGS = """
import subprocess, sys, pathlib
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
pathlib.Path(sys.argv[-1], "pid").write_text(str(child.pid))
child.wait()
"""


def test_progress_is_told_and_other_lines_are_not(lab):
    told = lab('print("noise"); print(\'{"stage": "training", "done": 1, "of": 2}\'); print("[1]")')
    assert told == [("training", 1, 2)]


@pytest.mark.parametrize(("every_s", "told"), [(0.0, [1, 2, 3, 1]), (3600.0, [1, 3, 1])])
def test_a_long_stage_is_told_of_again(every_s, told):
    said = []
    tell = paced(lambda stage, done, of: said.append(done), every_s)
    for stage, done in (("features", 1), ("features", 2), ("features", 3), ("training", 1)):
        tell(stage, done, 3)
    assert said == told


def test_it_gets_the_folder_and_the_threads(lab, tmp_path):
    lab("import os, sys; open('/dev/stderr', 'w').write(' '.join(sys.argv[1:]) + os.environ['OMP_NUM_THREADS'])")
    assert (tmp_path / "log.txt").read_text() == f"-m ichnode_training retrain {tmp_path}1"


def test_its_own_sentence_is_the_error(lab):
    with pytest.raises(PermanentError, match=r"^The run of the lab failed. Only 2 patients bleed.$"):
        lab('print(\'{"error": "Only 2 patients bleed."}\'); raise SystemExit(1)')


def test_without_a_sentence_the_log_is_named(lab, tmp_path):
    with pytest.raises(PermanentError, match=r"It ended with code 1; .*log.txt has its last words"):
        lab("raise RuntimeError('deep inside')")
    assert "deep inside" in (tmp_path / "log.txt").read_text()


def test_after_its_time_it_is_ended_with_all_that_it_started(lab, tmp_path):
    file = tmp_path / "pid"
    for timeout_s in (2.0, 20.0, 200.0):
        with pytest.raises(PermanentError, match=rf"longer than retrain.timeout_s \({timeout_s:g} s\)"):
            lab(HANGS, timeout_s=timeout_s)
        if file.exists() and file.read_text():
            break  # else this machine was too slow to let it start anything
    pid = int(file.read_text())
    wait_until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE, 10)


def test_when_the_node_stops_it_ends(lab, tmp_path):
    stopping = threading.Event()

    def stop():
        wait_until((tmp_path / "pid").exists, 20)
        stopping.set()

    thread = threading.Thread(target=stop)
    thread.start()
    with pytest.raises(PermanentError, match="because the node stops"):
        lab(HANGS, timeout_s=500.0, stopping=stopping)
    thread.join()


def test_one_run_at_a_time(tmp_path):
    with alone(tmp_path / "lab"), pytest.raises(PermanentError, match="going on already"), alone(tmp_path / "lab"):
        pass
    with alone(tmp_path / "lab"):
        pass


def test_the_lab_is_here_and_without_it_one_is_told_how_to_get_it(monkeypatch):
    check_lab()
    real = importlib.metadata.version

    def version(name):
        if name == "scipy":
            raise importlib.metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    with pytest.raises(PermanentError, match=r"is not installed \(scipy missing\): pip install 'ichnode\[lab\]'"):
        check_lab()
