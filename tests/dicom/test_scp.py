"""The receiver and peers that behave: what is agreed on, what arrives, what is answered, how it ends."""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import ExitStack

import pytest
from pydicom.uid import ExplicitVRLittleEndian
from structlog.testing import capture_logs

from ichnode.dicom.access import PROVIDER_BUSY, AllowedPeer, Refusal
from ichnode.dicom.syntaxes import CT_IMAGE, ENHANCED_CT, LEGACY_CONVERTED_ENHANCED_CT
from ichnode.errors import BadObject, DiskFull, PermanentError, TransientError
from tests.association import PATIENCE_S, Caller
from tests.dicom.made_ct import ct_dataset, encode, head_hu, save
from tests.dicom.wire import (
    AET,
    IMPLICIT_LE,
    VERIFICATION,
    RawPeer,
    Receiver,
    associate,
    command_set,
    data_set_of,
    in_threads,
    item,
    p_data,
    pdu,
    request_pdu,
    value,
)
from tests.peers import wait_until

MR_IMAGE = "1.2.840.10008.5.1.4.1.1.4"
JPEG_BASELINE = "1.2.840.10008.1.2.4.50"


def store(association, ds):
    return association.send_c_store(ds).Status


def sendable(**attributes):
    ds = ct_dataset(**attributes)
    ds.ensure_file_meta()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return ds


def refuses_connections(port):
    try:
        socket.create_connection(("127.0.0.1", port), PATIENCE_S).close()
    except ConnectionError:  # refused, or reset when the port closes in the middle of it
        return True
    return False


