from __future__ import annotations

import math
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ichnode.core.geometry import Geometry, measure, plausible, shortfall, whole
from ichnode.core.slices import Slice
from tests.core.made import (
    SECONDARY_CAPTURE,
    at,
    codes,
    moved,
    series,
    tilted_by_orientation,
    tilted_by_shift,
    with_each,
)

counts = st.integers(12, 60)
spacings = st.floats(0.4, 10.0)
shuffles = st.randoms(use_true_random=False)


def turned(x: float, y: float, z: float) -> np.ndarray:
    """Rotation by angles in degrees about the three axes of the patient."""
    a, b, c = (math.radians(v) for v in (x, y, z))
    rx = np.array([[1, 0, 0], [0, math.cos(a), -math.sin(a)], [0, math.sin(a), math.cos(a)]])
    ry = np.array([[math.cos(b), 0, math.sin(b)], [0, 1, 0], [-math.sin(b), 0, math.cos(b)]])
    rz = np.array([[math.cos(c), -math.sin(c), 0], [math.sin(c), math.cos(c), 0], [0, 0, 1]])
    return rz @ ry @ rx


def in_order(slices: list[Slice], geometry: Geometry) -> list[str]:
    return [slices[i].sop_instance_uid for i in geometry.order]


def bare(geometry: Geometry) -> Geometry:
    """Without the indices, which are the only thing that may depend on the order given."""
    return replace(geometry, order=(), dropped=())


class TestAnyOrder:
    @given(counts, spacings, shuffles, st.floats(-25, 25))
    def test_a_permutation_changes_nothing_but_the_indices(self, count, spacing, random, tilt):
        slices = tilted_by_orientation(series(count, spacing, thickness_mm=spacing), tilt)
        expected = measure(slices)
        shuffled = list(slices)
        random.shuffle(shuffled)
        geometry = measure(shuffled)
        assert in_order(shuffled, geometry) == in_order(slices, expected)
        assert bare(geometry) == bare(expected)

    @given(counts, shuffles)
    def test_instance_numbers_do_not_order(self, count, random):
        slices = series(count)
        numbers = list(range(1, count + 1))
        random.shuffle(numbers)
        geometry = measure(with_each(slices, instance_number=numbers))
        assert geometry.order == tuple(range(count))
        assert geometry.contiguous_numbers

    def test_numbers_from_superior_to_inferior_are_noted_and_ordered_by_place(self):
        slices = with_each(series(30), instance_number=list(range(30, 0, -1)))
        geometry = measure(slices)
        assert geometry.order == tuple(range(30))
        assert geometry.reversed_numbers and not measure(series(30)).reversed_numbers
        assert whole(geometry)

    def test_a_normal_that_points_to_the_feet_is_turned_round(self):
        geometry = measure(series(30, orientation=(1.0, 0.0, 0.0, 0.0, -1.0, 0.0)))
        assert geometry.normal[2] == 1
        assert geometry.order == tuple(range(30))
        assert "UNUSUAL_VIEW" in codes(geometry.warnings)

    @given(counts, spacings, st.tuples(*[st.floats(-30, 30)] * 3), st.tuples(*[st.floats(-1000, 1000)] * 3))
    def test_moving_the_whole_scan_keeps_its_measures(self, count, spacing, angles, shift):
        slices = series(count, spacing, thickness_mm=spacing)
        geometry = measure(moved(slices, turned(*angles), shift))
        assert geometry.refusal is None
        assert geometry.order == tuple(range(count))
        assert geometry.spacing_mm == pytest.approx(spacing)
        assert geometry.extent_mm == pytest.approx(count * spacing)
        assert geometry.tilt_deg == 0, "an oblique volume does not lean"
        assert geometry.uniform and not geometry.gaps


