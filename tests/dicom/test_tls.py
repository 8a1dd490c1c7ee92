"""The TLS port: who gets in by which protocol and certificate, what is said of who does not, and slices that arrive."""

from __future__ import annotations

import hashlib
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from ichnode.certificates import CertificateUnreadable, certificate_from, certificates_in
from ichnode.dicom import secure
from ichnode.dicom.access import AllowedPeer
from ichnode.dicom.requestor import Remote
from ichnode.dicom.scu import echo
from ichnode.dicom.secure import Identity, SecurePort, Trust
from ichnode.errors import ConfigError, PeerRefused, PeerUnreachable
from ichnode.trust import tls_context
from tests.certificates import Authority, Issued
from tests.dicom.wire import AET, RawPeer, Receiver, command_set, p_data, pdu, request_pdu
from tests.peers import wait_until


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def server(authority) -> Issued:
    return authority.issue("node")


@pytest.fixture(scope="module")
def scanner(authority) -> Issued:
    return authority.issue("scanner", "DNS:ct1.hospital.example")


def identity(server: Issued, authority: Authority) -> Identity:
    return Identity(str(server.certificate), str(server.key), str(authority.certificate))


@pytest.fixture
def receiver(server, authority) -> Iterator[Receiver]:
    with Receiver(secure=SecurePort(identity(server, authority))) as receiver:
        yield receiver


@pytest.fixture
def impatient(server, authority) -> Iterator[Receiver]:
    """It waits for the rest of a PDU for a moment only, and looks as often whether it shall end."""
    with Receiver(secure=SecurePort(identity(server, authority)), socket_timeout_s=0.4) as receiver:
        yield receiver


class SecurePeer(RawPeer):
    """A `RawPeer` over TLS."""

    def __init__(self, port: int, authority: Authority, shown: Issued | None, **limits) -> None:
        super().__init__(port)
        context = ssl.create_default_context(cafile=authority.certificate)
        if shown is not None:
            context.load_cert_chain(shown.certificate, shown.key)
        for name, value in limits.items():
            setattr(context, name, value)
        self.socket = context.wrap_socket(self.socket, server_hostname="localhost")


class TestSlices:
    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    def test_arrive_as_they_were_sent(self, receiver, authority, scanner, version):
        data = bytes(range(256)) * 2000
        parts = [data[at : at + 100_000] for at in range(0, len(data), 100_000)]
        with SecurePeer(receiver.tls_port, authority, scanner, maximum_version=version) as peer:
            assert peer.socket.version() == version.name.replace("v1_", "v1.")
            assert ("ECDHE" in peer.socket.cipher()[0]) == (version == ssl.TLSVersion.TLSv1_2)
            peer.associate()
            for _ in range(3):
                peer.send(p_data(1, 3, command_set(1, uid=b"1.2.3")))
                for number, part in enumerate(parts, 1):
                    peer.send(p_data(1, 2 if number == len(parts) else 0, part))
                assert peer.status() == 0
            assert peer.echo() == 0
            peer.release()
        assert [bytes(one.encoded) for one in receiver.received] == [data] * 3
        assert receiver.wait_ended() == ["released"]
        (seen,) = receiver.opened.values()
        assert seen.is_secure
        assert seen.certificate.names == ("scanner", "ct1.hospital.example")

    def test_a_request_that_comes_in_pieces_and_one_in_a_record_with_the_first_message(
        self, receiver, authority, scanner
    ):
        request = request_pdu()
        with SecurePeer(receiver.tls_port, authority, scanner) as peer:
            for at in range(0, len(request), 7):
                peer.send(request[at : at + 7])
            assert peer.receive()[0] == 2
            assert peer.echo() == 0
        with SecurePeer(receiver.tls_port, authority, scanner) as peer:
            echo = p_data(3, 3, command_set(0x30, data_set=False, sop_class=b"1.2.840.10008.1.1"))
            assert peer.send(request + echo).receive()[0] == 2
            assert peer.status() == 0

    def test_beside_the_port_without_tls(self, receiver, authority, scanner):
        with RawPeer(receiver.port).associate() as plain, SecurePeer(receiver.tls_port, authority, scanner) as secure:
            secure.associate()
            assert plain.echo() == secure.echo() == 0
        receiver.wait_ended(2)
        assert sorted(peer.is_secure for peer in receiver.opened.values()) == [False, True]

    def test_without_any_other_port(self, server, authority, scanner):
        with Receiver(port=None, secure=SecurePort(identity(server, authority))) as receiver:
            assert receiver.port == receiver.tls_port
            with SecurePeer(receiver.tls_port, authority, scanner) as peer:
                assert peer.associate().echo() == 0

    def test_the_end_of_the_node_is_an_abort_over_tls(self, impatient, authority, scanner):
        with SecurePeer(impatient.tls_port, authority, scanner) as peer:
            peer.associate()
            impatient.scp.stop()
            assert peer.receive()[0] == 7
            assert impatient.wait_ended() == ["aborted"]


