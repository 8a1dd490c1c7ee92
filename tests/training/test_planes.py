"""A data set on disk: written whole or not at all, read back as it was, split by patient."""

import multiprocessing
import os
import signal
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ichnode_training.plane_writer import PlaneWriter
from ichnode_training.planes import DataSetError, Scan, as_json, open_planes, scan_from_json
from ichnode_training.split import split_patients

ABOUT = {"name": "drawn", "licence": "none", "citation": "none"}
SHARES = {"train": 0.6, "validation": 0.2, "test": 0.2}


def scan(patient="7", series="1.2", bleeds=(), count=4, **other):
    labels = np.zeros((count, 6), np.float32)
    for column in bleeds:
        labels[1, [0, column]] = 1
    labels[3, 5] = np.nan
    names = tuple(f"{series}.{index}" for index in range(count))
    return Scan(
        patient, f"{patient}.1", series, names, (0.5, 0.4), np.arange(count) * 2.5, labels, labels[1], 5.0, "H31s",
        "Siemens", "Sensation", duplicates=(("x", 2),), warnings=("GANTRY_TILT",), **other,
    )  # fmt: skip


def planes(count=4):
    return np.random.default_rng(count).integers(-1024, 3071, (count, 6, 5)).astype(np.int16)


def test_what_was_written_comes_back(tmp_path):
    hu, lesion = planes(), planes() > 1500
    with PlaneWriter(tmp_path, ABOUT) as writer:
        writer.add(scan("12", bleeds=(3,)), hu, lesion)
        writer.add(scan("7"), hu[::-1])
        writer.split(SHARES)
    data = open_planes(tmp_path)
    assert data.patients == ("7", "12") and data.about == ABOUT
    clean, bleeding = data
    assert isinstance(clean.hu(), np.memmap) and not clean.outlined and clean.lesion() is None
    np.testing.assert_array_equal(bleeding.hu(), hu)
    np.testing.assert_array_equal(bleeding.lesion(), lesion)
    np.testing.assert_array_equal(clean.hu(), hu[::-1])
    assert bleeding.lesion_ml[0] == pytest.approx(lesion.sum() * 0.5 * 0.4 * 2.5 / 1000, rel=1e-3)
    assert np.isnan(bleeding.lesion_ml[1:]).all()
    assert bleeding.labels[1].tolist() == [1, 0, 0, 1, 0, 0] and np.isnan(bleeding.labels[3, 5])
    assert (bleeding.scanner, bleeding.kernel_kind.name) == ("Siemens Sensation", "SOFT")
    assert {one.split for one in data} <= set(SHARES)
    assert sorted(one.patient for part in SHARES for one in data.of(part)) == ["12", "7"]
    given = scan("12", bleeds=(3,))
    assert as_json(scan_from_json(as_json(given))) == as_json(given)


def test_the_digest_is_of_planes_and_labels(tmp_path):
    digests = []
    for name, one, hu in (
        ("a", scan(), planes()), ("b", scan(), planes()), ("c", scan(bleeds=(2,)), planes()), ("d", scan(), -planes()),
    ):  # fmt: skip
        with PlaneWriter(tmp_path / name, ABOUT) as writer:
            writer.add(one, hu)
        digests.append(open_planes(tmp_path / name).digest)
    assert digests[0] == digests[1] and len(set(digests)) == 3


def _write_until_killed(folder, enough):
    with PlaneWriter(folder, ABOUT) as writer:
        for number in range(10_000):
            writer.add(scan(series=str(number)), planes())
            if number == 20:
                enough.set()


def test_killed_at_any_moment_what_is_indexed_is_whole(tmp_path):
    context = multiprocessing.get_context("spawn")
    enough = context.Event()
    child = context.Process(target=_write_until_killed, args=(tmp_path, enough))
    child.start()
    assert enough.wait(60)
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    with (tmp_path / "index.jsonl").open("ab") as index:
        index.write(b'{"patient": "torn')
    there = open_planes(tmp_path)
    assert len(there) >= 20
    for one in there:
        np.testing.assert_array_equal(one.hu(), planes())
    with PlaneWriter(tmp_path, ABOUT) as writer:
        assert writer.find("7.1", "3") is not None and writer.find("7.1", "another") is None
        writer.add(scan(series="another"), planes())
    assert len(open_planes(tmp_path)) == len(there) + 1
    assert not list(tmp_path.glob("*/.*.tmp"))


