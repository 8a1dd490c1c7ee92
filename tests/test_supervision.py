"""The worker's keeper, with small programs in the worker's place: restarted, told, asked to stop, killed."""

from __future__ import annotations

import json
import os
import sys
from types import SimpleNamespace

import pytest

from ichnode import supervision
from ichnode.config import Settings
from ichnode.errors import TransientError
from ichnode.supervision import WorkerProcess
from tests.peers import wait_until


@pytest.fixture
def keep(tmp_path, monkeypatch):
    """``keep(program)`` → (worker, deaths, words): a `WorkerProcess` whose child runs `program`."""
    real, started = sys.executable, []
    monkeypatch.setattr(supervision, "FIRST_RESTART_S", 0.02)
    monkeypatch.setattr(supervision, "LONGEST_RESTART_S", 0.1)

    def start(program, died=None):
        file = tmp_path / "worker.py"
        file.write_text(program)
        python = tmp_path / "python"
        python.write_text(f'#!/bin/sh\nexec "{real}" "{file}"\n')
        python.chmod(0o700)
        monkeypatch.setattr(sys, "executable", str(python))
        deaths, words = [], []
        node = SimpleNamespace(boot_id="boot", settings=Settings())
        worker = WorkerProcess(node, died or deaths.append, words.append)
        started.append(worker)
        worker.start()
        return worker, deaths, words

    yield start
    for worker in started:
        worker.stop(0.2)


ECHO = """
import sys
print("ready", flush=True)
for line in sys.stdin:
    print("heard " + line.strip()[:5], flush=True)
    if line.strip() == "stop":
        break
"""


def test_the_child_is_told_who_it_is_and_with_which_settings(keep, tmp_path):
    _, _, words = keep("import sys\nprint(sys.stdin.readline().strip(), flush=True)\nsys.stdin.read()")
    task = json.loads(wait_until(lambda: words)[0])
    assert Settings.model_validate(task["settings"]) == Settings()
    assert task["owner"].startswith("boot/")


def test_hints_and_stop_reach_the_child(keep):
    worker, deaths, words = keep(ECHO)
    wait_until(lambda: "ready" in words)
    worker.hint()
    wait_until(lambda: "heard work" in words)
    worker.stop(120)
    assert words[-1] == "heard stop"
    assert deaths == [worker.owner]
    assert not worker._thread.is_alive()


def test_a_child_that_ends_is_told_and_started_again_under_another_name(keep):
    _, deaths, _ = keep("raise SystemExit(2)")
    wait_until(lambda: len(deaths) >= 3)
    assert len(set(deaths)) == len(deaths)


def test_hints_to_a_dead_child_do_not_end_its_keeper(keep):
    worker, deaths, _ = keep("import os; os.close(0); raise SystemExit(2)")
    wait_until(lambda: worker.hint() or len(deaths) >= 5)


def test_a_child_that_hangs_is_killed_only_when_its_lease_is_over(keep):
    worker, deaths, words = keep("import time\nprint('ready', flush=True)\ntime.sleep(600)")
    wait_until(lambda: "ready" in words)
    first = worker.owner
    worker.end_if_overdue({"boot/somebody else"})
    assert deaths == []
    worker.end_if_overdue({first})
    wait_until(lambda: deaths == [first])
    wait_until(lambda: worker.owner != first)


def test_a_child_that_does_not_listen_is_killed_at_the_stop(keep):
    worker, deaths, words = keep("import time\nprint('ready', flush=True)\ntime.sleep(600)")
    wait_until(lambda: "ready" in words)
    worker.stop(0.1)
    assert not worker._thread.is_alive()
    assert deaths == [worker.owner]


def test_a_child_that_is_not_ready_is_not_waited_for(keep):
    worker, _, _ = keep("import time\ntime.sleep(600)")
    wait_until(lambda: worker._child is not None)
    worker.stop(600)
    assert not worker._thread.is_alive()


def test_what_a_dead_child_held_is_freed_as_soon_as_it_can_be(keep):
    tries = []

    def locked_at_first(owner):
        tries.append(owner)
        if len(tries) < 3:
            raise TransientError("The worklist cannot be written now.", "WORKLIST")

    keep("raise SystemExit(2)", locked_at_first)
    wait_until(lambda: len(tries) >= 4)
    assert tries[0] == tries[1] == tries[2] != tries[3], "then the next one starts"


def test_back_off_grows_while_nothing_is_done(keep, monkeypatch):
    pauses = []
    monkeypatch.setattr(supervision, "LONGEST_RESTART_S", 60.0)  # a child that lived longer had not failed at once
    monkeypatch.setattr(supervision, "backoff_s", lambda failures, *_: pauses.append(failures) or 0.01)
    keep("raise SystemExit(2)")
    wait_until(lambda: len(pauses) >= 4)
    assert pauses[:4] == [1, 2, 3, 4]


def test_back_off_starts_anew_after_work_was_done(keep, monkeypatch):
    pauses = []
    monkeypatch.setattr(supervision, "backoff_s", lambda failures, *_: pauses.append(failures) or 0.01)
    keep("print('done', flush=True); raise SystemExit(2)")
    wait_until(lambda: len(pauses) >= 3)
    assert pauses[:3] == [1, 1, 1]


def test_the_child_is_a_session_of_its_own(keep):
    _, _, words = keep("import os, sys\nprint(os.getsid(0), flush=True)\nsys.stdin.read()")
    assert int(wait_until(lambda: words)[0]) != os.getsid(0), "Ctrl-C in the terminal does not reach it"
