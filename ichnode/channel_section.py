"""`[[channels]]` of the configuration: who is notified of what, over which way, with how much of the patient."""

from __future__ import annotations

import re
from datetime import time
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from ichnode.core.alerts import Ladder, Rule
from ichnode.sections import Name, Port, Section, is_loopback

Kind = Literal["webhook", "mail", "hl7", "fhir"]
Minutes = Annotated[float, Field(gt=0, allow_inf_nan=False)]
HdText = Annotated[str, Field(max_length=180, pattern=r"^[ -~]*$")]
_ADDRESS = re.compile(r"[^@\s<>,;:\"\\]+@[^@\s<>,;:\"\\]+")
_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


RECORDS = ("hl7", "fhir")
"""Channels that file what they are told, with its status; the others call people."""


class ChannelSection(Section):
    """One way out beside DICOM: kind webhook, mail, hl7 (v2.5.1 ORU^R01 over MLLP) or fhir (R4)."""

    name: Name = Field(description="Name in lists, commands and logs; no destination has it.", examples=["oncall"])
    kind: Kind = Field(description="webhook, mail, hl7 or fhir.", examples=["webhook"])
    patient_data: bool = Field(
        False,
        description="Whether its messages name the patient (name, ID, birth date, sex, accession number, "
        "Study Instance UID, date, description). Without it they carry the number of the study in the worklist.",
    )
    verdicts: tuple[Literal["positive", "negative", "not_analysed", "failed"], ...] = Field(
        ("positive",), min_length=1, description="What it is told: positive, negative, not_analysed, failed."
    )
    findings: tuple[
        Literal["any", "intraparenchymal", "intraventricular", "subarachnoid", "subdural", "epidural"], ...
    ] = Field((), description="Of positives only those with one of these classes; empty: all.")
    min_score: float = Field(0.0, ge=0, le=1, description="Of positives only those whose score reaches this.")
    urgency: int = Field(
        4, ge=0, le=4, description="The least urgent that is told: 0 positive, 1 failed, 3 not analysed, 4 negative."
    )
    weekdays: tuple[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"], ...] = Field(
        (), description="Only of answers made on these days, local time; empty: all."
    )
    hours: str = Field(
        "", description='Only of answers made in these hours, local time: "18:00-07:00"; the day is that of the first.'
    )
    calling_aets: tuple[str, ...] = Field((), description="Only of studies that one of these AE titles sent.")
    stations: tuple[str, ...] = Field((), description="Only of studies of one of these Station Names.")
    institutions: tuple[str, ...] = Field((), description="Only of studies of one of these Institution Names.")
    escalate_after_min: tuple[Minutes, ...] = Field(
        (), description="Minutes after which a positive that nobody signed off is told again; one step each."
    )
    escalate_to: tuple[Name, ...] = Field(
        (), description="Channel of each step, or one for all of them; empty: this one."
    )
    url: str = Field("", description="webhook: where to post. fhir: base of the server: https://fhir.example/r4.")
    host: str = Field("", description="mail, hl7: address of the server.")
    port: Port = Field(0, description="mail, hl7: its port; 0: 587, 465 (mail over tls), 2575 (hl7).")
    tls: Literal["", "starttls", "tls", "none"] = Field(
        "", description="mail: starttls (the default), tls or none. hl7: none (the default) or tls."
    )
    allow_plain: bool = Field(False, description="Whether messages may travel unencrypted to another machine.")
    secret_file: str = Field("", description="webhook: file with the secret that signs, read at each attempt.")
    token_file: str = Field("", description="webhook, fhir: file with a bearer token, read at each attempt.")
    user: str = Field("", description="mail, webhook, fhir: user name.")
    password_file: str = Field("", description="mail, webhook, fhir: file with its password, read at each attempt.")
    ca_file: str = Field("", description="PEM file with the certificates of its authority; empty: this machine's.")
    client_certificate: str = Field("", description="PEM file with the node's own certificate, for mutual TLS.")
    client_key: str = Field("", description="PEM file with its key; empty: in the same file.")
    sender: str = Field("", description="mail: address it comes from.")
    recipients: tuple[str, ...] = Field((), description="mail: addresses it goes to.")
    sending_application: HdText = Field("ICHNODE", description="hl7: MSH-3.")
    sending_facility: HdText = Field("", description="hl7: MSH-4.")
    receiving_application: HdText = Field("", description="hl7: MSH-5.")
    receiving_facility: HdText = Field("", description="hl7: MSH-6.")
    processing_id: Literal["P", "T", "D"] = Field("P", description="hl7: MSH-11; a test message has T.")
    character_set: Literal["UNICODE UTF-8", "8859/1", "ASCII"] = Field("UNICODE UTF-8", description="hl7: MSH-18.")

    @property
    def rule(self) -> Rule:
        """What it is told."""
        return Rule(
            self.verdicts, self.findings, self.min_score, self.urgency, self.weekdays, hours_from(self.hours),
            self.calling_aets, self.stations, self.institutions, self.kind in RECORDS,
        )  # fmt: skip

    @property
    def ladder(self) -> Ladder:
        """What happens while a positive stays unread."""
        to = self.escalate_to or (self.name,)
        to = to if len(to) > 1 else to * len(self.escalate_after_min)
        return Ladder(tuple(zip(self.escalate_after_min, to, strict=True)))

    @field_validator("hours")
    @classmethod
    def _arehours_from(cls, given: str) -> str:
        if given and hours_from(given) is None:
            raise ValueError('write it as "18:00-07:00", with two different times')
        return given

    @field_validator("sender", "recipients")
    @classmethod
    def _are_addresses(cls, given: str | tuple[str, ...]) -> str | tuple[str, ...]:
        for text in (given,) if isinstance(given, str) else given:
            if text and not (_ADDRESS.fullmatch(text) and text.isascii() and text.isprintable()):
                raise ValueError(f"{text!r} is not a mail address such as oncall@hospital.example")
        return given

    @model_validator(mode="after")
    def _is_one_kind(self) -> Self:
        for name, kinds in _OF_KIND.items():
            # Not by what was set: the worker is given every setting there is.
            if self.kind not in kinds and getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"{name} is for kind {' or '.join(kinds)}: delete it")
        needed = {"webhook": ("url", "secret_file"), "fhir": ("url",), "hl7": ("host",)}
        needed["mail"] = ("host", "sender", "recipients")
        for name in needed[self.kind]:
            if not getattr(self, name):
                raise ValueError(f"a channel of kind {self.kind} needs {name}")
        if self.kind == "hl7" and self.tls == "starttls":
            raise ValueError("hl7 knows tls or none")
        _check_steps(self)
        _check_credentials(self)
        _check_plain(self)
        return self