def test_new_labels_need_no_new_planes(tmp_path):
    with PlaneWriter(tmp_path, ABOUT) as writer:
        one = writer.add(scan(), planes())
        writer.relabel(replace(one, scan_labels=np.ones(6, np.float32)))
        with pytest.raises(DataSetError):
            writer.relabel(scan("another"))
    (read,) = open_planes(tmp_path)
    assert read.scan_labels.all() and read.digest == one.digest


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"positions_mm": np.array([0, 5.0, 5.0, 10.0])}, "ascend"),
        ({"labels": np.zeros((3, 6), np.float32)}, "shapes"),
        ({"spacing_mm": (0.0, 0.5)}, "above 0"),
    ],
)
def test_a_scan_that_does_not_fit_is_refused(change, why):
    with pytest.raises(DataSetError, match=why):
        replace(scan(), **change)


def test_misuse_is_said(tmp_path):
    with pytest.raises(DataSetError, match="no data set"):
        open_planes(tmp_path)
    with PlaneWriter(tmp_path, ABOUT) as writer:
        with pytest.raises(DataSetError, match="Another process"):
            PlaneWriter(tmp_path, ABOUT)
        with pytest.raises(DataSetError, match="none of 4 slices"):
            writer.add(scan(), planes(3))
        with pytest.raises(DataSetError, match="do not fit"):
            writer.add(scan(), planes(), planes(3) > 0)
        one = writer.add(scan(), planes())
    with pytest.raises(DataSetError, match="holds drawn, not RSNA"):
        PlaneWriter(tmp_path, {"name": "RSNA"})
    (tmp_path / "hu" / one.file).write_bytes(b"\x93NUMPY")
    with pytest.raises(DataSetError, match="damaged"):
        open_planes(tmp_path)[0].hu()
    (tmp_path / "index.jsonl").write_text("{}\n")
    with pytest.raises(DataSetError, match="index"):
        open_planes(tmp_path)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.sets(st.integers(1, 5), max_size=3), min_size=1, max_size=60), st.integers(0, 3))
def test_a_split_is_by_patient_the_same_every_time_and_keeps_what_it_gave(kinds, seed):
    scans = [scan(f"p{number % 40}", str(number), tuple(kind)) for number, kind in enumerate(kinds)]
    parts = split_patients(scans, SHARES, seed=seed)
    assert set(parts) == {one.patient for one in scans}
    assert parts == split_patients(reversed(scans), SHARES, seed=seed)
    more = [*scans, scan("new", bleeds=(5,)), scan("p0", "late", bleeds=(1, 2))]
    later = split_patients(more, SHARES, parts, seed)
    assert later.items() >= parts.items() and later["new"] in SHARES


def test_every_part_gets_its_share_of_the_rare():
    scans = [scan(f"p{n}", bleeds=(5,) if n < 20 else (4, 1) if n < 60 else ()) for n in range(200)]
    parts = split_patients(scans, SHARES)
    for first, last in ((0, 20), (20, 60), (60, 200)):
        given = [parts[f"p{n}"] for n in range(first, last)]
        assert [given.count(name) for name in SHARES] == [round(share * (last - first)) for share in SHARES.values()]
    with pytest.raises(DataSetError, match="add up"):
        split_patients(scans, {"train": 0.5, "test": 0.6})


def test_who_was_given_to_a_part_of_no_share_takes_nothing_from_the_others():
    """As RSNA is: unlabelled patients of the competition's test bear nothing that is known."""
    given = {f"test{n}": "test" for n in range(100)}
    scans = (
        [scan(name) for name in given]
        + [scan(f"p{n}") for n in range(100)]
        + [scan(f"b{n}", bleeds=(4,)) for n in range(50)]
    )
    parts = split_patients(scans, {"train": 0.9, "validation": 0.1, "test": 0.0}, given)
    for kind, count in (("p", 100), ("b", 50)):
        dealt = [parts[f"{kind}{n}"] for n in range(count)]
        assert (dealt.count("train"), dealt.count("validation")) == (0.9 * count, 0.1 * count)
    assert parts.items() >= given.items()


def test_a_test_set_above_its_share_goes_off_both_other_parts():
    """As an export of the node is: it brings more patients as test set than a split asks for."""
    scans = [scan(f"p{n}") for n in range(100)]
    parts = split_patients(scans, SHARES, {f"p{n}": "test" for n in range(40)})
    given = [parts[f"p{n}"] for n in range(40, 100)]
    assert [given.count(name) for name in SHARES] == [45, 15, 0]
