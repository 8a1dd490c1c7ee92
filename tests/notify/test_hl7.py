r"""HL7 against real MLLP receivers; the message judged by hl7apy, which knows the structure of ORU^R01 of 2.5.1."""

from __future__ import annotations

import socket
import threading
from dataclasses import replace

import pytest
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.mllp import AbstractHandler, MLLPServer
from hl7apy.parser import parse_message

from ichnode.errors import PeerUnreachable
from ichnode.notify import hl7
from ichnode.notify.mllp import MOST_ANSWER_BYTES
from tests.notify.made import (
    ALL,
    CORRECTION,
    ESCALATION,
    FAILED,
    FINAL,
    HOSTILE,
    POSITIVE,
    RETRACTED,
    TEST,
    channel,
    named,
)
from tests.notify.receivers import MllpReceiver, ack, framed
from tests.peers import free_port


def text_of(message, **options):
    return hl7.message_of(channel("hl7", **options), message).decode()


def lines_of(message, segment, **options):
    return [line.split("|") for line in text_of(message, **options).split("\r") if line.startswith(segment)]


def send(receiver, message, timeout_s=120.0, **options):
    return hl7.send(channel("hl7", port=receiver.port, **options), message, timeout_s, None)


def unescaped(text):
    for letter, delimiter in zip("FSTR", "|^&~", strict=True):
        text = text.replace(f"\\{letter}\\", delimiter)
    return text.replace("\\E\\", "\\")


@pytest.mark.parametrize(
    "message", [*ALL, named(POSITIVE), named(CORRECTION, HOSTILE)], ids=lambda m: f"{m.kind} {m.called}"
)
@pytest.mark.parametrize("character_set", ["UNICODE UTF-8", "8859/1", "ASCII"])
def test_hl7apy_finds_no_fault(message, character_set):
    encoding = {"UNICODE UTF-8": "utf-8", "8859/1": "latin-1", "ASCII": "ascii"}[character_set]
    content = hl7.message_of(channel("hl7", character_set=character_set), message).decode(encoding)
    parsed = parse_message(content, validation_level=VALIDATION_LEVEL.STRICT)
    assert parsed.validate()
    assert parsed.name == "ORU_R01"


def test_taken_by_the_mllp_server_of_hl7apy():
    taken = []

    class Takes(AbstractHandler):
        def reply(self):
            taken.append(self.incoming_message)
            return framed(ack(self.incoming_message.encode())).decode()

    port = free_port()
    server = MLLPServer("127.0.0.1", port, {"ORU^R01^ORU_R01": (Takes,)})
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        said = hl7.send(channel("hl7", port=port), named(POSITIVE), 120, None)
    finally:
        server.shutdown()
        server.server_close()
        thread.join(20)
    assert said.error is None
    (content,) = taken
    assert parse_message(content).oru_r01_patient_result.oru_r01_patient.pid.pid_5.pid_5_1.to_er7() == "DOE"


def test_what_a_positive_says():
    ((*_, first),) = [lines_of(POSITIVE, "MSH")]
    assert first[8:12] == ["ORU^R01^ORU_R01", POSITIVE.uid, "P", "2.5.1"]
    assert len(POSITIVE.uid) <= 20
    assert lines_of(POSITIVE, "PID") == []
    (obr,) = lines_of(POSITIVE, "OBR")
    assert obr[3:5] == ["3f2a9c01-17^ICHAI", "25045-6^CT unspecified body region^LN"]
    assert (obr[2], obr[7], obr[25], obr[27]) == ("", "", "F", "^^^^^S")
    observations = lines_of(POSITIVE, "OBX")
    assert len(observations) == 12
    assert observations[0][2:6] == ["CWE", "1386000^Intracranial hemorrhage^SCT", "1", "52101004^Present^SCT"]
    assert observations[1][2:7] == ["NM", "111012^Certainty of Finding^DCM", "1", "97.1", "%^Percent^UCUM"]
    assert [o[5].split("^")[1] for o in observations[::2]] == [
        "Present",
        "Absent",
        "Absent",
        "Absent",
        "Present",
        "Absent",
    ]
    assert [o[8] for o in observations[::2]] == ["A", "", "", "", "A", ""]


def test_what_the_other_messages_say():
    assert {o[11] for o in lines_of(CORRECTION, "OBX")} == {"C"}
    assert {o[11] for o in lines_of(replace(POSITIVE, preliminary=True), "OBX")} == {"P"}
    assert {o[11] for o in lines_of(FINAL, "OBX")} == {"F"}
    assert lines_of(FINAL, "OBR")[0][3] == lines_of(POSITIVE, "OBR")[0][3], "the RIS files it in the same place"
    assert any(POSITIVE.uid in note[3] for note in lines_of(CORRECTION, "NTE")), "it names what it corrects"
    assert {o[11] for o in lines_of(RETRACTED, "OBX")} == {"W"}
    assert {o[5] for o in lines_of(FAILED, "OBX")} == {"373068000^Undetermined^SCT"}
    assert any("PIXELS_UNREADABLE" in note[3] for note in lines_of(FAILED, "NTE"))
    assert any("step 1" in note[3] for note in lines_of(ESCALATION, "NTE"))
    (msh,) = lines_of(TEST, "MSH")
    assert msh[10] == "T"
    assert lines_of(TEST, "OBX") == []


