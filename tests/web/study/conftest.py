"""A node with one answered head CT, and somebody in front of its page in a real browser."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from ichnode.config import Settings
from ichnode.steps.node import Node, open_node
from ichnode.web.server import WebServer
from tests.made import NOON, Clock
from tests.peers import free_port
from tests.web.study.answered import answer
from tests.web.study.reader import Reader


@pytest.fixture(scope="session")
def files(head_ct: Path) -> list[Path]:
    return sorted(head_ct.iterdir())


@pytest.fixture(scope="session")
def answered(
    tmp_path_factory: pytest.TempPathFactory, empty_worklist: Path, files: list[Path], tiny_bundle: Any
) -> Path:
    """The data of a node with study 1, a positive head CT; each test works on a copy."""
    data = tmp_path_factory.mktemp("answered") / "data"
    data.mkdir()
    shutil.copy(empty_worklist, data)
    settings = Settings.model_validate({"node": {"data": str(data)}, "receive": {"low_disk_bytes": 0}})
    clock = Clock()
    node = replace(open_node(settings, "boot"), now=clock)
    answer(node, clock, files, tiny_bundle)
    node.worklist.dispose()
    return data


@pytest.fixture
def node(answered: Path, tmp_path: Path, options: dict[str, Any]) -> Iterator[Node]:
    """A node with study 1, in place of the empty one."""
    data = shutil.copytree(answered, tmp_path / "data")
    sections = {"node": {"data": str(data)}, "receive": {"low_disk_bytes": 0}, **options}
    sections["web"] = {"port": free_port(), **options.get("web", {})}
    node = replace(open_node(Settings.model_validate(sections), "boot"), now=Clock(NOON + timedelta(hours=1)))
    yield node
    node.worklist.dispose()


@pytest.fixture
def study(people: Node) -> Node:
    """The node with study 1, and people."""
    return people


@pytest.fixture
def reader(study: Node, served: WebServer, new_page: Callable[..., Page]) -> Callable[..., Reader]:
    """``reader("radiologist", width=360)`` → somebody who has signed in, in a browser window of their own."""

    def come(role: str = "radiologist", width: int = 1400, height: int = 1000, **options: Any) -> Reader:
        somebody = Reader(new_page(width, height, **options), served.address)
        somebody.sign_in(role)
        return somebody

    return come