class TestPeersThatBehave:
    @pytest.mark.interop
    def test_dcmtk_echo(self, dcmtk):
        with Receiver() as receiver:
            dcmtk("echoscu", "-aec", AET, "127.0.0.1", receiver.port)
            assert receiver.wait_ended() == ["released"]

    @pytest.mark.interop
    @pytest.mark.parametrize("program", ["storescu", "dcmsend"])
    def test_dcmtk_stores(self, program, dcmtk, tmp_path):
        for number in range(5):
            ds = ct_dataset(head_hu(512), SOPInstanceUID=f"1.2.3.{number + 1}", InstanceNumber=number)
            save(ds, tmp_path / f"{number}.dcm")
        with Receiver() as receiver:
            options = ["-aet", "SCANNER", "-aec", AET, "127.0.0.1", receiver.port]
            dcmtk(program, *options, *sorted(tmp_path.glob("*.dcm")))
            assert receiver.wait_ended() == ["released"]
        assert {r.peer.calling_aet for r in receiver.received} == {"SCANNER"}
        assert {r.peer.address for r in receiver.received} == {"127.0.0.1"}
        assert sorted(r.sop_instance_uid for r in receiver.received) == [f"1.2.3.{n + 1}" for n in range(5)]
        assert all((data_set_of(r).pixel_array == head_hu(512) + 1024).all() for r in receiver.received)
        assert {r.association_id for r in receiver.received} == set(receiver.opened)

    def test_the_data_set_is_what_the_peer_encoded_byte_for_byte(self):
        encoded = encode(ct_dataset(), IMPLICIT_LE)
        with Receiver() as receiver, RawPeer(receiver.port).associate() as peer:
            peer.send(p_data(1, 3, command_set(1, uid=b"1.2.3")) + p_data(1, 2, encoded))
            assert peer.status() == 0
            peer.release()
        (received,) = receiver.received
        assert received.encoded == encoded
        assert (received.sop_class_uid, received.sop_instance_uid) == (CT_IMAGE, "1.2.3")
        assert received.transfer_syntax_uid == IMPLICIT_LE

    def test_of_an_urgent_peer_each_slice_says_so_and_of_others_none(self):
        allowed = (AllowedPeer("ED_CT", urgent=True), AllowedPeer("*"))
        with Receiver(allowed=allowed) as receiver:
            for title in ("ED_CT", "CT2"):
                peer = Caller(title)
                peer.add_requested_context(CT_IMAGE, ExplicitVRLittleEndian)
                association = peer.associate("127.0.0.1", receiver.port, ae_title=AET)
                assert store(association, sendable()) == 0
                association.release()
        assert [(one.peer.calling_aet, one.urgent) for one in receiver.received] == [("ED_CT", True), ("CT2", False)]

    @pytest.mark.parametrize("size", [1, 7, 1000, 16378])
    def test_fragments_of_any_size_in_pdus_of_any_number(self, size):
        encoded = encode(ct_dataset(), IMPLICIT_LE)[:40000]
        command = command_set(1, uid=b"1.2.3")
        values = [value(1, 1, command[:11]), value(1, 3, command[11:])]
        values += [value(1, 0, encoded[at : at + size]) for at in range(0, len(encoded), size)]
        values.append(value(1, 2, b""))
        with Receiver() as receiver, RawPeer(receiver.port).associate() as peer:
            peer.send(pdu(4, b"".join(values[:9])))
            for at in range(9, len(values), 50):
                group = values[at : at + (1 if size > 100 else 50)]
                peer.send(pdu(4, b"".join(group)))
                if size > 100:
                    peer.send(b"".join(pdu(4, v) for v in values[at + 1 : at + 50]))
            assert peer.status() == 0
            peer.release()
        assert receiver.received[0].encoded == encoded

    def test_two_messages_in_one_pdu(self):
        echo = value(3, 3, command_set(0x30, data_set=False, sop_class=VERIFICATION.encode()))
        both = value(1, 3, command_set(1, uid=b"1.2.3")) + value(1, 2, b"data") + echo
        with Receiver() as receiver, RawPeer(receiver.port).associate() as peer:
            peer.send(pdu(4, both))
            assert (peer.status(), peer.status()) == (0, 0)
            peer.release()
        assert receiver.received[0].encoded == b"data"

    @pytest.mark.parametrize("max_length", [0, 7, 60, 16384])
    def test_answers_fit_the_peers_maximum_length(self, max_length):
        with Receiver() as receiver, RawPeer(receiver.port).associate(max_length=max_length) as peer:
            peer.send(p_data(3, 3, command_set(0x30, data_set=False, sop_class=VERIFICATION.encode())))
            lengths, ended = [], False
            while not ended:
                kind, body = peer.receive()
                assert kind == 4
                lengths.append(len(body))
                ended = body[5] == 3
            peer.release()
        assert not max_length or max(lengths) <= max_length
        assert len(lengths) > 1 or max_length in (0, 16384)

    def test_echo_on_an_association_for_images(self):
        with Receiver() as receiver, RawPeer(receiver.port).associate() as peer:
            peer.send(p_data(1, 3, command_set(0x30, data_set=False)))
            assert peer.status() == 0

    def test_many_associations_at_once(self):
        # Raw peers: pynetdicom's requestor may lose an answer that comes fast, under load about one in a hundred.
        encoded = encode(ct_dataset(), IMPLICIT_LE)

        def send(number):
            with RawPeer(receiver.port).associate() as peer:
                statuses = []
                for n in range(3):
                    command = command_set(1, uid=f"1.2.{number}.{n + 1}".encode())
                    fragments = [p_data(1, 0, encoded[at : at + 4000]) for at in range(0, len(encoded), 4000)]
                    peer.send(p_data(1, 3, command) + b"".join(fragments) + p_data(1, 2, b""))
                    statuses.append(peer.status())
                peer.release()
            return statuses

        with Receiver() as receiver:
            assert in_threads(16, send) == [[0, 0, 0]] * 16
            assert receiver.wait_ended(16) == ["released"] * 16
        assert len({r.sop_instance_uid for r in receiver.received}) == 48
        assert all(r.encoded == encoded for r in receiver.received)

    @pytest.mark.parametrize("sop_class", [CT_IMAGE, ENHANCED_CT, LEGACY_CONVERTED_ENHANCED_CT])
    def test_every_storage_class(self, sop_class):
        with Receiver() as receiver:
            association = associate(receiver.port, (sop_class, [ExplicitVRLittleEndian]))
            assert store(association, sendable(SOPClassUID=sop_class)) == 0
            association.release()
        assert receiver.received[0].sop_class_uid == sop_class


