"""Asking a real archive to keep what it took, on a simulated clock: answers, losses, refusals, silence."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from ichnode.core.identity import digest_of
from ichnode.dicom.event_reports import CommitmentReport
from ichnode.errors import BadObject
from ichnode.steps.commit import commit_due, take_report
from ichnode.steps.deliver import deliver_due
from ichnode.worklist import commitments, deliveries, results, schema
from tests.archive import Archive, report, send_report
from tests.dicom.wire import Receiver
from tests.made import claim, closed_series, events, not_analysed, report_row, rows, study_facts
from tests.peers import wait_until
from tests.steps.test_deliver import report_file

WAIT_S = 3600


@pytest.fixture
def archive():
    return Archive()


@pytest.fixture
def node(make_node, archive):
    section = {"name": "pacs", "aet": archive.aet, "host": "127.0.0.1", "port": archive.port, "commitment": True}
    return make_node(destinations=[section], delivery={"timeout_s": 10, "commitment_wait_s": WAIT_S})


@pytest.fixture
def outbox(node, clock, tmp_path):
    """``outbox("name")``: a result whose report lies in the spool and waits to be sent; returns its UID."""

    def file_one(name="study"):
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


@contextmanager
def acceptor(node, **options):
    """The node's own port, with what it does of reports."""
    with Receiver(reported=lambda said: take_report(node, said), **options) as receiver:
        yield receiver


def deliver(node):
    return deliver_due(node, node.settings.destinations[0])


def commit(node):
    return commit_due(node, node.settings.destinations[0])


def states(node):
    return [row["state"] for row in rows(node.worklist, schema.deliveries)]


def the_row(node):
    (row,) = rows(node.worklist, schema.deliveries)
    return row


def test_nothing_delivered_nobody_is_asked(node, archive):
    with archive.listening():
        assert commit(node) is None
    assert archive.asked == []


def test_committed_on_the_same_association(node, archive, outbox):
    uids = [outbox("one"), outbox("two")]
    with archive.listening():
        deliver(node)
        assert commit(node) is None
        wait_until(lambda: archive.told)
    assert archive.told == [0x0000]
    assert states(node) == ["committed", "committed"]
    assert [asked for _, asked in archive.asked] == [uids]


@pytest.mark.parametrize("roles", [True, False])
def test_committed_on_a_new_association(node, archive, outbox, clock, roles):
    archive.answers = "never"
    uid = outbox()
    with archive.listening():
        deliver(node)
        assert commit(node) is not None
    assert states(node) == ["awaiting"]
    with acceptor(node) as receiver:
        said = archive.result(archive.asked[0][0], [uid])
        assert send_report(receiver.port, said, roles=roles) == 0x0000
        assert states(node) == ["committed"], "before it is acknowledged"
        assert send_report(receiver.port, said, roles=roles) == 0x0000, "the same again is no error"
    assert events(node.worklist).count("commitment.given") == 1


def test_an_answer_on_a_new_association_ends_the_wait_on_the_first(node, archive, outbox):
    archive.answers = "new"
    outbox()
    with acceptor(node) as receiver:
        archive.calls = lambda: receiver.port
        with archive.listening():
            deliver(node)
            commit(node)
            wait_until(lambda: archive.told)
    assert (archive.told, states(node)) == ([0x0000], ["committed"])


def test_what_the_archive_lost_is_sent_again_and_committed(node, archive, outbox, clock):
    uid = outbox()
    with archive.listening():
        deliver(node)
        archive.holds.clear()
        commit(node)
        assert the_row(node)["state"] == "pending"
        assert the_row(node)["error"] == "pacs does not keep this object: 0x0112 no such object instance."
        clock.at = deliver(node)
        deliver(node)
        commit(node)
    assert archive.stored == [uid, uid]
    assert [asked for _, asked in archive.asked] == [[uid], [uid]]
    assert len({transaction for transaction, _ in archive.asked}) == 2, "a transaction UID is used once"
    assert states(node) == ["committed"]


