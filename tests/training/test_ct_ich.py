import csv
import importlib.util
import sys
from dataclasses import replace

import numpy as np
import pytest
from ichnode_training.ct_ich import sources

from ichnode.core.findings import CLASSES

from .heads_for_tests import imported, write_ct_ich


def test_the_layout_is_read_as_it_lies(tmp_path):
    write_ct_ich(tmp_path, ((12, 1, 0), (7, 10, 1), (7, 2, 0), (7, 9, 0)), without_bone=(7, 2))
    planes = imported(tmp_path)
    assert planes.patients == ("7", "12")
    scan = planes[0]
    hu, lesion = scan.hu(), scan.lesion()
    assert hu.shape == (3, 512, 512)
    assert scan.instances == ("007_02.jpg", "007_09.jpg", "007_10.jpg")
    assert scan.scan_labels.tolist() == scan.labels[2].tolist()
    assert not planes[1].outlined
    assert scan.positions_mm.tolist() == [0, 5, 10]
    assert [float(np.median(plane[150:350, 150:350])) for plane in hu] == pytest.approx([32, 39, 40], abs=1)
    assert scan.labels[2].tolist() == [1 if name in ("any", "epidural") else 0 for name in CLASSES]
    assert not scan.labels[:2].any()
    assert not lesion[:2].any()
    assert lesion[2].sum() == pytest.approx((100 * 0.7951) ** 2, rel=0.05)
    assert hu[1, 73:74, 200:300].max() > 700, "bone comes from the bone picture"
    assert hu[1].min() < -800, "air comes from the bone picture"


@pytest.mark.data
def test_the_real_set_agrees_with_its_own_converter(test_data):
    folder = test_data / "ct_ich"
    spec = importlib.util.spec_from_file_location("to_dicom", folder / "to_dicom.py")
    converter = importlib.util.module_from_spec(spec)
    written = sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    try:
        spec.loader.exec_module(converter)
    finally:
        sys.dont_write_bytecode = written
    hu = _real(folder, "50").hu
    for index, number in ((0, 1), (12, 13)):
        name = f"050_{number:02d}.jpg"
        expected = converter.slice_hu(folder / "brain" / name, folder / "bone" / name)
        assert (hu[index] == expected).mean() > 0.9999


@pytest.mark.data
def test_the_real_set_is_what_its_paper_says(test_data):
    folder = test_data / "ct_ich"
    assert len(sources(folder)) == 53
    with (folder / "labels.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    assert (len(rows), sum(int(row["any"]) for row in rows)) == (1580, 188)
    read = _real(folder, "71")
    blood = read.hu[read.lesion]
    assert 50 < np.median(blood) < 80
    assert (read.lesion.any(axis=(1, 2)) <= (read.scan.labels[:, 0] > 0)).all()


def _real(folder, patient):
    (one,) = (source for source in sources(folder) if source.study == patient)
    read = one.read()
    return replace(read, scan=one.label(read.scan))
