from datetime import UTC, datetime, timedelta

import pytest

from ichnode.core.timeline import stages

LAST = datetime(2026, 3, 1, 12, tzinfo=UTC)


def after(seconds):
    return LAST + timedelta(seconds=seconds)


COMPUTED = {"load": 0.1, "inference": 0.4, "report": 0.05, "explain": 9.0, "pictures": 9.0}


def test_every_second_has_its_stage():
    spent = stages(LAST, after(0.1), after(0.2), after(0.8), after(0.9), COMPUTED)
    expected = {
        "settling": 0.1, "waiting": 0.1, "load": 0.1, "inference": 0.4, "report": 0.05, "commit": 0.05, "delivery": 0.1,
    }  # fmt: skip
    assert spent == pytest.approx(expected)
    assert list(spent) == list(expected), "in their order"
    assert sum(spent.values()) == pytest.approx(0.9)


def test_what_is_not_known_is_left_out():
    assert stages(LAST, None, None, after(3), None, {}) == {}
    assert list(stages(LAST, after(1), None, after(3), after(2), {})) == ["settling"], "the clock was set back"
