"""Metrics count what the rows say, name nobody, and are what the alarms and the dashboard ask for."""

from __future__ import annotations

import json
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from ichnode.core.lifecycle import DeliveryState
from ichnode.steps.certificates import worries
from ichnode.web.measurements import Measurements
from ichnode.worklist import boots, readings, schema
from ichnode.worklist.standing_table import standings
from ichnode.worklist.tally import Tally
from tests.certificates import Authority
from tests.made import analysed_series, closed_series, head_slices, rows, study_facts, take
from tests.web import ward

DEPLOY = Path(__file__).parents[2] / "deploy"
ALERTS = DEPLOY / "prometheus" / "alerts.yml"


def scraped(answer) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    assert answer.status_code == 200, answer.text
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def value(found, name: str, **labels: str) -> float | None:
    return found.get((name, frozenset(labels.items())))


@pytest.fixture
def options():
    return {
        "destinations": [{"name": "pacs", "aet": "PACS", "host": "127.0.0.1", "port": 1}],
        "channels": [{"name": "oncall", "kind": "webhook", "url": "http://127.0.0.1:1/", "secret_file": "/none"}],
    }


def test_what_happens_after_the_start_is_counted_and_what_was_before_is_not(morning, program):
    client = program("node.read")
    before = scraped(client.get("/metrics"))
    assert value(before, "ichnode_slices_received_total") == 0, "counters begin with the node"
    clock = morning.now
    analysed_series(morning.worklist, clock, study_facts("new"), score=0.9)
    after = scraped(client.get("/metrics"))
    assert value(after, "ichnode_slices_received_total") == 3
    assert value(after, "ichnode_studies_total") == value(after, "ichnode_series_total") == 1
    assert value(after, "ichnode_results_total", verdict="positive", reason="") == 1
    assert value(after, "ichnode_result_after_last_slice_seconds_count") == 1
    assert value(after, "ichnode_result_after_first_slice_seconds_bucket", le="5.0") == 1
    again = scraped(client.get("/metrics"))
    free = ("ichnode_disk_free_bytes", frozenset())  # others write on the disk, too
    assert {**again, free: 0} == {**after, free: 0}, "a second look counts nothing twice"


def test_gauges_are_the_rows(morning, program):
    found = scraped(program("node.read").get("/metrics"))
    by_state: dict[tuple[str, str], int] = {}
    for row in rows(morning.worklist, schema.deliveries):
        key = row["destination"], row["state"]
        by_state[key] = by_state.get(key, 0) + 1
    assert by_state
    for (destination, state), number in by_state.items():
        assert value(found, "ichnode_deliveries_in_state", destination=destination, state=state) == number
    for state in {row["state"] for row in rows(morning.worklist, schema.series)}:
        number = len(rows(morning.worklist, schema.series, state=state))
        assert value(found, "ichnode_series_in_state", state=state) == number
    assert value(found, "ichnode_destination_up", destination="oncall") == 1
    assert value(found, "ichnode_disk_low_bytes") == 0
    assert value(found, "ichnode_studies_overdue") == value(found, "ichnode_senders_silent") == 0
    assert value(found, "ichnode_retrievals_in_state", state="failed") == 0


def test_time_makes_what_waits_older(morning, program):
    client = program("node.read")
    closed_series(morning.worklist, morning.now, study_facts("waits"))
    morning.now.forward(10_000)
    waits = value(scraped(client.get("/metrics")), "ichnode_oldest_waiting_seconds", stage="analyse")
    assert waits is not None
    assert waits >= 10_000


def test_a_tally_goes_on_where_retention_took_the_newest_rows(node):
    take(node.worklist, head_slices(5), node.now())
    with node.worklist.read() as tx:
        tally = Tally(tx)
    with node.worklist.write() as tx:
        tx.execute(schema.instances.delete())
    with node.worklist.read() as tx:
        tally.catch_up(tx)
    take(node.worklist, head_slices(3, seed="b"), node.now(), study_facts("b"))
    with node.worklist.read() as tx:
        tally.catch_up(tx)
    assert tally.slices == 3


