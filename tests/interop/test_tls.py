"""DICOM over TLS between the real node and DCMTK's tools, both ways."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import pytest
from pydicom import dcmread
from pydicom.uid import ComprehensiveSRStorage

from ichnode.certificates import certificates_in
from ichnode.dicom.requestor import Remote
from ichnode.dicom.scu import echo, store
from ichnode.dicom.secure import Identity, Trust
from ichnode.errors import PeerRefused, PeerUnreachable
from tests.certificates import Authority, Issued
from tests.conftest import find_component
from tests.dicom.made_ct import ct_dataset, save
from tests.heads import study_uid, write_head
from tests.peers import Orthanc, Storescp, free_port, wait_until
from tests.running import RunningNode, running

pytestmark = pytest.mark.interop
RSA = ("-newkey", "rsa:2048", "-nodes")


class SecureOrthanc(Orthanc):
    """Orthanc whose DICOM port is TLS alone, with mutual certificates, also where it calls the node."""

    def __init__(self, folder: Path, program: str, shown: Issued, authority: Authority, node_port: int) -> None:
        node = {"AET": "ICHAI", "Host": "127.0.0.1", "Port": node_port, "UseDicomTls": True}
        super().__init__(
            folder, program, aet="PACS", DicomTlsEnabled=True, DicomTlsCertificate=str(shown.certificate),
            DicomTlsPrivateKey=str(shown.key), DicomTlsTrustedCertificates=str(authority.certificate),
            DicomTlsRemoteCertificateRequired=True, DicomModalities={"node": node},
        )  # fmt: skip

    def start(self) -> Self:
        self._start([self.program, str(self.config)], lambda: listens(self.port) and listens(self.http_port))
        return self

    __enter__ = start


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class SecureStorescp(Storescp):
    """DCMTK's storescp over TLS; without ``authority`` it takes anybody."""

    def __init__(self, folder: Path, program: str, shown: Issued, authority: Authority | None) -> None:
        asking = ("-rc", "+cf", str(authority.certificate)) if authority else ("-ic",)
        super().__init__(
            folder, program, options=("--fork", "+tls", str(shown.key), str(shown.certificate), *asking)
        )  # fmt: skip

    def start(self) -> Self:
        command = [self.program, *self.options, "-aet", self.aet, "-od", str(self.received), str(self.port)]
        self._start(command, lambda: listens(self.port))
        return self

    __enter__ = start


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def node_pair(authority) -> Issued:
    return authority.issue("node")


@pytest.fixture(scope="module")
def pacs_pair(authority) -> Issued:
    return authority.issue("pacs", keys=RSA)


@pytest.fixture(scope="module")
def secure_pacs(authority, pacs_pair, tmp_path_factory) -> Iterator[SecureStorescp]:
    folder = tmp_path_factory.mktemp("pacs")
    with SecureStorescp(folder, find_component("storescp", "dcmtk"), pacs_pair, authority) as pacs:
        yield pacs


def remote_of(pacs: Storescp, trust: Trust | None) -> Remote:
    return Remote("pacs", pacs.aet, "127.0.0.1", pacs.port, "ICHAI", timeout_s=120, connect_timeout_s=120, trust=trust)


def trust_in(authority: Authority, shown: Issued | None, **more: str) -> Trust:
    own = (str(shown.certificate), str(shown.key)) if shown else ("", "")
    return Trust(Identity(*own, str(authority.certificate)), **more)


class TestCalling:
    """The node as the one that calls."""

    def test_objects_arrive(self, secure_pacs, authority, node_pair, tmp_path):
        report = save(ct_dataset(SOPClassUID=ComprehensiveSRStorage, PixelData=None), tmp_path / "sr.dcm")
        big = save(ct_dataset(PixelData=bytes(2 * 600 * 500), Rows=600, Columns=500), tmp_path / "ct.dcm")
        remote = remote_of(secure_pacs, trust_in(authority, node_pair))
        echo(remote)
        assert [answer.status for answer in store(remote, [report, big])] == [0, 0]
        assert len(list(secure_pacs.received.iterdir())) == 2

    def test_a_name_of_the_certificate_instead_of_the_host(self, secure_pacs, authority, node_pair):
        echo(remote_of(secure_pacs, trust_in(authority, node_pair, name="localhost")))
        with pytest.raises(PeerUnreachable, match=r"another host name\. Put that name into certificate_name"):
            echo(remote_of(secure_pacs, trust_in(authority, node_pair, name="pacs.example")))

    def test_a_fingerprint_instead_of_an_authority(self, secure_pacs, authority, node_pair, pacs_pair):
        (certificate,) = certificates_in(str(pacs_pair.certificate))
        own = Identity(str(node_pair.certificate), str(node_pair.key))
        echo(remote_of(secure_pacs, Trust(own, fingerprint=certificate.sha256)))
        with pytest.raises(PeerUnreachable, match="another fingerprint"):
            echo(remote_of(secure_pacs, Trust(own, fingerprint="ab" * 32)))

    def test_an_authority_that_is_not_trusted(self, secure_pacs, node_pair, tmp_path):
        with pytest.raises(PeerUnreachable, match=r"not trusted .*Set ca_file"):
            echo(remote_of(secure_pacs, trust_in(Authority(tmp_path), node_pair)))

    def test_a_peer_that_asks_for_a_certificate(self, secure_pacs, authority):
        with pytest.raises(PeerUnreachable, match=r"no TLS.*set client_certificate|no association within"):
            echo(replace(remote_of(secure_pacs, trust_in(authority, None)), timeout_s=3))

    def test_a_certificate_that_has_expired(self, authority, node_pair, component, tmp_path):
        shown = authority.issue("late", days=-1)
        with (
            SecureStorescp(tmp_path / "pacs", component("storescp", "dcmtk"), shown, None) as pacs,
            pytest.raises(PeerUnreachable, match="expired or is not valid yet"),
        ):
            echo(remote_of(pacs, trust_in(authority, node_pair)))

    def test_a_peer_without_tls(self, storescp, authority, node_pair):
        with pytest.raises(PeerUnreachable, match=r"no TLS|without TLS"):
            echo(replace(remote_of(storescp, trust_in(authority, node_pair)), timeout_s=5))

    def test_without_tls_at_a_peer_that_has_it(self, secure_pacs):
        with pytest.raises(PeerUnreachable):
            echo(replace(remote_of(secure_pacs, None), timeout_s=3))

    def test_files_that_are_not_there(self, secure_pacs, authority):
        with pytest.raises(PeerRefused, match="client_certificate and client_key"):
            echo(remote_of(secure_pacs, Trust(Identity("/nowhere.pem", "", str(authority.certificate)))))


