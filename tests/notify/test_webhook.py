"""A webhook against a real HTTP(S) server: what it gets, how it checks who sent it, what its answers lead to."""

from __future__ import annotations

import json
import socket
from dataclasses import asdict

import pytest

from ichnode.errors import PeerBusy, PeerRefused, PeerUnreachable
from ichnode.notify import webhook
from tests.notify.made import ALL, AT, CORRECTION, FAILED, HOSTILE, POSITIVE, SECRET, TEST, channel, named
from tests.notify.receivers import HttpReceiver
from tests.notify.recipe import is_from_the_node
from tests.peers import free_port


def send(receiver, message, secret_file, now, timeout_s=120, **options):
    given = {"url": receiver.url, "secret_file": secret_file, **options}
    return webhook.send(channel("webhook", **given), message, timeout_s, now)


def test_what_it_gets_and_that_it_is_from_the_node(secret_file, now):
    with HttpReceiver().listening() as receiver:
        assert send(receiver, POSITIVE, secret_file, now).error is None
    (got,) = receiver.posts
    assert (got.path, got.headers["Content-Type"]) == ("/alerts", "application/json")
    assert got.headers["Ichnode-Message"] == got.json["id"] == POSITIVE.uid
    header = got.headers[webhook.SIGNATURE]
    at = int(AT.timestamp())
    assert is_from_the_node(SECRET, header, got.body, at)
    assert not is_from_the_node(SECRET, header, got.body.replace(b"positive", b"negative"), at), "altered"
    assert not is_from_the_node("another", header, got.body, at)
    assert not is_from_the_node(SECRET, header, got.body, at + 301), "sent again by somebody else, later"
    assert got.json["verdict"] == "positive"
    assert [f["name"] for f in got.json["findings"] if f["present"]] == ["any", "subdural"]
    assert "patient" not in got.json


def test_over_tls_that_is_checked(secret_file, now, authority, shown):
    with HttpReceiver(shown=shown).listening() as receiver:
        assert send(receiver, POSITIVE, secret_file, now, ca_file=str(authority.certificate)).error is None
        with pytest.raises(PeerUnreachable, match="its certificate is not trusted"):
            send(receiver, POSITIVE, secret_file, now)
    assert len(receiver.posts) == 1


@pytest.mark.parametrize(("code", "transient"), [(500, True), (400, False), (422, False), (413, False)])
def test_answers_about_one_message(secret_file, now, code, transient):
    with HttpReceiver(lambda got: (code, b"DOE^JANE", {})).listening() as receiver:
        said = send(receiver, POSITIVE, secret_file, now)
    assert (said.transient, said.status) == (transient, code)
    assert "DOE" not in said.error


@pytest.mark.parametrize(
    ("code", "error"), [(401, PeerRefused), (404, PeerRefused), (302, PeerRefused), (503, PeerBusy)]
)
def test_answers_about_the_channel(secret_file, now, code, error):
    with (
        HttpReceiver(lambda got: (code, b"", {"Retry-After": "7"})).listening() as receiver,
        pytest.raises(error) as raised,
    ):
        send(receiver, POSITIVE, secret_file, now, url=receiver.url + "?token=hidden")
    assert "hidden" not in raised.value.sentence
    assert "/alerts" not in raised.value.sentence, "the path of a webhook is a secret more often than not"


def test_nobody_there_nobody_answering_and_garbage(secret_file, now):
    dead = HttpReceiver()
    with pytest.raises(PeerUnreachable):
        send(dead, POSITIVE, secret_file, now)
    with HttpReceiver(lambda got: None).listening() as receiver, pytest.raises(PeerUnreachable, match="ended"):
        send(receiver, POSITIVE, secret_file, now)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        with pytest.raises(PeerUnreachable, match=r"did not answer within 0.3 s"):
            send(dead, POSITIVE, secret_file, now, 0.3, url=url)


@pytest.mark.parametrize("content", ["", "short", "two\nlines of more than sixteen letters"])
def test_a_secret_that_is_none(tmp_path, now, content):
    file = tmp_path / "weak"
    file.write_text(content)
    with pytest.raises(PeerRefused) as refused:
        webhook.reach(channel("webhook", secret_file=str(file)), 1)
    assert not content or content not in refused.value.sentence


def test_reach_sends_no_message(secret_file):
    with HttpReceiver(lambda got: (405, b"", {})).listening() as receiver:
        webhook.reach(channel("webhook", url=receiver.url, secret_file=secret_file), 120)
    assert [got.method for got in receiver.requests] == ["HEAD"]
    with pytest.raises(PeerUnreachable):
        webhook.reach(channel("webhook", url=f"http://127.0.0.1:{free_port()}/", secret_file=secret_file), 120)


@pytest.mark.parametrize("message", ALL, ids=lambda message: f"{message.kind} {message.called}")
def test_every_message_is_json_in_ascii_and_the_same_each_time(message):
    body = webhook.body_of(message)
    assert body == webhook.body_of(message)
    assert body.isascii()
    said = json.loads(body)
    assert said["corrects"] == message.corrects
    assert said["notice"].startswith("Made by software for research use only")


def test_patient_data_come_back_as_they_were(secret_file):
    assert json.loads(webhook.body_of(named(FAILED, HOSTILE)))["patient"] == asdict(HOSTILE)
    assert json.loads(webhook.body_of(TEST))["verdict"] is None
    assert json.loads(webhook.body_of(CORRECTION))["corrects"] == POSITIVE.uid
