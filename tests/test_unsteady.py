"""A test that fails alone too fails; one that passes alone is named; many that fail are not tried again."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.unsteady import FEW, again

ONCE = """
import pathlib, pytest
@pytest.mark.parametrize("number", range({tests}))
def test_it(number):
    seen = pathlib.Path(f"seen {{number}}")
    assert seen.exists() and not {always}, seen.touch()
"""


@pytest.mark.parametrize(
    ("tests", "always", "code"),
    [(1, False, 0), (1, True, 1), (FEW, False, 0), (FEW + 1, False, 1)],
    ids=["once", "always", "few", "many"],
)
def test_what_failed_is_run_once_more(tmp_path, capfd, tests, always, code):
    (tmp_path / "test_made.py").write_text(ONCE.format(tests=tests, always=always))
    first = [sys.executable, "-m", "pytest", "-q", "--cache-clear", "--rootdir", "."]
    assert subprocess.run(first, check=False, cwd=tmp_path, stdout=subprocess.DEVNULL).returncode == 1
    assert again(tmp_path) == code
    assert ("UNSTEADY" in capfd.readouterr().out) == (code == 0)


def test_a_run_that_ended_before_its_tests_is_no_success(tmp_path):
    assert again(tmp_path) == 1
