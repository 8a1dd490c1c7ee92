"""Raw values of data elements to Python values. A value that is not what the standard says becomes None."""

from __future__ import annotations

import math
from functools import lru_cache

from pydicom.charset import convert_encodings, decode_bytes, python_encoding

_LONGEST_NUMBER = 64
"""DS allows 16 characters (PS3.5 6.2) and real scanners write more; beyond this it is no number."""
_LONGEST_TEXT = 1024
_PERSON_NAME_DELIMITERS = {0x5C, 0x5E, 0x3D}
_TEXT_DELIMITERS = {0x5C}


def decimals(raw: bytes | None) -> tuple[float, ...]:
    """Return the numbers of a DS value; empty when any part is empty, not a finite number, or overlong."""
    if not raw:
        return ()
    try:
        numbers = tuple(map(float, raw.replace(b"\0", b" ").split(b"\\")))
    except ValueError:
        return ()
    if not all(map(math.isfinite, numbers)) or len(raw) > _LONGEST_NUMBER * len(numbers) or b"_" in raw:
        return ()
    return numbers


def decimal(raw: bytes | None) -> float | None:
    """Return the number of a DS value of multiplicity 1."""
    numbers = decimals(raw)
    return numbers[0] if len(numbers) == 1 else None


def positive(number: float | None) -> float | None:
    """Return the number when it is greater than 0: a thickness of 0 says nothing."""
    return number if number is not None and number > 0 else None


def integer(raw: bytes | None) -> int | None:
    """Return the number of an IS value of multiplicity 1, in the range of 32 bits; "12.0" is taken as 12."""
    number = decimal(raw)
    return int(number) if number is not None and number.is_integer() and abs(number) < 2**31 else None


def short(raw: bytes | None, *, big_endian: bool, signed: bool = False) -> int | None:
    """Return the number of a US or SS value of multiplicity 1."""
    if raw is None or len(raw) != 2:
        return None
    return int.from_bytes(raw, "big" if big_endian else "little", signed=signed)


def code_strings(raw: bytes | None) -> tuple[str, ...]:
    """Return the values of a CS or UI element, without padding; empty when there is none."""
    if not raw:
        return ()
    values = tuple(part.strip(" \0") for part in raw.decode("ascii", "replace").split("\\"))
    return values if any(values) else ()


def code_string(raw: bytes | None) -> str | None:
    """Return the first value of a CS or UI element, None when empty."""
    values = code_strings(raw)
    return values[0] or None if values else None


class TextDecoder:
    """Decodes text by the Specific Character Set of its data set (PS3.3 C.12.1.1.2, PS3.5 6.1.2).

    An unknown or wrong character set loses at most the characters it spoils, never the text.

    Parameters
    ----------
    specific_character_set : bytes or None
        Raw value of (0008,0005).
    """

    def __init__(self, specific_character_set: bytes | None) -> None:
        self._encodings = _encodings(specific_character_set or b"")

    def text(self, raw: bytes | None) -> str:
        """Return the text on one printable line, without padding; empty when there is none."""
        return self._line(raw, _TEXT_DELIMITERS)

    def person_name(self, raw: bytes | None) -> str:
        """Return a PN value, its component groups separated by ``=`` (PS3.5 6.2.1)."""
        return self._line(raw, _PERSON_NAME_DELIMITERS).rstrip("=^")

    def texts(self, raw: bytes | None) -> tuple[str, ...]:
        """Return the values of a multi-valued text element, without empty ones."""
        return tuple(part for part in (p.strip() for p in self.text(raw).split("\\")) if part)

    def _line(self, raw: bytes | None, delimiters: set[int]) -> str:
        if not raw:
            return ""
        if raw.isascii() and b"\x1b" not in raw:
            text = raw.decode("ascii")
        elif b"\x1b" in raw and len(self._encodings) > 1:  # code extension (PS3.5 6.1.2.5)
            text = _extended(raw, self._encodings, delimiters)
        else:
            text = _decoded(raw, self._encodings[0])
        text = text[:_LONGEST_TEXT].strip(" \0")
        if not text.isprintable():
            text = "".join(c if c.isprintable() else " " for c in text).strip()
        return text


def _extended(raw: bytes, encodings: list[str], delimiters: set[int]) -> str:
    try:
        return decode_bytes(raw, encodings, delimiters)
    except (UnicodeError, LookupError, UserWarning):  # pydicom warns of broken escapes, and warnings may be errors
        return _decoded(raw, encodings[0])


def _decoded(raw: bytes, encoding: str) -> str:
    # "iso8859" stands for the default repertoire, which is ASCII: bytes beyond it are a character set left out, and
    # today that is UTF-8 more often than Latin-1.
    for attempt in ("utf-8", "latin-1") if encoding == "iso8859" else (encoding, "utf-8", "latin-1"):
        try:
            return raw.decode(attempt)
        except (UnicodeDecodeError, LookupError):
            continue
    raise AssertionError("latin-1 decodes everything")


@lru_cache(maxsize=64)
def _encodings(raw: bytes) -> list[str]:
    terms = [term.strip() for term in raw.decode("ascii", "replace").strip(" \0").split("\\")]
    known = [term for term in terms if term in python_encoding]
    # pydicom warns about multi-byte sets that must stand alone; the first is then the one that counts.
    if len(known) > 1 and any(term in ("ISO_IR 192", "GB18030", "GBK") for term in known):
        known = known[:1]
    return convert_encodings(known or [""])
