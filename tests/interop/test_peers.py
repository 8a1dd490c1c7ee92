"""The neighbours that other tests lean on start, answer, keep what they got, and end."""

from __future__ import annotations

import psutil
import pydicom
import pytest

from tests.peers import answers_echo, free_port

pytestmark = pytest.mark.interop


def test_orthanc_takes_a_series_and_keeps_it_over_a_restart(start_orthanc, dcmtk, head_ct, tmp_path):
    orthanc = start_orthanc(aet="PACS")
    files = sorted(head_ct.iterdir())[:5]
    dcmtk("storescu", "-aec", "PACS", "127.0.0.1", orthanc.port, *files)
    orthanc.stop()
    assert not answers_echo(orthanc.port, "PACS")
    orthanc.start()
    sent = {pydicom.dcmread(f, stop_before_pixels=True).SOPInstanceUID for f in files}
    kept = {pydicom.dcmread(f, stop_before_pixels=True).SOPInstanceUID for f in orthanc.files(tmp_path, Modality="CT")}
    assert kept == sent
    assert [s["MainDicomTags"]["Modality"] for s in orthanc.find("Series")] == ["CT"]
    pid = orthanc.pid
    orthanc.stop()
    assert not psutil.pid_exists(pid)


def test_orthanc_forwards_and_answers_queries(start_orthanc, storescp, dcmtk, head_ct):
    orthanc = start_orthanc(modalities={"next": (storescp.aet, storescp.port)})
    first = sorted(head_ct.iterdir())[0]
    uploaded = orthanc.upload(first)
    orthanc.store("next", [uploaded])
    assert len(list(storescp.received.iterdir())) == 1
    uid = pydicom.dcmread(first, stop_before_pixels=True).StudyInstanceUID
    keys = ("-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={uid}")
    found = dcmtk("findscu", "-S", "-aec", orthanc.aet, *keys, "127.0.0.1", orthanc.port)
    assert uid in found.stdout + found.stderr


def test_a_command_that_fails_says_so(dcmtk):
    with pytest.raises(RuntimeError, match="echoscu ended"):
        dcmtk("echoscu", "127.0.0.1", free_port())


@pytest.mark.data
def test_ct_ich_comes_as_dicom(ct_ich_dicom):
    folder = ct_ich_dicom(49, 51)
    assert sorted(p.name for p in folder.iterdir()) == ["049", "051"]
    ds = pydicom.dcmread(next((folder / "049").glob("*.dcm")), stop_before_pixels=True)
    assert ds.Modality == "CT"
