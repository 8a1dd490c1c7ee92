"""The measuring tools measure: the sender sends what it says, and figures are kept by name."""

from __future__ import annotations

import json
import shutil

import pydicom
import pytest

from benchmarks import record
from benchmarks.bench_node import send
from tests.peers import free_port


@pytest.mark.interop
def test_the_sender_stores_every_slice_with_identities_of_its_own(storescp, head_ct, tmp_path):
    series = tmp_path / "series"
    series.mkdir()
    for file in sorted(head_ct.glob("*.dcm"))[:3]:
        shutil.copy(file, series)
    said = send(storescp.port, storescp.aet, 2, 5, "a test", series)
    stored = [pydicom.dcmread(path) for path in storescp.received.iterdir()]
    assert len({ds.SOPInstanceUID for ds in stored}) == 10
    assert {ds.StudyInstanceUID for ds in stored} == set(said["studies"])
    assert len(said["studies"]) == 2
    assert said["seconds"] > 0
    original = pydicom.dcmread(sorted(series.iterdir())[0]).pixel_array
    assert any((ds.pixel_array == original).all() for ds in stored)


def test_a_sender_without_a_receiver_fails(head_ct):
    with pytest.raises(RuntimeError, match="sender failed"):
        send(free_port(), "NOBODY", 1, 1, "a test", head_ct)


def test_records_replace_those_of_the_same_name_and_keep_the_others(tmp_path):
    path = tmp_path / "latest.json"
    first = record.median("receive.x", [3.0, 1.0, 2.0], "slices/s", "command", ratio=1.5, against="a peer")
    record.write([first, record.median("other", [1.23456], "s", "command")], path)
    record.write([record.median("receive.x", [8.0, 9.0, 10.0], "slices/s", "command")], path)
    kept = {r["name"]: r for r in json.loads(path.read_text())["records"]}
    assert first.value == 2.0
    assert kept["receive.x"]["value"] == 9.0
    assert kept["other"]["value"] == 1.235
    assert kept["other"]["machine"]["cores"] >= 1
    assert {"name", "value", "unit", "ratio", "against", "command", "machine"} <= kept["other"].keys()
