"""Made-up input at the port, in files and in pixels: it ends in a status, an abort or a code, and others are served.

In CI a few hundred examples; ``ICHNODE_TEST_FUZZ=5`` looks for five minutes each. What it finds goes into `seeds/`.
"""

from __future__ import annotations

import base64
import socket
import time
from contextlib import suppress

import psutil
import pytest
from hypothesis import strategies as st

from ichnode.dicom.decoding import Decoders
from ichnode.dicom.header import parse_dataset, parse_file
from ichnode.dicom.secure import Identity, SecurePort
from ichnode.dicom.syntaxes import CT_IMAGE, DEFLATED_LE, EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, _samples
from ichnode.errors import BadObject
from tests.certificates import Authority
from tests.dicom.fuzzing import hold, seeds
from tests.dicom.made_ct import UNCOMPRESSED, ct_dataset, encode, enhanced_ct, part10_of
from tests.dicom.wire import RawPeer, Receiver, command_set, item, p_data, pdu, request_pdu, value
from tests.peers import wait_until

MiB = 1 << 20
BOUND_S = 60.0
"""For one input; a busy machine is slow, what has no bound takes for ever."""

SPLINTERS = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        [b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xfe\xff\x00\xe0", b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\xff"]
    ),
)
WOUNDS = st.lists(st.tuples(st.floats(0, 1), SPLINTERS, st.sampled_from(["over", "in", "cut"])), max_size=4)


def wounded(whole: bytes, wounds) -> bytes:
    """Write splinters over places, put them in, or cut there."""
    for place, splinter, how in wounds:
        at = int(place * len(whole))
        if how == "cut":
            whole = whole[:at]
        else:
            whole = whole[:at] + splinter + whole[at + (len(splinter) if how == "over" else 0) :]
    return whole


WORDS = [
    p_data(1, 3, command_set(1, uid=b"1.2.3")),
    p_data(1, 2, b"data"),
    p_data(1, 0, bytes(3000)),
    p_data(1, 3, command_set(1, uid=b"")),
    p_data(1, 3, command_set(1, uid=b"../../etc/passwd")),
    p_data(1, 3, command_set(1, data_set=False, uid=b"1.2.3")),
    p_data(1, 3, command_set(0x20, uid=b"1.2.3")),
    p_data(1, 3, command_set(0xFFF)),
    p_data(3, 3, command_set(0x30, data_set=False, sop_class=b"1.2.840.10008.1.1")),
    p_data(3, 3, command_set(0x100, uid=b"1.2.3")),
    pdu(4, value(1, 3, command_set(1, uid=b"1.2.3")) + value(1, 2, b"data")),
    pdu(4, b""),
    pdu(5, bytes(4)),
    pdu(6, bytes(4)),
    pdu(7, bytes(4)),
    pdu(1, b""),
    request_pdu(),
    b"\x04\x00\xff\xff\xff\xff",
    b"\x01\x00\xff\xff\xff\xff",
    b"\x16\x03\x01\x00\x05hello",
]
TALKS = st.lists(st.one_of(st.sampled_from(WORDS), st.binary(max_size=60)), min_size=1, max_size=6).map(b"".join)


class Watched:
    """A receiver on both ports, and its threads, descriptors and memory."""

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver
        self._process = psutil.Process()
        with RawPeer(receiver.port).associate() as peer:
            assert peer.echo() == 0
        self._rss = self._process.memory_info().rss

    def stands(self, port: int, sent: bytes) -> None:
        """Hold the receiver against bytes; it answers or closes in time, and then serves another peer."""
        begun = time.monotonic()
        with RawPeer(port) as peer, suppress(OSError):
            peer.send(sent)
            peer.socket.shutdown(socket.SHUT_WR)
            assert peer.is_closed()
        assert time.monotonic() - begun < BOUND_S
        with RawPeer(self.receiver.port).associate() as honest:
            assert honest.echo() == 0

    def nothing_is_left(self) -> None:
        wait_until(lambda: self.receiver.scp.active_associations() == 0, 30)
        assert self.receiver.scp._budget.free_bytes == 2 << 30
        assert self._process.memory_info().rss - self._rss < 96 * MiB
        assert sorted(number for number, _ in self.receiver.ended) == sorted(self.receiver.opened)
        assert all(len(one.encoded) <= 1 << 20 for one in self.receiver.received)


