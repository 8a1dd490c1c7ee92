"""A very short day of a very small hospital: everything goes wrong once, and everything holds."""

from __future__ import annotations

from itertools import pairwise

import pytest

from benchmarks.soak.__main__ import show
from benchmarks.soak.day import SCANNERS, TROUBLES, WAYS, exams, troubles
from benchmarks.soak.page import page
from benchmarks.soak.run import run

pytestmark = [pytest.mark.crash, pytest.mark.interop, pytest.mark.timeout(900)]


def test_the_day_is_the_same_for_the_same_seed_and_has_everything():
    day, wrong = exams(400, 3), troubles(400, 3)
    assert day == exams(400, 3) != exams(400, 4)
    assert wrong == troubles(400, 3)
    assert {exam.way for exam in day} == set(WAYS)
    assert {exam.scanner for exam in day} == set(SCANNERS)
    assert [exam.at for exam in day] == sorted(exam.at for exam in day)
    assert {trouble.what for trouble in wrong} == set(TROUBLES) == {trouble.what for trouble in troubles(6, 3)}
    assert [trouble.at for trouble in wrong] == sorted(trouble.at for trouble in wrong)
    assert all(a.at + a.lasts < b.at for a, b in pairwise(wrong)), "one after the other"
    clock = [trouble.what for trouble in wrong if trouble.what.startswith("clock")]
    assert clock == ["clock forward", "clock back"]


@pytest.mark.usefixtures("storescp")
def test_a_day_with_everything_that_goes_wrong(tmp_path, tiny_bundle, capsys):
    said: list[str] = []
    told = run(tmp_path, 8, 25.0, 5, tiny_bundle.folder, said.append)
    assert show(told, tmp_path / "page.html") == 0, capsys.readouterr().out
    held = {proof.name for proof in told.proofs if proof.held}
    assert held >= {
        "every slice could be sent in the end", "the queue drains", "nothing is lost", "every study has its answer",
        "nothing is there twice", "who waits longest is analysed first", "nothing happened that nobody foresaw",
    }  # fmt: skip
    assert {trouble.what for trouble, _, _ in told.done} == set(TROUBLES)
    written = page(told, "the test")
    assert written.count("<svg") == 1 and "Research use only" in written
    assert all(proof.name in written for proof in told.proofs)