class TestStalls:
    def test_inside_a_pdu(self, impatient, authority, scanner):
        with SecurePeer(impatient.tls_port, authority, scanner) as peer:
            peer.associate().send(b"\x04\x00\x00")
            assert peer.receive()[0] == 7
            assert impatient.wait_ended() == ["aborted"]

    def test_inside_a_record(self, server, authority, scanner):
        with (
            Receiver(
                secure=SecurePort(identity(server, authority)), network_timeout_s=2, socket_timeout_s=1
            ) as receiver,
            SecurePeer(receiver.tls_port, authority, scanner) as peer,
        ):
            peer.associate()
            socket.socket.send(peer.socket, b"\x17\x03\x03\x40\x00half a record")
            assert peer.receive()[0] == 7
            assert receiver.wait_ended() == ["aborted"]

    @pytest.mark.parametrize("begun", [b"", b"\x16", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"], ids=len)
    def test_before_or_inside_the_handshake(self, server, authority, scanner, begun):
        with (
            capture_logs() as logs,
            Receiver(secure=SecurePort(identity(server, authority)), acse_timeout_s=4) as receiver,
            RawPeer(receiver.tls_port) as slow,
        ):
            slow.send(begun)
            with SecurePeer(receiver.tls_port, authority, scanner) as honest:
                assert honest.associate().echo() == 0
            assert slow.is_closed()
        assert [e["code"] for e in logs if e["event"] == "connection.refused"] == ["NO_REQUEST"]

    def test_garbage_instead_of_records(self, receiver, authority, scanner):
        with SecurePeer(receiver.tls_port, authority, scanner) as peer:
            peer.associate()
            socket.socket.send(peer.socket, b"garbage between the records" * 10)
            assert receiver.wait_ended() == ["lost"]
        with SecurePeer(receiver.tls_port, authority, scanner) as other:
            assert other.associate().echo() == 0


def said_of(act, receiver: Receiver) -> tuple[str, str]:
    """What the log says of the one connection that `act` makes, and that others are served afterwards."""
    with capture_logs() as logs:
        act()
        refused = wait_until(lambda: [e for e in logs if e["event"] == "connection.refused"], 10)
    assert receiver.opened == {}
    with RawPeer(receiver.port).associate() as honest:
        assert honest.echo() == 0
    return refused[0]["code"], refused[0]["remedy"]


class TestWhoGetsNoFurther:
    def test_plain_dicom_is_told_by_an_abort(self, receiver):
        def plain():
            with RawPeer(receiver.tls_port) as peer:
                assert peer.send(request_pdu()).receive()[0] == 7
                assert peer.is_closed()

        code, remedy = said_of(plain, receiver)
        assert code == "NOT_TLS"
        assert "switch TLS on there" in remedy

    def test_tls_to_the_port_without_it(self, receiver, authority, scanner):
        def secure():
            with pytest.raises(ssl.SSLError):
                SecurePeer(receiver.port, authority, scanner)

        code, remedy = said_of(secure, receiver)
        assert (code, remedy.split()[0]) == ("NOT_DICOM", "TLS")

    def shake(self, receiver, authority, shown):
        """Shake hands as far as it goes: of a refusal a client of TLS 1.3 hears when it first reads."""
        with pytest.raises((ssl.SSLError, ConnectionError)), SecurePeer(receiver.tls_port, authority, shown) as peer:
            peer.send(request_pdu())
            if peer.receive() == (0, b""):
                raise ConnectionError

    def test_no_certificate(self, receiver, authority):
        code, remedy = said_of(lambda: self.shake(receiver, authority, None), receiver)
        assert code == "TLS_HANDSHAKE"
        assert remedy.startswith("It showed no certificate")

    def test_an_expired_one(self, receiver, authority):
        expired = authority.issue("expired", days=-1)
        code, remedy = said_of(lambda: self.shake(receiver, authority, expired), receiver)
        assert code == "TLS_CERTIFICATE"
        assert "expired" in remedy
        assert "renew it there" in remedy

    def test_one_that_signed_itself(self, receiver, authority):
        code, remedy = said_of(lambda: self.shake(receiver, authority, authority.self_signed("self")), receiver)
        assert code == "TLS_CERTIFICATE"
        assert "tls.ca_file" in remedy

    def test_one_of_another_authority(self, receiver, authority, tmp_path):
        other = Authority(tmp_path).issue("scanner")
        code, _ = said_of(lambda: self.shake(receiver, authority, other), receiver)
        assert code == "TLS_CERTIFICATE"

    def test_one_that_is_for_servers_only(self, receiver, authority):
        wrong = authority.issue("wrong", more="extendedKeyUsage=serverAuth\n")
        code, remedy = said_of(lambda: self.shake(receiver, authority, wrong), receiver)
        assert code == "TLS_CERTIFICATE"
        assert "for client authentication" in remedy

    def test_who_does_not_trust_the_node(self, receiver, tmp_path, scanner):
        stranger = Authority(tmp_path)

        def shake():
            with pytest.raises(ssl.SSLError):
                SecurePeer(receiver.tls_port, stranger, scanner)

        code, remedy = said_of(shake, receiver)
        assert code == "TLS_ALERT"
        assert "tls.certificate" in remedy

    @pytest.mark.parametrize(
        ("options", "named"),
        [
            (["-tls1"], "TLS 1.1 or older"),
            (["-tls1_1"], "TLS 1.1 or older"),
            (["-tls1_2", "-cipher", "AES128-SHA:@SECLEVEL=0"], "no cipher of BCP 195"),
            (["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA256:@SECLEVEL=0"], "no cipher of BCP 195"),
        ],
    )
    def test_old_protocols_and_ciphers(self, receiver, scanner, options, named):
        def shake():
            weak = options if "-cipher" in options else [*options, "-cipher", "ALL:@SECLEVEL=0"]
            where = f"127.0.0.1:{receiver.tls_port}"
            done = subprocess.run(
                ["openssl", "s_client", "-connect", where, "-cert", scanner.both, *weak], input=b"", timeout=60,
                capture_output=True, check=False,
            )  # fmt: skip
            assert done.returncode != 0

        _, remedy = said_of(shake, receiver)
        assert named in remedy

    def test_by_choice_a_certificate_is_not_needed_but_a_bad_one_is_not_taken(self, server, authority):
        port = SecurePort(identity(server, authority), require_certificate=False)
        with Receiver(secure=port) as receiver:
            self_signed = authority.self_signed("self2")
            code, _ = said_of(lambda: self.shake(receiver, authority, self_signed), receiver)
            assert code == "TLS_CERTIFICATE"
            with SecurePeer(receiver.tls_port, authority, None) as peer:
                assert peer.associate().echo() == 0


class TestBinding:
    """Entries of the allow-list that ask for TLS, or for one certificate."""

    def associate(self, receiver: Receiver, peer: RawPeer) -> int:
        return peer.send(request_pdu(calling="CT1")).receive()[0]

    def refused(self, allowed: AllowedPeer, server, authority, call) -> str:
        secure = SecurePort(identity(server, authority), require_certificate=False)
        with capture_logs() as logs, Receiver(allowed=(allowed,), secure=secure) as receiver, call(receiver) as peer:
            kind, body = peer.send(request_pdu(calling="CT1")).receive()
            assert (kind, body[1:]) == (3, b"\x01\x01\x03")
        (line,) = [e for e in logs if e["event"] == "association.rejected"]
        return line["code"]

    @pytest.mark.parametrize("known_by", ["ct1.hospital.example", "scanner", "fingerprint"])
    def test_by_name_or_fingerprint(self, server, authority, scanner, known_by):
        (certificate,) = certificates_in(str(scanner.certificate))
        names = (certificate.sha256 if known_by == "fingerprint" else known_by,)
        allowed = (AllowedPeer("CT1", certificates=names),)
        port = SecurePort(identity(server, authority))
        with (
            Receiver(allowed=allowed, secure=port) as receiver,
            SecurePeer(receiver.tls_port, authority, scanner) as peer,
        ):
            assert peer.send(request_pdu(calling="CT1")).receive()[0] == 2
            assert peer.echo() == 0

    def test_another_certificate(self, server, authority, scanner):
        allowed = AllowedPeer("CT1", certificates=("ct2.hospital.example",))
        code = self.refused(allowed, server, authority, lambda r: SecurePeer(r.tls_port, authority, scanner))
        assert code == "CERTIFICATE_OF_ANOTHER"

    def test_no_certificate(self, server, authority):
        allowed = AllowedPeer("CT1", certificates=("ct2.hospital.example",))
        code = self.refused(allowed, server, authority, lambda r: SecurePeer(r.tls_port, authority, None))
        assert code == "NO_CERTIFICATE"

    @pytest.mark.parametrize("allowed", [AllowedPeer("CT1", tls=True), AllowedPeer("CT1", certificates=("x",))])
    def test_without_tls(self, server, authority, allowed):
        assert self.refused(allowed, server, authority, lambda r: RawPeer(r.port)) == "TLS_ASKED"

    @pytest.mark.parametrize("what", ["DuplicateExtension", "InvalidVersion"])
    def test_a_certificate_that_only_openssl_takes_is_nobodys_and_costs_no_port(self, server, authority, scanner, what):
        """OpenSSL verifies it; cryptography, which reads its names, raises what is no ValueError."""
        sound = authority.issue("twice", more="1.2.3.4.5=DER:0500\n1.2.3.4.6=DER:0500\n")
        first, second = bytes.fromhex("06042a030405"), bytes.fromhex("06042a030406")
        if what == "DuplicateExtension":
            shown = authority.resign(sound, what, lambda signed: signed.replace(second, first))
        else:
            third, fourth = bytes.fromhex("a003020102"), bytes.fromhex("a003020103")
            shown = authority.resign(sound, what, lambda signed: signed.replace(third, fourth, 1))
        with pytest.raises(CertificateUnreadable) as caught:
            certificate_from(ssl.PEM_cert_to_DER_cert(shown.certificate.read_text()))
        assert type(caught.value.__cause__).__name__ == what
        with pytest.raises(CertificateUnreadable, match="holds no PEM certificate"):
            certificates_in(str(shown.certificate))

        allowed = (AllowedPeer("CT1", certificates=("twice",)), AllowedPeer("*"))
        secure = SecurePort(identity(server, authority))
        with capture_logs() as logs, Receiver(allowed=allowed, secure=secure) as receiver:
            with SecurePeer(receiver.tls_port, authority, sound) as peer:
                assert self.associate(receiver, peer) == 2
            with SecurePeer(receiver.tls_port, authority, shown) as peer:
                assert peer.associate().echo() == 0
            wait_until(lambda: len(receiver.opened) == 2)
            assert receiver.opened[2].certificate is None
            with SecurePeer(receiver.tls_port, authority, scanner) as other:
                assert other.associate().echo() == 0, "the port is still there"
        code = self.refused(allowed[0], server, authority, lambda r: SecurePeer(r.tls_port, authority, shown))
        assert code == "NO_CERTIFICATE"
        assert not [e for e in logs if e["event"] == "association.rejected"]

    def test_a_name_that_spells_a_fingerprint_is_none(self, server, authority, scanner):
        (certificate,) = certificates_in(str(scanner.certificate))
        forged = authority.issue("forged", f"DNS:{certificate.sha256}")
        allowed = AllowedPeer("CT1", certificates=(certificate.sha256,))
        code = self.refused(allowed, server, authority, lambda r: SecurePeer(r.tls_port, authority, forged))
        assert code == "CERTIFICATE_OF_ANOTHER"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_each_association_is_a_handshake_of_its_own(receiver, authority, scanner, version):
    """Neither by session ID nor by ticket: a certificate that was withdrawn opens nothing from memory."""
    context = ssl.create_default_context(cafile=authority.certificate)
    context.load_cert_chain(scanner.certificate, scanner.key)
    context.maximum_version = version
    session = None
    with ExitStack() as stack:  # OpenSSL forgets a session whose connection was broken off
        for _ in range(3):
            peer = stack.enter_context(RawPeer(receiver.tls_port))
            peer.socket = context.wrap_socket(peer.socket, server_hostname="localhost", session=session)
            assert peer.associate().echo() == 0
            assert not peer.socket.session_reused
            session = peer.socket.session


class TestFiles:
    def test_a_renewed_certificate_is_used_without_a_restart(self, authority, scanner, tmp_path):
        first, second = authority.issue("first"), authority.issue("second")
        here = Issued(tmp_path / "node.pem", tmp_path / "node.key", tmp_path / "both.pem")

        def put(issued: Issued) -> None:
            shutil.copy(issued.certificate, here.certificate)
            shutil.copy(issued.key, here.key)

        def shown() -> str:
            with SecurePeer(receiver.tls_port, authority, scanner) as peer:
                assert peer.associate().echo() == 0
                return dict(x[0] for x in peer.socket.getpeercert()["subject"])["commonName"]

        put(first)
        with capture_logs() as logs, Receiver(secure=SecurePort(identity(here, authority))) as receiver:
            assert shown() == "first"
            here.certificate.write_text("half a certif")
            assert shown() == "first", "what cannot be used leaves the one before"
            shutil.copy(second.certificate, here.certificate)
            assert shown() == "first", "its key is still to come"
            put(second)
            assert shown() == "second"
        assert [e["code"] for e in logs if e["event"] == "certificate.not_loaded"] == ["TLS_FILES"] * 2
        assert [e["event"] for e in logs].count("certificate.loaded") == 1

    def test_they_are_read_in_a_thread_of_their_own_and_for_calls_once(
        self, server, authority, scanner, tmp_path, monkeypatch
    ):
        """No handshake waits for PEM files; a call reads them again only when they have changed."""
        accepting, calling = [], []

        def made(kind, make):
            def counted(*given, **more):
                kind.append(threading.current_thread())
                return make(*given, **more)

            return counted

        port = SecurePort(identity(server, authority))
        monkeypatch.setattr(secure, "acceptor_context", made(accepting, secure.acceptor_context))
        monkeypatch.setattr(secure, "requestor_context", made(calling, secure.requestor_context))
        ca_file = Path(shutil.copy(authority.certificate, tmp_path / "authority.pem"))
        trust = Trust(Identity(str(scanner.certificate), str(scanner.key), str(ca_file)))
        with Receiver(secure=port) as receiver:
            remote = Remote("node", AET, "127.0.0.1", receiver.tls_port, "CT1", trust=trust)
            for _ in range(6):
                echo(remote)
            assert len(calling) == 1
            assert len(accepting) >= 2, "the stock does not last"
            assert {thread.name.partition("_")[0] for thread in accepting} == {"tls"}
            ca_file.write_text(Authority(tmp_path / "other").certificate.read_text())
            with pytest.raises(PeerUnreachable, match="not trusted"):
                echo(remote)
            assert len(calling) == 2, "another authority is trusted from here on"

    def test_for_calls_over_https_too(self, authority, scanner, tmp_path):
        ca_file = Path(shutil.copy(authority.certificate, tmp_path / "authority.pem"))
        own = str(scanner.certificate), str(scanner.key)
        first = tls_context("pacs", str(ca_file), *own)
        assert tls_context("records", str(ca_file), *own) is first
        assert first.minimum_version == ssl.TLSVersion.TLSv1_2
        ca_file.write_text("nothing of the kind")
        with pytest.raises(PeerRefused, match="records: ca_file"):
            tls_context("records", str(ca_file), *own)
        ca_file.write_text(Authority(tmp_path / "other").certificate.read_text())
        assert tls_context("pacs", str(ca_file), *own) is not first
        assert tls_context("pacs", "", *own) is tls_context("pacs", "", *own), "whom this machine trusts"

    @pytest.mark.parametrize("which", ["certificate", "key", "ca_file"])
    def test_files_that_cannot_be_used_are_named(self, server, authority, which, tmp_path):
        files = {"certificate": str(server.certificate), "key": str(server.key), "ca_file": str(authority.certificate)}
        (tmp_path / "wrong").write_text("nothing of the kind")
        for wrong in (tmp_path / "wrong", tmp_path / "absent"):
            with pytest.raises(ConfigError, match="Correct") as caught:
                SecurePort(Identity(**files | {which: str(wrong)}))
            assert str(wrong) in caught.value.sentence

    def test_a_key_under_a_password_is_not_asked_for(self, authority, server, tmp_path):
        locked = tmp_path / "locked.key"
        command = ["openssl", "ec", "-in", server.key, "-aes256", "-passout", "pass:x", "-out", locked]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        with pytest.raises(ConfigError, match="unencrypted key"):
            SecurePort(Identity(str(server.certificate), str(locked), str(authority.certificate)))


def test_a_hundred_handshakes_at_once_hold_nobody_up(receiver, authority, scanner):
    def call(_):
        with SecurePeer(receiver.tls_port, authority, scanner) as peer:
            assert peer.associate().echo() == 0
            peer.release()

    threads = [threading.Thread(target=call, args=(n,)) for n in range(20)]
    for _ in range(5):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        threads = [threading.Thread(target=call, args=(n,)) for n in range(20)]
    assert receiver.wait_ended(100) == ["released"] * 100


def test_an_abort_in_the_handshake_leaves_no_descriptor(receiver, authority, scanner):
    import psutil

    with SecurePeer(receiver.tls_port, authority, scanner) as peer:
        assert peer.associate().echo() == 0
        peer.release()
    before = psutil.Process().num_fds()
    for begun in (b"\x16", b"\x16\x03\x01\x00\x05hello", pdu(1, b"")):
        for _ in range(20):
            with RawPeer(receiver.tls_port) as peer:
                peer.send(begun)
    wait_until(lambda: psutil.Process().num_fds() <= before, 10)


def test_the_wrong_title_is_told_over_tls(receiver, authority, scanner):
    with capture_logs() as logs, SecurePeer(receiver.tls_port, authority, scanner) as peer:
        assert peer.send(request_pdu(called="OTHER")).receive() == (3, b"\0\x01\x01\x07")
        assert peer.is_closed()
    (line,) = [e for e in logs if e["event"] == "association.rejected"]
    assert (line["code"], line["certificate"]) == ("CALLED_AET_UNKNOWN", "scanner")
    assert AET in line["remedy"]


def test_a_fingerprint_needs_no_certificate_that_can_be_read(server, authority):
    signed_anew = authority.resign(
        server, "node anew", lambda signed: signed.replace(b"\xa0\x03\2\1\2", b"\xa0\x03\2\1\3")
    )
    shown = hashlib.sha256(ssl.PEM_cert_to_DER_cert(signed_anew.certificate.read_text())).hexdigest()
    with Receiver(secure=SecurePort(identity(signed_anew, authority))) as receiver:
        remote = Remote(
            "pacs",
            AET,
            "127.0.0.1",
            receiver.tls_port,
            "CT1",
            trust=Trust(Identity(str(server.both)), fingerprint=shown),
        )
        echo(remote)


class TestNamesThatNoCertificateCanHold:
    """pynetdicom expects of a connection nothing but an OSError; what else is raised would hang the association."""

    @pytest.mark.timeout(900)
    @pytest.mark.parametrize("name", ["n" * 64, ".pacs.example", "pacs..example", "pa\0cs"])
    def test_in_certificate_name(self, receiver, server, authority, name):
        trust = Trust(identity(server, authority), name=name)
        with pytest.raises(PeerUnreachable, match="Correct certificate_name"):
            echo(Remote("pacs", AET, "127.0.0.1", receiver.tls_port, "CT1", trust=trust))

    @pytest.mark.timeout(900)
    @pytest.mark.parametrize("host", ["n" * 64, ".pacs.example"])
    @pytest.mark.parametrize("secure", [True, False])
    def test_in_host(self, server, authority, host, secure):
        trust = Trust(identity(server, authority)) if secure else None
        with pytest.raises(PeerUnreachable, match="Check its host"):
            echo(Remote("pacs", AET, host, 104, "CT1", trust=trust))
