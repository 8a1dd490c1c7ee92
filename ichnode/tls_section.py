"""The `[tls]` table of the configuration: DICOM over TLS, as the node offers it and as it shows itself to others."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from ichnode.sections import Port, Section


class TlsSection(Section):
    """DICOM over TLS (PS3.15 B.12). Off until `certificate` is set; then `port` is open beside node.port."""

    certificate: str = Field(
        "",
        description="PEM file with the node's certificate, then those between it and its authority; empty: no TLS.",
    )
    key: str = Field("", description="PEM file with its key, not encrypted; empty: in the same file.")
    ca_file: str = Field(
        "", description="PEM file with the authorities whose certificates the node trusts, of senders and destinations."
    )
    port: Port = Field(2762, description="TCP port for DICOM over TLS, on node.host; 0 picks a free one.")
    require_certificate: bool = Field(
        True, description="Whether senders have to show a certificate of ca_file (mutual authentication)."
    )
    plain_port: bool = Field(True, description="Whether node.port, without TLS, is open too.")
    warn_days: int = Field(
        30, ge=0, description="Days before a certificate expires from which on the node says so, every day."
    )

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.certificate:
            if self.require_certificate and not self.ca_file:
                raise ValueError("ca_file is missing: give the authorities of senders, or require_certificate = false")
        elif given := [name for name in ("key", "ca_file") if getattr(self, name)]:
            raise ValueError(f"{given[0]} needs certificate: give its file")
        elif not self.plain_port:
            raise ValueError("plain_port = false needs certificate, or no port would be open")
        return self