_OF_KIND: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("url", "token_file"), ("webhook", "fhir")),
    **dict.fromkeys(("host", "port", "tls"), ("mail", "hl7")),
    **dict.fromkeys(("user", "password_file"), ("mail", "webhook", "fhir")),
    **dict.fromkeys(("sender", "recipients"), ("mail",)),
    **dict.fromkeys(
        ("sending_application", "sending_facility", "receiving_application", "receiving_facility", "processing_id",
         "character_set"), ("hl7",),
    ),
    "secret_file": ("webhook",),
}  # fmt: skip


def check_escalations(channels: tuple[ChannelSection, ...]) -> None:
    """Raise where a channel escalates to one that is not there, or that nobody hears.

    Raises
    ------
    ValueError
    """
    kinds = {channel.name: channel.kind for channel in channels}
    for channel in channels:
        for _, to in channel.ladder.steps:
            if to not in kinds:
                raise ValueError(f"{channel.name} escalates to {to}, which is not a channel")
            if kinds[to] == "fhir":
                raise ValueError(f"{channel.name} escalates to {to}: a fhir server keeps records and calls nobody")


def hours_from(text: str) -> tuple[time, time] | None:
    """Read hours such as ``18:00-07:00``; None where they are none."""
    match = _HOURS.fullmatch(text)
    if match is None:
        return None
    begin, end = time(int(match[1]), int(match[2])), time(int(match[3]), int(match[4]))
    return None if begin == end else (begin, end)


def _check_steps(given: ChannelSection) -> None:
    steps, to = given.escalate_after_min, given.escalate_to
    if list(steps) != sorted(set(steps)):
        raise ValueError("escalate_after_min has to rise from step to step")
    if len(to) > 1 and len(to) != len(steps):
        raise ValueError("escalate_to needs one channel for each step, or one for all")
    if to and not steps:
        raise ValueError("escalate_to needs escalate_after_min")
    if steps and "positive" not in given.verdicts:
        raise ValueError("escalate_after_min is about positives: add positive to verdicts")


def _check_credentials(given: ChannelSection) -> None:
    if given.token_file and given.user:
        raise ValueError("keep either token_file or user and password_file, and delete the other")
    if bool(given.user) != bool(given.password_file):
        raise ValueError("user and password_file go together: give both")
    if ":" in given.user and given.kind != "mail":
        raise ValueError("user holds a colon, which HTTP Basic authentication cannot carry")
    if given.client_key and not given.client_certificate:
        raise ValueError("client_key needs client_certificate: give its file")


def _check_plain(given: ChannelSection) -> None:
    host, encrypted = given.host, given.tls in ("tls", "starttls") or (given.kind == "mail" and not given.tls)
    if given.kind in ("webhook", "fhir"):
        try:
            url = urlsplit(given.url)
            host, _ = url.hostname or "", url.port
        except ValueError:
            raise ValueError("url is none; write it as https://hospital.example/alerts") from None
        if url.scheme not in ("https", "http") or not host or not given.url.isprintable() or " " in given.url:
            raise ValueError("url is none; write it as https://hospital.example/alerts")
        if url.username is not None or url.fragment or (url.query and given.kind == "fhir"):
            raise ValueError("url holds a user, a query or a fragment: delete it")
        encrypted = url.scheme == "https"
    if encrypted:
        return
    if tls := [name for name in ("ca_file", "client_certificate", "client_key") if getattr(given, name)]:
        raise ValueError(f"{tls[0]} is for TLS: use it, or delete {tls[0]}")
    if is_loopback(host):
        return
    if given.token_file or given.user:
        raise ValueError("a token or password never travels unencrypted: use TLS")
    if not given.allow_plain:
        raise ValueError("messages would travel unencrypted: use TLS, or set allow_plain = true")
