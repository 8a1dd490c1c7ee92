"""``ichnode retract``: asked first, said in a sentence, visible afterwards."""

from __future__ import annotations

import pytest


def retract(ichnode, data, *more):
    return ichnode("retract", *more, "--because", "wrong-patient", "--data", data)


def test_taken_back_and_shown_as_such(ichnode, filled, data):
    said = retract(ichnode, data, "A-positive", "--yes", "--remark", "Mixed up.")
    assert (said.code, said.err) == (0, "")
    assert said.out == ("1 result(s) taken back. A running node tells its destinations now, else at its next start.\n")
    shown = ichnode("show", "A-positive", "--data", data).out
    assert "RETRACTED 20" in shown
    assert "wrong-patient: Mixed up." in shown
    assert "retracted" in ichnode("worklist", "--data", data).out


def test_nothing_is_taken_back_twice(ichnode, filled, data):
    assert retract(ichnode, data, "A-positive", "--yes").code == 0
    said = retract(ichnode, data, "A-positive", "--yes")
    assert (said.code, said.out) == (1, "")
    assert said.err == "There is no result to take back: nothing was answered, or it was taken back before.\n"


def test_unknown_study_is_1(ichnode, filled, data):
    assert retract(ichnode, data, "nobody", "--yes").code == 1


@pytest.mark.parametrize(("answer", "code", "verdict"), [("n\n", 1, "positive"), ("y\n", 0, "retracted")])
def test_it_asks_first(ichnode, filled, data, monkeypatch, answer, code, verdict):
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda _: answer.strip())
    assert retract(ichnode, data, "A-positive").code == code
    line = next(li for li in ichnode("worklist", "--data", data).out.splitlines() if "A-positive" in li)
    assert verdict in line
