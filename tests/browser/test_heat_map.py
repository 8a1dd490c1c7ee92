"""The heat maps in OHIF: laid over the CT where the lesion is, and as coloured slices to scroll through."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from tests.browser.conftest import Answered
from tests.browser.person import Person
from tests.browser.seen import Picture, colour, likeness, square_of
from tests.peers import wait_until

pytestmark = [pytest.mark.interop, pytest.mark.slow]

PARAMETRIC_MAP, FRAMES = "1.2.840.10008.5.1.4.1.1.30", "1.2.840.10008.5.1.4.1.1.7.4"


def test_it_is_laid_over_the_slices_that_have_one_and_over_no_other(
    person: Person, answered: Answered, tmp_path: Path
) -> None:
    made = _sent(answered, PARAMETRIC_MAP, tmp_path / "map")
    highest = made.pixel_array.reshape(made.NumberOfFrames, -1).max(1)
    shown = _lay_over(person)
    person.keep("ohif-heat-map")
    seen = _index(person)
    assert highest[seen] > 0
    frame = made.pixel_array[seen]
    found = float(np.median(frame[_coloured_most(answered, seen, shown, tmp_path / "ct")]))
    assert found > np.quantile(frame, 0.97), (found, float(frame.max()))  # OHIF's violet begins low
    lowest = int(np.flatnonzero(highest)[0])
    for index in (lowest, lowest - 1):
        person.scroll(_index(person) - index)
        wait_until(lambda index=index: _index(person) == index, 20, "the slice is in the viewport")
        wait_until(lambda index=index: (colour(_middle(person)).max() > 40) == (highest[index] > 0), 20, "its colours")
    assert person.faults == []


def test_the_coloured_slices_are_scrolled_through(person: Person, answered: Answered, tmp_path: Path) -> None:
    frames = _sent(answered, FRAMES, tmp_path).pixel_array
    person.open_series("ICH AI slices")
    for frame in (0, 3):
        person.scroll(frame)
        wait_until(
            lambda frame=frame: likeness(square_of(person.image(), len(frames[frame])), frames[frame]) > 0.95,
            60,
            f"frame {frame} is shown",
        )
    person.keep("ohif-slices")
    assert person.faults == []


def _sent(answered: Answered, sop_class_uid: str, folder: Path) -> Dataset:
    (file,) = answered.archive.files(folder, SOPClassUID=sop_class_uid)
    return pydicom.dcmread(file)


def _lay_over(person: Person) -> Picture:
    """Open the CT and the map; a busy OHIF now and then marks a map as opened and lays it nowhere: then all anew."""
    for _ in range(3):
        person.open_series("HEAD 5 STANDARD")  # a map is laid over slices that have been loaded
        wait_until(lambda: person.image().max() > 200, 60, "the CT is in the viewport")
        person.open_series("ICH AI heat map")
        with contextlib.suppress(TimeoutError):
            return wait_until(lambda: _overlaid(person), 20)[0]
        person.keep("ohif-no-heat-map")
        person.open_anew()
    raise AssertionError("the heat map is not laid over the slice")


def _overlaid(person: Person) -> list[Picture]:
    """Return what is shown once there are colours that are not those of OHIF's own signs and notes."""
    shown = _middle(person)
    loading = "Loading" in person.viewport.inner_text()
    return [shown] if not loading and colour(shown).max() > 100 else []


def _middle(person: Person) -> Picture:
    """Return what is shown without the frame, the buttons and the words that OHIF puts at its edges.

    The lower right corner, where OHIF lays its passing notes, is black.
    """
    shown = person.image()
    aside = (shown.shape[1] - shown.shape[0]) // 2 + 50
    middle = shown[50:-50, aside:-aside].copy()
    middle[-150:, -300:] = 0
    return middle


def _index(person: Person) -> int:
    """Return which slice is shown, counted from the lowest one; OHIF counts from the highest one, from 1."""
    number, slices = re.search(r"I:\d+ \((\d+)/(\d+)\)", person.viewport.inner_text()).groups()
    return int(slices) - int(number)


def _coloured_most(answered: Answered, index: int, shown: Picture, folder: Path) -> tuple[np.ndarray, ...]:
    """Return rows and columns of a slice where the screen is coloured most, found by the outline of the head."""
    slices = [pydicom.dcmread(file) for file in answered.archive.files(folder, Modality="CT")]
    ct = sorted(slices, key=lambda one: float(one.ImagePositionPatient[2]))[index]
    hu = ct.pixel_array * float(ct.RescaleSlope) + float(ct.RescaleIntercept)
    axes = []
    for axis, places in enumerate(np.nonzero(colour(shown) > 0.6 * colour(shown).max())):
        first, last = _extent(hu > 35, axis)
        top, bottom = _extent(shown.max(2) > 110, axis)
        axes.append(np.rint(first + (places - top) * (last - first) / (bottom - top)).astype(int))
    return tuple(axes)


def _extent(inside: np.ndarray, axis: int) -> tuple[int, int]:
    lines = np.flatnonzero(inside.mean(1 - axis) > 0.04)
    return int(lines[0]), int(lines[-1])
