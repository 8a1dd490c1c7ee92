"""The audit journal reaches a real receiver of syslog over TLS, every row at least once, none before it was read."""

from __future__ import annotations

import re
import socket
import ssl
import threading
from xml.etree import ElementTree

import pytest

from ichnode.steps.recover import begin_boot
from ichnode.steps.relay_audit import relay_audit
from ichnode.worklist import audit, deliveries, relays
from ichnode.worklist.relays import ATNA
from tests.certificates import Authority
from tests.made import analysed_series
from tests.notify.audit_form import faults
from tests.peers import wait_until


class Repository:
    """An audit record repository on loopback: RFC 5425 with mutual TLS.

    Parameters
    ----------
    reads : int or None
        How many connections it reads to their end; the others it resets in the middle.
    """

    def __init__(self, certificate, authority, breaks: int = 0) -> None:
        self.records: list[bytes] = []
        self.breaks = breaks
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate.certificate, certificate.key)
        self._context.load_verify_locations(authority)
        self._context.verify_mode = ssl.CERT_REQUIRED
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            with plain:
                try:
                    with self._context.wrap_socket(plain, server_side=True) as connection:
                        self._read(connection)
                except OSError:
                    continue

    def _read(self, connection: ssl.SSLSocket) -> None:
        if self.breaks:
            self.breaks -= 1
            connection.recv(10)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            return
        taken = b""
        while more := connection.recv(4096):
            taken += more
        while taken:
            length, _, rest = taken.partition(b" ")
            self.records.append(rest[: int(length)])
            taken = rest[int(length) :]

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(30)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def issued(authority):
    return authority.issue("repository"), authority.issue("node")


@pytest.fixture
def repository(issued, authority):
    made = Repository(issued[0], authority.certificate)
    yield made
    made.close()


@pytest.fixture
def node(make_node, issued, authority, repository):
    return make_node(audit={
        "host": "127.0.0.1", "port": repository.port, "ca_file": str(authority.certificate),
        "client_certificate": str(issued[1].both), "site": "ward",
    })  # fmt: skip


def view(node, study_id=None, number=1, **detail):
    with node.worklist.write() as tx:
        for _ in range(number):
            audit.record(tx, node.now(), "ada", "study.viewed", study_id, "192.0.2.7", **detail)


def whats(repository):
    found = []
    for record in repository.records:
        head, _, content = record.partition(b"\xef\xbb\xbf")
        assert re.match(rb"<85>1 \S+ \S+ ichnode \d+ DICOM\+RFC3881 - $", head)
        assert faults(content) == []
        found.append(ElementTree.fromstring(content).findall("EventIdentification/EventTypeCode")[-1].get("csd-code"))
    return found


def test_rows_arrive_in_order_once_and_with_whom_they_concern(node, clock, repository):
    view(node)  # before it was switched on
    clock.forward(1)
    begin_boot(node)
    analysed_series(node.worklist, clock)
    view(node, 1)
    assert relay_audit(node) is None
    wait_until(lambda: len(repository.records) == 2, 20, "two records")
    assert whats(repository) == ["node.started", "study.viewed"]
    assert b'ParticipantObjectID="P1"' in repository.records[1]
    assert b'AuditEnterpriseSiteID="ward"' in repository.records[1]
    relay_audit(node)
    view(node, None, 250, studies=[1])
    relay_audit(node)
    wait_until(lambda: len(repository.records) == 252, 20, "all records")
    with node.worklist.read() as tx:
        assert relays.waiting(tx, ATNA) == 0


def test_what_was_not_read_is_sent_again_and_nothing_is_lost(node, clock, repository):
    begin_boot(node)
    view(node, None, 3)
    repository.breaks = 1
    again_at = relay_audit(node)
    assert again_at is not None
    with node.worklist.read() as tx:
        assert relays.waiting(tx, ATNA) == 4
        assert deliveries.circuit(tx, ATNA).failures == 1
    assert relay_audit(node) == again_at, "not before its time"
    clock.forward((again_at - clock()).total_seconds())
    assert relay_audit(node) is None
    wait_until(lambda: len(repository.records) == 4, 20, "all records")
    begin_boot(node)
    relay_audit(node)
    wait_until(lambda: len(repository.records) == 5, 20, "those of the next start, and none twice")


def test_a_repository_that_is_not_there_and_one_that_is_not_trusted(make_node, issued, authority, repository, tmp_path):
    other = Authority(tmp_path / "other")
    node = make_node(audit={"host": "127.0.0.1", "port": repository.port, "ca_file": str(other.certificate)})
    begin_boot(node)
    assert relay_audit(node) is not None
    with node.worklist.read() as tx:
        assert "is not trusted" in (deliveries.circuit(tx, ATNA).last_error or "")
    assert repository.records == []


def test_without_the_switch_patients_stay_here(make_node, clock, issued, authority, repository):
    node = make_node(audit={
        "host": "127.0.0.1", "port": repository.port, "ca_file": str(authority.certificate),
        "client_certificate": str(issued[1].both), "patient_data": False,
    })  # fmt: skip
    begin_boot(node)
    analysed_series(node.worklist, clock)
    view(node, 1)
    relay_audit(node)
    wait_until(lambda: len(repository.records) == 2, 20, "two records")
    assert b"ParticipantObjectID" not in b"".join(repository.records)