@pytest.fixture(scope="class")
def watched(tmp_path_factory):
    authority = Authority(tmp_path_factory.mktemp("authority"))
    shown = authority.issue("node")
    secure = SecurePort(Identity(str(shown.certificate), str(shown.key), str(authority.certificate)))
    limits = {"acse_timeout_s": 5.0, "dimse_timeout_s": 5.0, "network_timeout_s": 5.0, "socket_timeout_s": 2.0}
    with Receiver(secure=secure, **limits, max_associations=16) as receiver:
        watched = Watched(receiver)
        yield watched
        watched.nothing_is_left()


class TestPort:
    def test_what_follows_an_accepted_request(self, watched):
        hold(lambda talk: watched.stands(watched.receiver.port, request_pdu() + talk), TALKS, examples=80)

    def test_requests_with_wounds(self, watched):
        whole = request_pdu(extra=item(0x50, item(0x54, b"\0\x05" + b"1.2.3" + b"\0\1")))
        hold(lambda wounds: watched.stands(watched.receiver.port, wounded(whole, wounds)), WOUNDS)

    def test_whole_conversations_with_wounds(self, watched):
        whole = request_pdu() + b"".join(WORDS[:3]) + WORDS[8] + pdu(5, bytes(4))
        hold(lambda wounds: watched.stands(watched.receiver.port, wounded(whole, wounds)), WOUNDS, examples=80)

    def test_the_tls_port(self, watched):
        hello = bytes.fromhex("16030100c4010000c00303") + bytes(32) + b"\x20" + bytes(32) + b"\x00\x04\x13\x01\xc0\x2b"
        hold(
            lambda wounds: watched.stands(watched.receiver.tls_port, wounded(hello + bytes(80), wounds)), WOUNDS,
            examples=40,
        )  # fmt: skip

    @pytest.mark.parametrize(("name", "sent"), seeds("port"), ids=lambda one: one if isinstance(one, str) else "")
    def test_seeds(self, watched, name, sent):
        for port in (watched.receiver.port, watched.receiver.tls_port):
            watched.stands(port, sent)


SYNTAXES = dict(zip((IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE, DEFLATED_LE), UNCOMPRESSED, strict=True))
WHOLE = {
    (uid, name): encode(make(), syntax)
    for uid, syntax in SYNTAXES.items()
    for name, make in (("ct", ct_dataset), ("enhanced", enhanced_ct))
}


def judge_header(encoded: bytes, transfer_syntax: str) -> None:
    """A header is read, or refused with a code, in bounded time; what was read can be relied on."""
    begun = time.monotonic()
    try:
        header = parse_dataset(encoded, transfer_syntax)
    except BadObject as refused:
        assert refused.code in ("NOT_DICOM", "TRUNCATED", "BAD_UID")
    else:
        for uid in (header.sop_class_uid, header.sop_instance_uid, header.study.study_instance_uid):
            assert set(uid) <= set("0123456789.")
            assert 0 < len(uid) <= 64
        assert all(one.rows is None or 0 <= one.rows <= 65535 for one in header.slices)
    assert time.monotonic() - begun < BOUND_S


