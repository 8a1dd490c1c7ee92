"""The `[[peers]]` table of the configuration: who may send."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from ichnode.sections import AetOrNone, Section, networks
from ichnode.trust import plain_fingerprint

StoredClass = Literal[
    "CTImageStorage", "EnhancedCTImageStorage", "LegacyConvertedEnhancedCTImageStorage", "Verification"
]


class PeerSection(Section):
    """One peer that may send; the first entry that fits counts. Without any, only loopback may send."""

    aet: str = Field("*", description="Calling AE title; * is any.")
    networks: tuple[str, ...] = Field((), description="IP addresses or CIDR networks; empty is any.")
    called_aet: AetOrNone = Field("", description="AE title that it has to call; empty: node.aet.")
    sop_classes: tuple[StoredClass, ...] = Field(
        (),
        description="What it may send: CTImageStorage, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage, "
        "or Verification for nothing but C-ECHO; empty is all.",
    )
    tls: bool = Field(False, description="Whether it has to come over TLS.")
    certificates: tuple[str, ...] = Field(
        (),
        description="Over TLS, and its certificate has one of these names (common name, DNS, IP address) or SHA-256 "
        "fingerprints; empty: any that tls.ca_file lets in.",
    )
    max_associations: int = Field(
        0, ge=0, description="Associations at once, of all that this entry lets in; 0: no limit of its own."
    )
    slices_per_s: float = Field(
        0, ge=0, allow_inf_nan=False, description="Slices a second; who is faster for ten seconds is held up; 0 is any."
    )
    bytes_per_s: float = Field(0, ge=0, allow_inf_nan=False, description="Bytes a second, likewise; 0 is any.")
    urgent: bool = Field(
        False,
        description="Whether what it sends is urgent and analysed before all else, as of the emergency department's "
        "scanner.",
    )
    silent_after_h: float = Field(
        0, ge=0, description="Hours without an association of this AE title that are an alarm; 0: never."
    )

    @model_validator(mode="after")
    def _is_somebody(self) -> Self:
        if self.silent_after_h and self.aet == "*":
            raise ValueError("silent_after_h is about one sender: give its aet")
        return self

    @field_validator("certificates")
    @classmethod
    def _are_names(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        tidied = []
        for text in given:
            if not text.strip():
                raise ValueError("an empty name fits no certificate: delete it")
            try:
                tidied.append(plain_fingerprint(text))
            except ValueError:
                tidied.append(text.strip().lower())
        return tuple(tidied)

    @field_validator("networks")
    @classmethod
    def _are_networks(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        return networks(given)
