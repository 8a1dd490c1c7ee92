"""The measuring tools measure: the sender sends what it says, and figures are kept by name."""

from __future__ import annotations

import json
import shutil

import pydicom
import pytest
import torch
from torch import nn

from benchmarks import record
from benchmarks.bench_node import send
from benchmarks.roof import WAYS, Passes
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


class Shortcut(nn.Module):
    """Convolution, normalisation, addition of the input, rectifier: the block of every ResNet, as small as can be."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.relu = nn.Conv2d(4, 4, 1, bias=False), nn.BatchNorm2d(4), nn.ReLU(inplace=True)

    def forward(self, x):
        return self.relu(self.norm(self.conv(x)) + x)


def test_the_roof_counts_what_each_way_moves():
    block = nn.Sequential(Shortcut(), Shortcut()).to("meta").eval()
    x = torch.empty(1, 4, 100, 100, device="meta")
    with torch.no_grad(), Passes(flops_a_second=1e15, bytes_a_second=2.0) as passes:  # a number a second
        block(x)
    picture, weights, norm = 4 * 100 * 100, 16, 16
    assert passes.flops == 2 * 2 * 16 * 100 * 100
    each = picture * (2 + 2 + 3 + 2) + weights + norm  # convolution, normalisation, addition, rectifier
    one_pass = picture * (2 + 3) + weights + norm
    inside = picture * (2 + 1) + weights + norm
    for way, numbers in zip(WAYS, (each, one_pass, inside), strict=True):
        assert passes.moved[way] == 2 * 2 * numbers, way
        assert passes.seconds[way] == pytest.approx(2 * numbers), way
