"""The real node gives its results to Orthanc over HTTPS, with a password from a file and a certificate of its own."""

from __future__ import annotations

import pydicom
import pytest

from ichnode.reporting.formats import FORMATS
from tests.certificates import Authority
from tests.peers import run_dcmtk
from tests.web_service import gateway

pytestmark = pytest.mark.interop

SECRET = "SECRET-f00d"


def test_every_object_arrives_in_orthanc_by_stow(node_for, start_orthanc, component, head_ct, tmp_path):
    authority = Authority(tmp_path / "authority", component("openssl", "openssl"))
    own = authority.issue("ichnode")
    password = tmp_path / "password"
    password.write_text(f"{SECRET}\n")
    orthanc = start_orthanc(plugins=True, AuthenticationEnabled=True, RegisteredUsers={"ichnode": SECRET})
    with gateway(orthanc.http_port, authority.issue("pacs"), trusted=str(authority.certificate)) as port:
        section = {
            "name": "pacs", "url": f"https://127.0.0.1:{port}/dicom-web", "formats": list(FORMATS),
            "user": "ichnode", "password_file": str(password), "ca_file": str(authority.certificate),
            "client_certificate": str(own.certificate), "client_key": str(own.key),
        }  # fmt: skip
        node = node_for(None, destinations=[section])
        run_dcmtk(component("storescu", "dcmtk"), "+sd", "-aec", node.aet, "127.0.0.1", node.port, head_ct)
        node.wait_settled()
        (series,) = node.series()
        assert {d["state"] for x in series["results"] for r in x["reports"] for d in r["deliveries"]} == {"delivered"}
        assert node.stop() == 0
    reports = [
        pydicom.dcmread(path)
        for modality in ("SR", "OT", "KO", "PR")
        for path in orthanc.files(tmp_path / "back", Modality=modality)
    ]
    made = {r["sop_instance_uid"] for x in series["results"] for r in x["reports"]}
    assert {str(report.SOPInstanceUID) for report in reports} == made
    assert len(made) == len(FORMATS)
    assert SECRET not in node.log