class TestNegotiation:
    def test_the_peers_first_decodable_syntax_is_chosen(self):
        with Receiver() as receiver:
            association = associate(
                receiver.port,
                (CT_IMAGE, [JPEG_BASELINE, ExplicitVRLittleEndian, IMPLICIT_LE]),
                (CT_IMAGE, [JPEG_BASELINE]),
                (MR_IMAGE, [IMPLICIT_LE]),
                (VERIFICATION, [IMPLICIT_LE]),
            )
            results = {c.context_id: (c.result, c.transfer_syntax[0]) for c in association.accepted_contexts}
            refused = {c.context_id: c.result for c in association.rejected_contexts}
            association.release()
        assert results == {1: (0, ExplicitVRLittleEndian), 7: (0, IMPLICIT_LE)}
        assert refused == {3: 4, 5: 3}

    def test_an_undecodable_syntax_is_refused_at_negotiation_and_said_so(self):
        with capture_logs() as logs, Receiver(syntaxes=[ExplicitVRLittleEndian]) as receiver:
            association = associate(receiver.port, (CT_IMAGE, ["1.2.840.10008.1.2.4.90"]))
            assert not association.is_established
            receiver.wait_ended()
        (line,) = [entry for entry in logs if entry["event"] == "contexts.refused"]
        assert line["code"] == "TRANSFER_SYNTAX"
        assert line["remedy"]

    @pytest.mark.parametrize(
        ("options", "reject"),
        [
            ({"called": "OTHER"}, (1, 1, 7)),
            ({"version": 2}, (1, 2, 2)),
            ({"application": b"1.2.3"}, (1, 1, 2)),
        ],
    )
    def test_rejections(self, options, reject):
        with capture_logs() as logs, Receiver() as receiver, RawPeer(receiver.port) as peer:
            kind, body = peer.send(request_pdu(**options)).receive()
            assert (kind, tuple(body[1:])) == (3, reject)
            wait_until(lambda: not receiver.scp.active_associations())
            assert not receiver.opened
        (line,) = [entry for entry in logs if entry["event"] == "association.rejected"]
        assert line["remedy"]

    @pytest.mark.parametrize(
        ("allowed", "calling", "source", "established"),
        [
            ((AllowedPeer("CT1", ("127.0.0.1",)),), "CT1", "127.0.0.1", True),
            ((AllowedPeer("CT1", ("127.0.0.1",)),), "CT2", "127.0.0.1", False),
            ((AllowedPeer("CT1", ("127.0.0.2",)),), "CT1", "127.0.0.1", False),
            ((AllowedPeer("CT1", ("127.0.0.2",)),), "CT1", "127.0.0.2", True),
            ((AllowedPeer("*", ("127.0.0.0/30",)),), "ANY", "127.0.0.3", True),
            ((AllowedPeer("*", ("127.0.0.0/30",)),), "ANY", "127.0.0.4", False),
            ((AllowedPeer("CT1"), AllowedPeer("CT2")), "CT2", "127.0.0.9", True),
        ],
    )
    def test_the_allow_list(self, allowed, calling, source, established):
        with Receiver(allowed=allowed) as receiver, RawPeer(receiver.port, source) as peer:
            kind, body = peer.send(request_pdu(calling=calling)).receive()
            assert kind == (2 if established else 3)
            if not established:
                assert tuple(body[1:]) == (1, 1, 3)

    def test_unknown_items_are_passed_over(self):
        with Receiver() as receiver, RawPeer(receiver.port).associate(extra=item(0x99, b"news")) as peer:
            assert peer.echo() == 0

    def test_the_titles_come_back_as_they_were_sent(self):
        with Receiver() as receiver, RawPeer(receiver.port) as peer:
            sent = request_pdu(calling=" SPACED")
            kind, body = peer.send(sent).receive()
            assert kind == 2
            assert body[4:36] == sent[10:42]
            wait_until(lambda: receiver.opened)
        assert receiver.opened[1].calling_aet == "SPACED"


