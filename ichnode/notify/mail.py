"""Mail: plain text by SMTP, over STARTTLS or TLS; patient data in the body at most, never in a header."""

from __future__ import annotations

import smtplib
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from ichnode.channel_section import ChannelSection
from ichnode.errors import PeerRefused, PeerUnreachable
from ichnode.notify.message import Message, Patient, Said
from ichnode.notify.smtp_answers import Smtp, SmtpOverTls
from ichnode.notify.words import headline, sentences
from ichnode.trust import causes, secret_in, tls_context, why_not_connected

_POLICY = SMTP.clone(max_line_length=998)  # headers are ours and short: none is folded
_PORTS = {"starttls": 587, "tls": 465, "none": 587}


def mail_of(channel: ChannelSection, message: Message) -> EmailMessage:
    """Return a message as mail; the same, with the same Message-ID, for every attempt."""
    domain = channel.sender.rpartition("@")[2]
    mail = EmailMessage(_POLICY)
    mail["From"], mail["To"] = channel.sender, ", ".join(channel.recipients)
    mail["Subject"] = f"ichnode: {headline(message)}"
    mail["Date"] = format_datetime(message.created_at)
    mail["Message-ID"] = f"<{message.uid}@{domain}>"
    if earlier := message.corrects or message.escalates:
        mail["In-Reply-To"] = mail["References"] = f"<{earlier}@{domain}>"
    mail["Auto-Submitted"] = "auto-generated"
    if message.urgency == 0 and message.kind != "test":
        mail["Importance"], mail["X-Priority"] = "high", "1"
    lines = [headline(message), "", *sentences(message), ""]
    if message.patient is not None:
        lines += [*_patient(message.patient), ""]
    lines += [f"Message {message.uid} of {message.created_at:%Y-%m-%d %H:%M:%S} UTC", f"Node {message.node}"]
    if message.model:
        lines.append(f"Model {message.model}")
    mail.set_content("\n".join(lines) + "\n")
    return mail


def reach(channel: ChannelSection, timeout_s: float) -> None:
    """Connect, encrypt, log in, and leave.

    Raises
    ------
    PeerUnreachable, PeerRefused
    """
    with _connected(channel, timeout_s):
        pass


def send(channel: ChannelSection, message: Message, timeout_s: float, now: Callable[[], datetime]) -> Said:
    """Send one mail to all recipients.

    Raises
    ------
    PeerUnreachable, PeerRefused
        There is no connection, or the server does not let the node in.
    """
    with _connected(channel, timeout_s) as server:
        try:
            refused = server.send_message(mail_of(channel, message), channel.sender, list(channel.recipients))
        except smtplib.SMTPRecipientsRefused as error:
            return _refused(channel, min(code for code, _ in error.recipients.values()), "every recipient")
        except smtplib.SMTPSenderRefused as error:
            return _refused(channel, error.smtp_code, "the sender")
        except smtplib.SMTPResponseException as error:
            return _refused(channel, error.smtp_code, "the message")
        except (smtplib.SMTPException, OSError) as error:
            raise _lost(channel, timeout_s, error) from None
    if refused:
        return Said(remark=f"{channel.name} took it, but not for {len(refused)} of the recipients.")
    return Said()


@contextmanager
def _connected(channel: ChannelSection, timeout_s: float) -> Iterator[smtplib.SMTP]:
    how = channel.tls or "starttls"
    context = None
    if how != "none":
        context = tls_context(channel.name, channel.ca_file, channel.client_certificate, channel.client_key)
    password = secret_in(channel.name, "password_file", channel.password_file) if channel.user else ""
    where, port = channel.host, channel.port or _PORTS[how]
    own_name = socket.gethostname()  # the default asks a name server, which may take long
    server: smtplib.SMTP | None = None
    is_encrypted = False
    try:
        if how == "tls":
            server = SmtpOverTls(where, port, own_name, timeout=timeout_s, context=context)
        else:
            server = Smtp(where, port, own_name, timeout=timeout_s)
            if how == "starttls":
                server.starttls(context=context)
                is_encrypted = True
        if channel.user:
            server.login(channel.user, password)
        else:
            server.ehlo_or_helo_if_needed()
    except smtplib.SMTPAuthenticationError as error:
        _close(server)
        if error.smtp_code // 100 == 4:
            raise _lost(channel, timeout_s, error) from None
        raise PeerRefused(
            f"{_called(channel)} does not let the node in (SMTP {error.smtp_code}): renew what password_file holds, "
            "or correct user."
        ) from None
    except smtplib.SMTPNotSupportedError:
        _close(server)
        lacks = "any login that the node knows: delete user" if how == "tls" or is_encrypted else "STARTTLS: set tls"
        raise PeerRefused(f"{_called(channel)} does not offer {lacks}, or enable it there.") from None
    except (smtplib.SMTPException, OSError) as error:
        _close(server)
        raise _lost(channel, timeout_s, error) from None
    try:
        yield server
    finally:
        _close(server)


def _close(server: smtplib.SMTP | None) -> None:
    if server is None:
        return
    with suppress(smtplib.SMTPException, OSError):
        server.quit()
    server.close()


def _refused(channel: ChannelSection, code: int, what: str) -> Said:
    return Said(f"{channel.name} refused {what} (SMTP {code}). Look at its log.", code // 100 == 4, code)


def _lost(channel: ChannelSection, timeout_s: float, error: BaseException) -> PeerUnreachable:
    if any(isinstance(cause, TimeoutError) for cause in causes(error)):
        said = f" did not answer within {timeout_s:g} s. Check host, port and tls."
    elif isinstance(error, smtplib.SMTPResponseException):
        said = f" cannot now (SMTP {error.smtp_code}). It may pass by itself."
    elif (why := why_not_connected(error, "host and tls", "plain SMTP")) is not None:
        said = why
    elif isinstance(error, smtplib.SMTPServerDisconnected):
        said = ": it ended the connection, or does not speak SMTP. Check port and tls."
    else:
        said = ": no connection. Check host and port."
    return PeerUnreachable(_called(channel) + said)


def _called(channel: ChannelSection) -> str:
    return f"{channel.name} ({channel.host}:{channel.port or _PORTS[channel.tls or 'starttls']})"


def _patient(patient: Patient) -> Iterator[str]:
    facts = {
        "Patient": patient.name, "Patient ID": patient.id, "Birth date": patient.birth_date, "Sex": patient.sex,
        "Accession number": patient.accession_number, "Study date": f"{patient.study_date} {patient.study_time}",
        "Study": patient.study_description, "Study Instance UID": patient.study_instance_uid,
    }  # fmt: skip
    for title, text in facts.items():
        yield f"{title}: {''.join(letter if letter.isprintable() else ' ' for letter in text).strip()}"
