"""The table of the configuration for the audit record repository; `ichnode.config` puts it beside the others."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from ichnode.sections import Port, Section


class AuditSection(Section):
    """Where the audit journal goes, too: as DICOM audit messages (PS3.15 A.5) over syslog with TLS (ATNA)."""

    host: str = Field("", description="Audit record repository (RFC 5425, TLS only); empty: nothing leaves.")
    port: Port = Field(6514, description="Its port.")
    ca_file: str = Field(
        "", description="PEM file with the certificates of its authority; empty: those that this machine trusts."
    )
    client_certificate: str = Field("", description="PEM file with the node's own certificate, for mutual TLS.")
    client_key: str = Field("", description="PEM file with the key of `client_certificate`; empty: in the same file.")
    site: str = Field("", description="AuditEnterpriseSiteID of the messages.")
    patient_data: bool = Field(
        True, description="Whether messages name the patient's ID and the Study Instance UID, as the profile has it."
    )

    @model_validator(mode="after")
    def _has_a_repository(self) -> Self:
        if self.client_key and not self.client_certificate:
            raise ValueError("client_key needs client_certificate: give its file")
        if not self.host and (self.ca_file or self.client_certificate):
            raise ValueError("ca_file and client_certificate are for a repository: give host, or delete them")
        return self
