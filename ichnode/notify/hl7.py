r"""HL7 v2.5.1: an unsolicited observation, ORU^R01, and what is made of its acknowledgement.

Written by hand: a message is some twenty lines of delimited text, and the escaping of what DICOM headers hold is the
part that must not be left to others' defaults. Chapters are those of HL7 v2.5.1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from ichnode.channel_section import ChannelSection
from ichnode.errors import PeerUnreachable
from ichnode.notify.message import Coded, FindingFact, Message, Patient, Said
from ichnode.notify.mllp import Receiver, connect, exchange
from ichnode.notify.words import headline, sentences
from ichnode.trust import tls_context

_ESCAPES = {delimiter: f"\\{letter}\\" for delimiter, letter in zip("\\|^~&", "EFSRT", strict=True)}
_ENCODINGS = {"UNICODE UTF-8": "utf-8", "8859/1": "iso-8859-1", "ASCII": "ascii"}
_REPRESENTATIONS = ("A", "I", "P")
"""Of the groups of a DICOM name: alphabetic, ideographic, phonetic (HL7 table 0465)."""
_UNUSABLE = frozenset({"100", "101", "102", "103", "200", "201", "202", "203"})
"""HL7 table 0357: the message as such is not understood or not supported, and will not be the next time."""
DEFAULT_PORT = 2575


def message_of(channel: ChannelSection, message: Message) -> bytes:
    """Return a message as ORU^R01 in the channel's character set (2.5.1, chapter 7.3.1)."""
    lines = [_msh(channel, message), *_pid(message.patient), _obr(message)]
    notes = [headline(message), *sentences(message)]
    lines += [_segment("NTE", str(number), "L", _text(note)) for number, note in enumerate(notes, 1)]
    lines += list(_obx(message))
    return ("\r".join(lines) + "\r").encode(_ENCODINGS[channel.character_set], "replace")


def reach(channel: ChannelSection, timeout_s: float) -> None:
    """Connect and close again; a receiver is sent no message that it might file.

    Raises
    ------
    PeerUnreachable, PeerRefused
    """
    connect(_receiver(channel, timeout_s)).close()


def send(channel: ChannelSection, message: Message, timeout_s: float, now: Callable[[], datetime]) -> Said:
    """Send one message and read its acknowledgement.

    Raises
    ------
    PeerUnreachable, PeerRefused
        Also where the answer is none, or that to another message.
    """
    content = exchange(_receiver(channel, timeout_s), message_of(channel, message))
    try:
        answer = acknowledgement(content, message.uid)
    except ValueError as error:
        raise PeerUnreachable(f"{channel.name}: {error} Check host and port, and look at its log.") from None
    if answer.accepted:
        return Said()
    why = f", error {answer.error_code}" if answer.error_code else ""
    sentence = f"{channel.name} answered {answer.code}{why}. Look at its log."
    return Said(sentence, transient=answer.error_code not in _UNUSABLE)


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """What a receiver says.

    Attributes
    ----------
    code : str
        MSA-1: AA, AE, AR; CA, CE, CR in enhanced mode.
    error_code : str
        Of HL7 table 0357, from ERR-3, or ERR-1 of older versions; empty where it says none. Its words are not kept:
        they may quote the message.
    """

    code: str
    error_code: str

    @property
    def accepted(self) -> bool:
        """Whether the message was taken."""
        return self.code in ("AA", "CA")


def acknowledgement(content: bytes, control_id: str) -> Acknowledgement:
    """Read an answer (2.5.1, 2.9.2).

    Raises
    ------
    ValueError
        It is none, or not that to the message of this control ID.
    """
    lines = content.decode("latin-1").replace("\n", "\r").split("\r")
    if not lines[0].startswith("MSH") or len(lines[0]) < 8:
        raise ValueError("The answer is not HL7.")
    separator, component, sub = lines[0][3], lines[0][4], lines[0][7]
    segments = {fields[0]: fields for fields in (line.split(separator) for line in lines if line)}
    answer = [*segments.get("MSA", []), "", "", ""]
    if answer[1] not in ("AA", "AE", "AR", "CA", "CE", "CR"):
        raise ValueError("The answer says neither that the message was taken nor that it was not.")
    if answer[2] != control_id:
        raise ValueError("The answer is that to another message.")
    error = [*segments.get("ERR", []), "", "", "", ""]
    code = error[3].split(component)[0] or [*error[1].split(component), "", "", ""][3].split(sub)[0]
    return Acknowledgement(answer[1], code if code.isascii() and code.isalnum() and len(code) <= 8 else "")


def _receiver(channel: ChannelSection, timeout_s: float) -> Receiver:
    context = None
    if channel.tls == "tls":
        context = tls_context(channel.name, channel.ca_file, channel.client_certificate, channel.client_key)
    return Receiver(channel.name, channel.host, channel.port or DEFAULT_PORT, context, timeout_s)