def test_no_patient_is_in_the_metrics(morning, program):
    text = program("node.read").get("/metrics").text
    for name, number, birth, _ in ward.PEOPLE.values():
        for secret in (name, number, birth, *name.split("^")):
            assert secret not in text
    for study in rows(morning.worklist, schema.studies):
        assert study["study_instance_uid"] not in text
        assert study["accession_number"] not in text


def test_metrics_are_for_those_who_may(morning, stranger, program):
    assert stranger().get("/metrics", headers={"Accept": "application/json"}).status_code == 401
    assert program("worklist.read").get("/metrics").status_code == 403


class TestByNetwork:
    @pytest.fixture
    def options(self):
        return {"web": {"metrics_networks": ["127.0.0.0/8", "::1"]}}

    def test_an_address_that_is_named_needs_no_token_and_a_proxy_is_none(self, node, stranger):
        visit = stranger()
        assert visit.get("/metrics").status_code == 200
        for header in ("X-Forwarded-For", "Forwarded", "Via"):
            answer = visit.get("/metrics", headers={header: "x", "Accept": "application/json"})
            assert answer.status_code == 401, "the proxy's address says nothing of who asks"


def begin(node, state):
    with node.worklist.write() as tx:
        tx.execute(schema.boots.insert().values(id="boot", started_at=node.now(), version="1"))
        boots.worker_is(tx, node.now(), "boot", state, "cpu")


def test_ready_once_the_worker_is_and_no_more_when_it_stops(node, served, stranger):
    visit = stranger()
    assert visit.get("/healthz").text == "ok\n"
    answer = visit.get("/readyz")
    assert (answer.status_code, answer.text) == (
        503, "The worker is not ready (not started): slices are received and wait. The log says why.\n",
    )  # fmt: skip
    begin(node, "ready")
    assert (visit.get("/readyz").status_code, visit.get("/readyz").text) == (200, "ok\n")
    served.drain()
    assert visit.get("/readyz").text == "The node is stopping.\n"
    assert visit.get("/healthz").status_code == 200


def test_not_ready_on_a_full_disk_and_with_a_locked_worklist(node, stranger, monkeypatch):
    begin(node, "ready")
    visit = stranger()
    with monkeypatch.context() as patch:
        patch.setattr(type(node.spool), "free_bytes", lambda _: -1)
        assert "Free space" in visit.get("/readyz").text


NAME = re.compile(r"\bichnode_[a-z_]+\b")


def exposed(node) -> set[str]:
    """Every name that a scrape can have, its suffixes included."""
    with node.worklist.read() as tx:
        families = list(Measurements(node, Tally(tx)).collect())
    suffixes = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
    return {family.name + suffix for family in families for suffix in suffixes[family.type]}


