"""Whether a node is well: its port, and pages that answer, or have no port at all."""

from __future__ import annotations

import socket

import pytest

from ichnode.config import Settings
from ichnode.steps import healthy as step
from ichnode.steps.healthy import healthy
from tests.certificates import Authority
from tests.peers import free_port, wait_until
from tests.running import RunningNode, running


@pytest.fixture
def ports():
    with socket.socket() as dicom, socket.socket() as pages:
        for one in (dicom, pages):
            one.bind(("127.0.0.1", 0))
        yield dicom, pages


def settings(dicom: socket.socket, pages: socket.socket, **web: object) -> Settings:
    number = {"port": pages.getsockname()[1], **web}
    return Settings.model_validate({"node": {"port": dicom.getsockname()[1]}, "web": number})


def test_nobody_is_there(ports):
    check = healthy(settings(*ports))
    assert check.found.endswith("Connection refused")
    assert check.remedy


def test_without_pages_and_where_another_program_has_their_port_it_is_well(ports):
    ports[0].listen()
    assert healthy(settings(*ports, enabled=False)).remedy == ""
    check = healthy(settings(*ports))
    assert check.remedy == ""
    assert check.found.endswith("the pages have no port")


def test_where_the_port_without_tls_is_closed_the_other_one_is_asked(ports):
    dicom, _ = ports
    dicom.listen()
    tls = {"certificate": "node.pem", "ca_file": "authority.pem", "port": dicom.getsockname()[1], "plain_port": False}
    asked = Settings.model_validate({"node": {"port": free_port()}, "tls": tls, "web": {"enabled": False}})
    assert healthy(asked).remedy == ""


def test_a_node_that_hangs_is_not_well(ports, monkeypatch):
    monkeypatch.setattr(step, "ANSWER_S", 0.2)
    for one in ports:
        one.listen()  # the kernel takes connections of a process that does nothing any more
    check = healthy(settings(*ports))
    assert check.remedy
    assert check.found == "/healthz: no answer"


@pytest.mark.parametrize("encrypted", [False, True])
def test_a_running_node_is_well(tmp_path, tiny_bundle, encrypted):
    web = {"enabled": True, "port": free_port()}
    if encrypted:
        web["certificate"] = str(Authority(tmp_path / "ca").issue("node", "DNS:node.example").both)
    with running(RunningNode(tmp_path / "node", engine={"bundle": str(tiny_bundle.folder)}, web=web)) as node:
        seen = Settings.model_validate({"node": {"port": node.port}, "web": web})
        wait_until(lambda: healthy(seen).found.endswith("takes connections; /healthz says 200"), 60)
        assert healthy(seen).remedy == ""
