"""Log lines: every one JSON where JSON is asked for, refusals counted whatever the level."""

from __future__ import annotations

import json
import logging

import pytest

from ichnode.log import configure, get_logger, refusals


@pytest.fixture(autouse=True)
def as_it_was():
    yield
    configure()


def test_every_line_is_json_also_those_of_libraries(capsys):
    configure("info", "json")
    get_logger("ichnode.steps.receive").info("series.closed", series=7)
    logging.getLogger("some.library").warning("it said %s", "so")
    ours, theirs = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert (ours["event"], ours["series"], ours["level"], ours["module"]) == (
        "series.closed",
        7,
        "info",
        "steps.receive",
    )
    assert (theirs["event"], theirs["logger"], theirs["level"]) == ("it said so", "some.library", "warning")
    assert {line["timestamp"][-1] for line in (ours, theirs)} == {"Z"}


@pytest.mark.parametrize("style", ["text", "json"])
def test_refusals_are_counted_also_where_they_are_not_written(capsys, style):
    configure("error", style)
    before = refusals().get(("slice.refused", "TEST_CODE"), 0)
    get_logger("x").warning("slice.refused", code="TEST_CODE", remedy="none")
    get_logger("x").warning("web.failed", code="TEST_CODE", remedy="none")
    assert refusals()["slice.refused", "TEST_CODE"] == before + 1
    assert ("web.failed", "TEST_CODE") not in refusals()
    assert capsys.readouterr().err == ""
    get_logger("x").error("worker.ended", again_in_s=1)
    assert "worker.ended" in capsys.readouterr().err
