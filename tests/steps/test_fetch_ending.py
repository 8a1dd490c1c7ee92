"""A node that ends, or begins anew, in the middle of a retrieval: the series comes with the next start, at no cost."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from ichnode.core.wanted import Listed
from ichnode.steps.fetch import Fetcher
from ichnode.steps.node import FETCHING
from ichnode.steps.reconcile import Wish, file_missing
from ichnode.steps.recover import begin_boot
from ichnode.worklist import deliveries, retrievals, schema
from ichnode.worklist.retrieval_tables import retrievals as table
from tests.answering import answering
from tests.heads import series_uid, study_uid, write_head
from tests.made import rows
from tests.peers import free_port
from tests.steps.giver import Giver

SLICES = 8


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return write_head(tmp_path_factory.mktemp("heads"), "one", slices=SLICES)


def waiting_node(make_node, source, said=SLICES):
    made = make_node(source={**source, "attempts": 1, "patience_s": 60})
    node = replace(made, boot_id=begin_boot(made))
    listed = Listed(study_uid("one"), series_uid("one"), "CT", "HEAD", "CT", "Head", said)
    file_missing(node, [listed], Wish(retrievals.SHOULD_HAVE_COME, None, 0.0))
    return node


def state(node):
    (row,) = rows(node.worklist, table)
    return row["state"], row["attempts"], len(rows(node.worklist, schema.instances))


def failures(node):
    with node.worklist.read() as tx:
        return deliveries.circuit(tx, FETCHING).failures


@pytest.mark.parametrize("said", [SLICES, None], ids=["counted", "not counted"])
def test_c_get_is_broken_off_between_two_images(make_node, files, clock, said):
    giver, given = Giver(), []
    giver.add(files)
    with giver.listening():
        node = waiting_node(make_node, giver.section, said)

        def between():
            given.append(None)
            if len(given) == 3:
                node.draining.set()

        giver.between = between
        Fetcher(node).fetch_due()
        waits, attempts, here = state(node)
        assert (waits, attempts) == ("pending", 0)
        assert here == 2
        assert Fetcher(node).fetch_due() is None, "nothing more is begun"
        clock.forward(61)
        Fetcher(replace(node, draining=threading.Event())).fetch_due()
    assert state(node) == ("fetched", 1, SLICES)


def test_c_move_to_a_node_that_takes_no_more_is_no_fault_of_the_archive(make_node, files):
    giver = Giver()
    giver.add(files)
    with giver.listening():
        node = waiting_node(make_node, {**giver.section, "retrieve": "c-move"})
        Fetcher(replace(node, draining=_SetLater())).fetch_due()
    assert giver.gets == [series_uid("one")]
    assert state(node) == ("pending", 0, 0)
    assert failures(node) == 0


def test_wado_rs_is_broken_off_in_the_answer(make_node, files):
    port = free_port()
    source = {"url": f"http://127.0.0.1:{port}", "allow_plain_http": True, "retrieve": "wado-rs", "timeout_s": 20}
    node = waiting_node(make_node, source)
    parts = [b"--x\r\nContent-Type: application/dicom\r\n\r\n" + file.read_bytes() for file in files]
    kind = {"Content-Type": 'multipart/related; type="application/dicom"; boundary=x'}

    def answer(method, path, headers, body):
        node.draining.set()
        return 200, b"\r\n".join([*parts, b"--x--\r\n"]), kind

    with answering(port, answer):
        Fetcher(node).fetch_due()
        assert state(node) == ("pending", 0, 0)
        Fetcher(replace(node, draining=threading.Event())).fetch_due()
    assert state(node) == ("fetched", 1, SLICES)


class _SetLater(threading.Event):
    """Set from the second look on: the first one is of who claims."""

    def is_set(self) -> bool:
        before = super().is_set()
        self.set()
        return before
