"""One series that a DICOMweb service cannot give holds up no other one, and costs its own attempts."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace

import pytest

from ichnode.core.wanted import Listed
from ichnode.steps.fetch import Fetcher
from ichnode.steps.node import FETCHING, LOOKING
from ichnode.steps.reconcile import Wish, file_missing
from ichnode.steps.recover import begin_boot
from ichnode.worklist import deliveries, retrievals
from ichnode.worklist.retrieval_tables import retrievals as table
from tests.answering import answering
from tests.heads import series_uid, study_uid, write_head
from tests.made import rows
from tests.peers import free_port

MULTIPART = {"Content-Type": 'multipart/related; type="application/dicom"; boundary=x'}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    files = write_head(tmp_path_factory.mktemp("heads"), "good", slices=8)
    parts = [b"--x\r\nContent-Type: application/dicom\r\n\r\n" + file.read_bytes() for file in files]
    return 200, b"\r\n".join([*parts, b"--x--\r\n"]), MULTIPART


@pytest.fixture
def node(make_node):
    port = free_port()
    source = {
        "url": f"http://127.0.0.1:{port}", "allow_plain_http": True, "retrieve": "wado-rs", "at_once": 1, "attempts": 2,
        "first_retry_s": 60, "timeout_s": 1,
    }  # fmt: skip
    made = make_node(source=source)
    return replace(made, boot_id=begin_boot(made))


@contextmanager
def giving(node, whole, bad):
    """A service that gives the series "good", and answers so when asked for another one."""
    port = int(node.settings.source.url.rpartition(":")[2])
    asked = []

    def answer(method, path, headers, body):
        asked.append(path.rpartition("/")[2])
        return whole if asked[-1] == series_uid("good") else bad

    with answering(port, answer):
        yield asked


def file(node, *names):
    for name in names:
        listed = Listed(study_uid(name), series_uid(name), "CT", "HEAD", "CT", "Head", 8)
        file_missing(node, [listed], Wish(retrievals.SHOULD_HAVE_COME, None, 0.0))


def states(node):
    return [(row["state"], row["attempts"]) for row in rows(node.worklist, table)]


def failures(node, circuit):
    with node.worklist.read() as tx:
        return deliveries.circuit(tx, circuit).failures


@pytest.mark.parametrize(
    "bad",
    [
        (403, b"", {}),
        (503, b"", {}),
        (504, b"", {}),
        (200, b"--x\r\n", {**MULTIPART, "Content-Length": "999"}),
        None,
    ],
    ids=["403", "503", "504", "broken", "unanswered"],
)
def test_what_the_service_cannot_give_costs_that_series_its_attempts_and_the_others_nothing(node, clock, whole, bad):
    file(node, "bad", "good")
    fetcher = Fetcher(node)
    with giving(node, whole, bad) as asked:
        fetcher.fetch_due()
        assert states(node) == [("pending", 1), ("pending", 0)]
        fetcher.fetch_due()
        assert states(node) == [("pending", 1), ("fetched", 1)]
        clock.forward(61)
        fetcher.fetch_due()
    assert states(node) == [("failed", 2), ("fetched", 1)]
    assert asked == [series_uid("bad"), series_uid("good"), series_uid("bad")]
    assert failures(node, FETCHING) == 0


def test_a_service_that_does_not_answer_the_looks_either_costs_no_attempt_and_the_next_one_is_tried_first(
    node, clock, whole
):
    file(node, "bad", "good")
    with node.worklist.write() as tx:
        deliveries.break_circuit(tx, clock(), LOOKING, "It cannot now.", 60)
    fetcher = Fetcher(node)
    with giving(node, whole, (503, b"", {})) as asked:
        fetcher.fetch_due()
        assert (states(node)[0], failures(node, FETCHING)) == (("pending", 0), 1)
        assert fetcher.fetch_due() is None, "it is left alone for a while"
        clock.forward(60)
        fetcher.fetch_due()
    assert asked == [series_uid("bad"), series_uid("good")]
    assert (states(node), failures(node, FETCHING)) == ([("pending", 0), ("fetched", 1)], 0)
