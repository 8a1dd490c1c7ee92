"""A real SQLite file, and a clock that moves when told to."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ichnode.worklist import associations
from ichnode.worklist.database import Worklist
from tests.made import Clock


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def worklist(tmp_path, empty_worklist):
    file = Path(shutil.copy(empty_worklist, tmp_path))
    made = Worklist(f"sqlite:///{file}")
    yield made
    made.dispose()


@pytest.fixture
def boot_id(worklist, clock):
    with worklist.write() as tx:
        return associations.begin_boot(tx, clock(), "1")
