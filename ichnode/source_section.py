"""`[source]`: the archive that is asked what should have come, and gives what did not."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from ichnode.sections import (
    CA_FILE,
    CERTIFICATE_NAME,
    FINGERPRINT,
    OF_TLS,
    OF_URL,
    OWN_CERTIFICATE,
    AetOrNone,
    CertificateName,
    Fingerprint,
    Port,
    Seconds,
    Section,
    check_tls,
    check_url,
)

MOST_BACK_DAYS = 14
"""How far a look goes back after a long silence."""


class SourceSection(Section):
    """The PACS that is asked for counts and for what should have come, by C-FIND (`aet`) or QIDO-RS (`url`)."""

    aet: AetOrNone = Field("", description="AE title of the PACS; empty: do not ask.")
    host: str = Field("127.0.0.1", description="Its address.")
    port: Port = Field(104, description="Its port.")
    url: str = Field("", description="Root of its DICOMweb service, instead of aet: https://pacs.example/dicom-web.")
    token_file: str = Field("", description="File with its bearer token, read at each attempt.")
    user: str = Field("", description="User name of HTTP Basic authentication.")
    password_file: str = Field("", description="File with the password of `user`, read at each attempt.")
    tls: bool = Field(False, description="Whether it is called over TLS, by aet and host; https is in `url`.")
    ca_file: str = Field("", description=CA_FILE.format("with aet tls.ca_file, or else "))
    client_certificate: str = Field("", description=OWN_CERTIFICATE.format("; empty: with aet tls.certificate"))
    client_key: str = Field("", description="PEM file with the key of `client_certificate`; empty: in the same file.")
    certificate_name: CertificateName = Field("", description=CERTIFICATE_NAME)
    fingerprint: Fingerprint = Field("", description=FINGERPRINT)
    allow_plain_http: bool = Field(False, description="Whether images may travel unencrypted, over http://.")
    ask_every_s: Seconds = Field(5, description="Seconds between two questions about one series.")
    retrieve: Literal["", "c-move", "c-get", "wado-rs"] = Field(
        "",
        description="How what did not come is fetched: c-move (the PACS has to know this node's AE title, address and "
        "port, and needs a [[peers]] entry here), c-get, or wado-rs (with url); empty: nothing is looked for.",
    )
    look_every_s: Seconds = Field(300, description="Seconds between two looks at what the PACS has.")
    look_back_h: float = Field(24, gt=0, le=MOST_BACK_DAYS * 24, description="Hours of studies that a look takes in.")
    patience_s: Seconds = Field(180, description="Seconds in which a series may still come by itself.")
    at_once: int = Field(2, ge=1, le=16, description="Series that are fetched at once.")
    attempts: int = Field(4, ge=1, description="Attempts at one series; then it stands in the worklist as not fetched.")
    first_retry_s: Seconds = Field(60, description="Seconds before the second attempt; doubled after each.")
    longest_retry_s: Seconds = Field(3600, description="Seconds between attempts at most.")
    timeout_s: Seconds = Field(60, description="Seconds to wait for the next answer while something is fetched.")
    body_parts: tuple[str, ...] = Field(
        (), description="Values of Body Part Examined that are looked for; empty: what names a head, or nothing at all."
    )
    descriptions: tuple[str, ...] = Field(
        (), description="Words, one of which the study or series description has to hold; empty: any."
    )
    leave_out: tuple[str, ...] = Field((), description="Words, none of which may stand there.")
    alarm_minutes: float = Field(
        30, ge=0, description="Minutes after which a study without a result is an alarm; 0: never."
    )

    @property
    def is_named(self) -> bool:
        """Whether there is anybody to ask."""
        return bool(self.aet or self.url)

    @field_validator("descriptions", "leave_out", "body_parts")
    @classmethod
    def _say_something(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        if not all(word.strip() for word in given):
            raise ValueError("an empty word stands in every description: delete it")
        return given

    @model_validator(mode="after")
    def _is_one_kind(self) -> Self:
        if self.url and self.aet:
            raise ValueError("keep either aet and host (C-FIND) or url (QIDO-RS), and delete the other")
        if self.url:
            if given := [name for name in OF_TLS if getattr(self, name)]:
                raise ValueError(f"{given[0]} is for aet and host: delete it; a url begins with https")
            check_url(self, "images")
        elif given := [name for name in OF_URL if getattr(self, name)]:
            raise ValueError(f"{given[0]} belongs to a source with a url: delete it, or give url")
        else:
            check_tls(self)
        if self.retrieve == "wado-rs" and not self.url:
            raise ValueError('retrieve = "wado-rs" needs a url: give it, or set "c-move" or "c-get"')
        if self.retrieve in ("c-move", "c-get") and not self.aet:
            raise ValueError(f"retrieve = {self.retrieve!r} needs aet and host: give them")
        return self
