"""The recipe of docs/peers.md: a study that is sent to Orthanc reaches ichnode by rule, and its report comes back."""

from __future__ import annotations

import json

import pytest

from ichnode.config import load
from tests.deploy.test_image import DEPLOY
from tests.peers import free_port, run_dcmtk, wait_until
from tests.running import RunningNode, running

pytestmark = pytest.mark.interop


def test_a_study_sent_to_orthanc_gets_its_report_there(start_orthanc, tmp_path, tiny_bundle, head_ct, component):
    recipe = json.loads((DEPLOY / "orthanc" / "orthanc.json").read_text())
    settings = load(DEPLOY / "container" / "compose.toml")
    node_port = free_port()
    orthanc = start_orthanc(
        aet=recipe["DicomAet"], modalities={"ichnode": (recipe["DicomModalities"]["ichnode"][0], node_port)},
        LuaScripts=[str(DEPLOY / "orthanc" / "ichnode.lua")], StableAge=1,
    )  # fmt: skip
    neighbour = {"aet": orthanc.aet, "host": "127.0.0.1", "port": orthanc.port}
    node = RunningNode(
        tmp_path / "node", engine={"bundle": str(tiny_bundle.folder)}, node={"aet": settings.node.aet},
        completeness={"settle_s": 0.3, "quiet_s": 2.0}, source=neighbour,
        peers=[{"aet": peer.aet, "networks": list(peer.networks)} for peer in settings.peers],
        destinations=[{"name": "orthanc", **neighbour, "formats": ["sr", "sc", "kos"]}],
    )  # fmt: skip
    node.port = node_port
    with running(node):
        run_dcmtk(component("storescu", "dcmtk"), "+sd", "-aec", orthanc.aet, "127.0.0.1", orthanc.port, head_ct)
        wait_until(lambda: orthanc.find(Modality="SR"), 60, "the report is in Orthanc")
        node.wait_settled()
        (study,) = orthanc.find("Study")
        assert node.study(study["MainDicomTags"]["StudyInstanceUID"]) is not None
        modalities = {series["MainDicomTags"]["Modality"] for series in orthanc.find()}
        assert modalities >= {"CT", "SR"}
        # Once more all is stable in Orthanc, the results too, and none of them is sent on.
        wait_until(lambda: all(series["IsStable"] for series in orthanc.find()), 60)
        wait_until(lambda: all(job["State"] in ("Success", "Failure") for job in orthanc.get("/jobs?expand")), 60)
        sent = [job for job in orthanc.get("/jobs?expand") if job["Type"] == "DicomModalityStore"]
        assert [(job["State"], job["Content"]["InstancesCount"]) for job in sent] == [("Success", 32)]
        assert len(node.series()) == 1
        assert "slice.refused" not in node.log
        assert "association.rejected" not in node.log
