"""Results reach real peers on a simulated clock: through days of silence, passing refusals and permanent ones."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import Comprehensive3DSRStorage, ComprehensiveSRStorage, EnhancedSRStorage, ExplicitVRLittleEndian

from ichnode.core.identity import digest_of
from ichnode.errors import TransientError
from ichnode.steps import outbox as outbox_step
from ichnode.steps.deliver import deliver_due
from ichnode.worklist import assembly, deliveries, results, schema
from tests.association import serving
from tests.made import claim, closed_series, events, not_analysed, report_row, rows, study_facts
from tests.steps.pacs import Pacs
from tests.web_service import WebService, failed, referenced

HOUR_S = 3600.0
LONGEST_S = 12 * HOUR_S


@pytest.fixture
def pacs():
    return Pacs()


@pytest.fixture
def node(make_node, pacs):
    section = {"name": "pacs", "aet": pacs.aet, "host": "127.0.0.1", "port": pacs.port}
    return make_node(destinations=[section], delivery={"timeout_s": 5, "longest_retry_s": LONGEST_S})


def report_file(uid):
    """The smallest object that a PACS takes: enough to be sent, not a report."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = ComprehensiveSRStorage
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = uid
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.Modality, ds.PatientID = "1.2.3", "1.2.3.4", "SR", "P1"
    return ds


@pytest.fixture
def outbox(node, clock, tmp_path):
    """``outbox("name")``: a result whose report lies in the spool and waits for every destination; returns its UID."""

    def file_one(name="study", node=node):
        closed_series(node.worklist, clock, study_facts(name))
        job = claim(node.worklist, clock)
        row = report_row(job, 1)
        report_file(row.sop_instance_uid).save_as(tmp_path / "report.dcm", enforce_file_format=True)
        content = (tmp_path / "report.dcm").read_bytes()
        row = replace(row, file=node.spool.put_report(content, digest_of(content)), size=len(content))
        with node.worklist.write() as tx:
            assert results.finish(tx, clock(), job, not_analysed(job), None, {}, [row], node.wanted_formats)
        return row.sop_instance_uid

    return file_one


@pytest.fixture
def run(node, run_of):
    """``run(seconds)``: let time pass, and deliver whenever something is due; returns how often it was looked at."""
    return lambda seconds: run_of(node, seconds)


@pytest.fixture
def run_of(clock):
    def until(node, seconds):
        end, looks = clock() + timedelta(seconds=seconds), 0
        while True:
            again_at = deliver_due(node, node.settings.destinations[0])
            looks += 1
            if again_at is None or again_at > end:
                clock.at = end
                return looks
            assert again_at > clock(), "it would look again at once, for ever"
            clock.at = again_at

    return until


def states(node):
    return [row["state"] for row in rows(node.worklist, schema.deliveries)]


def test_delivered_with_one_call(node, clock, pacs, outbox):
    uids = {outbox("one"), outbox("two")}
    with pacs.listening():
        assert deliver_due(node, node.settings.destinations[0]) is None
    assert set(pacs.stored) == uids
    assert states(node) == ["delivered", "delivered"]
    with node.worklist.read() as tx:
        assert deliveries.circuit(tx, "pacs").last_success_at == clock()


def test_nothing_waits_nobody_is_called(node, pacs):
    with pacs.listening():
        assert deliver_due(node, node.settings.destinations[0]) is None
    assert (pacs.echoes, pacs.stores) == (0, 0)


def test_a_pacs_down_for_48_hours_gets_everything_once(node, clock, pacs, outbox, run):
    uids = {outbox("before one"), outbox("before two")}
    looks = run(24 * HOUR_S)
    uids.add(outbox("meanwhile"))
    looks += run(24 * HOUR_S)
    assert states(node) == ["pending"] * 3
    assert 12 < looks < 40, "the circuit is open: now and then a question, no more"
    assert all(row["attempts"] <= 1 for row in rows(node.worklist, schema.deliveries))
    with pacs.listening():
        run(LONGEST_S + 1)
    assert sorted(pacs.stored) == sorted(uids), "each once"
    assert states(node) == ["delivered"] * 3
    assert pacs.echoes == 1
    assert events(node.worklist).count("destination.down") == 1
    assert events(node.worklist).count("destination.up") == 1


