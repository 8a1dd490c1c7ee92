"""A node on a simulated clock: real rows and files, analyses that are answered at once."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest

from ichnode.config import Settings
from ichnode.steps.node import Node, open_node
from tests.made import Clock
from tests.steps.scene import Scene


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def make_node(tmp_path, clock, empty_worklist):
    """``make_node(completeness={"quiet_s": 3}, destinations=[…])`` → a `Node` whose clock is `clock`."""
    made: list[Node] = []
    (tmp_path / "data").mkdir()
    shutil.copy(empty_worklist, tmp_path / "data")

    def make(**sections) -> Node:
        sections = {"receive": {"low_disk_bytes": 0}, **sections}
        settings = Settings.model_validate({**sections, "node": {"data": str(tmp_path / "data")}})
        made.append(replace(open_node(settings, "first boot"), now=clock))
        return made[-1]

    yield make
    for node in made:
        node.worklist.dispose()


@pytest.fixture
def scene(make_node, clock):
    """A `Scene` with a PACS that takes everything."""
    return Scene(make_node(), clock)


@pytest.fixture(scope="session")
def slice_files(head_ct):
    """The files of the synthetic head, from the lowest slice up."""
    return sorted(head_ct.iterdir())
