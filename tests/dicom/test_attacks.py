"""The receiver and peers that do not behave: nothing crashes, nothing hangs, nothing grows, others are served."""

from __future__ import annotations

import os
import random
import resource
import socket
import struct
import threading
import time
from contextlib import ExitStack, suppress

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from ichnode.dicom.commands import decode_command
from ichnode.dicom.negotiation import decode_request
from ichnode.dicom.transport import ProtocolBreach
from tests.association import PATIENCE_S
from tests.dicom.wire import (
    AET,
    VERIFICATION,
    RawPeer,
    Receiver,
    command_set,
    in_threads,
    item,
    p_data,
    pdu,
    request_pdu,
    value,
)
from tests.peers import wait_until

MiB = 1 << 20


def rss() -> int:
    return psutil.Process().memory_info().rss


class Peak:
    """The highest resident memory while it runs, over that at its start."""

    def __enter__(self) -> Peak:
        self.start, self.highest, self._done = rss(), 0, threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._done.wait(0.005):
            self.highest = max(self.highest, rss() - self.start)

    def __exit__(self, *exc: object) -> None:
        self._done.set()
        self._thread.join()
        self.highest = max(self.highest, rss() - self.start)


def reset(peer: RawPeer) -> None:
    """End the connection with a RST."""
    peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.socket.close()


class TestStalls:
    """With a stall time-out of 0.4 s; upstream never closes the first three."""

    @pytest.mark.parametrize(
        "begun",
        [
            b"\x04\x00\x00",
            pdu(4, bytes(1000))[:6],
            p_data(1, 3, command_set(1, uid=b"1.2.3")) + p_data(1, 0, bytes(16000))[:8000],
            b"\x05",
        ],
        ids=["half a header", "a header", "half a P-DATA", "one byte"],
    )
    def test_inside_a_pdu(self, begun):
        with (
            capture_logs() as logs,
            Receiver(socket_timeout_s=0.4) as receiver,
            RawPeer(receiver.port).associate() as peer,
        ):
            peer.send(begun)
            kind, _ = peer.receive()
            assert kind == 7
            assert peer.receive() == (0, b"")
            assert receiver.wait_ended() == ["aborted"]
        assert [e["code"] for e in logs if e["event"] == "association.aborted"] == ["PEER_STALLED"]

    @pytest.mark.parametrize("begun", [b"", b"\x01", request_pdu()[:4], request_pdu()[:-1]], ids=len)
    def test_before_the_request_is_complete(self, begun):
        with capture_logs() as logs, Receiver(acse_timeout_s=0.4) as receiver, RawPeer(receiver.port) as peer:
            peer.send(begun)
            assert peer.is_closed()
            assert receiver.opened == {}
        assert [e["code"] for e in logs if e["event"] == "connection.refused"] == ["NO_REQUEST"]

    def test_between_pdus_of_a_message(self):
        with Receiver(dimse_timeout_s=0.4) as receiver, RawPeer(receiver.port).associate() as peer:
            peer.send(p_data(1, 3, command_set(1, uid=b"1.2.3")))
            assert peer.is_closed()
            assert receiver.wait_ended() == ["aborted"]

    def test_between_messages(self):
        echo = p_data(3, 3, command_set(0x30, data_set=False, sop_class=VERIFICATION.encode()))
        with Receiver(network_timeout_s=0.6) as receiver, RawPeer(receiver.port) as peer:
            peer.send(request_pdu() + echo)  # at once: this peer may be slow itself
            assert peer.receive()[0] == 2
            assert peer.status() == 0
            assert peer.is_closed()
            assert receiver.wait_ended() == ["aborted"]

    def test_a_slow_peer_that_goes_on_is_not_stalled(self):
        encoded = p_data(1, 3, command_set(1, uid=b"1.2.3")) + p_data(1, 2, b"data")
        pause = threading.Event()

        def slowly(peer):
            """The longest pause that this machine made of a pause of 0.05 s."""
            longest_s = 0.0
            for at in range(0, len(encoded), 12):
                peer.send(encoded[at : at + 12])
                begun = time.monotonic()
                pause.wait(0.05)
                longest_s = max(longest_s, time.monotonic() - begun)
            return longest_s

        def has_gone_on():
            """Whether it was answered; None where it stood still itself for long."""
            with RawPeer(receiver.port).associate() as peer, suppress(OSError):
                if slowly(peer) < 0.2:
                    return peer.status() == 0
            return None

        with Receiver(socket_timeout_s=0.4) as receiver:
            assert wait_until(lambda: [one for one in [has_gone_on()] if one is not None]) == [True]

    def test_a_byte_now_and_then_does_not_hold_an_association(self):
        pause = threading.Event()
        limits = {"socket_timeout_s": 0.4, "dimse_timeout_s": 0.8, "acse_timeout_s": 0.4}
        with Receiver(**limits) as receiver, RawPeer(receiver.port).associate() as peer:
            peer.send(pdu(4, bytes(10000))[:6])
            begun = time.monotonic()
            with pytest.raises(OSError, match=r"Broken pipe|reset"):
                while time.monotonic() < begun + PATIENCE_S:
                    peer.send(b"\0")
                    pause.wait(0.05)
            assert receiver.wait_ended() == ["aborted"]

    def test_stalled_peers_give_their_places_back(self):
        limits = {"max_associations": 11, "per_peer_associations": 11, "socket_timeout_s": 0.4}
        with Receiver(**limits) as receiver, ExitStack() as stack:
            for _ in range(11):
                stack.enter_context(RawPeer(receiver.port)).associate().send(b"\x04\x00\x00")
            wait_until(lambda: receiver.scp.active_associations() == 0, 5)
            with RawPeer(receiver.port).associate() as honest:
                assert honest.echo() == 0

    def test_a_peer_that_does_not_read_its_answers(self):
        echo = p_data(3, 3, command_set(0x30, data_set=False, sop_class=VERIFICATION.encode()))
        with Receiver(socket_timeout_s=0.4) as receiver, RawPeer(receiver.port).associate() as peer:
            peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            with pytest.raises((TimeoutError, ConnectionError)):
                while not receiver.ended:
                    peer.send(echo * 200)
                raise ConnectionError
            assert receiver.wait_ended() in (["lost"], ["aborted"])