def test_a_pacs_out_of_resources_for_20_minutes(node, clock, pacs, outbox, run):
    uid = outbox()
    good_at = clock() + timedelta(minutes=20)
    pacs.status = lambda: 0xA700 if clock() < good_at else 0x0000
    with pacs.listening():
        run(19 * 60)
        assert states(node) == ["pending"]
        assert rows(node.worklist, schema.deliveries)[0]["status"] == 0xA700
        run(21 * 60)
    assert pacs.stored == [uid]
    assert states(node) == ["delivered"]
    assert 5 <= pacs.stores <= 12, "backed off"


@pytest.mark.parametrize("status", [0xA900, 0xC000, 0x0122])
def test_a_permanent_refusal_is_visible_and_retried_on_demand(node, clock, pacs, outbox, run, status):
    uid = outbox()
    pacs.status = lambda: status
    with pacs.listening():
        run(10 * HOUR_S)
        assert pacs.stores == 1, "it is not tried again by itself"
        (row,) = rows(node.worklist, schema.deliveries)
        assert (row["state"], row["status"]) == ("failed", status)
        assert f"0x{status:04X}" in row["error"]
        pacs.status = lambda: 0x0000
        with node.worklist.write() as tx:
            assert deliveries.retry_deliveries(tx, clock(), None) == 1
        run(1)
    assert pacs.stored == [uid]
    assert states(node) == ["delivered"]


def test_a_warning_is_a_success(node, pacs, outbox, run):
    outbox()
    pacs.status = lambda: 0xB000
    with pacs.listening():
        run(1)
    assert rows(node.worklist, schema.deliveries)[0]["status"] == 0xB000
    assert states(node) == ["delivered"]


def test_a_pacs_that_does_not_take_the_class_is_told_apart_from_a_silent_one(node, pacs, outbox, run):
    outbox()
    pacs.takes = ("1.2.840.10008.5.1.4.1.1.2",)
    with pacs.listening():
        run(HOUR_S)
    (row,) = rows(node.worklist, schema.deliveries)
    assert row["state"] == "failed"
    assert "enable it there" in row["error"]


def test_given_up_after_seven_days_and_not_before(node, clock, pacs, outbox, run):
    uid = outbox()
    run(7 * 24 * HOUR_S - LONGEST_S)
    assert states(node) == ["pending"]
    run(2 * LONGEST_S)
    (row,) = rows(node.worklist, schema.deliveries)
    assert row["state"] == "failed"
    assert row["error"].endswith("Given up after 7 days.")
    with pacs.listening():
        run(HOUR_S)
        assert pacs.stores == 0
        with node.worklist.write() as tx:
            deliveries.retry_deliveries(tx, clock(), None)
        run(1)
    assert pacs.stored == [uid]


def test_what_is_more_urgent_overtakes_what_has_waited(node, clock, pacs, outbox, run):
    later = outbox("not analysed")
    closed_series(node.worklist, clock, study_facts("positive"))
    with node.worklist.write() as tx:
        tx.execute(schema.deliveries.update().values(urgency=4))
    first = outbox("urgent")
    with pacs.listening():
        run(1)
    assert pacs.stored[:2] == [first, later]


def test_one_dead_destination_does_not_hold_up_another(make_node, clock, pacs, tmp_path, outbox, node):
    archive = Pacs(aet="ARCHIVE")
    both = [
        {"name": name, "aet": peer.aet, "host": "127.0.0.1", "port": peer.port}
        for name, peer in (("pacs", pacs), ("archive", archive))
    ]
    two = make_node(destinations=both, delivery={"timeout_s": 5})
    uid = outbox(node=two)
    with archive.listening():
        for destination in two.settings.destinations:
            deliver_due(two, destination)
    assert archive.stored == [uid]
    assert {row["destination"]: row["state"] for row in rows(two.worklist, schema.deliveries)} == {
        "pacs": "pending",
        "archive": "delivered",
    }


def test_a_file_that_is_gone_is_visible_and_the_rest_is_sent(node, pacs, outbox, run):
    outbox("gone")
    uid = outbox("there")
    (gone, _) = rows(node.worklist, schema.reports)
    node.spool.path(gone["file"]).unlink()
    with pacs.listening():
        run(1)
    assert pacs.stored == [uid]
    assert states(node) == ["failed", "delivered"]