class TestTilt:
    @given(st.floats(0.6, 30), st.sampled_from([-1, 1]), st.sampled_from([tilted_by_orientation, tilted_by_shift]))
    def test_is_found_without_the_attribute_in_both_ways_of_writing_it(self, degrees, sign, tilted):
        geometry = measure(tilted(series(30), sign * degrees))
        assert geometry.tilt_deg == pytest.approx(sign * degrees, abs=1e-6)
        assert "GANTRY_TILT" in codes(geometry.warnings)

    @given(st.floats(-30, 30), shuffles)
    def test_spacing_is_measured_across_the_slices(self, degrees, random):
        slices = tilted_by_orientation(series(30), degrees)
        random.shuffle(slices)
        assert measure(slices).spacing_mm == pytest.approx(5 * math.cos(math.radians(degrees)))

    def test_the_attribute_counts_where_positions_do_not_show_it(self):
        geometry = measure(series(30, gantry_tilt_deg=-12.0))
        assert geometry.tilt_deg == -12
        assert "GANTRY_TILT" in codes(geometry.warnings)

    def test_the_attribute_gives_the_sign_of_a_tilt_that_positions_show(self):
        slices = [replace(s, gantry_tilt_deg=-18.0) for s in tilted_by_orientation(series(30), 18)]
        assert measure(slices).tilt_deg == pytest.approx(-18)

    def test_no_tilt_no_warning(self):
        assert measure(series(30, gantry_tilt_deg=0.0)).warnings == ()

    def test_a_single_sideways_jump_is_no_tilt(self):
        slices = series(30)
        jumped = [replace(s, position_mm=(-95.0, -115.0, s.position_mm[2])) for s in slices[15:]]
        geometry = measure(slices[:15] + jumped)
        assert geometry.tilt_deg == 0
        assert codes(geometry.warnings) == {"SHIFTED_SLICES"}


class TestDuplicates:
    @given(counts, st.data(), shuffles)
    def test_a_repeated_slice_is_found_and_the_later_one_kept(self, count, data, random):
        slices = series(count)
        place = data.draw(st.integers(0, count - 1))
        again = replace(slices[place], sop_instance_uid="9.9", instance_number=count + 1)
        given_slices = [*slices, again]
        random.shuffle(given_slices)
        geometry = measure(given_slices)
        assert codes(geometry.warnings) == {"DUPLICATE_POSITIONS"}
        kept = in_order(given_slices, geometry)
        assert kept[place] == "9.9" and len(kept) == count
        assert [given_slices[i].sop_instance_uid for i in geometry.dropped] == [slices[place].sop_instance_uid]
        assert geometry.positions_mm == measure(slices).positions_mm

    def test_a_whole_copy_under_new_uids_is_left_out(self):
        copy = [replace(s, sop_instance_uid=s.sop_instance_uid + ".9") for s in series(30)]
        geometry = measure(series(30) + copy)
        assert geometry.refusal is None
        assert len(geometry.order) == 30 and len(geometry.dropped) == 30
        assert whole(geometry)

    @pytest.mark.parametrize(
        "second",
        [
            {"acquisition_number": 2},
            {"kernel": ("H60s",)},
            {"thickness_mm": 3.0},
            {"instance_number": None},
        ],
        ids=lambda facts: next(iter(facts)),
    )
    def test_two_volumes_of_one_place_are_refused(self, second):
        other = [replace(s, **second, sop_instance_uid=s.sop_instance_uid + ".9") for s in series(30)]
        geometry = measure(series(30) + other)
        assert geometry.refusal is not None and geometry.refusal.code == "OVERLAPPING_VOLUMES"

    def test_two_interleaved_volumes_of_different_thickness_are_refused(self):
        thin = at([2.5 * k + 1 for k in range(60)], thickness_mm=2.5)
        thin = [replace(s, sop_instance_uid=s.sop_instance_uid + ".9") for s in thin]
        assert measure(series(30) + thin).refusal.code == "OVERLAPPING_VOLUMES"

    def test_time_points_numbered_through_are_refused_even_within_one_acquisition(self):
        later = [
            replace(s, sop_instance_uid=s.sop_instance_uid + ".9", instance_number=s.instance_number + 30)
            for s in series(30)
        ]
        assert measure(series(30) + later).refusal.code == "OVERLAPPING_VOLUMES"

    def test_an_acquisition_for_every_slice_is_no_second_volume(self):
        slices = with_each(series(30), acquisition_number=list(range(1, 31)))
        assert measure(slices).refusal is None


