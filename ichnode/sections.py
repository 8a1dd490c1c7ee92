"""The tables of the configuration: every setting with its type, unit, default and bounds; `[[channels]]` beside it.

`ichnode.config` puts them together, reads them and writes `config.toml` from them.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from ichnode.trust import plain_fingerprint


def _certificate_name(text: str) -> str:
    """Return a name that a certificate can hold."""
    try:
        digits = plain_fingerprint(text)
    except ValueError:
        digits = ""
    if digits:
        raise ValueError("this is a fingerprint: write it into fingerprint, and delete certificate_name")
    try:
        text.encode("idna")
    except UnicodeError:
        possible = False
    else:
        possible = text.isprintable() and not text.startswith(".")
    if not possible:
        raise ValueError(f"{text!r} is no name that a certificate can hold")
    return text


_AET = r"[\x21-\x5B\x5D-\x7E]([\x20-\x5B\x5D-\x7E]*[\x21-\x5B\x5D-\x7E])?"
Aet = Annotated[str, Field(min_length=1, max_length=16, pattern=f"^{_AET}$")]
AetOrNone = Annotated[str, Field(max_length=16, pattern=f"^({_AET})?$")]
Port = Annotated[int, Field(ge=0, le=65535)]
Name = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._-]+$")]
Format = Literal["sr", "text-sr", "sc", "sc-frames", "kos", "pm", "gsps"]
Fingerprint = Annotated[str, AfterValidator(lambda text: plain_fingerprint(text) if text else "")]
CertificateName = Annotated[str, AfterValidator(_certificate_name)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


OWN_CERTIFICATE = "PEM file with the node's own certificate, for mutual TLS{}."
CA_FILE = "PEM file with the certificates of its authority; empty: {}those that this machine trusts."
CERTIFICATE_NAME = "Name that its certificate has to hold, with tls; empty: its host."
FINGERPRINT = "SHA-256 fingerprint of its certificate, with tls: that one and no other, whoever issued it."


def networks(given: tuple[str, ...]) -> tuple[str, ...]:
    """Return what is given if all of it are IP addresses or networks; a ValueError says which is not."""
    for text in given:
        try:
            ipaddress.ip_network(text, strict=False)
        except ValueError:
            raise ValueError(f'{text!r} is neither an IP address nor a network such as "192.0.2.0/24"') from None
    return given


class Section(BaseModel):
    """A table of the configuration file."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class NodeSection(Section):
    """Who the node is and where its data live."""

    aet: Aet = Field("ICHAI", description="Application Entity title that senders call, at most 16 characters.")
    host: str = Field(
        "127.0.0.1", description="Address to listen on. Anything but loopback needs at least one [[peers]] entry."
    )
    port: Port = Field(11112, description="TCP port of the C-STORE SCP; 0 picks a free one.")
    data: Path = Field(
        Path("data"),
        description="Folder of the spool and the worklist; one node at a time, or several that share database.url.",
    )
    name: str = Field(
        "", max_length=64, pattern=r"^[A-Za-z0-9._-]*$",
        description="Which of several nodes on one database.url this is; empty: the name of the host.",
    )  # fmt: skip


class ReceiveSection(Section):
    """The receiver: how many processes it has, and its limits."""

    processes: int = Field(
        1, ge=1, le=64,
        description="Processes that listen on the port; the limits count for each of them. See docs/scaling.md.",
    )  # fmt: skip
    max_associations: int = Field(
        64, ge=1, description="Associations at once; one more is rejected (transient, local limit exceeded)."
    )
    associations_per_peer: int = Field(32, ge=1, description="Associations at once from one address.")
    max_pdu_bytes: int = Field(131072, ge=16384, le=4194304, description="Bytes; largest PDU that peers may send.")
    max_dataset_bytes: int = Field(1 << 30, ge=1 << 20, description="Bytes; a larger data set is answered with 0xA700.")
    idle_timeout_s: Seconds = Field(60, description="Seconds without any message before an association is aborted.")
    stall_timeout_s: Seconds = Field(10, description="Seconds a peer may stall inside one PDU.")
    request_timeout_s: Seconds = Field(10, description="Seconds from connection to association request.")
    low_disk_bytes: int = Field(
        2 << 30, ge=0, description="Bytes free below which every slice is answered with 0xA700."
    )
    disk_floor_bytes: int = Field(
        1 << 30, ge=0, description="Bytes free below which associations are rejected (transient)."
    )


