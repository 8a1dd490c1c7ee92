"""Certificates of an authority that lives as long as a test: made by openssl, for 127.0.0.1 and localhost."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

KEYS = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


@dataclass(frozen=True)
class Issued:
    """A certificate, its key, and both in one file."""

    certificate: Path
    key: Path
    both: Path


class Authority:
    """A certificate authority whose files lie below `folder`.

    Attributes
    ----------
    certificate : Path
        What whoever trusts it is given.
    """

    def __init__(self, folder: Path, openssl: str = "openssl") -> None:
        self.folder, self.openssl = folder, openssl
        folder.mkdir(parents=True, exist_ok=True)
        self.certificate = folder / "authority.pem"
        self._request("authority", "-x509", "-days", "2", "-subj", "/CN=authority of a test")

    def issue(
        self, name: str, alternatives: str = "IP:127.0.0.1,DNS:localhost", *, days: int = 2, more: str = "",
        keys: tuple[str, ...] = KEYS,
    ) -> Issued:  # fmt: skip
        """Issue a certificate for the names `alternatives`, in openssl's notation; expired with `days` below 0."""
        request = self._request(name, "-subj", f"/CN={name}", keys=keys)
        certificate, key, both = (self.folder / f"{name}.{end}" for end in ("pem", "key.pem", "both.pem"))
        extensions = self.folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName={alternatives}\n{more}")
        self._openssl(
            "x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.folder / "authority.key.pem",
            "-days", str(days), "-extfile", extensions, "-out", certificate,
        )  # fmt: skip
        both.write_text(certificate.read_text() + key.read_text())
        return Issued(certificate, key, both)

    def resign(self, issued: Issued, name: str, change: Callable[[bytes], bytes]) -> Issued:
        """Issue a certificate anew with its signed part changed, however wrong it is then."""
        old = x509.load_pem_x509_certificate(issued.certificate.read_bytes())
        key = serialization.load_pem_private_key((self.folder / "authority.key.pem").read_bytes(), None)
        signed = change(old.tbs_certificate_bytes)
        algorithm = bytes.fromhex("300a06082a8648ce3d040302")  # ecdsa-with-SHA256
        signature = b"\0" + key.sign(signed, ec.ECDSA(hashes.SHA256()))
        body = signed + algorithm + b"\x03" + bytes([len(signature)]) + signature
        certificate = self.folder / f"{name}.pem"
        certificate.write_text(ssl.DER_cert_to_PEM_cert(b"\x30\x82" + len(body).to_bytes(2, "big") + body))
        return Issued(certificate, issued.key, issued.both)

    def self_signed(self, name: str) -> Issued:
        """Make a certificate that nobody else has signed."""
        names = ("-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost")
        certificate = self._request(name, "-x509", "-days", "2", "-subj", f"/CN={name}", *names)
        key, both = self.folder / f"{name}.key.pem", self.folder / f"{name}.both.pem"
        both.write_text(certificate.read_text() + key.read_text())
        return Issued(certificate, key, both)

    def _request(self, name: str, *options: str, keys: tuple[str, ...] = KEYS) -> Path:
        out = self.folder / f"{name}.{'pem' if '-x509' in options else 'csr'}"
        self._openssl("req", *keys, "-keyout", self.folder / f"{name}.key.pem", "-out", out, *options)
        return out

    def _openssl(self, *arguments: str | Path) -> None:
        subprocess.run([self.openssl, *map(str, arguments)], check=True, capture_output=True, timeout=300)
