"""A report sent by storescu is in Orthanc as it was built: same object, same name, still valid."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest

from tests.interop import tid1500
from tests.interop.validators import dciodvfy, dsrdump
from tests.peers import Orthanc
from tests.reporting import corpus

pytestmark = pytest.mark.interop


def test_reports_come_back_as_they_went(orthanc: Orthanc, dcmtk: Callable[..., object], tmp_path: Path) -> None:
    sent = {}
    for revision, character_set in enumerate(corpus.NAMES, 1):
        raw = corpus.report(corpus.named(character_set), "positive", identity=corpus.identity(revision))
        path = tmp_path / f"{character_set}.dcm"
        path.write_bytes(raw)
        sent[pydicom.dcmread(path).SOPInstanceUID] = (path, character_set)
    for _ in range(2):  # the same objects again are still the same objects
        for path, _name in sent.values():
            dcmtk("storescu", "-aec", orthanc.aet, "127.0.0.1", orthanc.port, path)
    back = orthanc.files(tmp_path / "back", Modality="SR")
    assert {pydicom.dcmread(path).SOPInstanceUID for path in back} == set(sent)
    assert len(back) == len(sent)
    for path in back:
        report = pydicom.dcmread(path)
        origin, character_set = sent[report.SOPInstanceUID]
        assert report == pydicom.dcmread(origin)
        assert str(report.PatientName) == corpus.NAMES[character_set][1]
        assert dciodvfy(path) == []
        assert dsrdump(path) == []
        assert tid1500.complaints(report) == []


def test_every_document_comes_back_as_it_went(orthanc: Orthanc, dcmtk: Callable[..., object], tmp_path: Path) -> None:
    sent = {}
    for name in ("sr", "text-sr", "kos", "gsps"):
        path = tmp_path / f"{name}.dcm"
        path.write_bytes(corpus.report(corpus.named("japanese"), "positive", name))
        sent[str(pydicom.dcmread(path).SOPInstanceUID)] = path
        dcmtk("storescu", "-R", "-aec", orthanc.aet, "127.0.0.1", orthanc.port, path)
    back = [
        pydicom.dcmread(path)
        for modality in ("SR", "KO", "PR")
        for path in orthanc.files(tmp_path / f"back_{modality}", Modality=modality)
    ]
    assert {one.SOPInstanceUID for one in back} == set(sent)
    for one in back:
        assert one == pydicom.dcmread(sent[one.SOPInstanceUID])
        assert str(one.PatientName) == corpus.NAMES["japanese"][1]


@pytest.mark.parametrize("character_set", ["utf8", "latin1", "cyrillic", "japanese"])
def test_orthanc_shows_the_patients_name(character_set: str, orthanc: Orthanc, tmp_path: Path) -> None:
    path = tmp_path / "report.dcm"
    path.write_bytes(corpus.report(corpus.named(character_set), "localizer"))
    shown = orthanc.get(f"/instances/{orthanc.upload(path)}/simplified-tags")
    assert shown["PatientName"] == corpus.NAMES[character_set][1]
    assert shown["SeriesDescription"] == "ICH AI result (investigational)"