def test_an_archive_that_never_answers_is_asked_again(node, archive, outbox, clock):
    archive.answers = "never"
    outbox()
    with archive.listening():
        deliver(node)
        asked_at = clock()
        again_at = commit(node)
        assert (again_at - asked_at).total_seconds() == WAIT_S
        clock.at = again_at
        with capture_logs() as logs:
            commit(node)
    assert len(archive.asked) == 2
    assert [line["event"] for line in logs if line["log_level"] == "warning"] == ["commitment.unanswered"]
    row = the_row(node)
    assert (row["state"], row["attempts"]) == ("awaiting", 1)
    assert row["error"].startswith("pacs has not answered 1 request(s) for storage commitment.")


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ({"status": 0x0110}, "pacs refused the request for storage commitment with 0x0110."),
        ({"commits": False}, "takes none of what is offered"),
    ],
)
def test_an_archive_that_does_not_commit_is_visible(node, archive, outbox, clock, how, sentence):
    for name, value in how.items():
        setattr(archive, name, value)
    outbox()
    with archive.listening():
        deliver(node)
        with capture_logs() as logs:
            again_at = commit(node)
    assert (again_at - clock()).total_seconds() == 5
    row = the_row(node)
    assert row["state"] == "delivered"
    assert sentence in row["error"]
    assert [line["event"] for line in logs if line["log_level"] == "warning"] == ["commitment.not_asked"]


def test_an_archive_that_is_down_is_asked_later(node, archive, outbox, clock):
    outbox()
    with archive.listening():
        deliver(node)
    clock.at = commit(node)
    assert "no connection" in the_row(node)["error"]
    with archive.listening():
        commit(node)
    assert states(node) == ["committed"]


def test_nothing_is_asked_while_the_circuit_is_open(node, archive, outbox, clock):
    outbox()
    with archive.listening():
        deliver(node)
        with node.worklist.write() as tx:
            deliveries.break_circuit(tx, clock(), "pacs", "down", 60)
        assert (commit(node) - clock()).total_seconds() == 60
        assert archive.asked == []
        clock.forward(61)  # nothing waits to be delivered, so that nothing else asks whether it is back
        commit(node)
    assert states(node) == ["committed"]


def test_the_request_is_in_the_worklist_before_it_is_sent(node, archive, outbox, monkeypatch):
    outbox()
    seen = []

    def crash(remote, transaction_uid, *_):
        with node.worklist.read() as tx:
            seen.append(commitments.asked(tx, transaction_uid))
        raise KeyboardInterrupt

    monkeypatch.setattr("ichnode.steps.commit.ask", crash)
    with archive.listening():
        deliver(node)
        with pytest.raises(KeyboardInterrupt):
            commit(node)
    assert seen == ["pacs"]


class TestReports:
    @pytest.fixture
    def asked(self, node, archive, outbox):
        """Transaction and object of a request that is not answered yet."""
        archive.answers = "never"
        uid = outbox()
        with archive.listening():
            deliver(node)
            commit(node)
        return archive.asked[0][0], uid

    def test_of_a_transaction_that_was_never_asked_for(self, node, asked):
        with acceptor(node) as receiver, capture_logs() as logs:
            assert send_report(receiver.port, report("2.25.99", kept=(asked[1],))) == 0x0115
        assert [line["code"] for line in logs if line["event"] == "commitment.report_refused"] == [
            "TRANSACTION_UNKNOWN"
        ]
        assert states(node) == ["awaiting"]

    def test_of_another_ae_than_the_one_that_was_asked(self, node, asked):
        with acceptor(node) as receiver, capture_logs() as logs:
            said = report(asked[0], kept=(asked[1],))
            assert send_report(receiver.port, said, calling="SOMEONE") == 0x0115
        assert [line["code"] for line in logs if line["event"] == "commitment.report_refused"] == [
            "TRANSACTION_OF_ANOTHER"
        ]
        assert states(node) == ["awaiting"]

    def test_about_objects_that_were_not_asked_about(self, node, asked):
        with acceptor(node) as receiver, capture_logs() as logs:
            assert send_report(receiver.port, report(asked[0], kept=("2.25.5",), lost=("2.25.6",))) == 0x0000
        (line,) = [line for line in logs if line["event"] == "commitment.answered"]
        assert (line["committed"], line["lost"], line["unasked"]) == (0, 0, 2)
        assert states(node) == ["awaiting"]

    def test_while_the_worklist_cannot_be_written(self, node, asked, monkeypatch):
        def locked(*_):
            from ichnode.errors import TransientError

            raise TransientError("The worklist cannot be written now: it is locked.", "WORKLIST")

        monkeypatch.setattr("ichnode.worklist.commitments.answered", locked)
        with acceptor(node) as receiver:
            assert send_report(receiver.port, report(asked[0], kept=(asked[1],))) == 0x0110
        assert states(node) == ["awaiting"]

    def test_of_a_destination_that_is_configured_no_more(self, node, asked):
        settings = node.settings.model_copy(update={"destinations": ()})
        with pytest.raises(BadObject) as caught:
            take_report(replace(node, settings=settings), CommitmentReport("ARCHIVE", asked[0], (asked[1],)))
        assert caught.value.code == "TRANSACTION_OF_ANOTHER"
