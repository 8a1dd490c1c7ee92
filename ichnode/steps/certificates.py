"""Certificates that the node shows or trusts: which end soon, said while there is time to renew them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from ichnode.certificates import CertificateUnreadable, certificates_in
from ichnode.config import Settings
from ichnode.log import get_logger
from ichnode.steps.node import Node
from ichnode.worklist import certificates

log = get_logger(__name__)

EVERY_S = 600.0


@dataclass(frozen=True, slots=True)
class Worry:
    """A certificate that somebody has to see to: the setting that names its file, a code, and what to do."""

    setting: str
    code: str
    sentence: str


def files_of(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield the settings that name files with certificates, each with its file."""
    yield from _named("tls", settings.tls, "certificate", "ca_file")
    yield from _named("web", settings.web, "certificate")
    yield from _named("source", settings.source, "client_certificate", "ca_file")
    yield from _named("audit", settings.audit, "client_certificate", "ca_file")
    for destination in settings.destinations:
        yield from _named(destination.name, destination, "client_certificate", "ca_file")
    for channel in settings.channels:
        yield from _named(channel.name, channel, "client_certificate", "ca_file")


def worries(settings: Settings, now: datetime) -> Iterator[Worry]:
    """Yield each file whose certificates are over, not yet valid, end within `tls.warn_days`, or cannot be read."""
    for setting, file in files_of(settings):
        try:
            found = certificates_in(file)
        except CertificateUnreadable as error:
            yield Worry(setting, error.code, f"{setting}: {error.sentence}")
            continue
        shown = f"{setting} ({file})"
        first = min(found, key=lambda one: one.not_after)
        days = first.days_left(now)
        if days < 0:
            yield Worry(setting, "EXPIRED", f"{shown}: {first.name} expired {-days:.0f} days ago. {_renew(setting)}")
        elif days <= settings.tls.warn_days:
            yield Worry(setting, "EXPIRES", f"{shown}: {first.name} expires in {days:.0f} days. {_renew(setting)}")
        elif late := [one for one in found if one.not_before > now]:
            since = late[0].not_before.isoformat(timespec="minutes")
            yield Worry(setting, "NOT_YET", f"{shown}: {late[0].name} is valid from {since} on. Look at the clock.")


def watch_certificates(node: Node) -> None:
    """Log what ends soon, once a day for each file; each time is a row of the journal."""
    now = node.now()
    for worry in worries(node.settings, now):
        with node.worklist.write() as tx:
            is_time = certificates.remind(tx, now, worry.setting, worry.code)
        if is_time:
            level = log.warning if worry.code in ("EXPIRES", "NOT_YET") else log.error
            level("certificate.worry", code=worry.code, setting=worry.setting, remedy=worry.sentence)


def _named(table: str, section: object, *settings: str) -> Iterator[tuple[str, str]]:
    for setting in settings:
        if file := getattr(section, setting, ""):
            yield f"{table}.{setting}", str(file)


def _renew(setting: str) -> str:
    if setting.endswith("ca_file"):
        return "Add the authority that follows it to the file."
    if setting == "web.certificate":
        return "Put a new one into the file, and start the node again."
    return "Put a new one into the file; the node takes it without a restart."
