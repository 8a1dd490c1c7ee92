"""`[workitems]`: the worklist of work items (UPS-RS) of which the node performs those that are meant for it."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from ichnode.core.workitem import CodedEntry
from ichnode.sections import CA_FILE, OWN_CERTIFICATE, AetOrNone, Seconds, Section, check_url

_CODE = r"[^\s^\\][^^\\]{0,63}\^[^\s^\\][^^\\]{0,15}"
Coded = Annotated[str, Field(pattern=f"^{_CODE}$")]
CodedOrNone = Annotated[str, Field(pattern=f"^({_CODE})?$")]


def coded_entry(text: str) -> CodedEntry:
    """Return what ``VALUE^SCHEME`` means."""
    value, _, scheme = text.partition("^")
    return CodedEntry(value, scheme)


class WorkitemsSection(Section):
    """Work items that the node performs (UPS-RS, IHE AIW-I Task Performer, by polling); needs [source]."""

    url: str = Field("", description="Root of the UPS-RS service: https://pacs.example/dicom-web; empty: none.")
    codes: tuple[Coded, ...] = Field(
        (), description='Scheduled Workitem Codes that the node performs, as "VALUE^SCHEME"; empty: any, with station.'
    )
    station: CodedOrNone = Field(
        "", description='Scheduled Station Name Code of this node, as "VALUE^SCHEME"; empty: any, with codes.'
    )
    requester: AetOrNone = Field(
        "", description="AE title that is put behind /state/, which dcm4chee asks for; empty: none, as in PS3.18."
    )
    token_file: str = Field("", description="File with its bearer token, read at each attempt.")
    user: str = Field("", description="User name of HTTP Basic authentication.")
    password_file: str = Field("", description="File with the password of `user`, read at each attempt.")
    ca_file: str = Field("", description=CA_FILE.format(""))
    client_certificate: str = Field("", description=OWN_CERTIFICATE.format(""))
    client_key: str = Field("", description="PEM file with the key of `client_certificate`; empty: in the same file.")
    allow_plain_http: bool = Field(False, description="Whether work items may travel unencrypted, over http://.")
    look_every_s: Seconds = Field(10, description="Seconds between two questions for work items that are scheduled.")
    at_once: int = Field(4, ge=1, le=64, description="Work items in hand at most; others are left to other performers.")
    first_retry_s: Seconds = Field(5, description="Seconds before the second attempt; doubled after each.")
    longest_retry_s: Seconds = Field(600, description="Seconds between attempts at most.")
    timeout_s: Seconds = Field(30, description="Seconds to wait for an answer.")

    @model_validator(mode="after")
    def _says_what_is_meant_for_it(self) -> Self:
        if not self.url:
            given = [name for name in ("codes", "station", "requester", "token_file", "user") if getattr(self, name)]
            if given:
                raise ValueError(f"{given[0]} belongs to a service with a url: give url, or delete it")
            return self
        check_url(self, "work items")
        if not (self.codes or self.station):
            raise ValueError("url needs codes or station: without them the node would claim what is meant for others")
        return self
