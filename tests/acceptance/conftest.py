"""A node with Orthanc behind it, and short times."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from tests.peers import Orthanc
from tests.running import RunningNode, running

SHORT = {"settle_s": 0.3, "quiet_s": 2.0, "max_wait_s": 8.0}
BY_EVIDENCE = {"settle_s": 0.3, "quiet_s": 60.0, "max_wait_s": 120.0}
"""For whole heads, each on one association: no pause that a busy machine makes between two slices closes a series."""


@pytest.fixture(autouse=True)
def _log_goes_nowhere_that_is_closed() -> Iterator[None]:
    """Commands that a test has run here have pointed the log at a standard error that ends with the test."""
    yield
    structlog.reset_defaults()


@pytest.fixture
def node_for(tmp_path: Path, tiny_bundle: Any) -> Iterator[Callable[..., RunningNode]]:
    """``node_for(orthanc, completeness={…}, …)`` → a running node that delivers to it."""
    import contextlib

    with contextlib.ExitStack() as stack:

        def start(pacs: Orthanc | None = None, **sections: Any) -> RunningNode:
            destinations = []
            if pacs is not None:
                destinations = [{"name": "pacs", "aet": pacs.aet, "host": "127.0.0.1", "port": pacs.port}]
            given = {
                "engine": {"bundle": str(tiny_bundle.folder)},
                "completeness": SHORT,
                "delivery": {"first_retry_s": 0.3},
                "destinations": destinations,
                **sections,
            }
            return stack.enter_context(running(RunningNode(tmp_path / "node", **given)))

        yield start
