"""From slice to alert: the real program with its worker, a scanner, and receivers that are no PACS."""

from __future__ import annotations

import json

import pytest

from tests.acceptance.conftest import BY_EVIDENCE
from tests.notify.receivers import HttpReceiver, MllpReceiver, control_id
from tests.peers import wait_until
from tests.running import RunningNode, running
from tests.sender import send_once

pytestmark = pytest.mark.timeout(900)
ALL = ["positive", "negative", "not_analysed", "failed"]


def test_a_head_ct_is_told_to_every_channel_once(tmp_path, tiny_bundle, head_ct):
    (tmp_path / "secret").write_text("0123456789abcdef0123456789abcdef\n")
    webhook, engine = HttpReceiver(), MllpReceiver()
    node = RunningNode(
        tmp_path,
        engine={"bundle": str(tiny_bundle.folder), "threads": 1},
        completeness=BY_EVIDENCE,
        channels=[
            {"name": "oncall", "kind": "webhook", "url": webhook.url, "secret_file": str(tmp_path / "secret"),
             "verdicts": ALL},
            {"name": "ris", "kind": "hl7", "host": "127.0.0.1", "port": engine.port, "patient_data": True,
             "verdicts": ALL},
        ],
    )  # fmt: skip
    with webhook.listening(), engine.listening(), running(node):
        send_once(node.port, sorted(head_ct.iterdir()))
        wait_until(lambda: webhook.posts and engine.messages, 120, "both channels heard of it")
        node.wait_settled(30)
        (study,) = node.studies()
        assert node.stop() == 0
    (told,), (message,) = webhook.posts, engine.messages
    assert told.json["kind"] == "alert"
    assert told.json["verdict"] == study["verdict"]
    assert told.json["model"].startswith(tiny_bundle.name)
    assert study["study_instance_uid"] not in json.dumps(told.json)
    assert study["patient_id"] not in json.dumps(told.json)
    assert study["study_instance_uid"].encode() in message
    assert study["notices"] == {"delivered": 2}
    assert control_id(message) != told.json["id"]
    assert study["patient_id"] not in node.log
