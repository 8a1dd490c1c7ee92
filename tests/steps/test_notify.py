"""Notices from result to receiver on a simulated clock: four real receivers, and nothing of the patient on its way."""

from __future__ import annotations

import json
from contextlib import ExitStack
from datetime import timedelta

import pytest
import structlog

from ichnode.errors import TransientError
from ichnode.log import configure
from ichnode.steps import announce, notify, outbox
from ichnode.worklist import deliveries, notices, retractions, schema, told
from tests.made import analysed_series, events, rows, study_facts
from tests.notify.fhir_r4 import FhirServer
from tests.notify.receivers import HttpReceiver, MllpReceiver, SmtpReceiver, ack, control_id, framed

HOUR_S = 3600.0
SECRETS = {
    "patient_id": "PID-GREP-4711", "patient_name": "GREPNAME^ÄNNE=山田^花子", "patient_birth_date": "19611213",
    "patient_sex": "F", "accession_number": "ACC-GREP-99", "study_date": "20260227", "study_time": "031415",
    "study_description": "GREPDESCRIPTION", "referring_physician": "GREPDOCTOR", "station_name": "GREPSTATION",
    "institution": "GREPINSTITUTION",
}  # fmt: skip


@pytest.fixture
def receivers():
    server = FhirServer()
    made = {
        "webhook": HttpReceiver(),
        "mail": SmtpReceiver(),
        "hl7": MllpReceiver(),
        "fhir": HttpReceiver(server.reply),
    }
    made["fhir"].server = server
    return made


@pytest.fixture
def make(make_node, receivers, tmp_path):
    (tmp_path / "secret").write_text("0123456789abcdef0123456789abcdef\n")

    def node(*kinds, **options):
        sections = {
            "webhook": {"url": receivers["webhook"].url, "secret_file": str(tmp_path / "secret")},
            "mail": {"host": "127.0.0.1", "port": receivers["mail"].port, "tls": "none", "sender": "n@a.example",
                     "recipients": ["oncall@a.example"]},
            "hl7": {"host": "127.0.0.1", "port": receivers["hl7"].port},
            "fhir": {"url": f"http://127.0.0.1:{receivers['fhir'].port}/r4"},
        }  # fmt: skip
        channels = [{"name": kind, "kind": kind, **sections[kind], **options} for kind in kinds]
        return make_node(channels=channels, delivery={"timeout_s": 5, "longest_retry_s": 2 * HOUR_S})

    return node


@pytest.fixture
def run(clock):
    """``run(node, seconds)``: let time pass; announce and notify whenever something is due."""

    def until(node, seconds=1.0):
        end = clock() + timedelta(seconds=seconds)
        while True:
            announce.announce_due(node)
            due = [notify.notify_due(node, channel) for channel in node.settings.channels]
            with node.worklist.read() as tx:
                due.append(notices.next_look_at(tx))
            next_at = min((at for at in due if at is not None), default=None)
            if next_at is None or next_at > end:
                clock.at = end
                return
            assert next_at > clock(), "it would look again at once, for ever"
            clock.at = next_at

    return until


@pytest.fixture
def logged(tmp_path, monkeypatch):
    """``logged()``: every line that was logged since."""
    with (tmp_path / "log").open("w") as file:
        monkeypatch.setattr("sys.stderr", file)
        configure("debug")

        def lines():
            file.flush()
            return (tmp_path / "log").read_text()

        yield lines
    structlog.reset_defaults()  # it writes to a file that is closed


def positive(node, clock, name="study", score=0.93, **facts):
    return analysed_series(node.worklist, clock, study_facts(name, **{**SECRETS, **facts}), score, destinations=())


def retract(node, clock):
    with node.worklist.write() as tx:
        retractions.retract(tx, clock(), [row["id"] for row in rows(node.worklist, schema.series)], "wrong-result", "")


def states(node):
    return [row["state"] for row in rows(node.worklist, schema.deliveries)]


def sent(receivers):
    """All bytes that left, of every channel."""
    found = [got.body + str(got.headers).encode() + got.path.encode() for got in receivers["webhook"].requests]
    found += [got.body + str(got.headers).encode() + got.path.encode() for got in receivers["fhir"].requests]
    found += [*receivers["mail"].raw, *(mail.get_content().encode() for mail in receivers["mail"].mails)]
    return b"\n".join([*found, *receivers["hl7"].messages])


def everything(receivers):
    stack = ExitStack()
    for receiver in receivers.values():
        stack.enter_context(receiver.listening())
    return stack