class TestLimits:
    def test_one_association_too_many(self):
        with capture_logs() as logs, Receiver(max_associations=3) as receiver, ExitStack() as stack:
            held = [stack.enter_context(RawPeer(receiver.port)).associate() for _ in range(3)]
            refused = associate(receiver.port)
            answer = refused.acceptor.primitive
            assert refused.is_rejected
            assert (answer.result, answer.result_source, answer.diagnostic) == (2, 3, 2)
            held.pop().release()
            wait_until(lambda: receiver.scp.active_associations() == 2)
            again = associate(receiver.port)
            assert again.is_established
            again.release()
            for peer in held:
                peer.release()
        (line,) = [entry for entry in logs if entry["event"] == "association.rejected"]
        assert line["code"] == "TOO_MANY_ASSOCIATIONS"
        assert "receive.max_associations" in line["remedy"]

    def test_one_peer_cannot_take_all(self):
        with Receiver(per_peer_associations=2) as receiver, ExitStack() as stack:
            held = [stack.enter_context(RawPeer(receiver.port)).associate() for _ in range(2)]
            with RawPeer(receiver.port) as greedy, RawPeer(receiver.port, "127.0.0.7") as other:
                assert greedy.send(request_pdu()).receive() == (3, b"\0\2\3\2")
                assert other.associate().echo() == 0
            for peer in held:
                assert peer.echo() == 0

    def test_too_large_a_data_set_is_refused_and_the_association_goes_on(self):
        with capture_logs() as logs, Receiver(max_dataset_bytes=10000) as receiver:
            association = associate(receiver.port)
            assert store(association, sendable(SOPInstanceUID="1.2.3")) == 0
            assert store(association, sendable(hu=head_hu(128), SOPInstanceUID="1.2.4")) == 0xA700
            assert store(association, sendable(SOPInstanceUID="1.2.5")) == 0
            association.release()
        assert [r.sop_instance_uid for r in receiver.received] == ["1.2.3", "1.2.5"]
        (line,) = [entry for entry in logs if entry["event"] == "slice.refused"]
        assert "receive.max_dataset_bytes" in line["remedy"]

    def test_all_associations_together_hold_a_bounded_amount(self):
        half = bytes(60000)
        with Receiver(max_memory_bytes=100000) as receiver, ExitStack() as stack:
            first, second = (stack.enter_context(RawPeer(receiver.port)).associate() for _ in range(2))
            first.send(p_data(1, 3, command_set(1, uid=b"1.2.3")) + p_data(1, 0, half))
            wait_until(lambda: receiver.scp._budget.free_bytes == 40000)
            second.send(p_data(1, 3, command_set(1, uid=b"1.2.4")) + p_data(1, 2, half))
            assert second.status() == 0xA700
            first.send(p_data(1, 2, b""))
            assert first.status() == 0
            second.send(p_data(1, 3, command_set(1, uid=b"1.2.4")) + p_data(1, 2, half))
            assert second.status() == 0
            assert receiver.scp._budget.free_bytes == 100000

    def test_below_the_floor_associations_are_rejected_as_transient(self):
        full = [Refusal(*PROVIDER_BUSY, "DISK_FULL", "Free some space.")]
        with capture_logs() as logs, Receiver(accepting=lambda: full[0] if full else None) as receiver:
            refused = associate(receiver.port)
            assert refused.is_rejected
            assert (refused.acceptor.primitive.result, refused.acceptor.primitive.result_source) == (2, 3)
            full.clear()
            association = associate(receiver.port)
            assert association.is_established
            association.release()
        assert [e["code"] for e in logs if e["event"] == "association.rejected"] == ["DISK_FULL"]

    def test_an_association_that_cannot_be_recorded_is_rejected_as_transient(self):
        def locked(peer):
            raise TransientError("The worklist is locked.", "DATABASE_LOCKED")

        with Receiver(opened=locked) as receiver:
            refused = associate(receiver.port)
            assert refused.is_rejected
            assert refused.acceptor.primitive.result == 2
        assert receiver.ended == []