class CompletenessSection(Section):
    """When a series is taken as complete (evidence first, time last)."""

    quiet_s: Seconds = Field(10, description="Seconds without a new slice, where no better evidence is at hand.")
    settle_s: Seconds = Field(
        0.5,
        description="Seconds after the last slice, once every association was released cleanly and the whole head is "
        "there; a fifth of it where one association brought all.",
    )
    max_wait_s: Seconds = Field(
        120, description="Seconds after the last slice at which a partial series is analysed as PRELIMINARY."
    )
    head_extent_mm: float = Field(
        100, gt=0, description="Millimetres along the slice normal that count as a whole head."
    )


class SelectionSection(Section):
    """Which series are read."""

    min_slices: int = Field(8, ge=2, description="Fewer slices than this are not read.")
    min_extent_mm: float = Field(40, ge=0, description="Millimetres of head below which a series is not read.")


class ReportSection(Section):
    """What is reported."""

    not_analysed: Literal["every-series", "candidates"] = Field(
        "every-series",
        description="Series that get an SR saying why they were not analysed: "
        "every one, or only where the analysis failed.",
    )
    institution_serial: str = Field(
        "", description="Device serial number in the SR; empty: derived from the data folder."
    )


class DestinationSection(Section):
    """One PACS or archive that gets the results: by C-STORE (`aet`, `host`, `port`) or by STOW-RS (`url`)."""

    name: Name = Field(description="Name in lists, commands and logs.", examples=["pacs"])
    aet: AetOrNone = Field("", description="Its AE title, for C-STORE.", examples=["PACS"])
    host: str = Field("", description="Its address, for C-STORE.", examples=["192.0.2.10"])
    port: Port = Field(104, description="Its port, for C-STORE.")
    url: str = Field(
        "", description="Root of its DICOMweb service, for STOW-RS instead of C-STORE: https://pacs.example/dicom-web."
    )
    token_file: str = Field("", description="File with its bearer token, read at each attempt.")
    user: str = Field("", description="User name of HTTP Basic authentication.")
    password_file: str = Field("", description="File with the password of `user`, read at each attempt.")
    tls: bool = Field(False, description="Whether it is called over TLS, for C-STORE; https is in `url`.")
    ca_file: str = Field("", description=CA_FILE.format("for C-STORE tls.ca_file, or else "))
    client_certificate: str = Field("", description=OWN_CERTIFICATE.format("; empty: for C-STORE tls.certificate"))
    client_key: str = Field("", description="PEM file with the key of `client_certificate`; empty: in the same file.")
    certificate_name: CertificateName = Field("", description=CERTIFICATE_NAME)
    fingerprint: Fingerprint = Field("", description=FINGERPRINT)
    allow_plain_http: bool = Field(
        False, description="Whether results may travel unencrypted, over http:// to another machine."
    )
    formats: tuple[Format, ...] = Field(
        ("sr",),
        min_length=1,
        description="What it gets: sr (for machines), text-sr (to read), sc (picture), sc-frames (every slice with its "
        "heat map), kos (key images), pm (heat map as parametric map), gsps (marks on the key images).",
    )
    sr_class: Literal["comprehensive", "comprehensive-3d", "enhanced"] = Field(
        "comprehensive",
        description="SOP Class of the sr that it likes best; where it does not take that, another is used.",
    )
    rejection_notes: bool = Field(
        True, description="Whether it is told of results that are taken back, by an IOCM rejection note (KOS)."
    )

    commitment: bool = Field(
        False,
        description="Whether it is asked to commit itself to keep what it took (storage commitment), for C-STORE; "
        "it answers to the AE title and port of this node.",
    )

    @model_validator(mode="after")
    def _is_one_kind(self) -> Self:
        if self.url and self.commitment:
            raise ValueError("commitment is for a destination with aet and host: delete it, or the url")
        if self.url:
            if self.aet or self.host:
                raise ValueError("keep either aet and host (C-STORE) or url (STOW-RS), and delete the other")
            if given := [name for name in OF_TLS if getattr(self, name)]:
                raise ValueError(f"{given[0]} is for C-STORE: delete it; a url begins with https")
            check_url(self, "results")
        elif not (self.aet and self.host):
            raise ValueError("give aet and host (C-STORE), or url (STOW-RS)")
        elif given := [name for name in OF_URL if getattr(self, name)]:
            raise ValueError(f"{given[0]} belongs to a destination with a url: delete it, or give url")
        else:
            check_tls(self)
        return self


