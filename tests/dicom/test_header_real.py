"""Real scans through header, geometry, eligibility and selection."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from ichnode.core.eligibility import judge
from ichnode.core.geometry import measure, plausible, whole
from ichnode.core.selection import Candidate, choose, preference
from ichnode.core.slices import Slice
from ichnode.dicom.header import parse_dataset, parse_file
from ichnode.errors import BadObject
from tests.dicom.made_ct import encode

pytestmark = pytest.mark.data


def slices_in(folder: Path) -> list[Slice]:
    found: list[Slice] = []
    for path in sorted(folder.iterdir()):
        try:
            found.extend(parse_file(path).slices)
        except BadObject:
            assert path.name in ("LICENSE", "DIRFILE")
    return found


def test_tilt_and_three_spacings_come_through_with_warnings(test_data):
    slices = slices_in(test_data / "ge_head_ct")
    geometry = measure(slices)
    verdict = judge(slices, geometry)
    assert verdict.eligible
    assert [w.code for w in verdict.warnings] == ["GANTRY_TILT", "NON_UNIFORM_SPACING"]
    assert geometry.tilt_deg == pytest.approx(18.5, abs=0.01)
    assert len(geometry.order) == 28 and geometry.gaps == ()
    assert geometry.extent_mm == pytest.approx(149.6, abs=0.1)
    assert "13 of 4.0 mm, 13 of 7.0 mm, 1 of 1.1 mm" in verdict.warnings[1].sentence
    assert plausible(geometry) and not whole(geometry)


def test_half_of_that_scan_is_not_taken_for_the_whole(test_data):
    slices = slices_in(test_data / "ge_head_ct")
    assert not plausible(measure(slices[::2])) and not whole(measure(slices[::2]))


def test_the_mixed_study_ends_in_one_chosen_series(test_data):
    folder = test_data / "philips_mixed_study"
    series = {name: slices_in(folder / name) for name in ("S1000", "S2010", "S2030", "S4010")}
    geometries = {name: measure(slices) for name, slices in series.items()}
    verdicts = {name: judge(slices, geometries[name]) for name, slices in series.items()}
    assert {name: v.reason.code if v.reason else None for name, v in verdicts.items()} == {
        "S1000": "LOCALIZER",
        "S2010": None,
        "S2030": "BONE_KERNEL",
        "S4010": "SCREEN_SAVE",
    }
    assert all(v.settled for v in verdicts.values() if not v.eligible)
    assert whole(geometries["S2010"])
    candidates = [
        Candidate(key, preference(series[name], geometries[name]))
        for key, name in enumerate(series)
        if verdicts[name].eligible
    ]
    assert choose(candidates).chosen == 1 and choose(candidates).losers == ()


def test_where_the_bone_series_is_allowed_the_soft_one_still_wins(test_data):
    folder = test_data / "philips_mixed_study"
    soft, bone = slices_in(folder / "S2010"), slices_in(folder / "S2030")
    assert preference(soft, measure(soft)) > preference(bone, measure(bone))


def test_every_scan_of_the_training_data_is_whole_and_eligible(test_data):
    spec = importlib.util.spec_from_file_location("to_dicom", test_data / "ct_ich" / "to_dicom.py")
    assert spec is not None and spec.loader is not None
    to_dicom = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(to_dicom)
    import csv

    import numpy as np

    numbers: dict[int, list[int]] = {}
    with (test_data / "ct_ich" / "labels.csv").open() as lines:
        for row in csv.DictReader(lines):
            numbers.setdefault(int(row["patient"]), []).append(int(row["slice"]))
    assert len(numbers) == 53
    blank = np.full((512, 512), -1000, np.int16)  # headers only: the pixels are tested elsewhere
    for patient, present in numbers.items():
        slices = []
        for index, number in enumerate(sorted(present)):
            ds = to_dicom.ct_dataset(blank, patient, number, index)
            slices.extend(parse_dataset(encode(ds), ds.file_meta.TransferSyntaxUID).slices)
        geometry = measure(slices)
        verdict = judge(slices, geometry)
        assert verdict.eligible, (patient, verdict.reason)
        assert {w.code for w in verdict.warnings} <= {"LIMITED_COVERAGE"}
        assert whole(geometry) == (5 * len(slices) >= 120)