def test_an_error_in_the_middle_leaves_nothing_being_sent_for_ever(node, clock, pacs, outbox, run, monkeypatch):
    uid = outbox()

    def broken(*_):
        raise TransientError("The worklist cannot be written now.", "WORKLIST")

    with pacs.listening():
        with monkeypatch.context() as patch:
            patch.setattr(outbox_step, "_file_answer", broken)
            with pytest.raises(TransientError):
                deliver_due(node, node.settings.destinations[0])
        assert states(node) == ["sending"]
        run(1)
    assert states(node) == ["delivered"]
    assert pacs.stored == [uid, uid], "the same object, so that the PACS has it once"


def test_a_node_that_drains_claims_nothing_more_and_the_next_start_goes_on(node, pacs, outbox, run_of):
    uids = [outbox(name) for name in ("one", "two", "three")]
    given = []

    def give(claimed):
        given.extend(claimed)
        node.draining.set()
        return [outbox_step.Answer(one, 0, None, False) for one in claimed]

    assert outbox_step.empty(node, outbox_step.Outlet("pacs", lambda: None, give, most=1)) is None
    assert len(given) == 1
    assert states(node) == ["delivered", "pending", "pending"]
    with pacs.listening():
        assert deliver_due(node, node.settings.destinations[0]) is None
        assert pacs.stored == []
        run_of(replace(node, draining=threading.Event()), 1)
    assert pacs.stored == uids[1:]


def attempts(node):
    return [(row["state"], row["attempts"]) for row in rows(node.worklist, schema.deliveries)]


def test_a_drain_stops_between_two_objects_of_a_batch(node, pacs, outbox, run_of):
    uids = [outbox(name) for name in ("one", "two", "three")]

    def answer():
        node.draining.set()
        return 0x0000

    pacs.status = answer
    with pacs.listening():
        assert deliver_due(node, node.settings.destinations[0]) is None
        assert pacs.stored == uids[:1]
        assert attempts(node) == [("delivered", 1), ("pending", 0), ("pending", 0)], "what was not offered cost nothing"
        run_of(replace(node, draining=threading.Event()), 1)
    assert pacs.stored == uids
    assert attempts(node) == [("delivered", 1)] * 3


def test_a_node_that_died_while_sending_sends_the_same_object_again(node, clock, pacs, outbox, run):
    uid = outbox()
    with node.worklist.write() as tx:
        deliveries.claim_deliveries(tx, clock(), "pacs", "dead boot")

    from tests.steps.spooled import started

    started(node)
    with pacs.listening():
        run(1)
    assert pacs.stored == [uid]


@pytest.mark.interop
def test_storescp_gets_the_file_as_it_is_in_the_spool(make_node, outbox, storescp, clock, pacs):
    section = {"name": "storescp", "aet": storescp.aet, "host": "127.0.0.1", "port": storescp.port}
    node = make_node(destinations=[section])
    uid = outbox(node=node)
    assert deliver_due(node, node.settings.destinations[0]) is None
    (received,) = storescp.received.iterdir()
    assert dcmread(received) == report_file(uid)
    assert states(node) == ["delivered"]


@pytest.mark.interop
def test_storescp_that_went_away_and_came_back(make_node, outbox, storescp, clock):
    section = {"name": "storescp", "aet": storescp.aet, "host": "127.0.0.1", "port": storescp.port}
    node = make_node(destinations=[section])
    destination = node.settings.destinations[0]
    outbox(node=node)
    storescp.stop()
    for _ in range(5):
        clock.at = deliver_due(node, destination)
    assert states(node) == ["pending"]
    storescp.start()
    clock.at = deliver_due(node, destination) or clock()
    assert states(node) == ["delivered"]
    assert len(list(storescp.received.iterdir())) == 1


@contextmanager
def rejecting(port):
    """A peer that rejects every association permanently."""
    from pynetdicom import AE

    ae = AE(ae_title="OTHER")
    ae.require_called_aet = True
    ae.add_supported_context("1.2.840.10008.1.1")
    with serving(ae, port):
        yield


