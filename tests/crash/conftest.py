"""Which database the whole folder runs on: SQLite, or a real PostgreSQL where ``ICHNODE_TEST_DATABASE=postgresql``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture
def database(request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    """The section of the configuration that names it: none for SQLite."""
    if os.environ.get("ICHNODE_TEST_DATABASE") != "postgresql":
        yield {}
        return
    with request.getfixturevalue("postgresql").copied() as url:
        yield {"database": {"url": url}}
