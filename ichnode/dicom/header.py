"""Header of one CT object: identity, study facts, and the facts of each of its slices.

An object is refused only when it is not readable as DICOM or when its identity cannot be trusted. Any other attribute
that is absent, empty or malformed becomes None: whether the slice can be used without it is decided later, on all
slices of the series.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from pathlib import Path

from ichnode.core.slices import Slice, StudyFacts
from ichnode.dicom import tags
from ichnode.dicom.elements import ElementReader, Elements, PixelElement, check_pixels_complete, sniff_implicit
from ichnode.dicom.frames import FUNCTIONAL_GROUPS, frames_of
from ichnode.dicom.slice_facts import SLICE_TAGS, slice_from
from ichnode.dicom.values import TextDecoder, code_string
from ichnode.errors import BadObject

IMPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2"
EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
DEFLATED_LITTLE_ENDIAN = "1.2.840.10008.1.2.1.99"
EXPLICIT_BIG_ENDIAN = "1.2.840.10008.1.2.2"
MEDIA_STORAGE_DIRECTORY = "1.2.840.10008.1.3.10"

_STUDY_TAGS = dict.fromkeys(
    (
        tags.SPECIFIC_CHARACTER_SET, tags.SOP_CLASS_UID, tags.SOP_INSTANCE_UID, tags.STUDY_DATE, tags.STUDY_TIME,
        tags.ACCESSION_NUMBER, tags.INSTITUTION_NAME, tags.REFERRING_PHYSICIAN_NAME, tags.STATION_NAME,
        tags.STUDY_DESCRIPTION, tags.PATIENT_NAME, tags.PATIENT_ID, tags.PATIENT_BIRTH_DATE, tags.PATIENT_SEX,
        tags.STUDY_INSTANCE_UID, tags.SERIES_INSTANCE_UID, tags.REQUESTED_PROCEDURE_PRIORITY,
    )
)  # fmt: skip
_REQUEST = {tags.REQUEST_ATTRIBUTES_SEQUENCE: dict.fromkeys((tags.REQUESTED_PROCEDURE_PRIORITY,))}
_WANTED = {**_STUDY_TAGS, **_REQUEST, **SLICE_TAGS, **FUNCTIONAL_GROUPS}
_META_WANTED = dict.fromkeys((tags.MEDIA_STORAGE_SOP_CLASS_UID, tags.TRANSFER_SYNTAX_UID))
_AFTER_META = 0x00030000

_UID = re.compile(r"[0-9]+(\.[0-9]+)+")
_INFLATED_MOST = 16 << 20
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class InstanceHeader:
    """What is known of one DICOM object before its pixels are looked at.

    Attributes
    ----------
    sop_class_uid, sop_instance_uid, transfer_syntax_uid : str
    study : StudyFacts
    slices : tuple of Slice
        One; for Enhanced CT and Legacy Converted Enhanced CT one per frame.
    """

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    study: StudyFacts
    slices: tuple[Slice, ...]


def parse_dataset(encoded: bytes | bytearray, transfer_syntax_uid: str) -> InstanceHeader:
    """Read the header of a data set as it comes in a C-STORE request: no preamble, no file meta information.

    The elements are read up to the pixels; the pixels themselves are only checked for being all there.

    Parameters
    ----------
    encoded : bytes or bytearray
    transfer_syntax_uid : str
        The one negotiated. One that is not known is taken for explicit VR little endian, as every encapsulated one is
        (PS3.5 A.4).

    Raises
    ------
    BadObject
        ``NOT_DICOM``, ``TRUNCATED``, or ``BAD_UID``: the Study, Series, SOP Instance or SOP Class UID is missing or is
        not digits and dots of at most 64 characters (PS3.5 9.1). Leading zeros in a component are tolerated, since
        scanners in the field write them and they identify as well as any.
    """
    return _parsed(encoded, transfer_syntax_uid, None)


def _parsed(encoded: bytes | bytearray, transfer_syntax_uid: str, pseudonyms: _Pseudonyms | None) -> InstanceHeader:
    if transfer_syntax_uid == DEFLATED_LITTLE_ENDIAN:
        encoded, complete = _inflated(encoded)
    else:
        complete = True
    reader = ElementReader(
        encoded,
        implicit=sniff_implicit(encoded, transfer_syntax_uid == IMPLICIT_LITTLE_ENDIAN),
        big_endian=transfer_syntax_uid == EXPLICIT_BIG_ENDIAN,
    )
    return _header(reader, transfer_syntax_uid, complete, pseudonyms)


def parse_file(path: Path, pseudonyms: bool = False) -> InstanceHeader:
    """Read the header of a Part 10 file, or of a bare data set in a file.

    Parameters
    ----------
    path : Path
        Without preamble and file meta information (PS3.10 7.1) the transfer syntax is concluded from the first
        element: implicit or explicit little endian, or explicit big endian.
    pseudonyms : bool
        Take any text for a UID, and a missing SOP Class UID from the file meta information: public data sets write
        pseudonyms for UIDs (RSNA 2019: ``ID_…``). Never for what comes over the network.

    Raises
    ------
    BadObject
        As `parse_dataset`; ``DICOMDIR`` for a media storage directory.
    OSError
        If the file cannot be read.
    """
    content = path.read_bytes()
    start, transfer_syntax_uid, sop_class_uid = _file_meta(content)
    if not transfer_syntax_uid:
        transfer_syntax_uid = _guessed_transfer_syntax(content[start : start + 8])
    encoded = content[start:] if start else content
    return _parsed(encoded, transfer_syntax_uid, _Pseudonyms(sop_class_uid) if pseudonyms else None)


def split_part10(content: bytes) -> tuple[str, bytes]:
    """Return the transfer syntax of a Part 10 file in memory, and its data set as it is encoded.

    Raises
    ------
    BadObject
        ``NOT_DICOM`` where there is no file meta information; ``DICOMDIR``.
    """
    start, transfer_syntax_uid, _ = _file_meta(content)
    if not transfer_syntax_uid:
        raise BadObject("The object has no file meta information (PS3.10 7.1).", "NOT_DICOM")
    return transfer_syntax_uid, content[start:]


@dataclass(frozen=True, slots=True)
class _Pseudonyms:
    sop_class_uid: str


def _file_meta(content: bytes) -> tuple[int, str, str]:
    """Return where the data set begins, its transfer syntax and SOP Class; empty without file meta information."""
    start = 132 if content[128:132] == b"DICM" else 0
    if content[start : start + 2] != b"\x02\x00":
        return start, "", ""
    reader = ElementReader(content, implicit=False, big_endian=False)
    meta, start, _ = reader.read(start, len(content), _META_WANTED, before=_AFTER_META)
    sop_class_uid = code_string(_plain(meta, tags.MEDIA_STORAGE_SOP_CLASS_UID)) or ""
    if sop_class_uid == MEDIA_STORAGE_DIRECTORY:
        raise BadObject("The file is a DICOM directory, not an image.", "DICOMDIR")
    return start, code_string(_plain(meta, tags.TRANSFER_SYNTAX_UID)) or "", sop_class_uid


def inflates_within(path: Path, most_bytes: int) -> bool:
    """Tell whether a deflated Part 10 file becomes no longer than that, without holding what it becomes.

    Raises
    ------
    BadObject
        It cannot be inflated.
    """
    content = path.read_bytes()
    start, _, _ = _file_meta(content)
    inflater, total, rest = zlib.decompressobj(-zlib.MAX_WBITS), 0, content[start:]
    try:
        while rest and not inflater.eof and total <= most_bytes:
            total += len(inflater.decompress(rest, _CHUNK))
            rest = inflater.unconsumed_tail
    except zlib.error as error:
        raise BadObject("The deflated data set cannot be inflated.", "NOT_DICOM") from error
    return total <= most_bytes


def _guessed_transfer_syntax(first: bytes) -> str:
    if first[:2] == b"\x00\x08":
        return EXPLICIT_BIG_ENDIAN
    return IMPLICIT_LITTLE_ENDIAN if sniff_implicit(first, True) else EXPLICIT_LITTLE_ENDIAN


def _header(
    reader: ElementReader, transfer_syntax_uid: str, complete: bool, pseudonyms: _Pseudonyms | None
) -> InstanceHeader:
    buffer = reader.buffer
    first_group = int.from_bytes(buffer[:2], "big" if reader.big_endian else "little")
    # SOP Class UID (0008,0016) is in every data set of an object, so none begins after group 0008.
    if len(buffer) < 8 or first_group > 0x0008:
        raise BadObject("The bytes are not a DICOM data set.", "NOT_DICOM")
    found, _, pixels = reader.read(0, len(buffer), _WANTED)
    if pixels is not None and complete:
        check_pixels_complete(buffer, pixels)
    text = TextDecoder(_plain(found, tags.SPECIFIC_CHARACTER_SET))
    strict = pseudonyms is None
    if pseudonyms is not None and not _plain(found, tags.SOP_CLASS_UID):
        sop_class_uid = pseudonyms.sop_class_uid
    else:
        sop_class_uid = _uid(found, tags.SOP_CLASS_UID, "SOP Class UID")
    sop_instance_uid = _uid(found, tags.SOP_INSTANCE_UID, "SOP Instance UID", strict)
    study = _study(found, text, strict)
    frames = frames_of(found, sop_class_uid, big_endian=reader.big_endian)
    return InstanceHeader(
        sop_class_uid,
        sop_instance_uid,
        transfer_syntax_uid,
        study,
        tuple(
            slice_from(
                frame,
                text,
                sop_class_uid=sop_class_uid,
                sop_instance_uid=sop_instance_uid,
                transfer_syntax_uid=transfer_syntax_uid,
                number=number,
                has_pixels=_has_pixels(pixels),
                big_endian=reader.big_endian,
            )
            for number, frame in enumerate(frames, 1)
        ),
    )


def _study(found: Elements, text: TextDecoder, strict: bool) -> StudyFacts:
    return StudyFacts(
        study_instance_uid=_uid(found, tags.STUDY_INSTANCE_UID, "Study Instance UID", strict),
        series_instance_uid=_uid(found, tags.SERIES_INSTANCE_UID, "Series Instance UID", strict),
        patient_id=text.text(_plain(found, tags.PATIENT_ID)),
        patient_name=text.person_name(_plain(found, tags.PATIENT_NAME)),
        patient_birth_date=text.text(_plain(found, tags.PATIENT_BIRTH_DATE)),
        patient_sex=text.text(_plain(found, tags.PATIENT_SEX)),
        accession_number=text.text(_plain(found, tags.ACCESSION_NUMBER)),
        study_date=text.text(_plain(found, tags.STUDY_DATE)),
        study_time=text.text(_plain(found, tags.STUDY_TIME)),
        study_description=text.text(_plain(found, tags.STUDY_DESCRIPTION)),
        referring_physician=text.person_name(_plain(found, tags.REFERRING_PHYSICIAN_NAME)),
        station_name=text.text(_plain(found, tags.STATION_NAME)),
        institution=text.text(_plain(found, tags.INSTITUTION_NAME)),
        priority=_priority(found),
    )


def _priority(found: Elements) -> str:
    """Return the priority of the request, where scanners write it: beside all else, or in the request's own item."""
    items = found.get(tags.REQUEST_ATTRIBUTES_SEQUENCE)
    said = (found, *(items if isinstance(items, list) else ()))
    given = [code_string(_plain(one, tags.REQUESTED_PROCEDURE_PRIORITY)) for one in said]
    return next((one for one in given if one), "")


def _uid(found: Elements, tag: int, name: str, strict: bool = True) -> str:
    raw = _plain(found, tag)
    uid = raw.decode("ascii", "replace").strip(" \0") if raw else ""
    if len(uid) > 64 or not uid or (strict and _UID.fullmatch(uid) is None):
        raise BadObject(f"The {name} is {'not valid' if uid else 'missing'}.", "BAD_UID")
    return uid


def _plain(found: Elements, tag: int) -> bytes | None:
    value = found.get(tag)
    return value if isinstance(value, bytes) else None


def _has_pixels(pixels: PixelElement | None) -> bool:
    return pixels is not None and pixels.length > 0


def _inflated(encoded: bytes | bytearray) -> tuple[bytes, bool]:
    """Inflate a deflated data set (PS3.5 A.5), at most 16 MiB of it: the header lies in front."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        data = inflater.decompress(encoded, _INFLATED_MOST)
    except zlib.error as error:
        raise BadObject("The deflated data set cannot be inflated.", "NOT_DICOM") from error
    if not inflater.eof and len(data) < _INFLATED_MOST:
        raise BadObject("The deflated data set ends too early.", "TRUNCATED")
    return data, inflater.eof
