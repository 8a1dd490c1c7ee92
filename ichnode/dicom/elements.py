"""The data elements of an encoded data set (PS3.5 7), read up to the pixels and only where wanted.

pydicom builds an object for every element it converts, about half a millisecond for a CT header: too slow for the
path that every received slice takes. This reader skips what nobody asked for and hands out raw values. Tests hold it
to pydicom's answers.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeAlias

from ichnode.errors import BadObject

Wanted: TypeAlias = Mapping[int, "Wanted | None"]
"""Tags to hand out: None for a plain value, a mapping for a sequence whose items are read."""
Elements: TypeAlias = dict[int, "bytes | list[Elements]"]

UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_PIXELS_FIRST, _PIXELS_LAST = 0x7FE00008, 0x7FE00010
_LONG_VRS = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
_ALL_VRS = _LONG_VRS | frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
_DEEPEST = 32
_MOST_ELEMENTS = 1_000_000
"""An Enhanced CT of 5,000 frames has half as many; a gigabyte of empty elements would take minutes."""


@dataclass(frozen=True, slots=True)
class PixelElement:
    """Where the pixel data begins and what its header says; `length` is `UNDEFINED` when encapsulated (PS3.5 A.4)."""

    tag: int
    start: int
    length: int


class ElementReader:
    """Walks one encoded data set.

    Parameters
    ----------
    buffer : bytes or bytearray
        Not changed meanwhile.
    implicit : bool
        Implicit VR (PS3.5 7.1.3).
    big_endian : bool
    """

    def __init__(self, buffer: bytes | bytearray, *, implicit: bool, big_endian: bool) -> None:
        self.buffer = buffer
        self.implicit = implicit
        self.big_endian = big_endian
        order = ">" if big_endian else "<"
        self._tag_and_long = struct.Struct(order + "HHI").unpack_from
        self._tag_vr_short = struct.Struct(order + "HH2sH").unpack_from
        self._long = struct.Struct(order + "I").unpack_from
        self._left = [_MOST_ELEMENTS]

    def read(
        self, start: int, end: int, wanted: Wanted, *, before: int = _PIXELS_LAST + 1, depth: int = 0
    ) -> tuple[Elements, int, PixelElement | None]:
        """Read the elements from `start` up to the pixels, `end`, an item delimiter or the tag `before`.

        Returns
        -------
        elements : dict of tag to raw value, or to the elements of each item
        position : int
            Of the first byte that was not read.
        pixels : PixelElement or None

        Raises
        ------
        BadObject
            ``TRUNCATED`` if an element reaches beyond `end`, ``NOT_DICOM`` if items are nested without end.
        """
        if depth > _DEEPEST:
            raise BadObject("Sequences are nested too deeply to be a DICOM data set.", "NOT_DICOM")
        found: Elements = {}
        buffer, implicit, position, left = self.buffer, self.implicit, start, self._left
        while position + 8 <= end:
            left[0] -= 1
            if left[0] < 0:
                raise _endless()
            if implicit:
                group, element, length = self._tag_and_long(buffer, position)
                vr, value = b"", position + 8
            else:
                group, element, vr, length = self._tag_vr_short(buffer, position)
                value = position + 8
                if vr in _LONG_VRS:
                    if value + 4 > end:
                        raise _truncated()
                    length = self._long(buffer, value)[0]
                    value += 4
                elif group == 0xFFFE:  # items and delimiters have no VR (PS3.5 7.5)
                    length = self._long(buffer, position + 4)[0]
            tag = group << 16 | element
            if depth == 0 and tag >= before:
                return found, position, None
            if depth == 0 and tag >= _PIXELS_FIRST:
                return found, position, PixelElement(tag, value, length)
            if tag == _ITEM_END:
                return found, value, None
            if tag == 0 and length == 0:  # zeros after the last element: some writers pad so
                return found, end, None
            nested = wanted.get(tag, _UNWANTED)
            if length == UNDEFINED:
                items, position = self._sequence(vr, value, end, {} if nested is _UNWANTED else nested or {}, depth)
                if nested is not _UNWANTED and nested is not None:
                    found[tag] = items
                continue
            position = value + length
            if position > end:
                raise _truncated()
            if nested is None:
                found[tag] = bytes(buffer[value:position])
            elif nested is not _UNWANTED:
                with suppress(BadObject):  # its length says where it ends: a malformed one costs no more than itself
                    found[tag] = self._sequence(vr, value, position, nested, depth, delimited=False)[0]
        if position < end and any(buffer[position:end]):
            raise _truncated()
        return found, end, None

    def _sequence(
        self, vr: bytes, start: int, end: int, wanted: Wanted, depth: int, *, delimited: bool = True
    ) -> tuple[list[Elements], int]:
        """Read the items of a sequence; in one of unknown VR they are implicit little endian (PS3.5 6.2.2, note 2)."""
        inner = self
        if vr == b"UN" and not self.implicit:
            inner = ElementReader(self.buffer, implicit=True, big_endian=False)
            inner._left = self._left
        items: list[Elements] = []
        position = start
        while position + 8 <= end:
            self._left[0] -= 1
            if self._left[0] < 0:
                raise _endless()
            group, element, length = inner._tag_and_long(self.buffer, position)
            tag, position = group << 16 | element, position + 8
            if tag == _SEQUENCE_END:
                return items, position
            if tag != _ITEM:
                raise BadObject("A sequence holds something that is not an item.", "NOT_DICOM")
            if length == UNDEFINED:
                item, position, _ = inner.read(position, end, wanted, depth=depth + 1)
                items.append(item)
            else:
                if position + length > end:
                    raise _truncated()
                if wanted:
                    items.append(inner.read(position, position + length, wanted, depth=depth + 1)[0])
                position += length
        if delimited or position != end:
            raise _truncated()
        return items, position


def sniff_implicit(buffer: bytes | bytearray, declared: bool) -> bool:
    """Tell whether a data set is implicit VR, from its first element, else as declared.

    Some senders encode in the other VR than the one they negotiated. A length of two capital letters, which an
    explicit VR would be if it were read as implicit, exceeds 16,000: no first element of a data set is that long.
    """
    return declared if len(buffer) < 8 else bytes(buffer[4:6]) not in _ALL_VRS


def check_pixels_complete(buffer: bytes | bytearray, pixels: PixelElement) -> None:
    """Raise ``TRUNCATED`` when the pixel element is longer than what is there.

    Of encapsulated pixel data every fragment is followed (PS3.5 A.4). A missing sequence delimiter at the very end is
    tolerated: nothing of the pixels is lost.
    """
    if pixels.length != UNDEFINED:
        if pixels.start + pixels.length > len(buffer):
            raise _truncated()
        return
    position = pixels.start
    while position + 8 <= len(buffer):
        group, element, length = struct.unpack_from("<HHI", buffer, position)
        if group << 16 | element != _ITEM:
            return
        position += 8 + length
    if position > len(buffer):
        raise _truncated()


def _endless() -> BadObject:
    return BadObject(f"The header has more than {_MOST_ELEMENTS} elements.", "NOT_DICOM")


def _truncated() -> BadObject:
    return BadObject("The DICOM data set ends in the middle of an element.", "TRUNCATED")


_UNWANTED: Wanted = {}