OF_URL = ("token_file", "user", "password_file", "allow_plain_http")
OF_TLS = ("tls", "certificate_name", "fingerprint")


def check_tls(given: Any) -> None:
    """Raise where settings of TLS contradict each other; `given` is called by DIMSE."""
    files = ("ca_file", "client_certificate", "client_key", "certificate_name", "fingerprint")
    if not given.tls and (useless := [name for name in files if getattr(given, name)]):
        raise ValueError(f"{useless[0]} is for TLS: set tls = true, or delete it")
    if given.client_key and not given.client_certificate:
        raise ValueError("client_key needs client_certificate: give its file")
    if given.fingerprint and (other := [name for name in ("ca_file", "certificate_name") if getattr(given, name)]):
        raise ValueError(f"keep either fingerprint or {other[0]}, and delete the other")


def check_url(given: Any, what: str) -> None:
    """Hold the settings of a DICOMweb service, in whichever table, against each other; `what` is that which travels.

    Raises
    ------
    ValueError
    """
    try:
        url = urlsplit(given.url)
        host, _ = url.hostname or "", url.port
    except ValueError:
        raise ValueError("url is none; write it as https://pacs.example/dicom-web") from None
    if url.scheme not in ("https", "http") or not host or not given.url.isprintable() or " " in given.url:
        raise ValueError("url is none; write it as https://pacs.example/dicom-web")
    if url.username is not None or url.query or url.fragment:
        raise ValueError("url holds a user, a query or a fragment: give the root of the service alone")
    if url.scheme == "http":
        _check_plain(given, host, what)
    if given.token_file and given.user:
        raise ValueError("keep either token_file or user and password_file, and delete the other")
    if bool(given.user) != bool(given.password_file):
        raise ValueError("user and password_file go together: give both")
    if ":" in given.user:
        raise ValueError("user holds a colon, which HTTP Basic authentication cannot carry")
    if given.client_key and not given.client_certificate:
        raise ValueError("client_key needs client_certificate: give its file")


def _check_plain(given: Any, host: str, what: str) -> None:
    if tls := [name for name in ("ca_file", "client_certificate", "client_key") if getattr(given, name)]:
        raise ValueError(f"{tls[0]} is for https: correct the url, or delete it")
    if is_loopback(host):
        return
    if given.token_file or given.user:
        raise ValueError("a token or password never travels unencrypted: use https")
    if not given.allow_plain_http:
        raise ValueError(f"{what} would travel unencrypted: use https, or set allow_plain_http = true")


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address is this machine's own loopback, without asking a name server."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class DeliverySection(Section):
    """How hard results are pushed."""

    first_retry_s: Seconds = Field(5, description="Seconds before the second attempt; doubled after each.")
    longest_retry_s: Seconds = Field(600, description="Seconds between attempts at most.")
    give_up_after_days: float = Field(
        7, gt=0, description="Days after which a delivery is marked failed; `ichnode retry` starts it again."
    )
    timeout_s: Seconds = Field(30, description="Seconds to wait for a peer's answer.")
    commitment_wait_s: Seconds = Field(
        3600, description="Seconds after which an unanswered request for storage commitment is asked again."
    )


class DatabaseSection(Section):
    """Where the worklist is kept."""

    url: str = Field("", description="SQLAlchemy URL of PostgreSQL; empty: SQLite in the data folder.")
    silent_s: float = Field(
        30, ge=5, description="Seconds of silence after which another node on the same url is taken for dead."
    )


class LogSection(Section):
    """What is logged, to standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Lowest level that is written.")
    format: Literal["text", "json"] = Field("text", description="Lines for people or JSON for machines.")
