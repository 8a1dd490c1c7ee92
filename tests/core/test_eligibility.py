from __future__ import annotations

from dataclasses import replace

import pytest

from ichnode.core.eligibility import SETTLED, SelectionPolicy, judge
from ichnode.core.geometry import measure
from ichnode.core.reasons import REJECTIONS
from tests.core.header_corpus import CASES, Case
from tests.core.made import codes, series, with_each


def judged(slices, **policy):
    return judge(slices, measure(slices), SelectionPolicy(**policy))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_corpus(case: Case):
    verdict = judged(series(case.count, case.step_mm, **case.facts))
    if case.code is None:
        assert verdict.eligible, verdict.reason
        assert verdict.reason is None and not verdict.settled
        assert codes(verdict.warnings) == case.warned
    else:
        assert not verdict.eligible
        assert verdict.reason.code == case.code
        if case.settled is not None:
            assert verdict.settled is case.settled


def test_the_corpus_is_large_and_reaches_every_rule():
    assert len(CASES) >= 60
    by_other_means = {
        "MIXED_GEOMETRY",
        "OVERLAPPING_VOLUMES",
        "ANOTHER_SERIES_CHOSEN",
        "PIXELS_UNREADABLE",
        "ANALYSIS_FAILED",
        "REMNANT",
    }
    assert set(REJECTIONS) - by_other_means == {case.code for case in CASES} - {None}
    assert set(REJECTIONS) >= SETTLED


def test_an_empty_series_is_too_few_and_may_still_grow():
    verdict = judged([])
    assert verdict.reason.code == "TOO_FEW_SLICES" and not verdict.settled


def test_one_slice_with_contrast_decides_for_the_series():
    slices = with_each(series(30), contrast_agent=[None] * 29 + ["Iohexol"])
    assert judged(slices).reason.code == "CONTRAST"


def test_a_few_derived_slices_do_not():
    slices = with_each(
        series(30), image_type=[("DERIVED", "SECONDARY", "MPR")] * 3 + [("ORIGINAL", "PRIMARY", "AXIAL")] * 27
    )
    assert judged(slices).eligible


def test_the_kernel_of_most_slices_decides_and_the_mixture_is_said():
    slices = with_each(series(30), kernel=[("H60s",)] * 5 + [("H31s",)] * 25)
    verdict = judged(slices)
    assert verdict.eligible and codes(verdict.warnings) == {"MIXED_KERNELS"}


def test_refused_geometry_rejects_with_its_own_code():
    slices = series(30)
    slices[3] = replace(slices[3], rows=768)
    assert judged(slices).reason.code == "MIXED_GEOMETRY"
    second = [replace(s, sop_instance_uid=s.sop_instance_uid + ".9", acquisition_number=2) for s in series(30)]
    assert judged(series(30) + second).reason.code == "OVERLAPPING_VOLUMES"


def test_a_bone_kernel_is_read_where_the_policy_says_so():
    assert judged(series(30, kernel=("H60s",)), bone_kernel_allowed=True).eligible


@pytest.mark.parametrize(
    ("policy", "code"),
    [
        ({"min_slices": 31}, "TOO_FEW_SLICES"),
        ({"min_extent_mm": 151.0}, "COVERAGE_TOO_SHORT"),
        ({"max_extent_mm": 149.0}, "NOT_HEAD"),
        ({"max_thickness_mm": 4.0}, "SLICES_TOO_THICK"),
        ({"max_spacing_mm": 4.0}, "SPACING_TOO_WIDE"),
        ({"axial_within_deg": -1.0}, "NOT_AXIAL"),
    ],
)
def test_every_limit_of_the_policy_is_obeyed(policy, code):
    assert judged(series(30)).eligible
    assert judged(series(30), **policy).reason.code == code


def test_a_rejected_series_still_carries_the_warnings_of_its_geometry():
    verdict = judged(series(30, gantry_tilt_deg=20.0, kernel=("H60s",)))
    assert verdict.reason.code == "BONE_KERNEL" and codes(verdict.warnings) == {"GANTRY_TILT"}
