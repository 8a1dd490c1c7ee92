"""Certificates that the node shows or trusts: which end soon, said while there is time to renew them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from ichnode.certificates import Certificate, CertificateUnreadable, certificates_in, why_not_usable
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


@dataclass(frozen=True, slots=True)
class Looked:
    """A file with certificates, as it is now.

    Attributes
    ----------
    setting : str
        That names the file.
    expires_at : datetime or None
        End of the first of its certificates that ends; None where the file cannot be used.
    worry : Worry or None
    """

    setting: str
    expires_at: datetime | None
    worry: Worry | None


def files_of(settings: Settings) -> Iterator[tuple[str, str, str | None]]:
    """Yield the settings that name files with certificates, each with its file and, where the node shows it, its key.

    An empty key lies with the certificate; None is of authorities, whose keys are elsewhere.
    """
    yield from _named("tls", settings.tls, "certificate", "key")
    yield from _named("web", settings.web, "certificate", "certificate_key")
    calls: list[tuple[str, object]] = [("source", settings.source), ("audit", settings.audit)]
    calls.append(("workitems", settings.workitems))
    calls += [(destination.name, destination) for destination in settings.destinations]
    calls += [(channel.name, channel) for channel in settings.channels]
    for name, section in calls:
        yield from _named(name, section, "client_certificate", "client_key")


def look_at(settings: Settings, now: datetime) -> Iterator[Looked]:
    """Look at each file: over, not yet valid, ends within `tls.warn_days`, or of no use."""
    for setting, file, key in files_of(settings):
        shown = f"{setting} ({file})"
        try:
            found = certificates_in(file)
        except CertificateUnreadable as error:
            yield Looked(setting, None, Worry(setting, error.code, f"{setting}: {error.sentence}"))
            continue
        if key is not None and (why := why_not_usable(file, key)):
            said = f"{shown} and its key {key or file} cannot be used together ({why}). Put a pair there."
            yield Looked(setting, None, Worry(setting, "NOT_A_PAIR", said))
            continue
        yield Looked(setting, min(one.not_after for one in found), _of_time(setting, shown, found, settings, now))


def worries(settings: Settings, now: datetime) -> Iterator[Worry]:
    """Yield what somebody has to see to; see `look_at`."""
    return (one.worry for one in look_at(settings, now) if one.worry is not None)


def _of_time(setting: str, shown: str, found: Sequence[Certificate], settings: Settings, now: datetime) -> Worry | None:
    first = min(found, key=lambda one: one.not_after)
    days = first.days_left(now)
    if days < 0:
        return Worry(setting, "EXPIRED", f"{shown}: {first.name} expired {-days:.0f} days ago. {_renew(setting)}")
    if days <= settings.tls.warn_days:
        return Worry(setting, "EXPIRES", f"{shown}: {first.name} expires in {days:.0f} days. {_renew(setting)}")
    if late := [one for one in found if one.not_before > now]:
        since = late[0].not_before.isoformat(timespec="minutes")
        return Worry(setting, "NOT_YET", f"{shown}: {late[0].name} is valid from {since} on. Look at the clock.")
    return None


def watch_certificates(node: Node) -> None:
    """Log what ends soon, once a day for each file; each time is a row of the journal."""
    now = node.now()
    for worry in worries(node.settings, now):
        with node.worklist.write() as tx:
            is_time = certificates.remind(tx, now, worry.setting, worry.code)
        if is_time:
            level = log.warning if worry.code in ("EXPIRES", "NOT_YET") else log.error
            level("certificate.worry", code=worry.code, setting=worry.setting, remedy=worry.sentence)


def _named(table: str, section: object, certificate: str, key: str) -> Iterator[tuple[str, str, str | None]]:
    if file := getattr(section, certificate, ""):
        yield f"{table}.{certificate}", str(file), str(getattr(section, key, ""))
    if file := getattr(section, "ca_file", ""):
        yield f"{table}.ca_file", str(file), None


def _renew(setting: str) -> str:
    if setting.endswith("ca_file"):
        return "Add the authority that follows it to the file."
    return "Put a new one into the file; the node takes it without a restart."
