from __future__ import annotations

import pytest

from ichnode.core.kernels import Kernel, kernel_of, kernel_of_series
from tests.core.made import series, with_each

SOFT, BONE, UNKNOWN = Kernel.SOFT, Kernel.BONE, Kernel.UNKNOWN


def one(manufacturer, kernel, description=None):
    return series(1, manufacturer=manufacturer, kernel=kernel, series_description=description)[0]


@pytest.mark.parametrize(
    ("manufacturer", "kernel", "kind"),
    [
        ("SIEMENS", ("H10s",), SOFT), ("SIEMENS", ("H31s",), SOFT), ("SIEMENS", ("H50s",), SOFT),
        ("SIEMENS", ("H60s",), BONE), ("SIEMENS", ("H70h",), BONE), ("SIEMENS", ("J30s", "3"), SOFT),
        ("SIEMENS", ("J70h", "2"), BONE), ("Siemens Healthineers", ("Hr40f", "3"), SOFT), ("SIEMENS", ("Hr64h",), BONE),
        ("SIEMENS", ("Qr36d",), SOFT), ("SIEMENS", ("B75f",), BONE), ("SIEMENS", ("U90u",), BONE),
        (None, ("H31s",), SOFT),
        ("GE MEDICAL SYSTEMS", ("SOFT",), SOFT), ("GE MEDICAL SYSTEMS", ("STANDARD",), SOFT), ("GE", ("STD+",), SOFT),
        ("GE MEDICAL SYSTEMS", ("BONE",), BONE), ("GE MEDICAL SYSTEMS", ("BONEPLUS",), BONE), ("GE", ("EDGE",), BONE),
        ("GE MEDICAL SYSTEMS", ("LUNG",), BONE), ("GE MEDICAL SYSTEMS", ("DETAIL",), UNKNOWN),
        ("Philips", ("UB",), SOFT), ("Philips", ("UA",), SOFT), ("Philips", ("B",), SOFT), ("Philips", ("YA",), BONE),
        ("Philips", ("YC",), BONE), ("Philips", ("D",), BONE), ("Philips", ("E",), BONE), ("Acme", ("UB",), UNKNOWN),
        ("TOSHIBA", ("FC08",), SOFT), ("TOSHIBA", ("FC21",), SOFT), ("CANON_MEC", ("FC28",), SOFT),
        ("TOSHIBA", ("FC30",), BONE), ("TOSHIBA", ("FC35",), BONE), ("TOSHIBA", ("FC51",), BONE),
        ("TOSHIBA", ("FC81",), BONE), ("TOSHIBA", ("FC67",), UNKNOWN),
        ("UIH", ("H_SOFT_B",), SOFT), ("UIH", ("H_SHARP_C",), BONE), ("", ("BRAIN",), SOFT), ("", ("XYZ",), UNKNOWN),
        ("SIEMENS", ("nonsense", "LUNG"), BONE),
    ],
)  # fmt: skip
def test_by_name(manufacturer, kernel, kind):
    assert kernel_of(one(manufacturer, kernel)) is kind


@pytest.mark.parametrize(
    ("description", "kind"),
    [("Kopf Knochen", BONE), ("CRANE OS", BONE), ("SOFT TISSUE", SOFT), ("STD BRAIN 5MM", SOFT), ("Weichteil", SOFT),
     ("HEAD 5.0", UNKNOWN), (None, UNKNOWN)],
)  # fmt: skip
def test_by_description_where_the_kernel_is_absent(description, kind):
    assert kernel_of(one("SIEMENS", (), description)) is kind


def test_the_kernel_counts_before_the_description():
    assert kernel_of(one("SIEMENS", ("H31s",), "bone window")) is SOFT


def test_most_slices_decide_and_a_tie_goes_to_the_worse():
    assert kernel_of_series(with_each(series(4), kernel=[("H31s",)] * 3 + [("H60s",)])) is SOFT
    assert kernel_of_series(with_each(series(4), kernel=[("H31s",)] * 2 + [("H60s",)] * 2)) is BONE
