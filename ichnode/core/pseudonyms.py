"""Pseudonyms that are the same every time for who holds the key, and say nothing to anybody else.

Everything is an HMAC-SHA-256 of what it stands for: without the key nobody can tell by trying which Patient ID or UID
was meant.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import uuid
from dataclasses import dataclass, field
from datetime import date, timedelta

_FEWEST_DAYS, _MOST_DAYS = 30, 3650


@dataclass(frozen=True, slots=True)
class Pseudonyms:
    """Pseudonyms under one secret key of at least 32 bytes."""

    key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.key) < 32:
            raise ValueError("a key has at least 32 bytes")

    def patient(self, patient_id: str) -> str:
        """Return the pseudonym of a patient: ``ICH-`` and 16 letters and digits (80 bits)."""
        return "ICH-" + base64.b32encode(self._of("patient", patient_id)[:10]).decode("ascii")

    def uid(self, uid: str) -> str:
        """Return the UID that stands for another one: 2.25 and a UUID (PS3.5 B.2)."""
        return f"2.25.{uuid.UUID(bytes=self._of('uid', uid)[:16], version=4).int}"

    def moved(self, day: date, patient_id: str) -> date:
        """Return a date moved back by 30 to 3,650 days, the same for all dates of a patient."""
        draw = int.from_bytes(self._of("days", patient_id)[:8], "big")
        return day - timedelta(days=_FEWEST_DAYS + draw % (_MOST_DAYS - _FEWEST_DAYS + 1))

    def _of(self, *parts: str) -> bytes:
        return hmac.new(self.key, "\0".join(parts).encode(), hashlib.sha256).digest()
