"""Mail against a real SMTP server: encryption, credentials, refusals, and what no header may carry."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
import time

import pytest

from ichnode.errors import PeerRefused, PeerUnreachable
from ichnode.notify import mail
from tests.notify.made import ALL, CORRECTION, ESCALATION, HOSTILE, POSITIVE, TEST, channel, named
from tests.notify.receivers import SmtpReceiver


def send(receiver, message, timeout_s=120.0, **options):
    return mail.send(channel("mail", port=receiver.port, **options), message, timeout_s, None)


def test_what_it_says():
    with SmtpReceiver().listening() as receiver:
        assert send(receiver, POSITIVE, recipients=["a@a.example", "b@a.example"]).error is None
    (got,) = receiver.mails
    assert (got["From"], got["To"]) == ("ichnode@a.example", "a@a.example, b@a.example")
    assert got["Subject"] == "ichnode: POSITIVE: signs of intracranial haemorrhage, study 3f2a9c01-17"
    assert (got["Auto-Submitted"], got["Importance"]) == ("auto-generated", "high")
    text = got.get_content()
    assert "subdural: PRESENT, score 0.94 (threshold 0.50)" in text
    assert "research use only" in text
    assert "Patient" not in text


def test_the_same_mail_for_every_attempt_and_in_one_thread():
    first, again = (mail.mail_of(channel("mail"), POSITIVE).as_bytes() for _ in range(2))
    assert first == again
    for later in (CORRECTION, ESCALATION):
        assert mail.mail_of(channel("mail"), later)["In-Reply-To"] == f"<{POSITIVE.uid}@a.example>"
    assert mail.mail_of(channel("mail"), TEST)["Importance"] is None


@pytest.mark.parametrize("message", ALL, ids=lambda message: f"{message.kind} {message.called}")
def test_patient_data_are_in_the_body_at_most(message):
    plain, with_patient = mail.mail_of(channel("mail"), message), mail.mail_of(channel("mail"), named(message, HOSTILE))
    assert plain.items() == with_patient.items() or {*plain.keys()} == {*with_patient.keys()}
    assert [with_patient[name] for name in ("Subject", "To", "From", "Message-ID")] == [
        plain[name] for name in ("Subject", "To", "From", "Message-ID")
    ]
    assert "evil@example.org" in with_patient.get_content()


def test_no_text_of_a_header_becomes_a_line_or_a_header_of_the_mail():
    with SmtpReceiver().listening() as receiver:
        assert send(receiver, named(POSITIVE, HOSTILE)).error is None
    (got,) = receiver.mails
    assert got["Bcc"] is None
    lines = got.get_content().splitlines()
    assert not any(line.startswith(("Bcc", "OBX", "MSH")) for line in lines)
    assert any("山田" in line for line in lines)
    assert len(lines) == len(mail.mail_of(channel("mail"), named(POSITIVE)).get_content().splitlines())


@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_encrypted_and_logged_in(tls, authority, shown, tmp_path):
    (tmp_path / "password").write_text("s3cret-of-mail\n")
    (tmp_path / "wrong").write_text("wrong\n")
    options = {"tls": tls, "user": "ichnode", "ca_file": str(authority.certificate)}
    with SmtpReceiver(shown=shown, implicit=tls == "tls", password="s3cret-of-mail").listening() as receiver:
        said = send(receiver, POSITIVE, password_file=str(tmp_path / "password"), **options)
        assert said.error is None
        with pytest.raises(PeerRefused, match="renew what password_file holds") as refused:
            send(receiver, POSITIVE, password_file=str(tmp_path / "wrong"), **options)
        assert "wrong" not in refused.value.sentence
        with pytest.raises(PeerUnreachable, match="not trusted"):
            send(receiver, POSITIVE, password_file=str(tmp_path / "password"), **{**options, "ca_file": ""})
    assert len(receiver.mails) == 1


def test_a_server_without_starttls_gets_nothing():
    with SmtpReceiver().listening() as receiver, pytest.raises(PeerRefused, match="does not offer STARTTLS"):
        send(receiver, POSITIVE, tls="starttls")
    assert receiver.mails == []


@pytest.mark.parametrize(
    ("options", "transient"),
    [
        ({"data": lambda mail: "554 spam"}, False),
        ({"data": lambda mail: "452 full"}, True),
        ({"rcpt": lambda address: "550 nobody"}, False),
        ({"rcpt": lambda address: "450 greylisted"}, True),
    ],
)
def test_refusals(options, transient):
    with SmtpReceiver(**options).listening() as receiver:
        said = send(receiver, named(POSITIVE))
    assert said.transient is transient
    assert said.status // 100 == (4 if transient else 5)


def test_one_recipient_of_two():
    with SmtpReceiver(rcpt=lambda address: "550 nobody" if address.startswith("b") else None).listening() as receiver:
        said = send(receiver, POSITIVE, recipients=["a@a.example", "b@a.example"])
    assert said.error is None
    assert "not for 1 of the recipients" in said.remark
    assert len(receiver.mails) == 1


def test_nobody_there_silence_and_garbage():
    with pytest.raises(PeerUnreachable, match="no connection"):
        send(SmtpReceiver(), POSITIVE)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(PeerUnreachable, match="did not answer"):
        mail.send(channel("mail", port=silent.getsockname()[1]), POSITIVE, 0.3, None)


@pytest.mark.parametrize("line", [b"220-still greeting\r\n", b"2"], ids=["lines", "bytes"])
def test_an_answer_that_never_ends_is_given_up(line):
    class Greets(socketserver.BaseRequestHandler):
        def handle(self):
            with contextlib.suppress(OSError):
                while not over.wait(0 if len(line) > 1 else 0.02):
                    self.request.sendall(line)

    over = threading.Event()
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Greets) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            begun = time.monotonic()
            with pytest.raises(PeerUnreachable):
                mail.send(channel("mail", port=server.server_address[1]), POSITIVE, 2, None)
            assert time.monotonic() - begun < 60
        finally:
            over.set()
            server.shutdown()


def test_reach_logs_in_and_sends_nothing():
    with SmtpReceiver().listening() as receiver:
        mail.reach(channel("mail", port=receiver.port), 120)
    assert receiver.mails == []