class TestHeaders:
    @pytest.mark.parametrize("key", WHOLE, ids=lambda key: f"{key[1]} {SYNTAXES[key[0]].name}")
    def test_with_wounds(self, key):
        hold(lambda wounds: judge_header(wounded(WHOLE[key], wounds), key[0]), WOUNDS, examples=40)

    def test_of_nothing_known(self):
        hold(judge_header, st.binary(max_size=400), st.sampled_from(sorted(SYNTAXES)), examples=150)

    def test_character_sets(self):
        sets = [
            "ISO_IR 100",
            "ISO_IR 192",
            "\\ISO 2022 IR 87",
            "ISO 2022 IR 13\\ISO 2022 IR 87",
            "GB18030",
            "ISO_IR 999",
            "\\",
        ]

        def judge(character_set: str, name: bytes, uid: str) -> None:
            ds = ct_dataset(StudyDescription=None, PatientName="X" * 64, PixelData=None)
            raw = encode(ds, SYNTAXES[EXPLICIT_LE])
            raw = raw.replace(b"X" * 64, name[:64].ljust(64)).replace(
                b"ISO_IR 100", character_set.encode()[:10].ljust(10)
            )
            judge_header(raw.replace(b"1.2.826.0.1.3680043.8.498.2", uid.encode()[:27].ljust(27)), EXPLICIT_LE)

        names = st.one_of(
            st.binary(max_size=64), st.sampled_from([b"\x1b$B\x1b(J" * 8, b"\xff\xfe" * 30, b"\x1b" * 64])
        )
        uids = st.text("0123456789./\\ \0ABé", max_size=20)
        hold(judge, st.sampled_from(sets), names, uids, examples=100)

    @pytest.mark.parametrize("depth", [10, 31, 33, 5000])
    @pytest.mark.parametrize("defined", [True, False])
    def test_sequences_in_sequences(self, depth, defined):
        """Nested to a depth: with defined lengths they are passed over, else their end has to be looked for."""
        inner = b""
        for _ in range(depth):
            if defined:
                body = b"\xfe\xff\x00\xe0" + len(inner).to_bytes(4, "little") + inner
                inner = b"\x08\x00\x15\x11SQ\0\0" + len(body).to_bytes(4, "little") + body
            else:
                body = b"\xfe\xff\x00\xe0\xff\xff\xff\xff" + inner + b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0"
                inner = b"\x08\x00\x15\x11SQ\0\0\xff\xff\xff\xff" + body
        whole = WHOLE[EXPLICIT_LE, "ct"]
        at = whole.index(b"\x08\x00\x20\x00DA")
        judge_header(whole[:at] + inner + whole[at:], EXPLICIT_LE)

    def test_a_hundred_megabytes_of_empty_elements(self):
        flood = b"\x09\x00\x01\x10\0\0\0\0" * (12 << 20)
        with pytest.raises(BadObject, match="more than 1000000 elements"):
            parse_dataset(b"\x08\x00\x05\x00\0\0\0\0" + flood, IMPLICIT_LE)

    def test_an_element_that_says_it_has_two_gigabytes(self):
        whole = WHOLE[EXPLICIT_LE, "ct"]
        at = whole.index(b"\xe0\x7f\x10\x00")
        with pytest.raises(BadObject) as caught:
            parse_dataset(whole[: at + 8] + (1 << 31).to_bytes(4, "little") + whole[at + 12 :], EXPLICIT_LE)
        assert caught.value.code == "TRUNCATED"

    @pytest.mark.parametrize(("name", "content"), seeds("header"), ids=lambda one: one if isinstance(one, str) else "")
    def test_seeds(self, name, content, tmp_path):
        for syntax in SYNTAXES:
            judge_header(content, syntax)
        (tmp_path / "x").write_bytes(content)
        with suppress(BadObject):
            parse_file(tmp_path / "x")


@pytest.fixture(scope="module")
def decoders():
    made = Decoders(most=1, timeout_s=BOUND_S)
    yield made
    made.close()


class TestPixels:
    """In children: whatever a decoder does with it, the answer is planes or a code, and the next one is read."""

    def judge(self, decoders, path, content: bytes, uid: str) -> None:
        path.write_bytes(content)
        try:
            planes = decoders.read_hounsfield(path, [1], uid)
        except BadObject as refused:
            assert refused.code in (
                "PIXELS_UNREADABLE",
                "NOT_HOUNSFIELD",
                "NOT_DICOM",
                "TRUNCATED",
                "BAD_UID",
                "DICOMDIR",
            )
        else:
            assert planes.ndim == 3

    @pytest.mark.parametrize("uid", sorted(_samples()))
    def test_frames_with_wounds(self, decoders, uid, tmp_path):
        whole = part10_of(uid)
        frame = base64.b64decode(_samples()[uid])
        start = whole.index(frame)

        def judge(wounds) -> None:
            hurt = wounded(frame, [wound for wound in wounds if wound[2] == "over"])[: len(frame)]
            self.judge(decoders, tmp_path / "x", whole[:start] + hurt + whole[start + len(frame) :], uid)

        hold(judge, WOUNDS, examples=40)
        (tmp_path / "x").write_bytes(whole)
        assert decoders.read_hounsfield(tmp_path / "x", [1], uid).shape == (1, 32, 32), "and the next one is read"

    @pytest.mark.parametrize("uid", [DEFLATED_LE, *sorted(_samples())[:1]])
    def test_files_with_wounds(self, decoders, uid, tmp_path):
        whole = part10_of(uid)
        hold(lambda wounds: self.judge(decoders, tmp_path / "x", wounded(whole, wounds), uid), WOUNDS, examples=40)

    @pytest.mark.parametrize(("name", "content"), seeds("frame"), ids=lambda one: one if isinstance(one, str) else "")
    def test_seeds(self, decoders, name, content, tmp_path):
        self.judge(decoders, tmp_path / "x", content, CT_IMAGE)