class TestStatuses:
    @pytest.mark.parametrize(
        ("error", "status"),
        [
            (DiskFull("full"), 0xA700),
            (TransientError("locked"), 0xA700),
            (OSError(5, "Input/output error"), 0xA700),
            (BadObject("unreadable"), 0xC000),
            (PermanentError("no"), 0xC000),
            (BadObject("another class", "SOP_CLASS_MISMATCH"), 0xA900),
            (BadObject("another instance", "SOP_INSTANCE_MISMATCH"), 0xA900),
        ],
        ids=repr,
    )
    def test_what_the_store_raises(self, error, status):
        def refuse(received):
            raise error

        with capture_logs() as logs, Receiver(store=refuse) as receiver:
            association = associate(receiver.port)
            answer = association.send_c_store(sendable())
            assert answer.Status == status
            assert answer.ErrorComment
            assert association.send_c_echo().Status == 0
            association.release()
            assert receiver.wait_ended() == ["released"]
        (line,) = [entry for entry in logs if entry["event"] == "slice.refused"]
        assert line["code"]
        assert line["remedy"] == str(error)

    def test_the_stores_own_status_is_the_answer(self):
        with Receiver(store=lambda received: 0xB000) as receiver:
            association = associate(receiver.port)
            assert store(association, sendable()) == 0xB000
            association.release()

    def test_what_nobody_foresaw_ends_that_association_only(self, monkeypatch):
        def store(received):
            raise ZeroDivisionError

        seen: list[type[BaseException]] = []
        monkeypatch.setattr(threading, "excepthook", lambda args: seen.append(args.exc_type))
        with Receiver(store=store) as receiver, RawPeer(receiver.port).associate() as other:
            with RawPeer(receiver.port).associate() as peer:
                peer.send(p_data(1, 3, command_set(1, uid=b"1.2.3")) + p_data(1, 2, b"data"))
                kind, _ = peer.receive()
                assert kind == 7
            wait_until(lambda: seen)
            assert receiver.ended == [(2, "aborted")]
            assert other.echo() == 0
        assert seen == [ZeroDivisionError]

    @pytest.mark.parametrize(
        ("command", "with_data", "status"),
        [
            (command_set(1, uid=b""), True, 0x0117),
            (command_set(1, uid=b"../../etc/passwd"), True, 0x0117),
            (command_set(1, uid=b"1.2." + b"3" * 80), True, 0x0117),
            (command_set(1, uid=b"1..2"), True, 0x0117),
            (command_set(1, uid=b"1.2\xff"), True, 0x0117),
            (command_set(1, uid=b"1.2.3", sop_class=MR_IMAGE.encode()), True, 0x0122),
            (command_set(1, uid=b"1.2.3", data_set=False), False, 0xC000),
            (command_set(0x20, sop_class=b"1.2.840.10008.5.1.4.1.2.2.1"), True, 0x0211),
            (command_set(0x0140, data_set=False), False, 0x0211),
        ],
    )
    def test_requests_that_are_wrong_as_such(self, command, with_data, status):
        with Receiver() as receiver, RawPeer(receiver.port).associate() as peer:
            peer.send(p_data(1, 3, command) + (p_data(1, 2, b"data") if with_data else b""))
            assert peer.status() == status
            assert peer.echo() == 0
        assert receiver.received == []

    def test_a_uid_with_leading_zeros_is_taken(self):
        with Receiver() as receiver, RawPeer(receiver.port).associate() as peer:
            peer.send(p_data(1, 3, command_set(1, uid=b"1.2.003")) + p_data(1, 2, b"data"))
            assert peer.status() == 0

    def test_a_cancel_has_no_response(self):
        with Receiver() as receiver, RawPeer(receiver.port).associate() as peer:
            peer.send(p_data(1, 3, command_set(0x0FFF, data_set=False)))
            assert peer.echo() == 0