class TestLengths:
    def test_four_gibibytes_declared_before_an_association(self):
        with Receiver() as receiver, Peak() as peak, RawPeer(receiver.port) as peer:
            peer.send(struct.pack(">BxI", 1, 0xFFFFFFFF))
            assert peer.receive()[0] == 7
            assert peer.is_closed()
        assert peak.highest < 16 * MiB

    def test_four_gibibytes_declared_inside_an_association(self):
        with capture_logs() as logs, Receiver() as receiver, Peak() as peak, RawPeer(receiver.port).associate() as peer:
            peer.send(struct.pack(">BxI", 4, 0xFFFFFFFF))
            kind, body = peer.receive()
            assert (kind, body[2:]) == (7, b"\x02\x06")
            assert receiver.wait_ended() == ["aborted"]
        assert peak.highest < 16 * MiB
        (line,) = [e for e in logs if e["event"] == "association.aborted"]
        assert "receive.max_pdu_bytes" in line["remedy"]

    def test_the_announced_maximum_is_taken_and_one_byte_more_is_not(self):
        with Receiver(max_pdu_bytes=20000) as receiver:
            with RawPeer(receiver.port).associate() as peer:
                peer.send(p_data(1, 3, command_set(1, uid=b"1.2.3")) + pdu(4, value(1, 2, bytes(19994))))
                assert peer.status() == 0
                peer.send(pdu(4, value(1, 2, bytes(19995))))
                assert peer.receive()[0] == 7
            assert receiver.wait_ended() == ["aborted"]

    def test_a_data_set_without_end_costs_no_memory(self):
        megabyte = b"".join(p_data(1, 0, bytes(131066)) for _ in range(8))
        with (
            Receiver(max_dataset_bytes=4 * MiB) as receiver,
            RawPeer(receiver.port).associate() as peer,
            Peak() as peak,
        ):
            peer.send(p_data(1, 3, command_set(1, uid=b"1.2.3")))
            for _ in range(256):
                peer.send(megabyte)
            peer.send(p_data(1, 2, b""))
            assert peer.status() == 0xA700
            assert peer.echo() == 0
        assert peak.highest < 24 * MiB

    def test_a_data_set_in_values_of_two_bytes_costs_what_it_holds(self):
        pairs = pdu(4, b"".join(value(1, 0, b"ab") for _ in range(16000)))
        with Receiver() as receiver, RawPeer(receiver.port).associate() as peer, Peak() as peak:
            peer.send(p_data(1, 3, command_set(1, uid=b"1.2.3")))
            for _ in range(20):
                peer.send(pairs)
            peer.send(p_data(1, 2, b""))
            assert peer.status() == 0
        assert receiver.received[0].encoded == b"ab" * 320000
        assert peak.highest < 16 * MiB

    def test_a_command_set_without_end(self):
        with Receiver() as receiver, RawPeer(receiver.port).associate() as peer:
            peer.send(b"".join(p_data(1, 1, bytes(8000)) for _ in range(4)))
            assert peer.receive()[0] == 7
            assert receiver.wait_ended() == ["aborted"]


