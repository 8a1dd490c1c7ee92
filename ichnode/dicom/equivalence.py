"""Whether two files are the same image in other words: another transfer syntax, the same content."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element
from pydicom.pixels import pixel_array

_PIXELS = 0x7FE0
_ABOUT_ENCODING = frozenset(
    (
        0x00082111,  # Derivation Description, where compressors name the algorithm
        0x00089215,  # Derivation Code Sequence, the same in codes
        0xFFFCFFFC,  # Data Set Trailing Padding
    )
)
_LOSSY = 0x00282110
_VALUE = 8
"""Where the value begins in an element of implicit VR: after tag and length (PS3.5 7.1.3)."""


def same_content(path_a: Path, path_b: Path) -> bool:
    """Tell whether two Part 10 files carry the same image: every attribute and every decoded pixel equal.

    What the encoding alone decides is not compared: file meta information, group lengths, padding, how the pixels
    are encoded and what is said about that, and the VR of elements that one of the two does not know.

    Returns
    -------
    bool
        False also when either cannot be decoded: then nobody can tell, and both are kept.
    """
    try:
        first, second = dcmread(path_a), dcmread(path_b)
        return _same_attributes(first, second) and _same_pixels(first, second)
    except (InvalidDicomError, RuntimeError, ValueError, AttributeError, NotImplementedError, EOFError):
        return False


def _same_pixels(first: Dataset, second: Dataset) -> bool:
    return np.array_equal(pixel_array(first), pixel_array(second))


def _same_attributes(first: Dataset, second: Dataset) -> bool:
    compared = [element for element in first if _is_compared(element)]
    if [element.tag for element in compared] != [element.tag for element in second if _is_compared(element)]:
        return False
    return all(_same_element(element, second[element.tag]) for element in compared)


def _is_compared(element: DataElement) -> bool:
    tag = element.tag
    if tag.group == _PIXELS or tag.element == 0 or tag in _ABOUT_ENCODING:
        return False
    return not (tag == _LOSSY and element.value == "00")  # "never lossy" is what its absence means


def _same_element(first: DataElement, second: DataElement) -> bool:
    if first.VR == "SQ" and second.VR == "SQ":
        return len(first.value) == len(second.value) and all(
            _same_attributes(a, b) for a, b in zip(first.value, second.value, strict=True)
        )
    if first.VR == second.VR:
        return bool(first.value == second.value)
    return _encoded(first) == _encoded(second)


def _encoded(element: DataElement) -> bytes:
    """Return the value in little endian: an element unknown to implicit VR is read as UN, its bytes are the same."""
    stream = DicomBytesIO()
    stream.is_little_endian = stream.is_implicit_VR = True
    write_data_element(stream, element)
    return stream.getvalue()[_VALUE:].rstrip(b"\x00 ")