def test_a_peer_that_rejects_the_association_is_asked_again_later(node, pacs, outbox, run):
    uid = outbox()
    with rejecting(pacs.port):
        run(HOUR_S)
    assert states(node) == ["pending"], "an administrator may mend it within the seven days"
    with node.worklist.read() as tx:
        assert "rejected the association" in deliveries.circuit(tx, "pacs").last_error
    with pacs.listening():
        run(LONGEST_S + 1)
    assert pacs.stored == [uid]


# The SOP Class is what the peer takes ---------------------------------------------------------------------------------


def sent_as(node):
    """SOP Class and state of what each delivery is for now."""
    classes = {row["id"]: row["sop_class_uid"] for row in rows(node.worklist, schema.reports)}
    return [(classes[row["report_id"]], row["state"]) for row in rows(node.worklist, schema.deliveries)]


@pytest.mark.parametrize(
    ("takes", "likes", "gets"),
    [
        ((ComprehensiveSRStorage, Comprehensive3DSRStorage), "comprehensive", ComprehensiveSRStorage),
        ((ComprehensiveSRStorage, Comprehensive3DSRStorage), "comprehensive-3d", Comprehensive3DSRStorage),
        ((ComprehensiveSRStorage,), "comprehensive-3d", ComprehensiveSRStorage),
        ((Comprehensive3DSRStorage, EnhancedSRStorage), "comprehensive", Comprehensive3DSRStorage),
        ((EnhancedSRStorage,), "comprehensive", EnhancedSRStorage),
    ],
)
def test_the_report_is_sent_in_the_best_liked_class_that_the_pacs_takes(make_node, pacs, outbox, takes, likes, gets):
    section = {"name": "pacs", "aet": pacs.aet, "host": "127.0.0.1", "port": pacs.port, "sr_class": likes}
    node = make_node(destinations=[section])
    first = outbox(node=node)
    pacs.takes = takes
    with pacs.listening():
        assert deliver_due(node, node.settings.destinations[0]) is None
    assert sent_as(node) == [(gets, "delivered")]
    (stored,) = pacs.stored
    assert (stored == first) == (gets == ComprehensiveSRStorage)
    (report,) = [row for row in rows(node.worklist, schema.reports) if row["sop_instance_uid"] == stored]
    file = dcmread(node.spool.path(report["file"]))
    assert (file.SOPClassUID, file.SOPInstanceUID) == (gets, stored)


def test_recast_once_however_often_it_is_sent(make_node, pacs, outbox):
    section = {"name": "pacs", "aet": pacs.aet, "host": "127.0.0.1", "port": pacs.port}
    two = make_node(destinations=[section, {**section, "name": "second"}], delivery={"first_retry_s": 0.001})
    outbox(node=two)
    pacs.takes = (EnhancedSRStorage,)
    answers = iter([0xA700, 0x0000, 0x0000])
    pacs.status = lambda: next(answers)
    first, second = two.settings.destinations
    with pacs.listening():
        assert deliver_due(two, first) is not None, "not now"
        with two.worklist.write() as tx:
            deliveries.retry_deliveries(tx, two.now(), None)
        assert deliver_due(two, first) is None
        assert deliver_due(two, second) is None
    assert len(set(pacs.stored)) == 1, "one object for everybody who takes this class"
    assert len(rows(two.worklist, schema.reports)) == 2


def test_the_predecessor_is_what_was_sent_not_what_it_was_made_from(node, clock, pacs, outbox):
    outbox()
    pacs.takes = (EnhancedSRStorage,)
    with pacs.listening():
        assert deliver_due(node, node.settings.destinations[0]) is None
    (series,) = rows(node.worklist, schema.series)
    job = claimed(node, clock, series["id"], series["revision"])
    with node.worklist.write() as tx:
        edition, older = results.predecessors(tx, clock(), job)
    assert edition == 2
    assert [row.sop_instance_uid for row in older] == pacs.stored


def claimed(node, clock, series_id, revision):
    """The job of a second analysis of the same revision."""
    with node.worklist.write() as tx:
        assembly.queue_job(tx, clock(), series_id, revision, "analyse", None)
    return claim(node.worklist, clock)


# Over the web ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def service():
    return WebService()


@pytest.fixture
def web_node(make_node, service, tmp_path):
    (tmp_path / "token").write_text("a-token\n")
    section = {"name": "pacs", "url": service.url, "token_file": str(tmp_path / "token")}
    return make_node(destinations=[section], delivery={"timeout_s": 20, "longest_retry_s": LONGEST_S})


