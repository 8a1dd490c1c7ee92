"""``ichnode doctor tls``, and what is said of certificates that end: sentences that say what to do."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import tomli_w
from structlog.testing import capture_logs

from ichnode.config import Settings
from ichnode.steps.certificates import watch_certificates, worries
from ichnode.steps.node import open_node, utc_now
from tests.certificates import Authority
from tests.dicom.wire import Receiver
from tests.made import events


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def tls_of(authority: Authority, name: str, **issue) -> dict:
    shown = authority.issue(name, **issue)
    return {"certificate": str(shown.certificate), "key": str(shown.key), "ca_file": str(authority.certificate)}


@pytest.fixture
def doctor(ichnode, tmp_path):
    def said(**sections) -> tuple[int, dict[str, dict[str, str]]]:
        file = tmp_path / "c.toml"
        file.write_text(tomli_w.dumps(sections))
        answer = ichnode("doctor", "tls", "--config", file, "--data", tmp_path / "data", "--json")
        return answer.code, {check["name"]: check for check in json.loads(answer.out[answer.out.index("[\n") :])}

    return said


def test_without_tls_it_says_so_and_how_to_switch_it_on(doctor):
    code, checks = doctor(peers=[{"aet": "CT1"}])
    assert code == 1
    assert "unencrypted" in checks["offer"]["found"]
    assert "[tls]" in checks["offer"]["remedy"]
    assert doctor()[0] == 0


def test_all_is_well(doctor, authority):
    tls = tls_of(authority, "node", days=400)
    Path(tls["key"]).chmod(0o600)
    with Receiver() as pacs:
        to = {"name": "pacs", "aet": "ICHAI", "host": "127.0.0.1", "port": pacs.port}
        code, checks = doctor(tls=tls | {"port": 0, "warn_days": 1}, destinations=[to])
    assert code == 0, [check for check in checks.values() if check["remedy"]]
    assert checks["handshake"]["found"].startswith("with itself: TLSv1.3")
    assert "ECDHE-ECDSA-AES256-GCM-SHA384" in checks["offer TLSv1.2"]["found"]
    assert checks["chain"]["found"] == "node ← CN=authority of a test"
    assert checks["expiry"]["found"].endswith(("in 400 days", "in 399 days"))
    assert "authority of a test" in checks["senders"]["found"]
    assert checks["destination pacs"]["found"] == "is called without TLS"


def test_a_key_that_others_may_read(doctor, authority):
    tls = tls_of(authority, "open", days=400)
    Path(tls["key"]).chmod(0o644)
    code, checks = doctor(tls=tls)
    assert code == 1
    assert checks["key"]["remedy"] == f"chmod 600 {tls['key']}, or 640 with the node's group."


def test_an_authority_that_does_not_vouch_for_the_node(doctor, authority, tmp_path):
    tls = tls_of(authority, "node2", days=400) | {"ca_file": str(Authority(tmp_path / "other").certificate)}
    _, checks = doctor(tls=tls)
    assert "does not vouch" in checks["handshake"]["found"]


def test_files_that_do_not_belong_together(doctor, authority):
    tls = tls_of(authority, "one", days=400) | {"key": tls_of(authority, "two", days=400)["key"]}
    code, checks = doctor(tls=tls)
    assert code == 1
    assert "KEY_VALUES_MISMATCH" in checks["handshake"]["remedy"]


def test_a_destination_over_tls_that_has_none(doctor, authority):
    with Receiver() as pacs:
        to = {"name": "pacs", "aet": "ICHAI", "host": "127.0.0.1", "port": pacs.port, "tls": True}
        code, checks = doctor(tls=tls_of(authority, "node3", days=400), destinations=[to])
    assert code == 1
    assert checks["destination pacs"]["found"] == "no association over TLS"
    assert "DICOM without TLS" in checks["destination pacs"]["remedy"]


class TestExpiry:
    @pytest.mark.parametrize(
        ("days", "code", "said"),
        [(-1, "EXPIRED", "expired 1 days ago"), (20, "EXPIRES", "expires in 20 days"), (100, None, "")],
    )
    def test_is_told_in_time(self, authority, days, code, said):
        tls = tls_of(authority, f"n{days}", days=days)
        settings = Settings(tls=tls | {"ca_file": "", "require_certificate": False})
        found = list(worries(settings, utc_now()))
        assert [worry.code for worry in found] == ([code] if code else [])
        assert all(said in worry.sentence and "tls.certificate" in worry.sentence for worry in found)

    def test_a_file_that_is_gone(self, authority):
        tls = tls_of(authority, "gone", days=100)
        settings = Settings(tls=tls | {"certificate": "/nowhere.pem"})
        assert next(worries(settings, utc_now())).code == "CERTIFICATE"

    def test_of_the_audit_repository_too(self, authority):
        soon = tls_of(authority, "auditor", days=20)
        audit = {"host": "audit.example", "client_certificate": soon["certificate"], "client_key": soon["key"]}
        (worry,) = worries(Settings(audit=audit), utc_now())
        assert worry.code == "EXPIRES" and "audit.client_certificate" in worry.sentence

    def test_once_a_day_in_log_and_journal(self, authority, tmp_path):
        begin = utc_now()
        tls = tls_of(authority, "soon", days=20) | {"ca_file": "", "require_certificate": False}
        node = open_node(Settings(tls=tls, node={"data": str(tmp_path / "data")}))
        with capture_logs() as logs:
            for hours in (0, 1, 23, 25, 26, 50):
                watch_certificates(replace(node, now=lambda hours=hours: begin + timedelta(hours=hours)))
        lines = [e for e in logs if e["event"] == "certificate.worry"]
        assert [(e["code"], e["setting"], e["log_level"]) for e in lines] == [
            ("EXPIRES", "tls.certificate", "warning")
        ] * 3
        assert events(node.worklist).count("certificate.worry") == 3
        node.worklist.dispose()