BREACHES = {
    "unknown type": pdu(9, bytes(4)),
    "a request again": request_pdu(),
    "an accept": pdu(2, bytes(68)),
    "a release reply": pdu(6, bytes(4)),
    "a long release": pdu(5, bytes(10)),
    "no value": pdu(4, b"\0\0\0"),
    "an empty value": pdu(4, struct.pack(">IBB", 0, 1, 3)),
    "a value too long": pdu(4, struct.pack(">IBB", 99, 1, 3) + b"xx"),
    "a context not agreed on": p_data(5, 3, command_set(1)),
    "data before a command": p_data(1, 2, b"data"),
    "a command inside a message": p_data(1, 3, command_set(1, uid=b"1.2")) + p_data(1, 3, command_set(1, uid=b"1.2")),
    "another context inside a message": p_data(1, 3, command_set(1, uid=b"1.2")) + p_data(3, 2, b"data"),
    "a release inside a message": p_data(1, 3, command_set(1, uid=b"1.2")) + pdu(5, bytes(4)),
    "a command of garbage": p_data(1, 3, b"garbage!garbage!"),
    "an empty command": p_data(1, 3, b""),
    "a command without message id": p_data(1, 3, struct.pack("<HHIH", 0, 0x0100, 2, 1)),
}


@pytest.mark.parametrize("sent", BREACHES.values(), ids=BREACHES)
def test_breaches_of_the_protocol_end_in_an_abort(sent):
    with Receiver() as receiver, RawPeer(receiver.port).associate() as peer:
        kind, body = peer.send(sent).receive()
        assert (kind, body[2]) == (7, 2)
        assert receiver.wait_ended() == ["aborted"]
        assert receiver.received == []


