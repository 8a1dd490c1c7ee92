from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ichnode.dicom.access import AccessList, AllowedPeer, Peer, allowed_peer
from ichnode.errors import ConfigError
from ichnode.peer_section import PeerSection


def refusal(allowed, calling="CT1", address="192.0.2.7", called="ICHAI"):
    return AccessList("ICHAI", allowed).refusal(Peer(calling, address, called))


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_without_entries_loopback_is_open(address):
    assert refusal([], address=address) is None


@pytest.mark.parametrize("address", ["192.0.2.7", "2001:db8::7", "::ffff:192.0.2.7", "fe80::1%eth0", "10.0.0.1"])
def test_without_entries_everybody_else_is_told_what_to_add(address):
    answer = refusal([], address=address)
    assert (answer.result, answer.source, answer.reason) == (1, 1, 3)
    assert answer.code == "PEER_UNKNOWN"
    assert "[[peers]]" in answer.remedy
    assert "CT1" in answer.remedy
    assert address in answer.remedy


@pytest.mark.parametrize(
    ("entry", "calling", "address", "admitted"),
    [
        (AllowedPeer("CT1"), "CT1", "198.51.100.1", True),
        (AllowedPeer("CT1"), "ct1", "198.51.100.1", False),
        (AllowedPeer(" CT1 "), "CT1", "198.51.100.1", True),
        (AllowedPeer("*"), "ANY", "2001:db8::1", True),
        (AllowedPeer("*", ("192.0.2.0/24",)), "ANY", "192.0.2.255", True),
        (AllowedPeer("*", ("192.0.2.0/24",)), "ANY", "192.0.3.0", False),
        (AllowedPeer("*", ("192.0.2.77/24",)), "ANY", "192.0.2.1", True),
        (AllowedPeer("*", ("192.0.2.7",)), "ANY", "::ffff:192.0.2.7", True),
        (AllowedPeer("*", ("2001:db8::/32",)), "ANY", "2001:db8:1::1", True),
        (AllowedPeer("*", ("2001:db8::/32",)), "ANY", "192.0.2.7", False),
        (AllowedPeer("CT1", ("192.0.2.7", "192.0.2.8")), "CT1", "192.0.2.8", True),
        (AllowedPeer("CT1", ("192.0.2.7",)), "CT2", "192.0.2.7", False),
        (AllowedPeer("CT1", ("192.0.2.7",)), "CT1", "127.0.0.1", False),
    ],
)
def test_title_and_address_have_to_match_one_entry(entry, calling, address, admitted):
    answer = refusal([AllowedPeer("OTHER", ("203.0.113.0/24",)), entry], calling, address)
    assert (answer is None) is admitted
    if answer is not None:
        assert (answer.result, answer.source, answer.reason) == (1, 1, 3)


def test_two_half_matching_entries_do_not_make_a_whole_one():
    assert refusal([AllowedPeer("CT1", ("192.0.2.8",)), AllowedPeer("CT2", ("192.0.2.7",))]) is not None


def test_the_called_title_is_looked_at_first():
    answer = refusal([], address="192.0.2.7", called="ORTHANC")
    assert (answer.result, answer.source, answer.reason) == (1, 1, 7)
    assert "ORTHANC" in answer.remedy
    assert "ICHAI" in answer.remedy


@pytest.mark.parametrize("text", ["ct1.hospital.example", "192.0.2.0/33", "192.0.2", ""])
def test_a_network_that_is_none_is_a_wrong_setting(text):
    with pytest.raises(ConfigError, match=r"peers\.networks"):
        AccessList("ICHAI", [AllowedPeer("*", (text,))])


@given(st.ip_addresses(), st.sampled_from(["A", "B"]))
def test_any_title_from_anywhere(address, calling):
    assert refusal([AllowedPeer("*")], calling, str(address)) is None


def test_every_entry_of_the_configuration_can_be_on_the_list():
    made = allowed_peer(PeerSection(aet="CT", networks=("192.0.2.0/24",), max_associations=2))
    assert (made.aet, made.networks, made.max_associations) == ("CT", ("192.0.2.0/24",), 2)
