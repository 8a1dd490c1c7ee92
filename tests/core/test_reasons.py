from __future__ import annotations

import ast
from pathlib import Path

import pytest

import ichnode
from ichnode.core.reasons import (
    BAD_OBJECTS,
    BAD_REPORTS,
    DISCONTINUED,
    NO_ANSWER_EXPECTED,
    NOT_FETCHED,
    REASONS,
    REJECTIONS,
    WARNINGS,
    because,
    reason_of,
)

PACKAGE = Path(ichnode.__file__).parent


def codes_in(source: str) -> set[str]:
    """Literal codes that a module hands to `because`, `Warned`, `reason_of` or `BadObject`."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        at = {"because": 0, "Warned": 0, "reason_of": 0, "BadObject": 1}.get(name)
        if at is None:
            continue
        given = [*node.args[at : at + 1], *(k.value for k in node.keywords if k.arg == "code")]
        found |= {one.value for one in given if isinstance(one, ast.Constant) and isinstance(one.value, str)}
    return found


def test_the_search_finds_codes():
    source = 'because("A")\nreasons.because("B", "x")\nBadObject("s", "C")\nBadObject("s", code="D")\nWarned("E", "s")'
    assert codes_in(source) == set("ABCDE")


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_code_used_in_the_package_is_in_the_table(path):
    assert codes_in(path.read_text()) - set(REASONS) == set()


def test_every_code_in_the_table_is_used():
    text = "".join(path.read_text() for path in PACKAGE.rglob("*.py") if path.name != "reasons.py")
    assert {code for code in REASONS if f'"{code}"' not in text} == set()


def test_the_tables_do_not_overlap():
    tables = (REJECTIONS, WARNINGS, BAD_OBJECTS, BAD_REPORTS, NOT_FETCHED, DISCONTINUED)
    assert len(REASONS) == sum(map(len, tables))


def test_nobody_waits_for_some_of_the_series_that_are_not_analysed():
    assert set(REJECTIONS) > NO_ANSWER_EXPECTED
    # Of these somebody may think that they were read: a head CT that failed, or that is only half there.
    waited_for = {"ANALYSIS_FAILED", "PIXELS_UNREADABLE", "TOO_FEW_SLICES", "CONTRAST", "OVERLAPPING_VOLUMES"}
    assert not NO_ANSWER_EXPECTED & waited_for


@pytest.mark.parametrize("code", REASONS)
def test_each_sentence_is_one_sentence(code):
    sentence = REASONS[code]
    assert sentence[0].isupper() and sentence.endswith(".") and ". " not in sentence
    assert code == code.upper() and " " not in code


def test_a_detail_is_appended():
    assert because("TOO_FEW_SLICES", "3").sentence == "The series has too few slices to be read as a head CT: 3."
    assert because("CONTRAST").sentence == REASONS["CONTRAST"]


def test_an_unknown_code_is_an_error():
    with pytest.raises(KeyError):
        because("NO_SUCH_CODE")


def test_an_error_without_a_reason_code_is_a_failed_analysis():
    assert reason_of("PIXELS_UNREADABLE", "s").code == "PIXELS_UNREADABLE"
    assert reason_of("TORCH", "out of memory.").code == "ANALYSIS_FAILED"
