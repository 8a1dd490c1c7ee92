"""Reports of storage commitment on the wire: who may bring them, what is agreed on, and what garbage comes to."""

from __future__ import annotations

import struct
import threading
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from structlog.testing import capture_logs

from ichnode.dicom.access import AllowedPeer, Reporter
from ichnode.dicom.commitment import ask
from ichnode.dicom.event_reports import MAX_REPORT_BYTES, report_status
from ichnode.dicom.negotiation import decode_request
from ichnode.dicom.requestor import Remote
from ichnode.dicom.syntaxes import CT_IMAGE, EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, STORAGE_COMMITMENT, VERIFICATION
from ichnode.dicom.transport import ProtocolBreach
from ichnode.errors import BadObject, PeerRefused, PeerUnreachable, TransientError
from tests.archive import WELL_KNOWN, Archive, call, report, send_report
from tests.association import PATIENCE_S
from tests.dicom.made_ct import encode
from tests.dicom.wire import AET, PATIENT, RawPeer, Receiver, element, item, p_data, request_pdu
from tests.peers import wait_until

ELSEWHERE = (AllowedPeer("CT1", ("192.0.2.1",)),)
COMMITMENT = STORAGE_COMMITMENT.encode()


class Taken(list):
    """Reports that were taken."""

    __call__ = list.append


def raw_role(uid=COMMITMENT, scu=0, scp=1):
    return item(0x54, struct.pack(">H", len(uid)) + uid + bytes((scu, scp)))


def raw_request(role=b""):
    """An A-ASSOCIATE-RQ for storage commitment as context 5, beside those of `request_pdu`."""
    context = item(0x20, b"\x05\0\0\0" + item(0x30, COMMITMENT) + item(0x40, IMPLICIT_LE.encode()))
    return request_pdu(extra=context + (item(0x50, item(0x51, bytes(4)) + role) if role else b""))


def event_command(event_type=1, *, number=0x0100, data_set=True):
    body = element(0x0002, COMMITMENT) + element(0x0100, struct.pack("<H", number))
    body += element(0x0110, struct.pack("<H", 1)) + element(0x0800, struct.pack("<H", 1 if data_set else 0x0101))
    body += element(0x1000, WELL_KNOWN.encode())
    if event_type is not None:
        body += element(0x1002, struct.pack("<H", event_type))
    return element(0, struct.pack("<I", len(body))) + body


def said(encoded, take, event_type=1, syntax=IMPLICIT_LE):
    return report_status("ARCHIVE", event_type, syntax, encoded, take)


def without_uid():
    ds = report("2.25.1", kept=("1.2.3",))
    del ds.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
    return ds


class TestWhoMayReport:
    def test_a_destination_is_admitted_for_reports_alone(self):
        taken = Taken()
        options = {"allowed": ELSEWHERE, "reporters": [Reporter("ARCHIVE", "localhost")], "reported": taken}
        with Receiver(PATIENT, **options) as receiver:
            assert send_report(receiver.port, report("2.25.1", kept=("1.2.3",)), also=(CT_IMAGE, VERIFICATION)) == 0
            association = call(receiver.port, also=(CT_IMAGE, VERIFICATION))
            agreed = {context.abstract_syntax for context in association.accepted_contexts}
            association.release()
        assert agreed == {STORAGE_COMMITMENT}
        assert [one.transaction_uid for one in taken] == ["2.25.1"]
        assert receiver.received == []

    @pytest.mark.parametrize(
        "reporter",
        [Reporter("OTHER", "127.0.0.1"), Reporter("ARCHIVE", "192.0.2.7"), Reporter("ARCHIVE", "no.invalid")],
    )
    def test_nobody_else_is(self, reporter):
        with (
            Receiver(PATIENT, allowed=ELSEWHERE, reporters=[reporter], reported=Taken()) as receiver,
            capture_logs() as logs,
        ):
            association = call(receiver.port)
            assert association.is_rejected
            assert (association.acceptor.primitive.result, association.acceptor.primitive.diagnostic) == (1, 3)
        assert [line["code"] for line in logs if line["event"] == "association.rejected"] == ["PEER_UNKNOWN"]

    def test_a_peer_may_report_too(self):
        taken = Taken()
        with Receiver(PATIENT, allowed=(AllowedPeer("ARCHIVE"),), reported=taken) as receiver:
            assert send_report(receiver.port, report("2.25.1", lost=("1.2.3",))) == 0
        assert taken[0].lost == {"1.2.3": "does not keep this object: 0x0112 no such object instance"}

    def test_a_node_that_asks_nobody_takes_none(self):
        with Receiver(PATIENT) as receiver:
            association = call(receiver.port, also=(CT_IMAGE,))
            assert {c.abstract_syntax for c in association.accepted_contexts} == {CT_IMAGE}
            association.release()


