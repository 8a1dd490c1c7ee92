"""What DICOMweb services are asked, and what is made of their answers: Orthanc's, and those that it never gives."""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import httpx2
import psutil
import pydicom
import pytest
from pydicom.uid import Comprehensive3DSRStorage, ComprehensiveSRStorage

from ichnode.dicom import stow as stow_module
from ichnode.dicom.store_answers import Alternatives
from ichnode.dicom.stow import stow
from ichnode.dicom.web import web_echo
from ichnode.errors import PeerBusy, PeerRefused, PeerUnreachable
from ichnode.https import MOST_ANSWER_BYTES, NoSuchService, WebRemote
from tests.certificates import Authority
from tests.dicom.made_ct import ct_dataset, head_hu, save
from tests.peers import free_port, wait_until
from tests.web_service import WebService, failed, gateway, referenced

SECRET = "SECRET-f00d"


@pytest.fixture
def files(tmp_path):
    return [save(ct_dataset(SOPInstanceUID=f"1.2.3.{n + 1}"), tmp_path / f"{n}.dcm") for n in range(3)]


@pytest.fixture
def service():
    with WebService().listening() as listening:
        yield listening


@pytest.fixture
def web(service):
    return remote(service.url)


@pytest.fixture(scope="module")
def authority(tmp_path_factory, component):
    return Authority(tmp_path_factory.mktemp("authority"), component("openssl", "openssl"))


@pytest.fixture(scope="module")
def shown(authority):
    return authority.issue("service")


def remote(url, **options) -> WebRemote:
    return WebRemote("pacs", url, **({"timeout_s": 20.0, "connect_timeout_s": 10.0} | options))