class TestTheEnd:
    def test_release_abort_and_loss(self):
        with Receiver() as receiver:
            with RawPeer(receiver.port) as peer:
                peer.associate().release()
                receiver.wait_ended(1)
            with RawPeer(receiver.port).associate() as peer:
                peer.send(pdu(7, bytes(4)))
                receiver.wait_ended(2)
            with RawPeer(receiver.port).associate():
                pass
            assert receiver.wait_ended(3) == ["released", "aborted", "lost"]

    def test_the_id_is_there_before_the_peer_is_accepted(self):
        with Receiver() as receiver, RawPeer(receiver.port).associate():
            assert list(receiver.opened) == [1]

    def test_draining_lets_open_associations_finish(self):
        with Receiver() as receiver:
            association = associate(receiver.port)
            drained: list[bool] = []
            waiting = threading.Thread(target=lambda: drained.append(receiver.scp.drain(PATIENCE_S)))
            waiting.start()
            wait_until(lambda: refuses_connections(receiver.port))
            assert store(association, sendable()) == 0
            association.release()
            waiting.join()
            assert drained == [True]
            assert receiver.ended == [(1, "released")]

    def test_a_connection_that_was_waiting_is_rejected_while_draining(self):
        with Receiver() as receiver, RawPeer(receiver.port) as waiting, RawPeer(receiver.port).associate():
            assert receiver.scp.drain(0.05) is False
            assert waiting.send(request_pdu()).receive() == (3, b"\0\2\3\1")

    def test_stopping_aborts_what_is_left_after_its_message(self):
        entered, go_on = threading.Event(), threading.Event()

        def slow(received):
            entered.set()
            assert go_on.wait(PATIENCE_S)
            return 0

        with Receiver(store=slow) as receiver, RawPeer(receiver.port).associate() as idle:
            with RawPeer(receiver.port).associate() as busy:
                busy.send(p_data(1, 3, command_set(1, uid=b"1.2.3")) + p_data(1, 2, b"data"))
                assert entered.wait(PATIENCE_S)
                assert receiver.scp.drain(0.05) is False
                stopping = threading.Thread(target=receiver.scp.stop)
                stopping.start()
                kind, body = idle.receive()
                assert (kind, body[2]) == (7, 2)
                go_on.set()
                assert busy.status() == 0
                assert busy.receive()[0] == 7
                stopping.join()
            assert sorted(receiver.ended) == [(1, "aborted"), (2, "aborted")]

    def test_stopping_twice(self):
        receiver = Receiver()
        receiver.scp.stop()
        receiver.scp.stop()

    def test_the_port_is_taken_while_it_listens_and_free_afterwards(self):
        with Receiver() as receiver:
            with RawPeer(receiver.port) as peer:
                peer.associate().release()
            receiver.wait_ended()
            with pytest.raises(OSError, match="Address already in use"):
                Receiver(port=receiver.port)
        with Receiver(port=receiver.port) as again:
            assert again.port == receiver.port


def test_over_ipv6():
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    with Receiver(host="::1") as receiver:
        ae = Caller("SIX")
        ae.add_requested_context(VERIFICATION)
        association = ae.associate("::1", receiver.port, ae_title=AET)
        assert association.send_c_echo().Status == 0
        association.release()
    assert receiver.opened[1].address == "::1"


def test_the_answer_names_the_request():
    with Receiver() as receiver, RawPeer(receiver.port).associate() as peer:
        peer.send(p_data(1, 3, command_set(1, 4711, uid=b"1.2.3")) + p_data(1, 2, b"data"))
        _, body = peer.receive()
    command = body[6:]
    assert struct.pack("<HHIH", 0, 0x0120, 2, 4711) in command
    assert struct.pack("<HHIH", 0, 0x0100, 2, 0x8001) in command
    assert struct.pack("<HHI", 0, 0x1000, 6) + b"1.2.3\0" in command
    assert struct.unpack_from("<HHII", command) == (0, 0, 4, len(command) - 12)