def _msh(channel: ChannelSection, message: Message) -> str:
    processing = "T" if message.kind == "test" else channel.processing_id
    ends = (
        channel.sending_application, channel.sending_facility, channel.receiving_application,
        channel.receiving_facility,
    )  # fmt: skip
    return _segment(
        "MSH", r"^~\&", *map(_text, ends), _time(message.created_at), "", "ORU^R01^ORU_R01", message.uid, processing,
        "2.5.1", "", "", "", "", "", channel.character_set if channel.character_set != "ASCII" else "",
    )  # fmt: skip


def _pid(patient: Patient | None) -> Iterator[str]:
    if patient is None:
        return
    name = "~".join(filter(None, (_name(group, kind) for group, kind in _groups(patient.name))))
    sex = patient.sex if patient.sex in ("M", "F", "O") else "U"
    identifier = f"{_text(patient.id)}^^^^PI" if patient.id else ""
    yield _segment("PID", "1", "", identifier, "", name, "", _digits(patient.birth_date, 8), sex)


def _obr(message: Message) -> str:
    fields = [""] * 28  # by their numbers; 0 is the segment
    patient = message.patient
    fields[0], fields[1] = "OBR", "1"
    fields[3] = f"{_text(message.study)}^{_text(message.node)}"
    fields[4] = _coded(message.vocabulary.procedure)
    if patient is not None:
        fields[2] = _text(patient.accession_number)
        date = _digits(patient.study_date, 8)
        fields[7] = date + _digits(patient.study_time, 6) if date else ""
        fields[13] = _text(patient.study_description)
    fields[22] = _time(message.created_at)
    fields[24] = "CT"
    fields[25] = _status(message)
    fields[27] = "^^^^^S" if message.called == "positive" and message.kind != "test" else "^^^^^R"
    return _segment(*fields)


def _obx(message: Message) -> Iterator[str]:
    status, number = "W" if message.called == "retracted" else _status(message), 0
    for sub, finding in enumerate(message.findings, 1):
        for kind, concept, content, unit, flag in _values(message, finding):
            number += 1
            yield _segment(
                "OBX", str(number), kind, _coded(concept), str(sub), content, unit, "", flag, "", "", status, "", "",
                _time(message.created_at), "", "", _text(message.model),
            )  # fmt: skip
    if message.patient is not None and message.patient.study_instance_uid:
        uid = f"^{_text(message.patient.study_instance_uid)}^ISO"
        name = _coded(message.vocabulary.study)
        yield _segment("OBX", str(number + 1), "HD", name, "", uid, "", "", "", "", "", status)


def _values(message: Message, finding: FindingFact) -> Iterator[tuple[str, Coded, str, str, str]]:
    yield "CWE", finding.concept, _coded(finding.presence), "", "A" if finding.present else ""
    if finding.score is not None:
        yield "NM", message.vocabulary.certainty, f"{100 * finding.score:.1f}", "%^Percent^UCUM", ""


def _status(message: Message) -> str:
    """Return OBR-25 (table 0123), which is OBX-11 as well (table 0085) but where a W takes it back."""
    if message.is_correction:
        return "C"
    return "P" if message.preliminary else "F"


def _segment(*fields: str) -> str:
    return "|".join(fields).rstrip("|")


def _coded(concept: Coded) -> str:
    return "^".join(_text(part) for part in (concept.code, concept.meaning, concept.scheme))


def _text(text: str) -> str:
    """Return text that cannot be taken for a delimiter or for the end of a segment or message (2.7)."""
    printable = (letter if letter.isprintable() else " " for letter in text)
    return "".join(_ESCAPES.get(letter, letter) for letter in printable).strip()


def _groups(name: str) -> Sequence[tuple[str, str]]:
    return [(group, kind) for group, kind in zip(name.split("="), _REPRESENTATIONS, strict=False) if group.strip("^ ")]


def _name(group: str, representation: str) -> str:
    """Turn family, given, middle, prefix, suffix (PS3.5 6.2.1) into XPN, which has the suffix before the prefix."""
    family, given, middle, prefix, suffix = ([*group.split("^"), "", "", "", "", ""])[:5]
    parts = [_text(part) for part in (family, given, middle, suffix, prefix)]
    return "^".join([*parts, "", "L", representation]) if any(parts) else ""


def _digits(text: str, most: int) -> str:
    """Return the digits that a DA or TM begins with; anything else was no date."""
    digits = text.strip()[:most]
    return digits if digits.isascii() and digits.isdigit() else ""


def _time(at: datetime) -> str:
    return at.strftime("%Y%m%d%H%M%S%z")
