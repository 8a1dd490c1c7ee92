"""kill -9 at every seam of a notice: each channel hears of a positive, and of its escalation, under one identity."""

from __future__ import annotations

import os
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ichnode.worklist import schema
from tests.made import Clock, analysed_series, rows
from tests.notify.receivers import HttpReceiver, MllpReceiver, control_id
from tests.peers import wait_until
from tests.running import RunningNode, running

pytestmark = [pytest.mark.crash, pytest.mark.timeout(900)]

SEAMS = [
    ("ichnode.worklist.notices:_file", "after", 2),  # inside the transaction
    ("ichnode.notify.channels:give", "before", 1),  # claimed, not sent
    ("ichnode.notify.channels:give", "after", 1),  # the channel has it, we do not know
    ("ichnode.worklist.deliveries:accepted", "after", 1),  # inside the transaction
    ("ichnode.worklist.notices:escalate", "after", 1),  # inside the transaction
]


@pytest.mark.parametrize(("seam", "when", "number"), SEAMS)
def test_killed_at_the_seam(seam, when, number, tmp_path, tiny_bundle, monkeypatch, database):
    (tmp_path / "secret").write_text("0123456789abcdef0123456789abcdef\n")
    webhook, engine = HttpReceiver(), MllpReceiver()
    oncall = {"name": "oncall", "kind": "webhook", "url": webhook.url, "secret_file": str(tmp_path / "secret")}
    node = RunningNode(
        tmp_path,
        engine={"bundle": str(tiny_bundle.folder), "threads": 1},
        delivery={"first_retry_s": 0.2},
        channels=[
            {**oncall, "escalate_after_min": [0.001]},
            {"name": "ris", "kind": "hl7", "host": "127.0.0.1", "port": engine.port},
        ],
        **database,
    )
    node.data.mkdir(parents=True, exist_ok=True)
    node.worklist.migrate()
    analysed_series(node.worklist, Clock(datetime.now(UTC) - timedelta(minutes=1)), score=0.9, destinations=())
    monkeypatch.setenv("CRASH_SEAM", f"{seam}:{when}:{number}")
    seam_folder = str(Path(__file__).parent / "seam")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([seam_folder, os.environ.get("PYTHONPATH", "")]))

    def states() -> list[str]:
        return [row["state"] for row in rows(node.worklist, schema.deliveries)]

    with webhook.listening(), engine.listening():
        with running(node):
            wait_until(node.ended, 60, f"{seam} was reached")
        monkeypatch.delenv("CRASH_SEAM")
        with running(node):
            wait_until(lambda: states() == ["delivered"] * 3, 60, "alerts and escalation are delivered")
            assert node.stop() == 0
    filed = {(row["channel"], row["kind"]): row["uid"] for row in rows(node.worklist, schema.notices)}
    node.worklist.dispose()
    assert set(filed) == {("oncall", "alert"), ("oncall", "escalation"), ("ris", "alert")}
    heard = [(got.json["kind"], got.json["id"]) for got in webhook.posts]
    assert set(heard) == {("alert", filed["oncall", "alert"]), ("escalation", filed["oncall", "escalation"])}
    assert {control_id(content) for content in engine.messages} == {filed["ris", "alert"]}
    # What was on its way to a channel at the kill is said again, to each channel at most once; both may have been.
    assert max(Counter(heard).values()) <= 2 and len(heard) <= 3
    assert len(engine.messages) <= 2