class TestNegotiation:
    def test_the_role_of_the_peer_is_confirmed(self):
        with Receiver(reported=Taken()) as receiver:
            association = call(receiver.port)
            (context,) = association.accepted_contexts
            assert (context.as_scu, context.as_scp) == (False, True)
            association.release()

    @pytest.mark.parametrize(
        ("role", "answer"),
        [
            (b"", b""),
            (raw_role(), raw_role()),
            (raw_role(scu=1, scp=1), raw_role(scu=0, scp=1)),
            (raw_role(scu=1, scp=0), raw_role(scu=0, scp=0)),
            (raw_role(CT_IMAGE.encode()), b""),
        ],
    )
    def test_what_is_answered_to_roles(self, role, answer):
        with Receiver(reported=Taken()) as receiver:
            peer = RawPeer(receiver.port)
            peer.send(raw_request(role))
            kind, body = peer.receive()
            peer.release()
        assert kind == 2
        assert (answer in body) if answer else (raw_role()[:4] not in body)

    @pytest.mark.parametrize("role", [item(0x54, b""), item(0x54, b"\0\x05ab"), item(0x54, b"\xff\xff1.2\0\1")])
    def test_a_role_that_is_cut_short(self, role):
        with pytest.raises(ProtocolBreach, match="role"):
            decode_request(raw_request(role))

    @pytest.mark.parametrize(("number", "status"), [(0x0001, 0x0211), (0x0130, 0x0211), (0x0030, 0x0211)])
    def test_nothing_else_is_served_on_its_context(self, number, status):
        with Receiver(reported=Taken()) as receiver:
            peer = RawPeer(receiver.port)
            peer.send(raw_request())
            assert peer.receive()[0] == 2
            peer.send(p_data(5, 3, event_command(None, number=number)) + p_data(5, 2, b"abcdefgh"))
            assert peer.status() == status
            assert peer.echo() == 0
            peer.release()
        assert receiver.received == []

    @pytest.mark.parametrize(
        ("event_type", "data", "status"),
        [
            (None, b"", 0x0113),
            (3, b"", 0x0113),
            (1, b"", 0x0115),
            (2, b"\x08\x00\x95\x11\xff\xff\xff\xff", 0x0115),
            (1, b"\x00" * 64, 0x0115),
            (1, b"GET / HTTP/1.1\r\n\r\n", 0x0115),
        ],
    )
    def test_garbage_has_a_status_and_the_association_goes_on(self, event_type, data, status):
        taken = Taken()
        with Receiver(reported=taken) as receiver:
            peer = RawPeer(receiver.port)
            peer.send(raw_request())
            assert peer.receive()[0] == 2
            peer.send(p_data(5, 3, event_command(event_type)) + p_data(5, 2, data))
            assert peer.status() == status
            peer.send(p_data(5, 3, event_command(1, data_set=False)))
            assert peer.status() == 0x0115
            peer.send(
                p_data(5, 3, event_command()) + p_data(5, 2, encode(report("2.25.1", kept=("1.2",)), IMPLICIT_LE))
            )
            assert peer.status() == 0
            peer.release()
            assert receiver.wait_ended() == ["released"]
        assert [one.kept for one in taken] == [("1.2",)]

    def test_one_without_end_is_thrown_away(self):
        with Receiver(reported=Taken(), max_dataset_bytes=20_000) as receiver:
            peer = RawPeer(receiver.port)
            peer.send(raw_request())
            assert peer.receive()[0] == 2
            peer.send(p_data(5, 3, event_command()))
            for _ in range(10):
                peer.send(p_data(5, 0, bytes(8000)))
            peer.send(p_data(5, 2, b""))
            assert peer.status() == 0x0115
            assert peer.echo() == 0
            peer.release()


