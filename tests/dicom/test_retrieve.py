"""Asking real archives what they have, and fetching it: DCMTK's dcmqrscp and Orthanc, DIMSE and DICOMweb."""

from __future__ import annotations

from contextlib import contextmanager

import pydicom
import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, evt

from ichnode.core.wanted import ListedStudy
from ichnode.dicom import wado as wado_module
from ichnode.dicom.archive import StudyQuery, list_series, retrieve, series_count
from ichnode.dicom.find import STUDY_ROOT_FIND
from ichnode.dicom.requestor import Remote, associated
from ichnode.dicom.retrieve import STUDY_ROOT_GET, STUDY_ROOT_MOVE
from ichnode.errors import PeerRefused, PeerUnreachable
from ichnode.https import WebRemote
from tests.association import PATIENCE_S, serving
from tests.conftest import find_component
from tests.heads import series_uid, study_uid, write_head
from tests.peers import Dcmqrscp, Orthanc, free_port, run_dcmtk

pytestmark = pytest.mark.interop
DAY = {"StudyDate": "20260105", "StudyTime": "120000"}
MOST = 1 << 30


@pytest.fixture(scope="module")
def heads(tmp_path_factory):
    folder = tmp_path_factory.mktemp("heads")
    write_head(folder, "one", **DAY)
    write_head(folder, "one", "scout", 2, SeriesDescription="Topogram", **DAY)
    write_head(folder, "two", slices=3, StudyDate="20260104")
    return folder


@pytest.fixture(scope="module")
def dcmqrscp(heads, tmp_path_factory):
    program = find_component("dcmqrscp", "dcmtk")
    with Dcmqrscp(tmp_path_factory.mktemp("dcmqrscp"), program, known={"ICHAI": free_port()}) as peer:
        run_dcmtk(find_component("storescu", "dcmtk"), "+sd", "+r", "-aec", peer.aet, "127.0.0.1", peer.port, heads)
        yield peer


@pytest.fixture(scope="module")
def orthanc(heads, tmp_path_factory):
    program = find_component("Orthanc", "orthanc")
    with Orthanc(tmp_path_factory.mktemp("orthanc"), program, plugins=True) as peer:
        run_dcmtk(find_component("storescu", "dcmtk"), "+sd", "+r", "-aec", peer.aet, "127.0.0.1", peer.port, heads)
        yield peer


@pytest.fixture(params=["dcmqrscp", "orthanc", "dicomweb"])
def archive(request):
    """(remote, how it gives, whether it counts and describes series)"""
    if request.param == "dicomweb":
        port = request.getfixturevalue("orthanc").http_port
        return WebRemote("source", f"http://127.0.0.1:{port}/dicom-web"), "wado-rs", True
    peer = request.getfixturevalue(request.param)
    return Remote("source", peer.aet, "127.0.0.1", peer.port, "ICHAI"), "c-get", request.param == "orthanc"


def test_what_an_archive_has(archive):
    remote, _, counts = archive
    seen: list[ListedStudy] = []
    found = list_series(remote, StudyQuery("20260105", "20260106"), lambda study: seen.append(study) is None)
    assert [(s.study_instance_uid, s.study_date, s.study_time[:6]) for s in seen] == [
        (study_uid("one"), "20260105", "120000")
    ]
    images = {one.series_instance_uid: one.images for one in found}
    assert images == {series_uid("one"): 12 if counts else None, series_uid("one", "scout"): 2 if counts else None}
    head = next(one for one in found if one.series_instance_uid == series_uid("one"))
    assert (head.modality, head.study_description) == ("CT", "CT Schädel")
    if counts:
        assert (head.body_part, head.series_description) == ("HEAD", "Schädel nativ 4.8 H31s")
    assert list_series(remote, StudyQuery("20260105", "20260106"), lambda study: False) == []


def test_the_studies_of_a_patient(archive):
    seen: list[ListedStudy] = []
    list_series(archive[0], StudyQuery("", "20260301", "P-two"), lambda study: seen.append(study) is None)
    assert [(s.study_instance_uid, s.patient_id, s.birth_date) for s in seen] == [
        (study_uid("two"), "P-two", "19500101")
    ]


def test_how_many_images_a_series_has(archive):
    remote, _, counts = archive
    assert series_count(remote, study_uid("one"), series_uid("one")) == (12 if counts else None)
    assert series_count(remote, study_uid("one"), "1.2.3") is None