@pytest.mark.timeout(900)
def test_from_a_scanner_over_the_node_to_a_pacs(
    authority, node_pair, secure_pacs, tiny_bundle, head_ct, dcmtk, tmp_path
):
    """`ichnode serve` with mutual TLS on all its ways, and no port without it."""
    scanner, stranger = authority.issue("ct1"), Authority(tmp_path / "other").issue("ct1")
    tls = {"certificate": str(node_pair.certificate), "key": str(node_pair.key), "port": free_port()}
    to = {"name": "pacs", "aet": secure_pacs.aet, "host": "127.0.0.1", "port": secure_pacs.port, "tls": True}
    node = RunningNode(
        tmp_path / "node",
        tls={**tls, "ca_file": str(authority.certificate), "plain_port": False},
        peers=[{"aet": "CT1", "networks": ["127.0.0.1"], "certificates": ["ct1"]}],
        destinations=[to], engine={"bundle": str(tiny_bundle.folder)},
        completeness={"settle_s": 0.3, "quiet_s": 2.0, "max_wait_s": 8.0}, delivery={"first_retry_s": 0.3},
    )  # fmt: skip

    def call(program: str, shown: Issued, *more: Any, aet: str = "CT1", **options: Any) -> Any:
        secured = ("+tls", shown.key, shown.certificate, "+cf", authority.certificate)
        return dcmtk(
            program, *secured, "-aet", aet, "-aec", "ICHAI", *more[:-1], "127.0.0.1", node.port, *more[-1:], **options
        )  # fmt: skip

    before = set(secure_pacs.received.iterdir())
    with running(node):
        assert node.port == tls["port"]
        call("echoscu", scanner)
        call("storescu", scanner, "+sd", head_ct)
        node.wait_settled()
        (series,) = node.series()
        assert series["received"] == len(list(head_ct.iterdir()))
        sent = set(secure_pacs.received.iterdir()) - before
        assert [dcmread(file).Modality for file in sent] == ["SR"]
        assert call("echoscu", stranger, check=False).returncode != 0
        assert call("echoscu", scanner, aet="CT2", check=False).returncode != 0
        plain = dcmtk("echoscu", "-aet", "CT1", "-aec", "ICHAI", "127.0.0.1", node.port, check=False)
        assert plain.returncode != 0
        codes = ("TLS_CERTIFICATE", "PEER_UNKNOWN", "NOT_TLS")
        wait_until(lambda: all(f"code={code}" in node.log for code in codes), 20, "all three are in the log")
        node.kill()
        node.start()
        assert len(node.series()) == 1, "what was acknowledged over TLS is there after a kill"
        call("echoscu", scanner)
        assert node.stop() == 0
    assert "not_loaded" not in node.log


@pytest.mark.timeout(900)
def test_a_pacs_is_asked_gives_takes_and_commits_itself_over_tls(
    authority, node_pair, pacs_pair, tiny_bundle, component, tmp_path
):
    """C-FIND, C-MOVE, C-STORE and storage commitment, both ways, with no port without TLS on either side."""
    port = free_port()
    called = {"aet": "PACS", "host": "127.0.0.1", "tls": True}
    with SecureOrthanc(tmp_path / "pacs", component("Orthanc", "orthanc"), pacs_pair, authority, port) as pacs:
        called["port"] = pacs.port
        now = datetime.now()
        for file in write_head(tmp_path, "one", slices=12, StudyDate=f"{now:%Y%m%d}", StudyTime=f"{now:%H%M%S}"):
            pacs.upload(file)
        node = RunningNode(
            tmp_path / "node",
            tls={
                "certificate": str(node_pair.certificate), "key": str(node_pair.key), "port": port,
                "ca_file": str(authority.certificate), "plain_port": False,
            },
            peers=[{"aet": "PACS", "networks": ["127.0.0.1"], "certificates": ["pacs"]}],
            source={**called, "retrieve": "c-move", "patience_s": 0.3, "look_every_s": 1},
            destinations=[{"name": "pacs", **called, "commitment": True}],
            engine={"bundle": str(tiny_bundle.folder)}, completeness={"settle_s": 0.3, "quiet_s": 2.0},
        )  # fmt: skip
        with running(node):

            def states() -> list[str]:
                study = node.study(study_uid("one"))
                made = (
                    [r for s in study["series"] for result in s["results"] for r in result["reports"]] if study else []
                )
                return [delivery["state"] for report in made for delivery in report["deliveries"]]

            wait_until(lambda: states() == ["committed"], 240, "the report is committed")
            (series,) = node.series()
            assert series["received"] == 12
            assert len(pacs.find("Instance", Modality="SR")) == 1
            assert node.stop() == 0
