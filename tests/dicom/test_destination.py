"""A destination is reached the way that its settings say."""

from __future__ import annotations

import pytest
from pydicom.uid import ComprehensiveSRStorage

from ichnode.dicom.destination import address_of, ask_whether_there, give, remote_of
from ichnode.dicom.requestor import Remote
from ichnode.https import WebRemote
from ichnode.sections import DestinationSection
from tests.dicom.made_ct import ct_dataset, save
from tests.steps.pacs import Pacs
from tests.web_service import WebService


@pytest.fixture
def report(tmp_path):
    return save(ct_dataset(SOPClassUID=ComprehensiveSRStorage, PixelData=None), tmp_path / "sr.dcm")


def test_by_dimse(report):
    pacs = Pacs()
    section = DestinationSection(name="pacs", aet="PACS", host="127.0.0.1", port=pacs.port)
    remote = remote_of(section, "ICHAI", 7.0)
    assert remote == Remote("pacs", "PACS", "127.0.0.1", pacs.port, "ICHAI", timeout_s=7.0)
    assert address_of(remote) == f"PACS at 127.0.0.1:{pacs.port}"
    with pacs.listening():
        ask_whether_there(remote)
        assert [answer.status for answer in give(remote, [report])] == [0]
    assert (pacs.echoes, pacs.stores) == (1, 1)


def test_over_the_web(report, tmp_path):
    service = WebService()
    (tmp_path / "password").write_text("secret\n")
    files = {"password_file": str(tmp_path / "password"), "user": "ichnode"}
    remote = remote_of(DestinationSection(name="web", url=service.url, **files), "ICHAI", 7.0)
    assert remote == WebRemote("web", service.url, **files, timeout_s=7.0)
    assert address_of(remote) == service.url
    with service.listening():
        ask_whether_there(remote)
        assert [answer.status for answer in give(remote, [report])] == [0]
    assert [request.method for request in service.requests] == ["GET", "POST"]
    assert {request.headers["Authorization"] for request in service.requests} == {"Basic aWNobm9kZTpzZWNyZXQ="}


def test_every_setting_of_the_web_reaches_the_wire():
    texts = {"token_file": "t", "ca_file": "c", "client_certificate": "x", "client_key": "k"}
    section = DestinationSection(name="web", url="https://pacs.example/dicom-web", **texts)
    remote = remote_of(section, "ICHAI", 7.0)
    assert {name: getattr(remote, name) for name in texts} == texts