def test_a_patient_only_where_it_is_given():
    (pid,) = lines_of(named(POSITIVE), "PID")
    assert pid[3:] == ["P-4711^^^^PI", "", "DOE^JANE^Q^MD^DR^^L^A", "", "19710203", "F"]
    (obr,) = lines_of(named(POSITIVE), "OBR")
    assert (obr[2], obr[7], obr[13]) == ("A-2026-1", "20260301113015", "CT HEAD")
    assert lines_of(named(POSITIVE), "OBX")[-1][2:6] == ["HD", "113014^Study^DCM", "", "^1.2.840.99.1^ISO"]


def test_no_text_of_a_header_breaks_out_of_its_field():
    content = text_of(named(POSITIVE, HOSTILE))
    assert "\x1c" not in content
    assert "\x0b" not in content
    assert [line[:3] for line in content.split("\r") if line] == [
        line[:3] for line in text_of(named(POSITIVE)).split("\r") if line
    ]
    (pid,) = lines_of(named(POSITIVE, HOSTILE), "PID")
    assert unescaped(pid[3].removesuffix("^^^^PI")) == HOSTILE.id
    assert pid[5] == "Müller^Jürgen^^^^^L^A~山田^太郎  OBX\\F\\99\\F\\ST\\F\\INJECTED^^^^^L^I"
    assert pid[7:9] == ["19710203", "U"]
    (obr,) = lines_of(named(POSITIVE, HOSTILE), "OBR")
    assert unescaped(obr[2]) == "A  MSH|^~\\&|EVIL"
    assert obr[7] == "", "2026-03-01 is no DA"


def test_a_character_that_the_set_does_not_have_does_not_stop_a_message():
    content = hl7.message_of(channel("hl7", character_set="8859/1"), named(POSITIVE, HOSTILE))
    assert "Müller".encode("latin-1") in content
    assert b"??" in content
    assert b"|8859/1" in content.split(b"\r")[0]


@pytest.mark.parametrize(
    ("code", "error", "transient"),
    [
        ("AE", "207", True),
        ("AR", "", True),
        ("AR", "203", False),
        ("AE", "100", False),
        ("CR", "200", False),
        ("CE", "", True),
    ],
)
def test_refusals(code, error, transient):
    with MllpReceiver(lambda content: framed(ack(content, code, error))).listening() as receiver:
        said = send(receiver, named(POSITIVE))
    assert said.transient is transient
    assert code in said.error
    assert "DOE" not in said.error, "what the receiver quotes is not kept"


def test_accepted_in_either_mode():
    for code in ("AA", "CA"):
        with MllpReceiver(lambda content, code=code: framed(ack(content, code))).listening() as receiver:
            assert send(receiver, POSITIVE).error is None


def test_an_answer_in_pieces_and_with_line_feeds():
    def slowly(content):
        return framed(ack(content).replace(b"\r", b"\r\n"))

    with MllpReceiver(slowly).listening() as receiver:
        assert send(receiver, POSITIVE).error is None


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (lambda c: b"HTTP/1.1 400 Bad Request\r\n\r\n", "not in MLLP"),
        (lambda c: framed(b"hello"), "not HL7"),
        (lambda c: framed(b"MSH|^~\\&|||||||ACK|1|P|2.5.1\r"), "neither"),
        (lambda c: framed(ack(c).replace(POSITIVE.uid.encode(), b"another")), "another message"),
        (lambda c: b"\x0b" + b"x" * (2 * MOST_ANSWER_BYTES), "not in MLLP"),
    ],
)  # fmt: skip
def test_garbage_is_no_acknowledgement(answer, sentence):
    with MllpReceiver(answer).listening() as receiver, pytest.raises(PeerUnreachable, match=sentence):
        send(receiver, POSITIVE)


def test_half_closed_silent_and_absent():
    receiver = MllpReceiver(lambda content: None)
    receiver.hold.set()
    with receiver.listening(), pytest.raises(PeerUnreachable, match="before it answered"):
        send(receiver, POSITIVE)
    silent = MllpReceiver(lambda content: b"\x0bMSH")
    with silent.listening(), pytest.raises(PeerUnreachable, match=r"did not answer within 0\.3 s"):
        send(silent, POSITIVE, 0.3)
    with pytest.raises(PeerUnreachable, match="no connection"):
        send(MllpReceiver(), POSITIVE)
    with socket.create_server(("127.0.0.1", 0)) as deaf, pytest.raises(PeerUnreachable, match="did not answer"):
        hl7.send(channel("hl7", port=deaf.getsockname()[1]), POSITIVE, 0.3, None)


def test_over_tls_that_is_checked(authority, shown):
    with MllpReceiver(shown=shown).listening() as receiver:
        assert send(receiver, POSITIVE, tls="tls", ca_file=str(authority.certificate)).error is None
        with pytest.raises(PeerUnreachable, match="not trusted"):
            send(receiver, POSITIVE, tls="tls")
    with MllpReceiver().listening() as plain, pytest.raises(PeerUnreachable, match=r"TLS|ended|connection"):
        send(plain, POSITIVE, 1, tls="tls")


def test_reach_sends_nothing():
    with MllpReceiver().listening() as receiver:
        hl7.reach(channel("hl7", port=receiver.port), 120)
        assert send(receiver, POSITIVE).error is None
    assert len(receiver.messages) == 1
