"""kill -9 at every seam of retention: what was marked goes, nothing is adopted, nothing that is needed goes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import tomli_w

from ichnode.config import Settings
from ichnode.steps.node import open_node, utc_now
from ichnode.worklist import schema, upkeep_tables
from tests.made import Clock, rows
from tests.steps.pruned import answered, files_of, state_of
from tests.steps.spooled import started

pytestmark = [pytest.mark.crash, pytest.mark.timeout(900)]


@pytest.mark.parametrize(
    ("seam", "when"),
    [
        ("ichnode.worklist.retention:purge", "after"),  # inside the transaction
        ("ichnode.worklist.retention:take_removals", "before"),  # marked, nothing unlinked
        ("ichnode.storage.spool:Spool.discard", "after"),  # unlinked, the marks still there
    ],
)
def test_killed_at_the_seam(seam, when, tmp_path, empty_worklist, head_ct, monkeypatch, database):
    data = tmp_path / "data"
    data.mkdir()
    shutil.copy(empty_worklist, data)
    config = tmp_path / "config.toml"
    kept = {"images_days": 30, "free_bytes": 0}
    config.write_text(tomli_w.dumps({"node": {"data": str(data)}, "retention": kept, **database}))
    settings = Settings.model_validate({"node": {"data": str(data)}, **database})
    node = replace(open_node(settings, "boot"), now=Clock(utc_now() - timedelta(days=40)))
    slices = sorted(Path(head_ct).iterdir())
    old = answered(node, slices[:3])
    monkeypatch.setenv("CRASH_SEAM", f"{seam}:{when}:1")
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join([str(Path(__file__).parent / "seam"), os.environ.get("PYTHONPATH", "")])
    )
    command = [sys.executable, "-m", "ichnode", "prune", "--config", str(config)]
    assert subprocess.run(command, capture_output=True, check=False).returncode == -signal.SIGKILL
    monkeypatch.delenv("CRASH_SEAM")
    started(node)
    assert [row["id"] for row in rows(node.worklist, schema.series)] == [old]
    assert len(rows(node.worklist, schema.instances)) in (0, 3)
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    assert (state_of(node, old), files_of(node)) == ("purged", [])
    assert rows(node.worklist, upkeep_tables.removals) == []
    node.worklist.dispose()