KINDS = ("webhook", "mail", "hl7", "fhir")


def test_a_positive_and_its_retraction_on_every_channel(make, receivers, clock, run):
    node = make(*KINDS)
    with everything(receivers):
        positive(node, clock)
        run(node)
        run(node)
        assert states(node) == ["delivered"] * 4
        retract(node, clock)
        run(node)
    assert states(node) == ["delivered"] * 8
    first, second = (got.json for got in receivers["webhook"].posts)
    assert (first["kind"], first["verdict"], second["kind"], second["verdict"]) == (
        "alert", "positive", "correction", "retracted"
    )  # fmt: skip
    assert second["corrects"] == first["id"]
    assert [mail["Subject"].partition(":")[2].split(",")[0] for mail in receivers["mail"].mails] == [
        " POSITIVE: signs of intracranial haemorrhage", " CORRECTION: RETRACTED: the answer was taken back"
    ]  # fmt: skip
    assert len({control_id(content) for content in receivers["hl7"].messages}) == 2
    assert {record["status"] for record in receivers["fhir"].server.records.values()} == {"entered-in-error"}
    installation = (node.settings.node.data / "installation").read_text()[:8]
    assert first["study"] == f"{installation}-1", "which `ichnode show 1` finds"


@pytest.mark.parametrize("patient_data", [False, True])
def test_what_is_said_of_the_patient_and_where(make, receivers, clock, run, patient_data, logged):
    node = make(*KINDS, patient_data=patient_data)
    uid = study_facts().study_instance_uid
    with everything(receivers):
        positive(node, clock)
        run(node)
        retract(node, clock)
        run(node)
        for receiver in ("webhook", "fhir"):  # what goes wrong says no more than what goes well
            receivers[receiver].reply = lambda got: (422, b"GREPNAME", {})
        receivers["mail"].data = lambda mail: "554 GREPNAME"
        receivers["hl7"].answer = lambda content: framed(ack(content, "AE", "100"))
        positive(node, clock, "another", patient_sex="F", referring_physician=SECRETS["referring_physician"])
        run(node)
    assert states(node) == [*["delivered"] * 8, *["failed"] * 4]
    said = sent(receivers)
    assert "delivery.refused" in logged()
    kept = json.dumps(
        [rows(node.worklist, table) for table in (schema.notices, schema.deliveries, schema.journal)], default=str
    )
    texts = [*SECRETS.values(), "GREPNAME", "ÄNNE", "山田", uid, study_facts().series_instance_uid]
    texts = [text for text in texts if len(text) > 1]
    for text in texts:
        assert text not in logged()
        assert text not in kept
    found = {text for text in texts if text.encode() in said or json.dumps(text)[1:-1].encode() in said}
    if not patient_data:
        assert found == set()
    else:
        never = {SECRETS[name] for name in ("referring_physician", "station_name", "institution")}
        assert found & never == set(), "nor what nobody needs"
        assert {"PID-GREP-4711", "GREPNAME", "ÄNNE", "19611213", "ACC-GREP-99", uid} <= found


def test_a_channel_down_for_hours_hears_everything_once(make, receivers, clock, run):
    node = make("hl7")
    receiver = receivers["hl7"]
    positive(node, clock, "one")
    run(node, 24 * HOUR_S)
    positive(node, clock, "two")
    run(node, 24 * HOUR_S)
    assert events(node.worklist).count("destination.down") == 1
    with node.worklist.read() as tx:
        assert "no connection" in deliveries.circuit(tx, "hl7").last_error
    with receiver.listening():
        run(node, 2 * HOUR_S)
        run(node, 24 * HOUR_S)
    assert states(node) == ["delivered", "delivered"]
    assert len(receiver.messages) == 2


def test_what_became_wrong_while_the_channel_was_down_is_never_sent(make, receivers, clock, run):
    node = make("webhook")
    positive(node, clock)
    run(node, HOUR_S)
    retract(node, clock)
    run(node, HOUR_S)
    with receivers["webhook"].listening():
        run(node, 4 * HOUR_S)
    assert [got.json["kind"] for got in receivers["webhook"].posts] == ["correction"]
    assert states(node) == ["withdrawn", "delivered"]


def test_given_up_is_visible_and_starts_again(make, receivers, clock, run):
    node = make("mail")
    positive(node, clock)
    run(node, 8 * 24 * HOUR_S)
    assert states(node) == ["failed"]
    with node.worklist.read() as tx:
        (notice,) = told.of_study(tx, 1)
    assert "Given up after 7 days." in notice["error"]
    with node.worklist.write() as tx:
        assert deliveries.retry_deliveries(tx, clock(), None) == 1
    with receivers["mail"].listening():
        run(node, 3 * HOUR_S)
    assert states(node) == ["delivered"]


