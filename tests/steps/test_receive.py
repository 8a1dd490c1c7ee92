"""One C-STORE request taken into custody: on disk and in a row, or refused with the right error and nothing kept."""

from __future__ import annotations

import pytest
from pydicom import dcmread
from pydicom.uid import RLELossless

from ichnode.dicom.access import Peer
from ichnode.errors import BadObject, DiskFull, TransientError
from ichnode.steps import receive
from ichnode.steps.backup import backup
from ichnode.steps.receive import receive_slice
from ichnode.storage import shelves
from ichnode.worklist import receipts, schema
from tests.made import events, rows
from tests.steps.spooled import altered, as_received, encoded, put


@pytest.fixture
def node(make_node):
    return make_node()


def test_taken_as_it_came(node, slice_files, clock):
    assert receive_slice(node, as_received(slice_files[0])) == 0x0000
    (instance,) = rows(node.worklist, schema.instances)
    file = node.spool.path(instance["file"])
    assert encoded(file) == encoded(slice_files[0]), "the peer's own bytes"
    assert dcmread(file) == dcmread(slice_files[0])
    assert dcmread(file).file_meta.SourceApplicationEntityTitle == "CT"
    assert instance["size"] == file.stat().st_size
    assert instance["received_at"] == clock()


def test_an_urgent_peer_makes_the_study_urgent_and_so_does_what_its_images_say(node, slice_files, tmp_path):
    stat = dcmread(slice_files[0])
    stat.StudyInstanceUID, stat.SeriesInstanceUID, stat.SOPInstanceUID = "1.2.7", "1.2.7.1", "1.2.7.1.1"
    stat.file_meta.MediaStorageSOPInstanceUID = stat.SOPInstanceUID
    stat.RequestedProcedurePriority = "STAT"
    stat.save_as(tmp_path / "stat.dcm")
    receive_slice(node, as_received(slice_files[0], urgent=True))
    receive_slice(node, as_received(tmp_path / "stat.dcm"))
    assert [row["urgent_because"] for row in rows(node.worklist, schema.studies)] == ["peer", "request"]
    said = [row["detail"] for row in rows(node.worklist, schema.journal, event="study.urgent")]
    assert said == [{"because": "peer", "said": "CT"}, {"because": "request", "said": "STAT"}]


def test_sent_twice_is_there_once(node, slice_files):
    assert [receive_slice(node, as_received(slice_files[0])) for _ in range(3)] == [0, 0, 0]
    assert len(rows(node.worklist, schema.instances)) == len(list(node.spool.slices())) == 1


def test_sent_again_on_another_day_it_is_there_once(node, slice_files, monkeypatch):
    receive_slice(node, as_received(slice_files[0]))
    before = list(node.spool.slices())
    tomorrow = shelves.time.time() + 86400
    monkeypatch.setattr(shelves.time, "time", lambda: tomorrow)
    assert receive_slice(node, as_received(slice_files[0])) == 0
    assert list(node.spool.slices()) == before
    assert [row["file"] for row in rows(node.worklist, schema.instances)] == [before[0][0]]


def test_a_second_copy_that_got_a_row_meanwhile_stays(node, slice_files, monkeypatch):
    """Retention takes the first copy in this moment, and another association brings the slice once more."""
    receive_slice(node, as_received(slice_files[0]))
    tomorrow = shelves.time.time() + 86400
    monkeypatch.setattr(shelves.time, "time", lambda: tomorrow)
    drop = receive._drop

    def dropped(_, file):
        with node.worklist.write() as tx:
            tx.execute(schema.instances.delete())
        assert receive_slice(node, as_received(slice_files[0])) == 0
        drop(node, file)

    monkeypatch.setattr(receive, "_drop", dropped)
    assert receive_slice(node, as_received(slice_files[0])) == 0
    (row,) = rows(node.worklist, schema.instances)
    assert node.spool.holds(row["file"])


