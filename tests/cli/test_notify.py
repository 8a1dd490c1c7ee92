"""A channel tried by hand, and what the other commands say of channels and notices."""

from __future__ import annotations

import json

import pytest

from ichnode.config import Settings
from ichnode.worklist import deliveries, notices, schema
from tests.made import analysed_series, rows, study_facts
from tests.notify.receivers import HttpReceiver, MllpReceiver, SmtpReceiver, ack, framed


@pytest.fixture
def config(tmp_path, data):
    """``config(kind="hl7", …)``: a configuration with one channel, ``oncall``."""

    def write(**channel):
        (tmp_path / "secret").write_text("0123456789abcdef0123456789abcdef\n")
        values = {"name": "oncall", **channel}
        lines = [f"{key} = {json.dumps(value)}" for key, value in values.items()]
        file = tmp_path / "config.toml"
        file.write_text("\n".join([f'[node]\nport = 0\ndata = "{data}"\n[[channels]]', *lines]))
        return file

    return write


def test_a_test_message_says_that_it_is_one(ichnode, config):
    with MllpReceiver().listening() as receiver:
        said = ichnode("notify", "test", "oncall", "--config", config(kind="hl7", host="127.0.0.1", port=receiver.port))
    assert (said.code, said.out) == (0, f"oncall: 127.0.0.1:{receiver.port} took the test message\n")
    (content,) = receiver.messages
    assert b"TEST message of ichnode ICHAI: no patient, no finding" in content
    assert content.split(b"\r")[0].split(b"|")[10] == b"T"


def test_why_it_was_not_taken(ichnode, config, tmp_path):
    with MllpReceiver(lambda content: framed(ack(content, "AR", "202"))).listening() as receiver:
        said = ichnode("notify", "test", "oncall", "--config", config(kind="hl7", host="127.0.0.1", port=receiver.port))
    assert (said.code, said.err) == (1, "oncall answered AR, error 202. Look at its log.\n")
    dead = HttpReceiver()
    secret = str(tmp_path / "secret")
    said = ichnode("notify", "test", "oncall", "--config", config(kind="webhook", url=dead.url, secret_file=secret))
    assert said.code == 1
    assert said.err.startswith(f"oncall (http://127.0.0.1:{dead.port}): no connection.")
    with SmtpReceiver(rcpt=lambda address: "550 no" if address == "b@a.example" else None).listening() as server:
        mail = {"host": "127.0.0.1", "port": server.port, "tls": "none", "sender": "n@a.example"}
        file = config(kind="mail", recipients=["a@a.example", "b@a.example"], **mail)
        said = ichnode("notify", "test", "oncall", "--config", file)
    assert (said.code, said.err) == (1, "oncall took it, but not for 1 of the recipients.\n")


def test_a_channel_that_is_not_there(ichnode, config):
    said = ichnode("notify", "test", "nobody", "--config", config(kind="hl7", host="127.0.0.1"))
    assert said.code == 2
    assert "No such channel (oncall)." in said.err


def test_doctor_asks_channels(ichnode, config):
    with MllpReceiver().listening() as receiver:
        file = config(kind="hl7", host="127.0.0.1", port=receiver.port)
        said = ichnode("doctor", "--config", file)
        assert f"ok    channel oncall: hl7 at 127.0.0.1:{receiver.port} answers, without patient data\n" in said.out
    said = ichnode("doctor", "--config", file)
    assert "LOOK  channel oncall: cannot be reached\n      oncall (127.0.0.1" in said.out
    assert receiver.messages == []


def test_what_is_told_is_seen(ichnode, node, data):
    analysed_series(node.worklist, node.now, study_facts(), 0.93, destinations=())
    settings = Settings.model_validate({"channels": [{"name": "oncall", "kind": "hl7", "host": "127.0.0.1"}]})
    with node.worklist.write() as tx:
        notices.announce(tx, node.now(), {"oncall": settings.channels[0].rule}, {})
        (alert,) = deliveries.claim_deliveries(tx, node.now(), "oncall", "boot")
        deliveries.refused(tx, node.now(), alert, 400, "oncall refused it.")
    uid = rows(node.worklist, schema.notices)[0]["uid"]
    shown = ichnode("show", "1", "--data", data).out
    assert f"oncall: alert positive {uid}, failed, 1 attempt(s): oncall refused it.\n" in shown
    (study,) = json.loads(ichnode("worklist", "--json", "--data", data).out)
    assert (study["notices"], study["failed"]) == ({"failed": 1}, True)
    assert "1 failed" in ichnode("worklist", "--data", data).out
    assert "0 analysis job(s) and 1 deliver(y/ies)" in ichnode("retry", "--all", "--data", data).out
    (study,) = json.loads(ichnode("worklist", "--json", "--data", data).out)
    assert (study["notices"], study["failed"]) == ({"pending": 1}, False)