def test_what_is_fetched_is_what_was_stored(archive, heads):
    remote, how, _ = archive
    came = []
    ended = retrieve(remote, how, study_uid("one"), series_uid("one"), lambda i: came.append(i) or 0, MOST)
    assert ended.error is None
    stored = {str(pydicom.dcmread(p).SOPInstanceUID): p for p in (heads / "one" / "head").iterdir()}
    assert {i.sop_instance_uid for i in came} == set(stored)
    for instance in came:
        (ours,) = (pydicom.dcmread(stored[instance.sop_instance_uid]).PixelData,)
        assert ours in instance.encoded
        assert instance.sop_class_uid == "1.2.840.10008.5.1.4.1.1.2"


def test_what_cannot_be_taken_is_said(archive):
    remote, how, _ = archive
    ended = retrieve(remote, how, study_uid("two"), series_uid("two"), lambda i: 0xA700, MOST)
    assert ended.error is not None


def test_a_series_that_it_does_not_have(archive):
    remote, how, _ = archive
    came = []
    retrieve(remote, how, study_uid("one"), "1.2.3.4", lambda i: came.append(i) or 0, MOST)
    assert came == []


def test_an_archive_that_knows_no_such_destination(dcmqrscp):
    stranger = Remote("source", dcmqrscp.aet, "127.0.0.1", dcmqrscp.port, "NOBODY")
    with pytest.raises(PeerRefused, match="register the AE title") as refused:
        retrieve(stranger, "c-move", study_uid("two"), series_uid("two"), lambda i: 0, MOST)
    assert refused.value.code == "MOVE_DESTINATION_UNKNOWN"


def test_an_archive_that_cannot_reach_this_node(dcmqrscp):
    remote = Remote("source", dcmqrscp.aet, "127.0.0.1", dcmqrscp.port, "ICHAI")
    ended = retrieve(remote, "c-move", study_uid("two"), series_uid("two"), lambda i: 0, MOST)
    assert "AE title, address and port" in ended.error


@pytest.mark.parametrize("how", ["c-move", "c-get"])
def test_an_archive_that_gives_nothing_this_way(how):
    ae = AE(ae_title="PACS")
    ae.add_supported_context(STUDY_ROOT_FIND)
    with serving(ae) as port, pytest.raises(PeerRefused, match="enable it there"):
        retrieve(Remote("source", "PACS", "127.0.0.1", port, "ICHAI"), how, "1.2", "1.3", lambda i: 0, MOST)


@pytest.mark.parametrize("how", ["c-move", "c-get"])
def test_an_archive_that_is_not_there(how):
    with pytest.raises(PeerUnreachable):
        retrieve(Remote("source", "PACS", "127.0.0.1", free_port(), "ICHAI"), how, "1.2", "1.3", lambda i: 0, MOST)


@pytest.mark.parametrize("uid", [STUDY_ROOT_MOVE, STUDY_ROOT_GET])
def test_an_archive_that_hangs_up_in_the_middle(uid):
    ae = AE(ae_title="PACS")
    ae.add_supported_context(uid)

    def hang_up(event):
        event.assoc.abort()
        yield "127.0.0.1", 1
        yield 0xFE00, Dataset()

    acts = [(evt.EVT_C_MOVE, hang_up), (evt.EVT_C_GET, hang_up)]
    how = "c-move" if uid == STUDY_ROOT_MOVE else "c-get"
    with serving(ae, acts=acts) as port:
        remote = Remote("source", "PACS", "127.0.0.1", port, "ICHAI", timeout_s=PATIENCE_S)
        ended = retrieve(remote, how, "1.2", "1.3", lambda i: 0, MOST)
    assert "in the middle" in ended.error


@pytest.mark.parametrize("how", ["c-move", "c-get"])
def test_an_archive_that_hangs_up_as_soon_as_it_has_accepted(how, monkeypatch):
    ae = AE(ae_title="PACS")
    ae.add_supported_context(STUDY_ROOT_MOVE)
    ae.add_supported_context(STUDY_ROOT_GET)
    asked = []

    @contextmanager
    def gone(*given):
        with associated(*given) as association:
            association.abort()
            asked.append(association)
            yield association

    monkeypatch.setattr("ichnode.dicom.retrieve.associated", gone)
    with serving(ae) as port, pytest.raises(PeerUnreachable, match="as soon as"):
        retrieve(Remote("source", "PACS", "127.0.0.1", port, "ICHAI"), how, "1.2", "1.3", lambda i: 0, MOST)
    assert asked


def test_an_instance_that_is_too_long_ends_the_retrieval(orthanc):
    web = WebRemote("source", f"http://127.0.0.1:{orthanc.http_port}/dicom-web")
    came = []
    ended = wado_module.wado(web, study_uid("one"), series_uid("one"), lambda i: came.append(i) or 0, 1000)
    assert "more than 1000 bytes" in ended.error
    assert came == []
