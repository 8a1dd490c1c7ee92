"""Real head CTs through the real program: every series ends in one report or reason, all in the PACS, all valid."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydicom import dcmread

from tests.interop import tid1500, validators
from tests.running import current_results

pytestmark = [pytest.mark.interop, pytest.mark.data]

SOME = (49, 71, 85, 95)
"""Patients of CT-ICH for every run; ICHNODE_TEST_WHOLE=1 takes all 53 (12 minutes on two cores)."""


@pytest.mark.timeout(1800)
def test_everything_ends_in_one_report_or_reason(node_for, start_orthanc, dcmtk, test_data, ct_ich_dicom, tmp_path):
    orthanc = start_orthanc()
    whole = os.environ.get("ICHNODE_TEST_WHOLE") == "1"
    patients = sorted(int(p.name) for p in ct_ich_dicom().iterdir()) if whole else list(SOME)
    node = node_for(
        orthanc, engine={"runtime": "auto"}, completeness={"settle_s": 0.5, "quiet_s": 3.0, "max_wait_s": 10.0}
    )  # the shipped model
    made = ct_ich_dicom(*patients)
    for folder in [*sorted(made.iterdir()), test_data / "ge_head_ct"]:
        _storescu(dcmtk, node, _files(folder))
    # Its exam summary is Secondary Capture: refused at negotiation, as every object that is no CT.
    refused = _storescu(dcmtk, node, _files(test_data / "philips_mixed_study"), "--no-halt", check=False)
    assert "No presentation context for: (SC)" in refused.stderr
    assert "CT" not in refused.stderr
    node.wait_settled(1500)
    series = node.series()
    assert len(series) == len(patients) + 1 + _count_series(test_data / "philips_mixed_study")
    for one in series:
        assert len(current_results(one)) == 1
    reports = orthanc.files(tmp_path / "reports", Modality="SR")
    current = {r["sop_instance_uid"] for s in series for x in current_results(s) for r in x["reports"]}
    assert {str(dcmread(r).SOPInstanceUID) for r in reports} >= current
    _check_verdicts(series, len(patients))
    for report in reports:
        assert validators.dciodvfy(report) == []
        assert validators.dsrdump(report) == []
        assert tid1500.complaints(dcmread(report)) == []
    complaints = validators.pixelmed(reports if whole else reports[:8])
    assert {p: c for p, c in complaints.items() if c} == {}


def _check_verdicts(series, patients):
    read = [s for s in series if current_results(s)[0]["verdict"] != "not_analysed"]
    assert len(read) == patients + 1, "every CT-ICH patient and the tilted GE series were read"
    (tilted,) = [s for s in read if "GANTRY_TILT" in _warnings(s)]
    assert "NON_UNIFORM_SPACING" in _warnings(tilted)
    for rejected in series:
        outcome = current_results(rejected)[0]["outcome"]
        if outcome["verdict"] == "not_analysed":
            assert outcome["reason"]["code"]


def _warnings(series):
    return {w["code"] for w in current_results(series)[0]["outcome"]["warnings"]}


def _files(folder: Path) -> list[Path]:
    """DICOM images below a folder: no licence texts, no directory files."""
    from ichnode.dicom.header import parse_file
    from ichnode.errors import BadObject

    found = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        try:
            parse_file(path)
        except BadObject:
            continue
        found.append(path)
    return found


def _count_series(folder: Path) -> int:
    from ichnode.dicom.header import parse_file
    from ichnode.dicom.syntaxes import STORAGE_CLASSES

    headers = [parse_file(f) for f in _files(folder)]
    return len({h.study.series_instance_uid for h in headers if h.sop_class_uid in STORAGE_CLASSES})


def _storescu(dcmtk, node, files, *options, **how):
    return dcmtk("storescu", *options, "-aec", "ICHAI", "-aet", "SCANNER", "127.0.0.1", node.port, *files, **how)