def test_every_metric_of_the_alarms_and_the_dashboard_exists(node):
    known = exposed(node)
    rules = yaml.safe_load(ALERTS.read_text())["groups"][0]["rules"]
    dashboard = json.loads((DEPLOY / "grafana" / "ichnode.json").read_text())
    asked = [rule["expr"] for rule in rules]
    asked += [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    named = {name for expression in asked for name in NAME.findall(expression)}
    assert len(named) > 20
    assert named - known == set()
    tried = NAME.findall((DEPLOY / "prometheus" / "try_alerts.yml").read_text())
    assert set(tried) - known - {"ichnode_"} == set()


def test_every_alarm_says_what_to_do():
    rules = yaml.safe_load(ALERTS.read_text())["groups"][0]["rules"]
    text = "\n".join(path.read_text() for path in DEPLOY.glob("*.md"))
    for rule in rules:
        (paragraph,) = re.findall(rf"^#+ {rule['alert']}\n(.+?)(?=^#|\Z)", text, re.MULTILINE | re.DOTALL)
        assert f"*{rule['labels']['severity']}.*" in paragraph
        assert len(paragraph) > 150, rule["alert"]
    assert len(rules) >= 10


def test_every_alarm_was_tried_silent_and_ringing():
    rules = yaml.safe_load(ALERTS.read_text())["groups"][0]["rules"]
    cases = yaml.safe_load((DEPLOY / "prometheus" / "try_alerts.yml").read_text())["tests"]
    tried = {(one["alertname"], bool(one["exp_alerts"])) for case in cases for one in case["alert_rule_test"]}
    assert tried == {(rule["alert"], rings) for rule in rules for rings in (True, False)}


def test_what_an_alarm_says_of_labels_and_states_is_what_the_metrics_have(morning, program):
    """A rule whose label is misspelt asks for what is never there, and never rings."""
    found = scraped(program("node.read").get("/metrics"))
    has: dict[tuple[str, str], set[str]] = {}
    for (name, labels), _ in found.items():
        for label, word in labels:
            has.setdefault((name, label), set()).add(word)
    asked = set(re.findall(r'\b(ichnode_\w+)\{(\w+)="(\w+)"', ALERTS.read_text()))
    assert len(asked) >= 4
    words = {
        ("ichnode_deliveries_in_state", "state"): set(DeliveryState),
        ("ichnode_jobs_failed_total", "kind"): {"analyse"},  # none has failed that morning
    }
    for name, label, word in asked:
        assert word in words.get((name, label), has.get((name, label))), (name, label, word)


class TestCertificates:
    @pytest.fixture
    def options(self, tmp_path):
        authority = Authority(tmp_path / "authority")
        shown, other = authority.issue("node", days=50), authority.issue("other")
        tls = {"ca_file": str(authority.certificate), "certificate": str(shown.certificate), "key": str(shown.key)}
        calls = {"aet": "PACS", "host": "127.0.0.1", "port": 1, "tls": True}
        return {
            "tls": tls | {"warn_days": 20},
            "destinations": [
                {"name": "mixed", **calls, "client_certificate": tls["certificate"], "client_key": str(other.key)},
                {"name": "gone", **calls, "ca_file": "/nowhere.pem"},
            ],
        }

    def test_each_file_says_when_it_ends_and_whether_it_is_of_use(self, node, program):
        found = scraped(program("node.read").get("/metrics"))
        left = {
            setting: (at - node.now().timestamp()) / 86400
            for setting in ("tls.certificate", "tls.ca_file", "mixed.client_certificate", "gone.ca_file")
            if (at := value(found, "ichnode_certificate_expires_seconds", setting=setting)) is not None
        }
        assert set(left) == {"tls.certificate", "tls.ca_file"}
        real = node.now().timestamp() - datetime.now(UTC).timestamp()  # the node's clock may stand elsewhere
        assert left["tls.certificate"] + real / 86400 == pytest.approx(50, abs=1)
        assert left["tls.ca_file"] + real / 86400 == pytest.approx(2, abs=1)
        for setting, usable in (
            ("tls.certificate", 1), ("tls.ca_file", 1), ("mixed.client_certificate", 0), ("gone.ca_file", 0),
        ):  # fmt: skip
            assert value(found, "ichnode_certificate_usable", setting=setting) == usable, setting
        assert value(found, "ichnode_certificate_warn_seconds") == 20 * 86400
        assert [one.code for one in worries(node.settings, datetime.now(UTC))] == [
            "EXPIRES", "NOT_A_PAIR", "CERTIFICATE",
        ]  # fmt: skip


def test_prometheus_takes_the_rules_and_they_ring_when_they_should(component):
    promtool = component("promtool", "prometheus")
    folder = DEPLOY / "prometheus"
    for command in (["check", "rules", "alerts.yml"], ["test", "rules", "try_alerts.yml"]):
        done = subprocess.run([promtool, *command], cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_scrape_is_lint_free(morning, program, component):
    text = program("node.read").get("/metrics").text
    done = subprocess.run([component("promtool", "prometheus"), "check", "metrics"], input=text, capture_output=True,
                          text=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_signing_off_shows(morning, program):
    client = program("node.read")
    unread = {row["id"] for row in rows(morning.worklist, schema.studies) if row["read_at"] is None}
    positive = next(s for s in rows(morning.worklist, standings, status="positive") if s["study_id"] in unread)
    before = value(scraped(client.get("/metrics")), "ichnode_studies_unread", status="positive")
    with morning.worklist.write() as tx:
        latest = readings.latest_result(tx, positive["study_id"])
        readings.sign_off(tx, morning.now(), "ada", positive["study_id"], latest)
    after = value(scraped(client.get("/metrics")), "ichnode_studies_unread", status="positive") or 0
    assert before is not None
    assert before - after == 1
