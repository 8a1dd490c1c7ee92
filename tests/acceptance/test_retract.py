"""Every object of an answer goes to Orthanc, stays valid there, and is taken back with one command."""

from __future__ import annotations

import subprocess
import sys

import pydicom
import pytest

from ichnode.reporting.formats import FORMATS
from tests.interop.validators import dciodvfy, dsrdump
from tests.peers import run_dcmtk, wait_until

pytestmark = pytest.mark.interop


def test_all_that_orthanc_got_is_named_by_the_note_that_takes_it_back(node_for, orthanc, component, head_ct, tmp_path):
    pacs = {"name": "pacs", "aet": orthanc.aet, "host": "127.0.0.1", "port": orthanc.port, "formats": list(FORMATS)}
    node = node_for(None, destinations=[pacs])
    run_dcmtk(component("storescu", "dcmtk"), "+sd", "-aec", node.aet, "127.0.0.1", node.port, head_ct)
    node.wait_settled()
    (series,) = node.series()
    sent = {report["sop_instance_uid"]: report["kind"] for report in series["results"][0]["reports"]}
    assert set(sent.values()) == set(FORMATS)
    command = [sys.executable, "-m", "ichnode", "retract", "--config", str(node.config), "--yes", "--because"]
    subprocess.run([*command, "wrong-patient", series["series_instance_uid"]], check=True, capture_output=True)
    wait_until(lambda: len(orthanc.get("/instances")) == len(sent) + 1, 60, "Orthanc has the note")
    assert node.stop() == 0
    kept = [
        path for modality in ("SR", "OT", "PR", "KO") for path in orthanc.files(tmp_path / "back", Modality=modality)
    ]
    objects = {str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID): path for path in kept}
    (uid,) = set(objects) - set(sent)
    note = pydicom.dcmread(objects[uid])
    assert note.ConceptNameCodeSequence[0].CodeValue == "113038"
    (of_study,) = note.CurrentRequestedProcedureEvidenceSequence
    rejected = [
        item.ReferencedSOPInstanceUID for of in of_study.ReferencedSeriesSequence for item in of.ReferencedSOPSequence
    ]
    assert sorted(rejected) == sorted(sent)
    for uid, path in objects.items():
        assert dciodvfy(path) == [], sent.get(uid, "note")
        if sent.get(uid) in ("sr", "text-sr", "kos", None):
            assert dsrdump(path) == []
