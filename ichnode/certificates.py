"""What stands in an X.509 certificate, for binding it to a peer and for telling when it ends (RFC 5280)."""

from __future__ import annotations

import ssl
import warnings
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from ichnode.errors import PermanentError

_UNREADABLE = (
    ValueError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
"""What cryptography raises on a certificate, which OpenSSL may have taken."""


class CertificateUnreadable(PermanentError):
    """A file or a peer's message is no certificate."""

    code = "CERTIFICATE"


@dataclass(frozen=True, slots=True)
class Certificate:
    """One certificate.

    Attributes
    ----------
    names : tuple of str
        Common Name, DNS names and IP addresses, in lower case.
    sha256 : str
        Fingerprint, 64 lower-case digits.
    issuer : str
        RFC 4514 name of who issued it.
    self_issued : bool
        Subject and issuer are the same.
    is_authority : bool
        It may issue others (basic constraints).
    key : str
        Kind and bits of its key, for people.
    not_before, not_after : datetime
        Aware, UTC.
    """

    names: tuple[str, ...]
    sha256: str
    issuer: str
    self_issued: bool
    is_authority: bool
    key: str
    not_before: datetime
    not_after: datetime

    @property
    def name(self) -> str:
        """The first of its names, for sentences."""
        return self.names[0] if self.names else f"{self.sha256[:12]}…"

    def days_left(self, now: datetime) -> float:
        """Return the days until it expires; negative afterwards."""
        return (self.not_after - now).total_seconds() / 86400


def certificate_from(encoded: bytes) -> Certificate:
    """Read a certificate in DER.

    Raises
    ------
    CertificateUnreadable
    """
    try:
        # OpenSSL has taken it, so that what cryptography would rather not see (a serial of zero) is no matter here.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _described(x509.load_der_x509_certificate(encoded))
    except _UNREADABLE as error:
        raise CertificateUnreadable("A certificate cannot be read.") from error


def certificates_in(file: str) -> tuple[Certificate, ...]:
    """Read all certificates of a PEM file, in their order.

    Raises
    ------
    CertificateUnreadable
        The file cannot be read, or holds none.
    """
    try:
        content = Path(file).read_bytes()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return tuple(_described(one) for one in x509.load_pem_x509_certificates(content))
    except OSError as error:
        raise CertificateUnreadable(f"{file} cannot be read ({error.strerror}). Correct its path or rights.") from error
    except _UNREADABLE as error:
        raise CertificateUnreadable(f"{file} holds no PEM certificate. Correct it.") from error


def why_not_usable(certificate: str, key: str) -> str:
    """Return what OpenSSL says of a certificate and its key that cannot be used together; empty where they can.

    Parameters
    ----------
    certificate, key : str
        PEM files; an empty key lies with the certificate.
    """
    try:
        # Without a password OpenSSL would ask for one on the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key or None, password=lambda: b"")
    except OSError as error:
        return getattr(error, "reason", None) or error.strerror or "not readable"
    return ""


def _described(found: x509.Certificate) -> Certificate:
    names = [str(one.value) for one in found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    try:
        alternative = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names += alternative.get_values_for_type(x509.DNSName)
        names += [str(address) for address in alternative.get_values_for_type(x509.IPAddress)]
    except x509.ExtensionNotFound:
        pass
    try:
        is_authority = found.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        is_authority = False
    return Certificate(
        tuple(dict.fromkeys(name.lower() for name in names)),
        found.fingerprint(hashes.SHA256()).hex(),
        found.issuer.rfc4514_string(),
        found.issuer == found.subject,
        is_authority,
        _key_of(found),
        found.not_valid_before_utc,
        found.not_valid_after_utc,
    )


def _key_of(found: x509.Certificate) -> str:
    key = found.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA of {key.key_size} bits"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"elliptic curve {key.curve.name}"
    return type(key).__name__.removesuffix("PublicKey").strip("_")
