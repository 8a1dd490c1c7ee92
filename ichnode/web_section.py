"""The `[web]` table of the configuration: pages and JSON for people and programs."""

from __future__ import annotations

from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from ichnode.sections import Port, Seconds, Section, is_loopback, networks


class WebSection(Section):
    """The pages of the node in a browser, and its JSON. On this machine alone unless told otherwise."""

    enabled: bool = Field(True, description="Whether there are pages at all.")
    host: str = Field("127.0.0.1", description="Address to listen on. Anything but loopback needs a certificate.")
    port: Port = Field(8480, description="TCP port of the pages; 0 picks a free one.")
    certificate: str = Field("", description="PEM file with the certificate (chain) of this address, for https.")
    certificate_key: str = Field("", description="PEM file with its key; empty: in the same file.")
    allow_plain_http: bool = Field(
        False, description="Whether pages may travel unencrypted to other machines: a proxy in front does TLS."
    )
    secure_cookies: bool = Field(
        False,
        description="Whether cookies are bound to https where the node cannot tell that a proxy in front does TLS: one "
        "that shares no secret with it.",
    )
    idle_timeout_s: Seconds = Field(1800, description="Seconds without a click after which one has to sign in again.")
    session_s: Seconds = Field(43200, description="Seconds after which one has to sign in again in any case.")
    proxy_secret_file: str = Field(
        "", description="File with the secret that a reverse proxy sends as X-Ichnode-Proxy-Secret; empty: no proxy."
    )
    proxy_user_header: str = Field(
        "X-Remote-User", pattern=r"^[A-Za-z0-9-]+$", description="Header by which that proxy names who has signed in."
    )
    proxy_role: Literal["", "reader", "radiologist", "administrator"] = Field(
        "", description="Role of those whom the proxy names and who have no account here; empty: not let in."
    )
    viewer_url: str = Field(
        "", description="Link to a viewer such as OHIF; {study_instance_uid} and {series_instance_uid} are filled in."
    )
    pacs_url: str = Field("", description="Link to the PACS, filled in likewise.")
    metrics_networks: tuple[str, ...] = Field(
        (),
        description="IP addresses or CIDR networks that may read /metrics without a token; empty: a token with the "
        "scope node.read is needed.",
    )
    upload_bytes: int = Field(256 << 20, ge=1 << 20, description="Bytes that the rule tester takes at once.")

    @field_validator("metrics_networks")
    @classmethod
    def _are_networks(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        return networks(given)

    @field_validator("viewer_url", "pacs_url")
    @classmethod
    def _is_link(cls, given: str) -> str:
        if not given:
            return given
        try:
            filled = given.format(study_instance_uid="1.2", series_instance_uid="1.2")
        except (KeyError, IndexError, ValueError, AttributeError):
            raise ValueError("only {study_instance_uid} and {series_instance_uid} can be filled in") from None
        if urlsplit(filled).scheme not in ("http", "https") or not urlsplit(filled).netloc:
            raise ValueError(
                "is no link; write it as https://viewer.example/viewer?StudyInstanceUIDs={study_instance_uid}"
            )
        return given

    @model_validator(mode="after")
    def _is_safe(self) -> Self:
        if self.certificate_key and not self.certificate:
            raise ValueError("certificate_key needs certificate: give its file")
        if self.enabled and not is_loopback(self.host) and not self.certificate and not self.allow_plain_http:
            raise ValueError(
                "passwords and patients would travel unencrypted: give certificate, or set allow_plain_http = true "
                "where a reverse proxy does TLS"
            )
        return self

    @property
    def secure(self) -> bool:
        """Whether browsers reach the pages by https alone, so that cookies may be bound to it."""
        return self.secure_cookies or bool(self.certificate) or (self.allow_plain_http and bool(self.proxy_secret_file))
