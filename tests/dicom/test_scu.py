"""What the node asks of other peers, and what it makes of their answers."""

from __future__ import annotations

import gc
import socket
import struct
import threading
import time
from contextlib import contextmanager

import psutil
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import AE, evt

from ichnode.dicom import syntaxes
from ichnode.dicom.find import STUDY_ROOT_FIND, series_count
from ichnode.dicom.scu import Remote, echo, store
from ichnode.errors import PeerRefused, PeerUnreachable
from tests.association import PATIENCE_S, serving
from tests.dicom.made_ct import ct_dataset, head_hu, save
from tests.dicom.wire import AET, Receiver, item, pdu
from tests.peers import free_port, many_descriptors, wait_until

CT, SR = syntaxes.CT_IMAGE, "1.2.840.10008.5.1.4.1.1.88.33"
ALL = [*syntaxes.UNCOMPRESSED, syntaxes.DEFLATED_LE, *syntaxes.COMPRESSED]


def remote(port: int, aet: str = "PEER", **options) -> Remote:
    patient = {"timeout_s": PATIENCE_S, "connect_timeout_s": PATIENCE_S}
    return Remote("pacs", aet, "127.0.0.1", port, "ICHAI", **(patient | options))


@contextmanager
def peer(handlers=(), contexts=((CT, ALL),), aet="PEER", **limits):
    """A pynetdicom SCP; yields its port."""
    ae = AE(ae_title=aet)
    for sop_class, known in contexts:
        ae.add_supported_context(sop_class, known)
    ae.add_supported_context(syntaxes.VERIFICATION)
    for name, value in limits.items():
        setattr(ae, name, value)
    with serving(ae, acts=handlers) as port:
        yield port


@contextmanager
def raw_peer(act):
    """A listening socket whose one connection is handed to `act`; yields its port."""
    listener = socket.create_server(("127.0.0.1", 0))
    connections = []

    def serve():
        connection, _ = listener.accept()
        connections.append(connection)
        act(connection)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        for connection in connections:
            connection.close()
        listener.close()
        thread.join(10)


def accept_pdu(context: int = 1, syntax: str = syntaxes.IMPLICIT_LE) -> bytes:
    body = struct.pack(">HH16s16s32x", 1, 0, b"PEER".ljust(16), b"ICHAI".ljust(16))
    body += item(0x10, b"1.2.840.10008.3.1.1.1")
    body += item(0x21, bytes((context, 0, 0, 0)) + item(0x40, syntax.encode()))
    return pdu(2, body + item(0x50, item(0x51, struct.pack(">I", 16384)) + item(0x52, b"1.2.3")))


def compressed(syntax: str, **options) -> Dataset:
    ds = ct_dataset()
    ds.ensure_file_meta()
    ds.file_meta.TransferSyntaxUID = UID(syntaxes.EXPLICIT_LE)
    ds.compress(syntax, generate_instance_uid=False, **options)
    return ds


def test_with_a_thousand_descriptors_open():
    with Receiver() as receiver, many_descriptors():
        echo(remote(receiver.port, AET))
    assert receiver.wait_ended() == ["released"]


@pytest.fixture
def files(tmp_path):
    paths = []
    for number in range(3):
        path = tmp_path / f"{number}.dcm"
        save(ct_dataset(SOPInstanceUID=f"1.2.3.{number + 1}"), path)
        paths.append(path)
    return paths