def test_a_message_that_is_never_answered_holds_up_no_other(make, receivers, clock, run):
    node = make("webhook")
    receiver = receivers["webhook"]
    poison = []

    def reply(got):
        if len(poison) < 3 and got.json["id"] not in poison:
            poison.append(got.json["id"])
        return None if got.json["id"] in poison else (204, b"", {})

    receiver.reply = lambda got: (200, b"", {}) if got.method == "HEAD" else reply(got)
    with receiver.listening():
        positive(node, clock, "one")
        positive(node, clock, "two")
        positive(node, clock, "three")
        positive(node, clock, "four")
        run(node, 1)
        assert states(node) == ["pending", "pending", "pending", "delivered"]
        run(node, HOUR_S)
        positive(node, clock, "five")
        run(node, 1)
    assert states(node).count("delivered") == 2, "at once: the channel does not count as down"
    with node.worklist.read() as tx:
        assert deliveries.circuit(tx, "webhook").failures == 0


def test_a_refused_credential_concerns_the_channel(make, receivers, clock, run):
    node = make("webhook")
    receivers["webhook"].reply = lambda got: (401, b"", {})
    with receivers["webhook"].listening():
        positive(node, clock, "one")
        positive(node, clock, "two")
        run(node, 1)
        assert states(node) == ["pending", "pending"]
        with node.worklist.read() as tx:
            assert "does not let the node in" in deliveries.circuit(tx, "webhook").last_error
        receivers["webhook"].reply = lambda got: (204, b"", {})
        run(node, 3 * HOUR_S)
    assert states(node) == ["delivered", "delivered"]


def test_the_same_bytes_at_every_attempt(make, receivers, clock, run):
    node = make("hl7", "fhir", "webhook")
    answers = {"taken": False}
    receivers["hl7"].answer = lambda content: framed(ack(content, "AA" if answers["taken"] else "AR"))
    reply = receivers["fhir"].reply
    receivers["fhir"].reply = lambda got: reply(got) if answers["taken"] else (500, b"", {})
    receivers["webhook"].reply = lambda got: (204, b"", {}) if answers["taken"] else (500, b"", {})
    with everything(receivers):
        positive(node, clock)
        run(node, 60)
        answers["taken"] = True
        run(node, HOUR_S)
    assert states(node) == ["delivered"] * 3
    for contents in (
        receivers["hl7"].messages,
        *([got.body for got in receivers[k].posts] for k in ("fhir", "webhook")),
    ):
        assert len(contents) > 2
        assert len(set(contents)) == 1


def test_an_error_in_the_middle_leaves_nothing_being_sent_for_ever(make, receivers, clock, run, monkeypatch):
    node = make("webhook")
    positive(node, clock)

    def broken(*_):
        raise TransientError("The worklist cannot be written now.", "WORKLIST")

    with receivers["webhook"].listening():
        announce.announce_due(node)
        with monkeypatch.context() as patch:
            patch.setattr(outbox, "_file_answer", broken)
            with pytest.raises(TransientError):
                notify.notify_due(node, node.settings.channels[0])
        run(node)
    assert states(node) == ["delivered"]
    assert len({got.json["id"] for got in receivers["webhook"].posts}) == 1, (
        "twice the same, so that it is known as one"
    )


def test_escalation_reaches_the_other_channel(make_node, receivers, clock, run, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("0123456789abcdef0123456789abcdef\n")
    oncall = {"name": "oncall", "kind": "webhook", "url": receivers["webhook"].url, "secret_file": str(secret)}
    chief = {"name": "chief", "kind": "mail", "host": "127.0.0.1", "port": receivers["mail"].port, "tls": "none"}
    chief |= {"sender": "n@a.example", "recipients": ["chief@a.example"], "verdicts": ["failed"]}
    node = make_node(channels=[{**oncall, "escalate_after_min": [15], "escalate_to": ["chief"]}, chief])
    with everything(receivers):
        positive(node, clock)
        run(node, 14 * 60)
        assert receivers["mail"].mails == []
        run(node, 24 * HOUR_S)
    (alert,) = receivers["webhook"].posts
    (mail,) = receivers["mail"].mails
    assert mail["Subject"].startswith("ichnode: STILL UNREAD: POSITIVE")
    assert alert.json["id"] in mail.get_content()