class TestGaps:
    @given(counts, spacings, st.data(), shuffles)
    def test_a_missing_run_of_slices_is_found_where_it_is(self, count, spacing, data, random):
        slices = series(count, spacing, thickness_mm=spacing)
        first = data.draw(st.integers(2, count - 5))
        run = data.draw(st.integers(1, min(3, count - 3 - first)))
        left = slices[:first] + slices[first + run :]
        random.shuffle(left)
        geometry = measure(left)
        assert [(gap.after, gap.missing) for gap in geometry.gaps] == [(first - 1, run)]
        assert "GAPS" in codes(geometry.warnings)
        assert not geometry.contiguous_numbers and not geometry.uniform
        assert not whole(geometry) and not plausible(geometry)

    @given(counts, st.sampled_from([1, 2, 3]), st.booleans())
    def test_a_series_thinned_to_every_nth_slice_never_looks_whole(self, count, offset, overlapping):
        thickness = 5.0 if overlapping else 2.5
        slices = series(4 * count, 2.5, thickness_mm=thickness)[:: offset + 1]
        assert not whole(measure(slices))

    def test_every_second_slice_is_told_by_spacing_where_numbers_were_made_anew(self):
        half = [replace(s, instance_number=k + 1) for k, s in enumerate(series(60, 2.5, thickness_mm=2.5)[::2])]
        geometry = measure(half)
        assert geometry.contiguous_numbers
        assert "SPARSE_SPACING" in codes(geometry.warnings)
        assert not whole(geometry)

    def test_gaps_next_to_each_other_are_both_found(self):
        kept = [s for k, s in enumerate(series(20)) if k not in (8, 10)]
        assert [(gap.after, gap.missing) for gap in measure(kept).gaps] == [(7, 1), (8, 1)]

    def test_a_deliberate_distance_between_slices_is_sparse_but_no_gap(self):
        geometry = measure(series(16, 10.0, thickness_mm=5.0))
        assert geometry.gaps == ()
        assert codes(geometry.warnings) == {"SPARSE_SPACING"}

    @pytest.mark.parametrize("numbers", [[None] * 30, [*range(1, 15), *range(16, 32)], list(range(3, 33))])
    def test_numbers_unknown_with_holes_or_not_from_the_start_are_no_evidence(self, numbers):
        geometry = measure(with_each(series(30), instance_number=numbers))
        assert not geometry.contiguous_numbers
        assert not whole(geometry)
        assert "instance numbers" in shortfall(geometry)


class TestSpacings:
    def test_thin_below_and_thick_above_is_read_with_a_warning_and_has_no_gap(self):
        thin = [2.5 * k for k in range(20)]
        thick = [50 + 5.0 * k for k in range(20)]
        slices = with_each(at(thin + thick), thickness_mm=[2.5] * 20 + [5.0] * 20)
        geometry = measure(slices)
        assert geometry.refusal is None and geometry.gaps == ()
        assert codes(geometry.warnings) == {"NON_UNIFORM_SPACING"}
        assert "19 of 5.0 mm" in geometry.warnings[0].sentence and "20 of 2.5 mm" in geometry.warnings[0].sentence
        assert not whole(geometry) and plausible(geometry)

    def test_steps_that_take_turns_are_called_interleaved(self):
        heights = [10 * k + offset for k in range(15) for offset in (0.0, 4.0)]
        geometry = measure(at(heights))
        assert codes(geometry.warnings) == {"NON_UNIFORM_SPACING"}
        assert "interleaved" in geometry.warnings[0].sentence
        assert not whole(geometry)

    def test_a_single_thick_step_at_the_end_is_no_gap(self):
        slices = with_each(at([0, 4, 8, 12, 16, 20, 24, 31]), thickness_mm=[4.0] * 7 + [7.0])
        assert measure(slices).gaps == ()

    @given(counts, spacings)
    def test_rounding_of_positions_to_a_tenth_is_even(self, count, spacing):
        heights = [round(k * spacing, 1) for k in range(count)]
        assert measure(at(heights, thickness_mm=spacing)).uniform

    @pytest.mark.parametrize("count", [1, 2])
    def test_one_or_two_slices_are_measured_without_complaint(self, count):
        geometry = measure(series(count))
        assert geometry.refusal is None and geometry.warnings == ()
        assert geometry.extent_mm == 5 * count
        assert geometry.spacing_mm == (None if count == 1 else 5)
        assert not whole(geometry)