class TestEcho:
    @pytest.mark.interop
    def test_dcmtk(self, storescp):
        echo(remote(storescp.port, storescp.aet))

    def test_nobody_listens(self):
        with pytest.raises(PeerUnreachable, match="Check host and port"):
            echo(remote(free_port()))

    def test_the_host_does_not_exist(self):
        with pytest.raises(PeerUnreachable, match="host name is unknown"):
            echo(Remote("pacs", "PEER", "no-such-host.invalid", 104, "ICHAI"))

    def test_our_title_is_not_known_there(self):
        with (
            peer(require_calling_aet=["OTHER"]) as port,
            pytest.raises(PeerRefused, match="register the AE title 'ICHAI'"),
        ):
            echo(remote(port))

    def test_its_title_is_another(self):
        with peer(require_called_aet=True) as port, pytest.raises(PeerRefused, match="correct the AE title 'WRONG'"):
            echo(remote(port, "WRONG"))

    def test_it_has_no_room_now(self):
        reject = pdu(3, b"\0\2\3\2")

        def act(connection):
            assert connection.recv(65536)  # an answer before the request would be a breach of protocol
            connection.sendall(reject)

        with (
            raw_peer(act) as port,
            pytest.raises(PeerUnreachable, match="local limit exceeded"),
        ):
            echo(remote(port))

    def test_it_says_no(self):
        handlers = [(evt.EVT_C_ECHO, lambda event: 0x0110)]
        with peer(handlers) as port, pytest.raises(PeerRefused, match="0x0110"):
            echo(remote(port))

    @pytest.mark.parametrize(
        "sent",
        [b"", b"\x02\0\0", accept_pdu()[:30], accept_pdu() + b"\x04\0\0\0\0\x40\0"],
        ids=["silent", "half a header", "half an accept", "half an answer"],
    )
    def test_it_stalls(self, sent):
        begun = time.monotonic()
        with raw_peer(lambda c: c.sendall(sent)) as port, pytest.raises(PeerUnreachable):
            echo(remote(port, timeout_s=0.5))
        assert time.monotonic() - begun < PATIENCE_S / 2

    def test_it_is_no_dicom_peer(self):
        with raw_peer(lambda c: c.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as port, pytest.raises(PeerUnreachable):
            echo(remote(port, timeout_s=0.5))

    def test_it_hangs_up(self):
        with raw_peer(lambda c: c.close()) as port, pytest.raises(PeerUnreachable):
            echo(remote(port, timeout_s=0.5))

    def test_no_thread_and_no_descriptor_stays(self):
        process = psutil.Process()
        with pytest.raises(PeerUnreachable):
            echo(remote(free_port()))
        before = threading.active_count(), process.num_fds()
        gc.disable()
        try:
            with peer() as port:
                for _ in range(3):
                    echo(remote(port))
            for _ in range(5):
                with pytest.raises(PeerUnreachable):
                    echo(remote(free_port()))
            for act in 3 * (lambda c: c.close(), lambda c: c.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")):
                with raw_peer(act) as port, pytest.raises(PeerUnreachable):
                    echo(remote(port, timeout_s=0.5))
            wait_until(lambda: threading.active_count() <= before[0])
            wait_until(lambda: process.num_fds() <= before[1], 5)
        finally:
            gc.enable()


class TestStore:
    @pytest.mark.interop
    def test_dcmtk_gets_them_whole(self, storescp, files):
        seen = []
        answers = store(remote(storescp.port, storescp.aet), files, lambda path, status: seen.append((path, status)))
        assert [(a.path, a.status, a.error, a.transient) for a in answers] == [(p, 0, None, False) for p in files]
        assert seen == [(path, 0) for path in files]
        kept = {ds.SOPInstanceUID: ds for ds in map(pydicom.dcmread, storescp.received.iterdir())}
        for path in files:
            sent = pydicom.dcmread(path)
            assert (kept[sent.SOPInstanceUID].pixel_array == sent.pixel_array).all()
            assert kept[sent.SOPInstanceUID].PatientName == sent.PatientName

    def test_one_association_for_all(self, files):
        opened = []
        with peer([(evt.EVT_ACCEPTED, opened.append), (evt.EVT_C_STORE, lambda event: 0)]) as port:
            store(remote(port), files)
        assert len(opened) == 1

    def test_exactly_what_the_files_are_is_proposed(self, files, tmp_path):
        report = tmp_path / "sr.dcm"
        save(ct_dataset(SOPClassUID=SR, PixelData=None), report, syntaxes.IMPLICIT_LE)
        lossy = tmp_path / "lossy.dcm"
        ds = compressed(syntaxes.JPEG_2000_LOSSLESS)
        ds.file_meta.TransferSyntaxUID = UID(syntaxes.JPEG_2000)
        ds.save_as(lossy, enforce_file_format=True)
        proposed = []

        def asked(event):
            contexts = event.assoc.requestor.requested_contexts
            proposed.extend((c.abstract_syntax, tuple(c.transfer_syntax)) for c in contexts)

        with peer([(evt.EVT_REQUESTED, asked), (evt.EVT_C_STORE, lambda event: 0)], [(CT, ALL), (SR, ALL)]) as port:
            assert {a.status for a in store(remote(port), [*files, report, lossy])} == {0}
        assert sorted(proposed) == sorted(
            [
                (CT, (syntaxes.EXPLICIT_LE,)),
                (CT, (syntaxes.EXPLICIT_LE, syntaxes.IMPLICIT_LE)),
                (CT, (syntaxes.JPEG_2000,)),
                (SR, (syntaxes.IMPLICIT_LE,)),
                (SR, (syntaxes.EXPLICIT_LE, syntaxes.IMPLICIT_LE)),
            ]
        )

    @pytest.mark.parametrize(
        ("status", "stored", "transient"),
        [
            (0x0000, True, False), (0xB000, True, False), (0xB006, True, False), (0xB007, True, False),
            (0x0111, True, False), (0xA700, False, True), (0xA702, False, True), (0x0110, False, True),
            (0x0213, False, True), (0x0122, False, False), (0x0124, False, False), (0xA900, False, False),
            (0xA901, False, False), (0xC000, False, False), (0xC123, False, False), (0x0117, False, False),
        ],
    )  # fmt: skip
    def test_statuses(self, status, stored, transient, files):
        with peer([(evt.EVT_C_STORE, lambda event: status)]) as port:
            (answer,) = store(remote(port), files[:1])
        assert answer.status == status
        assert (answer.error is None) is stored
        assert answer.transient is transient
        assert stored or f"0x{status:04X}" in answer.error

    def test_one_refusal_does_not_stop_the_others(self, files):
        statuses = iter([0, 0xC000, 0])
        with peer([(evt.EVT_C_STORE, lambda event: next(statuses))]) as port:
            assert [a.status for a in store(remote(port), files)] == [0, 0xC000, 0]

    def test_a_class_that_is_not_taken_is_permanent_for_it_alone(self, files, tmp_path):
        report = tmp_path / "sr.dcm"
        save(ct_dataset(SOPClassUID=SR, PixelData=None), report)
        with peer([(evt.EVT_C_STORE, lambda event: 0)]) as port:
            first, second = store(remote(port), [report, files[0]])
        assert (first.status, first.transient) == (None, False)
        assert "SOP class" in first.error
        assert second.status == 0

    def test_a_file_that_is_none(self, files, tmp_path):
        bad, gone = tmp_path / "bad.dcm", tmp_path / "gone.dcm"
        bad.write_bytes(b"no DICOM")
        seen = []
        with peer([(evt.EVT_C_STORE, lambda event: 0)]) as port:
            answers = store(remote(port), [bad, files[0], gone], lambda path, status: seen.append(path))
        assert [(a.status, a.error is None, a.transient) for a in answers] == [
            (None, False, False), (0, True, False), (None, False, False),
        ]  # fmt: skip
        assert sorted(seen) == sorted([bad, files[0], gone])

    def test_nothing_to_send_asks_nobody(self):
        assert store(remote(free_port()), []) == []

    def test_no_association_raises(self, files):
        with pytest.raises(PeerUnreachable):
            store(remote(free_port()), files)
        with peer(require_called_aet=True) as port, pytest.raises(PeerRefused):
            store(remote(port, "WRONG"), files)

    def test_an_abort_in_the_middle_makes_the_rest_transient(self, files):
        count = iter(range(9))

        def abort_second(event):
            if next(count) == 1:
                event.assoc.abort()
            return 0

        with peer([(evt.EVT_C_STORE, abort_second)]) as port:
            answers = store(remote(port), files)
        assert answers[0].error is None
        assert [(a.status, a.transient) for a in answers[1:]] == [(None, True), (None, True)]

    def test_a_peer_that_does_not_answer(self, files):
        go_on = threading.Event()
        with peer([(evt.EVT_C_STORE, lambda event: 0xC000 - go_on.wait(PATIENCE_S))]) as port:
            begun = time.monotonic()
            answers = store(remote(port, timeout_s=0.5), files)
            took = time.monotonic() - begun
            go_on.set()
        assert [(a.status, a.transient) for a in answers] == [(None, True)] * 3
        assert took < PATIENCE_S / 2

    def test_a_peer_that_stops_reading(self, tmp_path):
        path = tmp_path / "big.dcm"
        save(ct_dataset(head_hu(2048)), path)
        stalled = threading.Event()

        def accept_and_stall(connection):
            connection.recv(65536)
            connection.sendall(accept_pdu(syntax=syntaxes.EXPLICIT_LE))
            stalled.wait(PATIENCE_S)

        begun = time.monotonic()
        with raw_peer(accept_and_stall) as port:
            (answer,) = store(remote(port, timeout_s=0.5), [path])
            stalled.set()
        assert (answer.status, answer.transient) == (None, True)
        assert time.monotonic() - begun < PATIENCE_S / 2


class TestFallback:
    def keep(self, kept):
        def handler(event):
            ds = event.dataset
            ds.file_meta = event.file_meta
            kept.append(ds)
            return 0

        return [(evt.EVT_C_STORE, handler)]

    @pytest.mark.parametrize("syntax", [syntaxes.JPEG_2000_LOSSLESS, syntaxes.JPEG_LS, syntaxes.RLE], ids=str)
    def test_lossless_images_go_uncompressed_where_they_have_to(self, syntax, tmp_path):
        path = tmp_path / "a.dcm"
        ds = compressed(syntax)
        ds.save_as(path, enforce_file_format=True)
        kept = []
        with peer(self.keep(kept), [(CT, [syntaxes.IMPLICIT_LE])]) as port:
            (answer,) = store(remote(port), [path])
        assert answer.error is None
        assert kept[0].SOPInstanceUID == ds.SOPInstanceUID
        assert kept[0].file_meta.TransferSyntaxUID == syntaxes.IMPLICIT_LE
        assert (kept[0].pixel_array == head_hu() + 1024).all()

    def test_they_stay_as_they_are_where_they_can(self, tmp_path):
        path = tmp_path / "a.dcm"
        ds = compressed(syntaxes.JPEG_LS)
        ds.save_as(path, enforce_file_format=True)
        kept = []
        with peer(self.keep(kept)) as port:
            store(remote(port), [path])
        assert kept[0].file_meta.TransferSyntaxUID == syntaxes.JPEG_LS
        assert kept[0].PixelData == ds.PixelData

    def test_lossy_images_are_not_made_to_look_lossless(self, tmp_path):
        path = tmp_path / "a.dcm"
        ds = compressed(syntaxes.JPEG_LS_NEAR_LOSSLESS, jls_error=2)
        ds.save_as(path, enforce_file_format=True)
        with peer(contexts=[(CT, [syntaxes.IMPLICIT_LE])]) as port:
            (answer,) = store(remote(port), [path])
        assert (answer.status, answer.transient) == (None, False)
        assert "CT Image Storage" in answer.error

    @pytest.mark.parametrize("syntax", [syntaxes.DEFLATED_LE, syntaxes.IMPLICIT_LE], ids=str)
    def test_uncompressed_ones_are_encoded_anew(self, syntax, tmp_path):
        path = tmp_path / "a.dcm"
        save(ct_dataset(), path, syntax)
        kept = []
        with peer(self.keep(kept), [(CT, [syntaxes.EXPLICIT_LE])]) as port:
            (answer,) = store(remote(port), [path])
        assert answer.error is None
        assert (kept[0].pixel_array == head_hu() + 1024).all()

    def test_big_endian_is_sent_as_such_or_not_at_all(self, tmp_path):
        path = tmp_path / "a.dcm"
        save(ct_dataset(), path, syntaxes.EXPLICIT_BE)
        kept = []
        with peer(self.keep(kept)) as port:
            (answer,) = store(remote(port), [path])
        assert answer.error is None
        assert kept[0].file_meta.TransferSyntaxUID == syntaxes.EXPLICIT_BE


class TestSeriesCount:
    def answering(self, *answers):
        def find(event):
            self.query = event.identifier
            yield from answers

        return peer([(evt.EVT_C_FIND, find)], [(STUDY_ROOT_FIND, [syntaxes.IMPLICIT_LE])])

    def series(self, uid="1.2.3", **more):
        ds = Dataset()
        ds.QueryRetrieveLevel, ds.StudyInstanceUID, ds.SeriesInstanceUID = "SERIES", "1.2", uid
        for keyword, value in more.items():
            setattr(ds, keyword, value)
        return ds

    def test_the_question(self):
        with self.answering((0xFF00, self.series(NumberOfSeriesRelatedInstances=32))) as port:
            assert series_count(remote(port), "1.2", "1.2.3") == 32
        assert self.query.QueryRetrieveLevel == "SERIES"
        assert self.query.StudyInstanceUID == "1.2"
        assert self.query.SeriesInstanceUID == "1.2.3"
        assert "NumberOfSeriesRelatedInstances" in self.query

    @pytest.mark.parametrize("more", [{}, {"NumberOfSeriesRelatedInstances": None}])
    def test_a_peer_that_does_not_count(self, more):
        with self.answering((0xFF01, self.series(**more))) as port:
            assert series_count(remote(port), "1.2", "1.2.3") is None

    def test_a_peer_that_returns_the_whole_study(self):
        others = [(0xFF00, self.series(f"1.2.{n}", NumberOfSeriesRelatedInstances=n)) for n in (2, 3, 4)]
        with self.answering(*others) as port:
            assert series_count(remote(port), "1.2", "1.2.3") == 3

    def test_a_peer_that_knows_no_such_series(self):
        with self.answering() as port:
            assert series_count(remote(port), "1.2", "1.2.3") is None

    @pytest.mark.parametrize(("status", "error"), [(0xA700, PeerUnreachable), (0xC001, PeerRefused)])
    def test_a_peer_that_fails(self, status, error):
        with self.answering((status, None)) as port, pytest.raises(error, match=f"0x{status:04X}"):
            series_count(remote(port), "1.2", "1.2.3")

    def test_a_peer_that_answers_no_questions(self):
        with peer() as port, pytest.raises(PeerRefused, match="FIND"):
            series_count(remote(port), "1.2", "1.2.3")

    def test_a_peer_that_is_not_there(self):
        with pytest.raises(PeerUnreachable):
            series_count(remote(free_port()), "1.2", "1.2.3")


@pytest.mark.interop
def test_orthanc_takes_the_same_twice_and_counts_it_once(orthanc, files):
    asked = remote(orthanc.port, orthanc.aet)
    for _ in range(2):
        assert {answer.status for answer in store(asked, files)} == {0}
    ds = pydicom.dcmread(files[0])
    assert series_count(asked, ds.StudyInstanceUID, ds.SeriesInstanceUID) == 3
    assert series_count(asked, ds.StudyInstanceUID, "1.2.3.4.5") is None
