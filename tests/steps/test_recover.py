"""What a start puts right: orphans are adopted, halves swept, leases and sendings freed, associations lost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ichnode.core.identity import digest_of
from ichnode.steps.receive import receive_slice
from ichnode.steps.recover import begin_boot, free_leases, worker_ended
from ichnode.steps.report import report_next
from ichnode.worklist import associations, boots, schema
from tests.made import claim, closed_series, events, rows
from tests.steps.spooled import altered, as_received, encoded, put, started


def test_an_orphan_is_adopted(make_node, clock, slice_files):
    node = make_node()
    names = [put(node, file) for file in slice_files[:5]]
    started(node)
    instances = rows(node.worklist, schema.instances)
    assert sorted(i["file"] for i in instances) == sorted(names)
    assert {i["association_id"] for i in instances} == {None}
    assert {i["sop_instance_uid"] for i in instances} == {encoded(file)[1] for file in slice_files[:5]}
    for instance in instances:
        assert instance["digest"] == node.spool.path(instance["file"]).stem
        assert instance["size"] == node.spool.path(instance["file"]).stat().st_size
    (series,) = rows(node.worklist, schema.series)
    assert (series["state"], series["received"]) == ("receiving", 5)


def test_what_was_adopted_and_comes_again_is_a_duplicate(make_node, clock, slice_files):
    node = make_node()
    put(node, slice_files[0])
    started(node)
    assert receive_slice(node, as_received(slice_files[0])) == 0x0000
    (series,) = rows(node.worklist, schema.series)
    assert series["received"] == 1
    assert len(list(node.spool.slices())) == 1


def test_starting_again_and_again_changes_nothing(make_node, clock, slice_files):
    node = make_node()
    for file in slice_files[:3]:
        put(node, file)
    started(node)
    clock.forward(1)
    before = [rows(node.worklist, table) for table in (schema.instances, schema.series, schema.journal)]
    started(node)
    started(node)
    assert [rows(node.worklist, table) for table in (schema.instances, schema.series, schema.journal)] == before


def test_half_written_files_are_swept_and_whole_ones_are_not(make_node, slice_files):
    node = make_node()
    name = put(node, slice_files[0])
    folder = node.spool.path(name).parent
    half = folder / ".999999999-deadbeef-7.tmp"
    half.write_bytes(b"half a slice")
    started(node)
    assert not half.exists()
    assert node.spool.path(name).exists()


def test_a_file_that_cannot_be_read_is_kept_and_holds_up_nothing(make_node, slice_files):
    node = make_node()
    bad = node.spool.put_slice(b"", b"not a data set", digest_of(b"not a data set"))
    put(node, slice_files[0])
    started(node)
    assert node.spool.path(bad).exists()
    assert len(rows(node.worklist, schema.instances)) == 1


def test_an_orphan_with_other_content_under_a_known_uid_is_kept_and_flagged(make_node, slice_files):
    node = make_node()
    put(node, slice_files[0])
    started(node)
    other = put(node, slice_files[0], altered)
    started(node)
    assert node.spool.path(other).exists()
    assert [i["conflict"] for i in rows(node.worklist, schema.instances)] == [False, True]
    assert events(node.worklist)[-1] == "slice.conflict"


def test_an_adopted_series_is_answered(make_node, clock, slice_files):
    from ichnode.steps.assemble import assemble_due

    node = make_node()
    for file in slice_files:
        put(node, file)
    started(node)
    boot_at = clock()
    for _ in range(10):
        clock.at = assemble_due(node, boot_at) or clock()
    (series,) = rows(node.worklist, schema.series)
    assert (series["state"], series["missing"]) == ("closed", None)
    assert (series["closed_at"] - boot_at).total_seconds() == 10


def test_leases_of_dead_boots_and_associations_they_left_open(make_node, clock):
    from dataclasses import replace

    node = make_node()
    with node.worklist.write() as tx:
        old = boots.begin_boot(tx, clock(), "1")
        associations.open_association(tx, clock(), old, "127.0.0.1", "CT")
    closed_series(node.worklist, clock)
    claim(node.worklist, clock, owner=f"{old}/worker")
    node = replace(node, boot_id=begin_boot(node))
    started(node)
    assert [row["ending"] for row in rows(node.worklist, schema.associations)] == ["lost"]
    assert claim(node.worklist, clock, owner=f"{node.boot_id}/worker").attempts == 2


def test_a_series_that_killed_every_worker_is_reported(make_node, clock):
    node = make_node(engine={"max_attempts": 2})
    closed_series(node.worklist, clock)
    for attempt in range(2):
        owner = f"{node.boot_id}/{attempt}"
        claim(node.worklist, clock, owner=owner)
        assert free_leases(node, owner) == 1
    report = claim(node.worklist, clock, "report", f"{node.boot_id}/report")
    assert report.reason.code == "ANALYSIS_FAILED"
    assert free_leases(node) == 0


def test_no_file_descriptor_is_left_open(make_node, slice_files):
    node = make_node()
    for file in slice_files[:3]:
        put(node, file)
    started(node)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        started(node)
    assert len(list(Path("/proc/self/fd").iterdir())) <= before


def test_a_worker_is_ended_when_it_has_ended_and_not_because_reports_are_looked_for(make_node):
    """What readiness, metrics and the alarm go by."""
    node = make_node()
    node = replace(node, boot_id=begin_boot(node))
    with node.worklist.write() as tx:
        boots.worker_is(tx, node.now(), node.boot_id, "ready", "cpu")

    def worker():
        (boot,) = rows(node.worklist, schema.boots)
        return boot["worker_state"], boot["worker_device"]

    assert report_next(node) is False
    assert worker() == ("ready", "cpu")
    worker_ended(node, f"{node.boot_id}/worker")
    assert worker() == ("ended", None)