class TestRefused:
    def test_no_slices(self):
        geometry = measure([])
        assert geometry.refusal.code == "TOO_FEW_SLICES" and geometry.order == ()

    @pytest.mark.parametrize(
        "facts",
        [
            {"position_mm": None},
            {"orientation": None},
            {"orientation": (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)},
            {"orientation": (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)},
            {"orientation": (2.0, 0.0, 0.0, 0.0, 1.0, 0.0)},
        ],
        ids=["no position", "no orientation", "zeros", "parallel", "not of length one"],
    )
    def test_one_slice_without_a_place_refuses_the_series(self, facts):
        slices = series(30)
        slices[4] = replace(slices[4], **facts)
        geometry = measure(slices)
        assert geometry.refusal.code == "NO_POSITIONS"
        assert "1 of 30" in geometry.refusal.sentence
        assert len(geometry.order) == 30

    @pytest.mark.parametrize(
        ("facts", "word"),
        [
            ({"orientation": (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)}, "orientation"),
            ({"orientation": (1.0, 0.0, 0.0, 0.0, math.cos(0.05), -math.sin(0.05))}, "orientation"),
            ({"rows": 768, "columns": 768}, "matrix"),
            ({"pixel_spacing_mm": (0.5, 0.5)}, "pixel size"),
            ({"frame_of_reference_uid": "1.2.3.5"}, "frame of reference"),
        ],
    )
    def test_slices_that_do_not_belong_together(self, facts, word):
        slices = series(30)
        slices[4] = replace(slices[4], **facts)
        geometry = measure(slices)
        assert geometry.refusal.code == "MIXED_GEOMETRY"
        assert word in geometry.refusal.sentence
        assert not whole(geometry)


class TestSetAside:
    def test_a_scout_and_a_dose_page_among_the_slices_are_left_out(self):
        scout = replace(
            series(1)[0],
            sop_instance_uid="9.1",
            image_type=("ORIGINAL", "PRIMARY", "LOCALIZER"),
            orientation=(0.0, 1.0, 0.0, 0.0, 0.0, -1.0),
        )
        page = replace(series(1)[0], sop_instance_uid="9.2", sop_class_uid=SECONDARY_CAPTURE, position_mm=None)
        geometry = measure([scout, *series(30), page])
        assert geometry.order == tuple(range(1, 31))
        assert geometry.dropped == (0, 31)
        assert codes(geometry.warnings) == {"OTHER_IMAGES_SET_ASIDE"}

    def test_nothing_but_scouts_is_refused_as_such(self):
        scouts = series(2, image_type=("ORIGINAL", "PRIMARY", "LOCALIZER"))
        geometry = measure(scouts)
        assert geometry.refusal.code == "LOCALIZER"
        assert geometry.order == () and geometry.dropped == (0, 1)


class TestRescale:
    def test_changing_rescale_is_warned(self):
        slices = with_each(series(30), rescale_intercept=[-1024.0] * 15 + [-1000.0] * 15)
        assert codes(measure(slices).warnings) == {"MIXED_RESCALE"}

    def test_missing_rescale_is_warned(self):
        slices = with_each(series(30), rescale_slope=[None, *[1.0] * 29])
        assert codes(measure(slices).warnings) == {"MISSING_RESCALE"}


class TestWhole:
    def test_a_contiguous_head_is_whole(self):
        geometry = measure(series(28))
        assert whole(geometry) and plausible(geometry) and shortfall(geometry) == ""

    def test_half_a_head_is_not(self):
        geometry = measure(series(12))
        assert not whole(geometry)
        assert "60 mm covered" in shortfall(geometry)

    def test_unknown_thickness_is_no_evidence(self):
        assert not whole(measure(series(30, thickness_mm=None)))

    def test_frames_of_one_instance_are_contiguous(self):
        frames = [replace(s, sop_instance_uid="1.2", instance_number=7, frame=k + 1) for k, s in enumerate(series(30))]
        assert whole(measure(frames))


def test_two_thousand_slices_take_less_than_50_ms():
    slices = with_each(series(2000, 0.1, thickness_mm=0.5), acquisition_number=[k // 2 for k in range(2000)])
    times = []
    for _ in range(5):
        start = time.process_time()
        assert measure(slices).uniform
        times.append(time.process_time() - start)
    assert min(times) < 0.05