def test_sent_again_by_another_sender_the_file_stays_as_its_row_says(node, slice_files, tmp_path):
    """Scanner and PACS both forward: the titles of senders stand in the file, and have not the same length."""
    assert receive_slice(node, as_received(slice_files[0])) == 0
    (instance,) = rows(node.worklist, schema.instances)
    before = node.spool.path(instance["file"]).read_bytes()
    other = Peer("A_LONGER_TITLE", "127.0.0.1", "ICHAI")
    assert receive_slice(node, as_received(slice_files[0], peer=other)) == 0
    assert node.spool.path(instance["file"]).read_bytes() == before
    assert rows(node.worklist, schema.instances) == [instance]
    assert backup(node, tmp_path / "copy", None, lambda *_: None).files == 1


def test_a_row_says_how_long_the_file_is_that_another_sender_has_put_there(node, slice_files):
    file = put(node, slice_files[0])
    assert receive_slice(node, as_received(slice_files[0], peer=Peer("A_LONGER_TITLE", "127.0.0.1", "ICHAI"))) == 0
    (instance,) = rows(node.worklist, schema.instances)
    assert (instance["file"], instance["size"]) == (file, node.spool.path(file).stat().st_size)


def test_the_same_image_in_another_transfer_syntax_is_there_once(node, slice_files, tmp_path):
    receive_slice(node, as_received(slice_files[0]))
    copy = dcmread(slice_files[0])
    copy.compress(RLELossless, generate_instance_uid=False)
    copy.save_as(tmp_path / "rle.dcm")
    assert receive_slice(node, as_received(tmp_path / "rle.dcm", transfer_syntax_uid=str(RLELossless))) == 0
    (series,) = rows(node.worklist, schema.series)
    assert (series["received"], series["conflicts"]) == (1, 0)
    assert len(list(node.spool.slices())) == 1


def test_other_content_under_the_same_uid_is_kept_flagged_and_acknowledged(node, slice_files):
    receive_slice(node, as_received(slice_files[0]))
    data, _ = encoded(slice_files[0])
    assert receive_slice(node, as_received(slice_files[0], encoded=altered(data))) == 0
    assert [i["conflict"] for i in rows(node.worklist, schema.instances)] == [False, True]
    assert len(list(node.spool.slices())) == 2
    assert events(node.worklist)[-1] == "slice.conflict"


@pytest.mark.parametrize(
    ("other", "code"),
    [
        ({"sop_class_uid": "1.2.840.10008.5.1.4.1.1.4"}, "SOP_CLASS_MISMATCH"),
        ({"sop_instance_uid": "1.2.3"}, "SOP_INSTANCE_MISMATCH"),
        ({"encoded": b"garbage"}, None),
        ({"encoded": b""}, None),
    ],
)
def test_what_is_not_what_it_says_leaves_nothing_behind(node, slice_files, other, code):
    with pytest.raises(BadObject) as caught:
        receive_slice(node, as_received(slice_files[0], **other))
    assert code in (None, caught.value.code)
    assert rows(node.worklist, schema.instances) == []
    assert list(node.spool.slices()) == []


def test_below_the_watermark_nothing_is_taken(make_node, slice_files):
    node = make_node(receive={"low_disk_bytes": 1 << 62})
    with pytest.raises(DiskFull, match=r"receive\.low_disk_bytes"):
        receive_slice(node, as_received(slice_files[0]))
    assert list(node.spool.slices()) == []


def test_without_its_row_a_slice_is_not_acknowledged_and_the_next_attempt_is(node, slice_files, monkeypatch):
    def locked(*_, **__):
        raise TransientError("The worklist cannot be written now.", "WORKLIST")

    with monkeypatch.context() as patch:
        patch.setattr("ichnode.steps.custody.record_receipts", locked)
        with pytest.raises(TransientError):
            receive_slice(node, as_received(slice_files[0]))
    assert rows(node.worklist, schema.instances) == []
    assert receive_slice(node, as_received(slice_files[0])) == 0
    assert len(rows(node.worklist, schema.instances)) == 1


def test_what_was_received_is_what_recovery_knows(node, slice_files):
    for file in slice_files[:4]:
        receive_slice(node, as_received(file))
    names = [name for name, _ in node.spool.slices()]
    with node.worklist.read() as tx:
        assert receipts.known_files(tx, names) == set(names)