def test_a_service_down_for_a_day_gets_everything_once(web_node, service, outbox, run_of):
    uids = {outbox("one", web_node), outbox("two", web_node)}
    run_of(web_node, 24 * HOUR_S)
    assert states(web_node) == ["pending"] * 2
    with service.listening():
        run_of(web_node, LONGEST_S + 1)
    assert set(service.stored) == uids
    assert len(service.stored) == 2
    assert states(web_node) == ["delivered"] * 2
    assert [r.method for r in service.requests] == ["GET", "POST", "POST"], "one question, then the objects"
    assert events(web_node.worklist).count("destination.down") == events(web_node.worklist).count("destination.up") == 1


def test_a_token_that_runs_out_is_renewed_in_its_file(web_node, service, outbox, run_of, tmp_path):
    uid = outbox("one", web_node)

    def admit(request):
        good = request.headers["Authorization"] == "Bearer new"
        return (200, b"[]", {}) if good else (401, b"", {})

    service.store = service.query = admit
    with service.listening():
        run_of(web_node, 2 * HOUR_S)
        assert states(web_node) == ["pending"]
        with web_node.worklist.read() as tx:
            assert "renew what token_file holds" in deliveries.circuit(tx, "pacs").last_error
        (tmp_path / "token").write_text("new")
        run_of(web_node, LONGEST_S + 1)
    assert states(web_node) == ["delivered"]
    assert service.stored[-1] == uid


@pytest.mark.parametrize("code", [403, 404, 503])
def test_a_service_that_answers_questions_and_takes_nothing_is_called_less_and_less(
    web_node, service, outbox, run_of, code
):  # fmt: skip
    outbox("one", web_node)
    service.store = lambda request: (code, b"", {})
    with service.listening():
        run_of(web_node, 24 * HOUR_S)
        assert states(web_node) == ["pending"]
        assert 8 < len(service.stored) < 25
        assert events(web_node.worklist).count("destination.down") == 1
        assert "destination.up" not in events(web_node.worklist)
        service.store = lambda request: (200, referenced(request), {})
        run_of(web_node, LONGEST_S + 1)
    assert states(web_node) == ["delivered"]


def test_a_service_is_left_alone_for_as_long_as_it_asks(web_node, service, outbox, clock):
    outbox("one", web_node)
    service.store = lambda request: (503, b"", {"Retry-After": "1234"})
    with service.listening():
        again_at = deliver_due(web_node, web_node.settings.destinations[0])
    assert (again_at - clock()).total_seconds() == 1234


def test_over_the_web_too_the_class_is_what_the_service_takes(web_node, service, outbox, run_of):
    outbox("one", web_node)

    def takes_enhanced(request):
        good = request.instance.SOPClassUID == EnhancedSRStorage
        return (200, referenced(request), {}) if good else (409, failed(request, 0x0122), {})

    service.store = takes_enhanced
    with service.listening():
        run_of(web_node, 1)
    assert sent_as(web_node) == [(EnhancedSRStorage, "delivered")]
    assert service.requests[0].instance.SOPClassUID == ComprehensiveSRStorage, "the best liked first"


def test_over_the_web_too_a_drain_stops_between_two_objects(web_node, service, outbox):
    for name in ("one", "two", "three"):
        outbox(name, web_node)

    def take(request):
        web_node.draining.set()
        return 200, referenced(request), {}

    service.store = take
    with service.listening():
        assert deliver_due(web_node, web_node.settings.destinations[0]) is None
    assert attempts(web_node) == [("delivered", 1), ("pending", 0), ("pending", 0)]


def test_permanent_refusals_and_warnings_over_the_web(web_node, service, outbox, run_of):
    outbox("one", web_node)
    outbox("two", web_node)
    replies = iter([lambda r: failed(r, 0xA900), lambda r: referenced(r, 0xB000)])
    service.store = lambda request: (202, next(replies)(request), {})
    with service.listening():
        run_of(web_node, HOUR_S)
    found = [(row["state"], row["status"]) for row in rows(web_node.worklist, schema.deliveries)]
    assert sorted(found) == [("delivered", 0xB000), ("failed", 0xA900)]
