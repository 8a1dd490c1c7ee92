"""Caps of single peers: associations at once, slices and bytes a second, called title, SOP classes."""

from __future__ import annotations

from contextlib import ExitStack
from types import SimpleNamespace

from pydicom.uid import EnhancedCTImageStorage
from pynetdicom.sop_class import CTImageStorage, Verification
from structlog.testing import capture_logs

from ichnode.dicom.access import AllowedPeer, Peer, allowed_peer
from ichnode.dicom.limits import Pace, ScpLimits
from ichnode.dicom.places import Places
from ichnode.peer_section import PeerSection
from tests.dicom.wire import IMPLICIT_LE, RawPeer, Receiver, associate, command_set, p_data, request_pdu
from tests.peers import wait_until

BUSY = (3, b"\0\x02\x03\x02")
"""A-ASSOCIATE-RJ: transient, presentation provider, local limit exceeded."""
SLICE = p_data(1, 3, command_set(1, uid=b"1.2.3")) + p_data(1, 2, bytes(1000))


def ask(receiver: Receiver, calling: str, called: str = "ICHAI") -> tuple[int, bytes]:
    with RawPeer(receiver.port) as peer:
        kind, body = peer.send(request_pdu(calling=calling, called=called)).receive()
        return kind, body if kind == 3 else b""


def rejected(logs) -> list[str]:
    return [e["code"] for e in logs if e["event"] == "association.rejected"]


def test_associations_of_one_entry():
    allowed = (AllowedPeer("CT1", max_associations=2), AllowedPeer("*"))
    with capture_logs() as logs, Receiver(allowed=allowed) as receiver, ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(RawPeer(receiver.port)).associate(calling="CT1")
        assert ask(receiver, "CT1") == BUSY
        assert ask(receiver, "CT2")[0] == 2
        stack.close()
        wait_until(lambda: receiver.scp.active_associations() == 0)
        assert ask(receiver, "CT1")[0] == 2
    assert rejected(logs) == ["TOO_MANY_ASSOCIATIONS_OF_ENTRY"]
    (line,) = [e for e in logs if e["event"] == "association.rejected"]
    assert "max_associations" in line["remedy"]


def test_who_is_too_fast_is_held_up_and_gets_no_other_association(monkeypatch):
    monkeypatch.setattr(Pace, "BURST_S", 2.0)
    # Ten slices cost 10 s: two are free, and eight wait; a tick of the clock between them makes no difference.
    allowed = (AllowedPeer("CT1", slices_per_s=1), AllowedPeer("*"))
    with capture_logs() as logs, Receiver(allowed=allowed) as receiver, RawPeer(receiver.port) as peer:
        peer.associate(calling="CT1").send(SLICE * 3)
        assert [peer.status() for _ in range(2)] == [0, 0]
        wait_until(lambda: any(e["event"] == "peer.slowed" for e in logs))
        assert ask(receiver, "CT1") == BUSY
        assert ask(receiver, "CT2")[0] == 2, "others are served meanwhile"
        assert peer.status() == 0, "and nothing is refused"
        assert len(receiver.received) == 3
    assert rejected(logs) == ["TOO_FAST"]
    (slowed,) = [e for e in logs if e["event"] == "peer.slowed"]
    assert (slowed["calling"], slowed["code"]) == ("CT1", "TOO_FAST")


def test_a_node_that_stops_does_not_wait_for_who_is_held_up(monkeypatch):
    monkeypatch.setattr(Pace, "BURST_S", 0.0)
    with Receiver(allowed=(AllowedPeer("*", bytes_per_s=1),)) as receiver, RawPeer(receiver.port) as peer:
        peer.associate().send(SLICE)
        receiver.scp.stop()
        assert receiver.wait_ended() == ["aborted"]


def test_a_pace_counts_the_dearer_of_slices_and_bytes():
    free = Pace(0, 0)
    assert [free.took(1 << 30) for _ in range(5)] == [0.0] * 5
    assert not free.is_ahead()
    by_bytes = Pace(1000, 1000)
    assert by_bytes.took(5000) == 0.0, "within the burst"
    assert 4.0 < by_bytes.took(10000) <= 5.0
    assert by_bytes.is_ahead()


def test_nobody_owes_more_than_one_pause_beyond_the_burst(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("ichnode.dicom.limits.time", SimpleNamespace(monotonic=lambda: now[0]))
    pace = Pace(1, 0)
    assert [pace.took(0) for _ in range(10_000)][-1] == Pace.LONGEST_PAUSE_S
    now[0] += Pace.LONGEST_PAUSE_S + 0.001
    assert not pace.is_ahead(), "who is quiet for that long gets an association again"
    assert not pace.is_even()
    now[0] += Pace.BURST_S
    assert pace.is_even()


def test_who_comes_from_elsewhere_does_not_pay_for_others_where_any_title_is_let_in():
    places, anybody, one = Places(ScpLimits()), AllowedPeer("*", slices_per_s=1), AllowedPeer("CT1", slices_per_s=1)
    for entry in (anybody, one):
        for _ in range(100):
            places.pause_s(entry, 1000, Peer("CT1", "192.0.2.1", "ICHAI"))
        assert places.refusal("192.0.2.1", entry).code == "TOO_FAST"
    assert places.refusal("192.0.2.2", anybody) is None
    assert places.refusal("192.0.2.2", one).code == "TOO_FAST", "a title is one sender, wherever it is"


def test_addresses_that_owe_nothing_are_forgotten():
    places, anybody = Places(ScpLimits()), AllowedPeer("*", slices_per_s=1)
    places.pause_s(anybody, 1000, Peer("CT1", "192.0.2.1", "ICHAI"))
    for number in range(2, 200):
        assert places.refusal(f"192.0.2.{number}", anybody) is None
    assert len(places._paces) == 2


def test_a_title_of_its_own():
    allowed = (AllowedPeer("CT1", called_aet="ICH_CT1"), AllowedPeer("CT2"))
    with capture_logs() as logs, Receiver(allowed=allowed) as receiver:
        assert ask(receiver, "CT1", "ICH_CT1")[0] == 2
        assert ask(receiver, "CT1", "ICHAI") == (3, b"\0\x01\x01\x03")
        assert ask(receiver, "CT2", "ICH_CT1") == (3, b"\0\x01\x01\x07")
        assert ask(receiver, "CT2", "ICHAI")[0] == 2
    assert rejected(logs) == ["PEER_UNKNOWN", "CALLED_AET_UNKNOWN"]


def test_sop_classes_of_its_own_and_always_the_echo():
    entry = allowed_peer(PeerSection(aet="CT1", sop_classes=("EnhancedCTImageStorage",), silent_after_h=12))
    with Receiver(allowed=(entry,)) as receiver:
        wanted = [(uid, [IMPLICIT_LE]) for uid in (CTImageStorage, EnhancedCTImageStorage, Verification)]
        association = associate(receiver.port, *wanted, calling="CT1")
        accepted = {context.abstract_syntax for context in association.accepted_contexts}
        association.release()
    assert accepted == {EnhancedCTImageStorage, Verification}


def test_nothing_but_the_echo():
    entry = allowed_peer(PeerSection(aet="MONITOR", sop_classes=("Verification",)))
    with Receiver(allowed=(entry,)) as receiver:
        association = associate(receiver.port, calling="MONITOR")
        assert [context.abstract_syntax for context in association.accepted_contexts] == [Verification]
        assert association.send_c_echo().Status == 0
        association.release()