class TestWhatIsSaid:
    @pytest.mark.parametrize("syntax", [IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE])
    def test_in_every_syntax(self, syntax):
        taken = Taken()
        encoded = encode(report("2.25.1", kept=("1.2.3", "1.2.4"), lost=("1.2.5",), why=0x0213), syntax)
        assert said(encoded, taken, 2, syntax) == (0, "")
        (one,) = taken
        assert (one.calling_aet, one.transaction_uid, one.kept) == ("ARCHIVE", "2.25.1", ("1.2.3", "1.2.4"))
        assert one.lost == {"1.2.5": "does not keep this object: 0x0213 resource limitation"}

    def test_a_reason_of_its_own_and_none(self):
        taken = Taken()
        ds = report("2.25.1", lost=("1.2.5", "1.2.6"), why=0xBEEF)
        del ds.FailedSOPSequence[1].FailureReason
        assert said(encode(ds, IMPLICIT_LE), taken, 2) == (0, "")
        assert taken[0].lost == {
            "1.2.5": "does not keep this object: 0xBEEF of its own",
            "1.2.6": "does not keep this object and does not say why",
        }

    @pytest.mark.parametrize(
        ("ds", "code"),
        [
            (report(None, kept=("1.2.3",)), "UID_INVALID"),
            (report("", kept=("1.2.3",)), "UID_INVALID"),
            (report("2.25.1"), "NO_INSTANCES"),
            (without_uid(), "UID_INVALID"),
            (Dataset(), "UID_INVALID"),
        ],
    )
    def test_what_is_missing(self, ds, code):
        taken = Taken()
        assert said(encode(ds, IMPLICIT_LE), taken) == (0x0115, code)
        assert taken == []

    def test_a_sequence_that_is_none(self):
        ds = report("2.25.1")
        ds.add_new(0x00081199, "LO", "text where items belong")
        assert said(encode(ds, IMPLICIT_LE), Taken())[0] == 0x0115

    def test_too_long(self):
        assert said(bytes(MAX_REPORT_BYTES + 1), Taken()) == (0x0115, "REPORT_TOO_LARGE")

    def test_cut_short_anywhere(self):
        whole = encode(report("2.25.1", kept=("1.2.3", "1.2.4"), lost=("1.2.5",)), EXPLICIT_LE)
        taken = Taken()
        for end in range(len(whole)):
            assert said(whole[:end], taken, 2, EXPLICIT_LE)[0] in (0, 0x0115)
        assert len(taken) <= 2, "only between two elements"

    @settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.binary(max_size=300), st.sampled_from([IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE]), st.integers(0, 3))
    def test_anything_has_a_status(self, encoded, syntax, event_type):
        assert said(encoded, Taken(), event_type, syntax)[0] in (0, 0x0113, 0x0115)

    @settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def test_a_report_with_a_byte_changed_has_a_status(self, data):
        whole = bytearray(encode(report("2.25.1", kept=("1.2.3",), lost=("1.2.5",)), EXPLICIT_LE))
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
        assert said(bytes(whole), Taken(), 2, EXPLICIT_LE)[0] in (0, 0x0115)

    @pytest.mark.parametrize(
        ("error", "status"),
        [
            (TransientError("locked", "WORKLIST"), 0x0110),
            (OSError(28, "No space left on device"), 0x0110),
            (BadObject("not ours", "TRANSACTION_UNKNOWN"), 0x0115),
        ],
    )
    def test_what_cannot_be_filed(self, error, status):
        def take(_):
            raise error

        assert said(encode(report("2.25.1", kept=("1.2",)), IMPLICIT_LE), take)[0] == status


class TestAsking:
    @pytest.fixture
    def archive(self):
        with Archive().listening() as archive:
            archive.holds = {"1.2.3"}
            yield archive

    def ask(self, archive, take, wait_s=PATIENCE_S, is_settled=None):
        remote = Remote("pacs", archive.aet, "127.0.0.1", archive.port, AET, timeout_s=PATIENCE_S)
        ask(remote, "2.25.1", [(CT_IMAGE, "1.2.3")], take, is_settled or (lambda: bool(take)), wait_s)

    def test_the_answer_on_the_same_association_is_answered_before_it_ends(self, archive):
        taken = Taken()
        self.ask(archive, taken)
        wait_until(lambda: archive.told)
        assert archive.told == [0x0000]
        assert taken[0].kept == ("1.2.3",)
        assert archive.asked == [("2.25.1", ["1.2.3"])]

    def test_an_answer_that_overtakes_the_response(self, archive):
        archive.answers = "early"
        taken = Taken()
        self.ask(archive, taken)
        assert taken[0].kept == ("1.2.3",)

    def test_the_association_does_not_end_before_the_report_is_answered(self, archive):
        begun = threading.Event()

        def take(_):
            begun.set()
            time.sleep(0.5)  # a slow disk: not a wait for a condition

        self.ask(archive, take, is_settled=begun.is_set)
        wait_until(lambda: archive.told)
        assert archive.told == [0x0000]

    def test_what_it_cannot_file_is_told(self, archive):
        def take(_):
            raise TransientError("locked", "WORKLIST")

        self.ask(archive, take, is_settled=lambda: bool(archive.told))
        assert archive.told == [0x0110]

    def test_no_answer_costs_only_the_wait(self, archive):
        archive.answers = "never"
        self.ask(archive, Taken(), wait_s=0.1)
        assert len(archive.asked) == 1

    def test_refused(self, archive):
        archive.status = 0x0110
        with pytest.raises(PeerRefused, match="0x0110"):
            self.ask(archive, Taken())

    def test_nobody_there(self):
        with pytest.raises(PeerUnreachable):
            self.ask(Archive(), Taken())
