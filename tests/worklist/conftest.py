"""A real worklist, in a SQLite file and in PostgreSQL, and a clock that moves when told to."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ichnode.worklist import boots
from ichnode.worklist.database import Worklist
from tests.made import Clock


@pytest.fixture
def clock():
    return Clock()


ON_BOTH = {
    "test_assembly", "test_associations", "test_boots", "test_concurrency", "test_database", "test_deliveries",
    "test_jobs", "test_plans", "test_receipts", "test_results",
}  # fmt: skip
"""Modules whose tests run on SQLite and on PostgreSQL; the others go through the same transactions once more."""
ON_SQLITE = pytest.mark.parametrize("worklist", ["sqlite"], indirect=True)


def pytest_generate_tests(metafunc):
    given = any("worklist" in mark.args[0] for mark in metafunc.definition.iter_markers("parametrize"))
    if "worklist" in metafunc.fixturenames and not given:
        both = metafunc.module.__name__.rpartition(".")[2] in ON_BOTH
        metafunc.parametrize("worklist", ["sqlite", "postgresql"] if both else ["sqlite"], indirect=True)


@pytest.fixture
def worklist(request, tmp_path):
    """An empty worklist."""
    if request.param == "postgresql":
        with request.getfixturevalue("postgresql").copied() as url:
            made = Worklist(url)
            yield made
            made.dispose()
        return
    file = Path(shutil.copy(request.getfixturevalue("empty_worklist"), tmp_path))
    made = Worklist(f"sqlite:///{file}")
    yield made
    made.dispose()


@pytest.fixture
def boot_id(worklist, clock):
    with worklist.write() as tx:
        return boots.begin_boot(tx, clock(), "1")