class TestGarbage:
    @pytest.mark.parametrize(
        ("sent", "named"),
        [
            (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP"),
            (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "TLS"),
            (b"SSH-2.0-OpenSSH_9\r\n", "SSH"),
            (bytes(5000), "Something"),
        ],
    )
    def test_other_protocols_are_named(self, sent, named):
        with capture_logs() as logs, Receiver() as receiver, RawPeer(receiver.port) as peer:
            assert peer.send(sent).is_closed()
        (line,) = [e for e in logs if e["event"] == "connection.refused"]
        assert line["code"] == "NOT_DICOM"
        assert line["remedy"].startswith(named)

    def test_a_hundred_of_each_kind(self):
        random.seed(1)
        kinds = [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00", pdu(1, bytes(80)), request_pdu()[:6] + bytes(400)]
        with Receiver() as receiver:
            for sent in kinds + [random.randbytes(200) for _ in range(100)]:
                for _ in range(100 if sent in kinds else 1):
                    with RawPeer(receiver.port) as peer:
                        peer.send(sent)
            with RawPeer(receiver.port).associate() as honest:
                assert honest.echo() == 0
            wait_until(lambda: receiver.scp.active_associations() <= 1)
            assert list(receiver.opened) == [1]

    @given(st.binary(max_size=300))
    def test_requests_of_garbage_only_ever_breach(self, garbage):
        with pytest.raises(ProtocolBreach):
            decode_request(pdu(1, garbage)[:70])
        head = request_pdu()[:74]
        with suppress(ProtocolBreach):
            decode_request(head + garbage)

    @given(st.binary(max_size=200), st.integers(0, 400))
    @settings(suppress_health_check=[HealthCheck.too_slow])
    def test_requests_with_a_wound(self, splinter, at):
        whole = request_pdu()
        with suppress(ProtocolBreach):
            decode_request(whole[:at] + splinter + whole[at + len(splinter) :])

    @given(st.binary(max_size=200), st.integers(0, 150))
    def test_commands_with_a_wound(self, splinter, at):
        whole = command_set(1, uid=b"1.2.3")
        with suppress(ProtocolBreach):
            decode_command(whole[:at] + splinter + whole[at + len(splinter) :])

    @pytest.mark.parametrize(
        "bad",
        [
            request_pdu(extra=item(0x20, b"\x01\0\0\0" + item(0x30, b"1.2") + item(0x40, b"1.2"))),
            request_pdu(extra=item(0x20, b"\x04\0\0\0" + item(0x30, b"1.2") + item(0x40, b"1.2"))),
            request_pdu(extra=item(0x20, b"\x05\0\0\0" + item(0x30, b"1.2"))),
            request_pdu(extra=item(0x20, b"\x05\0\0\0" + item(0x30, b"\xff") + item(0x40, b"1.2"))),
            request_pdu(extra=item(0x20, b"\x05")),
            request_pdu(extra=struct.pack(">BxH", 0x20, 500) + b"x"),
        ],
    )
    def test_requests_that_are_wrong(self, bad):
        with Receiver() as receiver, RawPeer(receiver.port) as peer:
            assert peer.send(bad).receive()[0] == 7
            assert peer.is_closed()
            assert receiver.opened == {}


class TestLoss:
    def test_aborts_and_resets_in_the_middle_of_a_slice_leave_nothing_behind(self):
        begun = p_data(1, 3, command_set(1, uid=b"1.2.3")) + b"".join(p_data(1, 0, bytes(16000)) for _ in range(20))

        def round_of(count):
            for number in range(count):
                peer = RawPeer(receiver.port).associate()
                peer.send(begun)
                if number % 3 == 0:
                    peer.send(pdu(7, bytes(4)))
                    assert peer.is_closed()
                if number % 3 == 1:
                    reset(peer)
                peer.socket.close()

        process = psutil.Process()
        with Receiver() as receiver:
            round_of(6)
            receiver.wait_ended(6)
            before = process.num_threads(), process.num_fds(), rss()
            round_of(60)
            ended = receiver.wait_ended(66)
            wait_until(lambda: process.num_fds() <= before[1])
            assert process.num_threads() <= before[0]
            assert rss() - before[2] < 8 * MiB
            assert receiver.scp._budget.free_bytes == 2 << 30
            assert set(ended) <= {"aborted", "lost"}
            assert ended.count("aborted") == 22
            assert receiver.received == []

    def test_an_abort_in_the_middle_of_a_slice_is_seen_at_once(self):
        """The header of the next fragment is read ahead, but never waited for: an abort is shorter."""
        patient = dict.fromkeys(("socket_timeout_s", "dimse_timeout_s", "network_timeout_s"), 40 * PATIENCE_S)
        with Receiver(**patient) as receiver, RawPeer(receiver.port).associate() as peer:
            peer.send(p_data(1, 3, command_set(1, uid=b"1.2.3")) + p_data(1, 0, bytes(16000)) + pdu(7, bytes(4)))
            assert peer.is_closed()
            assert receiver.wait_ended() == ["aborted"]

    def test_a_slice_that_is_cut_short_is_never_stored(self):
        with Receiver() as receiver:
            with RawPeer(receiver.port).associate() as peer:
                peer.send(p_data(1, 3, command_set(1, uid=b"1.2.3")) + p_data(1, 0, bytes(5000)))
            assert receiver.wait_ended() == ["lost"]
            assert receiver.received == []

    def test_a_peer_that_is_gone_before_its_answer(self):
        entered, go_on = threading.Event(), threading.Event()

        def slow(received):
            entered.set()
            assert go_on.wait(PATIENCE_S)
            return 0

        with Receiver(store=slow) as receiver:
            peer = RawPeer(receiver.port).associate()
            peer.send(p_data(1, 3, command_set(1, uid=b"1.2.3")) + p_data(1, 2, b"data"))
            assert entered.wait(PATIENCE_S)
            reset(peer)
            go_on.set()
            assert receiver.wait_ended() == ["lost"]


class TestCrowds:
    @pytest.fixture(autouse=True)
    def _descriptors(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = min(4096, hard)
        if wanted < 2500:
            pytest.skip("the hard limit of file descriptors is below 2500")
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
        yield
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    def test_eleven_hundred_silent_connections(self):
        with Receiver() as receiver, ExitStack() as stack:
            for _ in range(1100):
                stack.enter_context(RawPeer(receiver.port))
            begun = time.monotonic()
            with RawPeer(receiver.port).associate() as honest:
                assert honest.echo() == 0
                assert time.monotonic() - begun < PATIENCE_S / 2, "it does not wait until the silent ones are ended"
            with RawPeer(receiver.port, "127.0.0.9").associate() as other:
                assert other.echo() == 0
            assert psutil.Process().num_threads() < 50

    def test_a_crowd_pushes_out_its_own_not_others(self):
        with Receiver(max_waiting=8) as receiver, ExitStack() as stack:
            early = stack.enter_context(RawPeer(receiver.port, "127.0.0.9"))
            crowd = [stack.enter_context(RawPeer(receiver.port)) for _ in range(30)]
            assert crowd[0].is_closed()
            early.associate()
            assert early.echo() == 0

    def test_descriptors_run_out_and_come_back(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        with capture_logs() as logs, Receiver() as receiver, ExitStack() as stack:
            resource.setrlimit(resource.RLIMIT_NOFILE, (psutil.Process().num_fds() + 50, hard))
            hoard = []
            try:
                with pytest.raises(OSError, match="Too many open files"):
                    while True:
                        hoard.append(os.open(os.devnull, os.O_RDONLY))
                os.close(hoard.pop())  # for the peer's own end; there is none for the node's
                peer = stack.enter_context(RawPeer(receiver.port))
                wait_until(lambda: any(e["event"] == "connections.exhausted" for e in logs), 5)
            finally:
                for descriptor in hoard:
                    os.close(descriptor)
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            assert peer.associate().echo() == 0
            assert len([e for e in logs if e["event"] == "connections.exhausted"]) < 20

    def test_idle_associations_cost_no_cpu(self):
        with (
            Receiver(max_associations=64, per_peer_associations=64, network_timeout_s=600) as receiver,
            ExitStack() as stack,
        ):
            peers = [stack.enter_context(RawPeer(receiver.port)).associate() for _ in range(64)]

            def used_s():
                before = psutil.Process().cpu_times()
                threading.Event().wait(1.5)
                after = psutil.Process().cpu_times()
                return (after.user + after.system) - (before.user + before.system)

            wait_until(lambda: used_s() < 0.15)  # this process may have something else to do for a moment
            assert in_threads(64, lambda n: peers[n].echo()) == [0] * 64

    def test_the_same_uid_on_many_associations_at_once(self):
        message = p_data(1, 3, command_set(1, uid=b"1.2.3")) + p_data(1, 2, b"data")

        def send(_):
            with RawPeer(receiver.port).associate() as peer:
                return [peer.send(message).status() for _ in range(5)]

        with Receiver() as receiver:
            assert in_threads(8, send) == [[0] * 5] * 8
        assert len(receiver.received) == 40


def test_a_title_cannot_forge_a_log_line():
    with Receiver() as receiver, RawPeer(receiver.port) as peer:
        peer.associate(called=AET, calling="A\nB\\C")
        wait_until(lambda: receiver.opened)
    assert receiver.opened[1].calling_aet == "A?B?C"