def written(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


class TestOrthanc:
    @pytest.mark.interop
    def test_it_has_them_as_they_were(self, start_orthanc, files, tmp_path):
        orthanc = start_orthanc(plugins=True)
        web = remote(f"http://127.0.0.1:{orthanc.http_port}/dicom-web/")
        web_echo(web)
        seen = []
        for _ in range(2):  # the same objects again are still the same objects
            answers = stow(web, files, lambda path, status: seen.append((path, status)))
            assert [(a.path, a.status, a.error, a.transient) for a in answers] == [(p, 0, None, False) for p in files]
        assert seen == [(path, 0) for path in [*files, *files]]
        back = {ds.SOPInstanceUID: ds for ds in map(pydicom.dcmread, orthanc.files(tmp_path / "back"))}
        assert len(back) == 3
        for path in files:
            sent = pydicom.dcmread(path)
            assert back[sent.SOPInstanceUID] == sent

    @pytest.mark.interop
    def test_what_it_cannot_read_fails_alone(self, start_orthanc, files, tmp_path):
        orthanc = start_orthanc(plugins=True)
        cut = tmp_path / "cut.dcm"
        cut.write_bytes(files[0].read_bytes()[:400])
        answers = stow(remote(f"http://127.0.0.1:{orthanc.http_port}/dicom-web"), [cut, files[1]])
        assert [(a.error is None, a.transient) for a in answers] == [(False, False), (True, False)]
        assert "HTTP 400" in answers[0].error

    @pytest.mark.interop
    def test_without_the_plugin_the_advice_is_to_enable_it(self, orthanc, files):
        web = remote(f"http://127.0.0.1:{orthanc.http_port}/dicom-web")
        with pytest.raises(NoSuchService, match="correct url, or enable STOW-RS there"):
            stow(web, files)

    @pytest.mark.interop
    def test_with_a_password_through_mutual_tls(self, start_orthanc, files, authority, shown, tmp_path):
        orthanc = start_orthanc(plugins=True, AuthenticationEnabled=True, RegisteredUsers={"ichnode": SECRET})
        client = authority.issue("ichnode")
        with gateway(orthanc.http_port, shown, trusted=str(authority.certificate)) as port:
            url = f"https://127.0.0.1:{port}/dicom-web"
            tls = {"ca_file": str(authority.certificate), "client_certificate": str(client.both)}
            good = remote(
                url, user="ichnode", password_file=written(tmp_path / "p", SECRET + "\n"),
                ca_file=str(authority.certificate), client_certificate=str(client.certificate),
                client_key=str(client.key),
            )  # fmt: skip
            web_echo(good)
            assert [a.status for a in stow(good, files)] == [0, 0, 0]
            assert stow(remote(url, user="ichnode", password_file=good.password_file, **tls), files[:1])[0].status == 0
            wrong = remote(url, user="ichnode", password_file=written(tmp_path / "w", "wrong"), **tls)
            for asks in (web_echo, lambda web: stow(web, files)):
                with pytest.raises(PeerRefused, match=r"HTTP 401.*password_file"):
                    asks(wrong)
                with pytest.raises(PeerRefused, match="set token_file, or user and password_file"):
                    asks(remote(url, **tls))


class TestTls:
    @contextmanager
    def served(self, service, shown, trusted=None):
        with gateway(service.port, shown, trusted) as port:
            yield f"https://127.0.0.1:{port}/dicom-web"

    def test_trusted_by_its_authority(self, service, files, authority, shown):
        with self.served(service, shown) as url:
            web = remote(url, ca_file=str(authority.certificate))
            web_echo(web)
            assert stow(web, files)[0].status == 0

    def test_not_trusted(self, service, files, shown):
        with self.served(service, shown) as url, pytest.raises(PeerUnreachable, match=r"not trusted.*Set ca_file"):
            stow(remote(url), files)
        assert service.requests == []

    def test_of_another_host(self, service, authority):
        other = authority.issue("other", "DNS:pacs.example,IP:192.0.2.1")
        with self.served(service, other) as url:
            for called in (url, url.replace("127.0.0.1", "localhost")):
                with pytest.raises(PeerUnreachable, match="for another host name"):
                    web_echo(remote(called, ca_file=str(authority.certificate)))
        assert service.requests == []

    def test_its_own_certificate_is_missing_or_of_a_stranger(self, service, files, authority, shown, tmp_path):
        stranger = Authority(tmp_path / "stranger").issue("ichnode")
        with self.served(service, shown, str(authority.certificate)) as url:
            for client in ("", str(stranger.both)):
                web = remote(url, ca_file=str(authority.certificate), client_certificate=client)
                for asks in (web_echo, lambda web: stow(web, files)):
                    with pytest.raises(PeerUnreachable):
                        asks(web)
                with pytest.raises(PeerUnreachable, match="set client_certificate and client_key"):
                    web_echo(web)
        assert service.requests == []

    def test_plain_http_where_tls_is_asked(self, service):
        with pytest.raises(PeerUnreachable, match="It may speak plain HTTP on this port"):
            web_echo(remote(service.url.replace("http", "https")))

    @pytest.mark.parametrize("setting", ["ca_file", "client_certificate", "client_key"])
    def test_files_that_are_none(self, setting, files, authority, tmp_path):
        client = authority.issue("ichnode")
        good = {"ca_file": str(authority.certificate), "client_certificate": str(client.certificate),
                "client_key": str(client.key)}  # fmt: skip
        other = authority.issue("another").key
        for bad in (str(tmp_path / "absent.pem"), written(tmp_path / "empty.pem", ""), str(other)):
            with pytest.raises(PeerRefused, match=setting):
                stow(remote("https://127.0.0.1:1", **(good | {setting: bad})), files)

    def test_a_key_with_a_password_asks_nobody(self, authority, tmp_path, component):
        import subprocess

        client = authority.issue("ichnode")
        locked = tmp_path / "locked.pem"
        command = [component("openssl", "openssl"), "ec", "-in", client.key, "-out", locked, "-aes128",
                   "-passout", "pass:x"]  # fmt: skip
        subprocess.run(command, check=True, capture_output=True)
        with pytest.raises(PeerRefused, match="unencrypted key"):
            web_echo(remote("https://127.0.0.1:1", client_certificate=str(client.certificate), client_key=str(locked)))


class TestCredentials:
    def test_a_token_that_was_renewed_is_taken_at_the_next_attempt(self, service, files, tmp_path):
        def admit(request):
            good = request.headers["Authorization"] == "Bearer new-token"
            return (200, referenced(request), {}) if good else (401, b"", {"WWW-Authenticate": "Bearer"})

        service.store = admit
        token = tmp_path / "token"
        web = remote(service.url, token_file=written(token, "old-token\n"))
        with pytest.raises(PeerRefused, match=r"HTTP 401.*renew what token_file holds") as refused:
            stow(web, files)
        assert "old-token" not in refused.value.sentence
        assert len(service.requests) == 1, "one question, not one for each object"
        token.write_text("new-token\n")
        assert [a.status for a in stow(web, files)] == [0, 0, 0]

    def test_taken_away_in_the_middle(self, service, web, files):
        codes = iter([200, 403])
        service.store = lambda request: (next(codes), b"", {})
        answers = stow(web, files)
        assert [(a.status, a.transient) for a in answers] == [(0, False), (None, True), (None, True)]
        assert "HTTP 403" in answers[2].error

    @pytest.mark.parametrize("content", [None, b"", b"\n", b"two\nlines", b"\xff\xfe", "grün".encode(), b"a\0b"])
    def test_a_token_file_that_holds_none(self, service, files, tmp_path, content):
        token = tmp_path / "token"
        if content is not None:
            token.write_bytes(content)
        with pytest.raises(PeerRefused, match=r"token_file .*(cannot be read|one line)"):
            stow(remote(service.url, token_file=str(token)), files)
        assert service.requests == []

    def test_a_redirect_is_not_followed_and_takes_no_token_elsewhere(self, service, files, tmp_path):
        with WebService().listening() as elsewhere:
            service.store = lambda request: (307, b"", {"Location": elsewhere.url + "/studies"})
            service.query = service.store
            web = remote(service.url, token_file=written(tmp_path / "token", SECRET))
            for asks in (web_echo, lambda web: stow(web, files)):
                with pytest.raises(PeerRefused, match="HTTP 307"):
                    asks(web)
            assert elsewhere.requests == []

    def test_nothing_is_taken_from_the_environment(self, service, web, files, monkeypatch, tmp_path):
        written(tmp_path / ".netrc", f"machine 127.0.0.1 login a password {SECRET}\n")
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
        assert stow(web, files)[0].status == 0
        assert "Authorization" not in service.requests[0].headers

    def test_no_secret_in_what_is_logged_or_shown(self, service, files, tmp_path, caplog):
        service.store = lambda request: (401, SECRET.encode(), {})
        web = remote(service.url, token_file=written(tmp_path / "token", SECRET))
        with caplog.at_level("DEBUG"), pytest.raises(PeerRefused) as refused:
            stow(web, files)
        assert SECRET not in caplog.text + refused.value.sentence + repr(web)


class TestAnswers:
    @pytest.mark.parametrize(
        ("code", "reason", "transient"),
        [
            (409, 0xA700, True), (409, 0x0110, True), (409, 0x0213, True), (409, 0xA900, False),
            (409, 0xC122, False), (409, 0x0124, False), (409, 0xC000, False), (409, None, False),
            (202, 0xA700, True), (202, 0xA900, False), (200, 0xA900, False), (400, 0xC000, False),
        ],
    )  # fmt: skip
    def test_failed(self, service, web, files, code, reason, transient):
        service.store = lambda request: (code, failed(request, reason), {})
        (answer,) = stow(web, files[:1])
        assert (answer.status, answer.transient) == (reason, transient)
        assert answer.error.startswith("pacs refused the object")

    def test_0111_means_that_it_is_there_already(self, service, web, files):
        service.store = lambda request: (409, failed(request, 0x0111), {})
        assert stow(web, files[:1])[0].error is None

    @pytest.mark.parametrize("warning", [0xB000, 0xB006, 0xB007])
    def test_a_warning_is_stored(self, service, web, files, warning):
        service.store = lambda request: (202, referenced(request, warning), {})
        (answer,) = stow(web, files[:1])
        assert (answer.status, answer.error) == (warning, None)

    def test_mixed(self, service, web, files):
        replies = iter([(200, None), (409, 0xA900), (202, 0xA700)])

        def reply(request):
            code, reason = next(replies)
            return code, referenced(request) if reason is None else failed(request, reason), {}

        service.store = reply
        assert [(a.status, a.error is None, a.transient) for a in stow(web, files)] == [
            (0x0000, True, False), (0xA900, False, False), (0xA700, False, True),
        ]  # fmt: skip
        assert service.stored == ["1.2.3.1", "1.2.3.2", "1.2.3.3"]

    @pytest.mark.parametrize(
        "body",
        [b"", b"\xff garbage", b"null", b"[]", b"{}", b'"x"', b"[1,2]", b'{"00081198": 3}', b'{"00081198":{"Value":7}}',
         b"[" * 5000, b'<?xml version="1.0"?><NativeDicomModel/>'],
    )  # fmt: skip
    def test_a_body_that_says_nothing_leaves_the_word_to_the_code(self, service, web, files, body):
        for code, expected in ((200, (0, True, False)), (202, (None, False, True)), (409, (None, False, False))):
            service.store = lambda request, code=code: (code, body, {})
            (answer,) = stow(web, files[:1])
            assert (answer.status, answer.error is None, answer.transient) == expected, code

    @pytest.mark.parametrize("code", [201, 204])
    def test_an_answer_that_the_standard_does_not_have_is_no_promise(self, service, web, files, code):
        service.store = lambda request: (code, b"", {})
        (answer,) = stow(web, files[:1])
        assert (answer.status, answer.transient) == (None, True)
        assert f"HTTP {code} and did not say what became of it" in answer.error

    def test_a_huge_body_is_not_read(self, service, web, files):
        service.store = lambda request: (200, b" " * (40 * MOST_ANSWER_BYTES), {})
        before = psutil.Process().memory_info().rss
        assert stow(web, files)[0].status == 0
        assert psutil.Process().memory_info().rss - before < 100 * MOST_ANSWER_BYTES

    @pytest.mark.parametrize(
        ("code", "sentence"),
        [(413, "raise the longest request"), (415, "enable STOW-RS"), (406, "dicom+json"), (400, "look at its log"),
         (418, "look at its log")],
    )  # fmt: skip
    def test_permanent_for_this_object(self, service, web, files, code, sentence):
        codes = iter([code, 200])
        service.store = lambda request: (next(codes), b"", {})
        first, second = stow(web, files[:2])
        assert (first.status, first.transient) == (None, False)
        assert f"HTTP {code}" in first.error
        assert sentence in first.error
        assert second.status == 0

    def test_an_error_over_one_object_is_transient(self, service, web, files):
        codes = iter([500, 200])
        service.store = lambda request: (next(codes), b"", {})
        assert [(a.status, a.transient) for a in stow(web, files[:2])] == [(None, True), (0, False)]

    @pytest.mark.parametrize(
        ("code", "header", "again_in_s"),
        [(503, "17", 17.0), (429, "", 0.0), (503, "Wed, 21 Oct 2065 07:28:00 GMT", 0.0), (507, "-3", 0.0)],
    )
    def test_busy(self, service, web, files, code, header, again_in_s):
        headers = {"Retry-After": header} if header else {}
        service.store = service.query = lambda request: (code, b"", headers)
        for asks in (web_echo, lambda web: stow(web, files)):
            with pytest.raises(PeerBusy, match="It may pass by itself") as busy:
                asks(web)
            assert busy.value.again_in_s == again_in_s

    @pytest.mark.parametrize("code", [404, 405, 501])
    def test_no_such_service(self, service, web, files, code):
        service.store = service.query = lambda request: (code, b"", {})
        web_echo(web)  # it need not answer queries
        with pytest.raises(PeerRefused, match="correct url"):
            stow(web, files)

    def test_it_cannot_answer_anything(self, service, web):
        service.query = lambda request: (500, b"", {})
        with pytest.raises(PeerUnreachable, match="HTTP 500"):
            web_echo(web)


class TestConnection:
    def test_one_connection_for_all(self, service, web, files):
        ports = []
        service.store = lambda request: (200, b"", {})
        with gateway_counting(service.port, ports) as port:
            stow(remote(f"http://127.0.0.1:{port}/dicom-web"), files)
        assert len(ports) == 1

    def test_nobody_listens(self, files):
        for asks in (web_echo, lambda web: stow(web, files)):
            with pytest.raises(PeerUnreachable, match=r"no connection\. Check url"):
                asks(remote(f"http://127.0.0.1:{free_port()}/dicom-web"))

    def test_the_host_does_not_exist(self, files):
        with pytest.raises(PeerUnreachable, match="host name is unknown"):
            stow(remote("https://no-such-host.invalid/dicom-web"), files)

    @pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"])
    def test_a_stalled_answer(self, files, sent):
        go_on = threading.Event()
        begun = time.monotonic()
        with raw_service(lambda c: (c.recv(65536), c.sendall(sent), go_on.wait(30))) as port:
            with pytest.raises(PeerUnreachable, match=r"did not answer within 0\.5 s"):
                stow(remote(f"http://127.0.0.1:{port}", timeout_s=0.5), files[:1])
            go_on.set()
        assert time.monotonic() - begun < 20

    def test_an_answer_byte_by_byte_for_ever(self, files):
        over = threading.Event()

        def drip(connection):
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
            while not over.wait(0.1):
                connection.sendall(b" ")

        with raw_service(drip) as port, pytest.raises(PeerUnreachable, match="did not answer within"):
            try:
                stow(remote(f"http://127.0.0.1:{port}", timeout_s=1), files[:1])
            finally:
                over.set()

    @pytest.mark.parametrize("sent", [b"", b"220 mail.example ESMTP\r\n", b"\0" * 100])
    def test_what_is_no_http(self, files, sent):
        with (
            raw_service(lambda c: (c.recv(65536), c.sendall(sent))) as port,
            pytest.raises(PeerUnreachable, match="it ended the connection"),
        ):
            stow(remote(f"http://127.0.0.1:{port}"), files[:1])

    def test_a_service_lost_in_the_middle_makes_the_rest_transient(self, service, web, files):
        replies = iter([(200, b"", {}), None, (200, b"", {})])
        service.store = lambda request: next(replies)
        answers = stow(web, files)
        assert [(a.status, a.transient) for a in answers] == [(0, False), (None, True), (None, True)]
        assert len(service.requests) == 2

    def test_no_thread_and_no_descriptor_stays(self, service, web, files):
        process = psutil.Process()
        stow(web, files)
        before = process.num_fds()
        for _ in range(3):
            stow(web, files)
            web_echo(web)
            with pytest.raises(PeerUnreachable):
                web_echo(remote(f"http://127.0.0.1:{free_port()}"))
        wait_until(lambda: process.num_fds() <= before)


class TestFiles:
    def test_nothing_to_send_asks_nobody(self):
        assert stow(remote(f"http://127.0.0.1:{free_port()}"), []) == []

    def test_a_file_that_is_none(self, service, web, files, tmp_path):
        bad, gone = written(tmp_path / "bad.dcm", "no DICOM"), tmp_path / "gone.dcm"
        answers = stow(web, [Path(bad), files[0], gone])
        assert [(a.status, a.error is None, a.transient) for a in answers] == [
            (None, False, False), (0, True, False), (None, False, False),
        ]  # fmt: skip
        assert service.stored == ["1.2.3.1"]

    def test_a_file_that_shrinks_while_it_is_sent_is_not_stored(self, service, web, files, monkeypatch):
        whole = stow_module._Part.__iter__

        def cut(part):
            for chunk in whole(part):
                os.truncate(files[0], 1000)
                yield chunk

        monkeypatch.setattr(stow_module._Part, "__iter__", cut)
        (answer,) = stow(web, files[:1])
        assert (answer.status, answer.transient) == (None, True)
        assert "became shorter" in answer.error
        assert service.stored == []

    def test_a_large_file_is_never_whole_in_memory(self, service, tmp_path, monkeypatch):
        path = save(ct_dataset(head_hu(2048)), tmp_path / "large.dcm")
        longest = []
        whole = stow_module._Part.__iter__

        def measured(part):
            for chunk in whole(part):
                longest.append(len(chunk))
                yield chunk

        monkeypatch.setattr(stow_module._Part, "__iter__", measured)
        assert stow(remote(service.url), [path])[0].status == 0
        assert max(longest) <= 65536
        assert path.stat().st_size > 8 << 20
        assert service.requests[0].instance == pydicom.dcmread(path)

    def test_the_next_class_where_the_service_supports_none_before_it(self, service, web, files, tmp_path):
        def takes_3d(request):
            good = request.instance.SOPClassUID == Comprehensive3DSRStorage
            return (200, referenced(request), {}) if good else (409, failed(request, 0x0122), {})

        service.store = takes_3d
        report = save(ct_dataset(SOPClassUID=ComprehensiveSRStorage, PixelData=None), tmp_path / "sr.dcm")
        made = []

        def recast(path, sop_class):
            made.append(sop_class)
            other = ct_dataset(SOPClassUID=sop_class, SOPInstanceUID="1.2.4", PixelData=None)
            return save(other, tmp_path / "recast.dcm")

        others = Alternatives({report: (ComprehensiveSRStorage, Comprehensive3DSRStorage)}, recast)
        (answer,) = stow(web, [report], None, others)
        assert (answer.path, answer.status, answer.error) == (report, 0, None)
        assert made == [Comprehensive3DSRStorage]
        assert service.stored[1] == "1.2.4"
        only = Alternatives({report: (ComprehensiveSRStorage,)}, recast)
        assert stow(web, [report], None, only)[0].status == 0x0122


@contextmanager
def raw_service(act):
    """A listening socket whose connections are handed to `act`; yields its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        try:
            while True:
                connection, _ = listener.accept()
                with connection:
                    act(connection)
        except OSError:
            pass

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        try:
            listener.shutdown(socket.SHUT_RDWR)
        finally:
            listener.close()
        thread.join(20)


@contextmanager
def gateway_counting(to_port, ports):
    """Forward to a service, and note each connection; yields the port."""

    def forward(connection):
        ports.append(connection.getpeername()[1])
        with socket.create_connection(("127.0.0.1", to_port)) as service:
            back = threading.Thread(target=pump, args=(service, connection), daemon=True)
            back.start()
            pump(connection, service)
            back.join(20)

    def pump(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    with raw_service(forward) as port:
        yield port


def test_it_is_the_http_of_this_project_and_speaks_of_it(service, web, files):
    stow(web, files[:1])
    (request,) = service.requests
    assert (request.method, request.path) == ("POST", "/dicom-web/studies")
    assert request.headers["Accept"] == "application/dicom+json"
    assert request.headers["User-Agent"].startswith("ichnode/")
    assert httpx2.__name__ not in request.headers["User-Agent"]
