"""What a person sees of the answer in OHIF, a viewer that knows nothing of this project."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydicom
import pytest
from PIL import Image
from playwright.sync_api import expect

from ichnode.reporting.sentences import NOTICE
from tests.browser.conftest import FORMATS, SCREENSHOTS, Answered
from tests.browser.person import PATIENCE_MS, Person
from tests.browser.seen import Picture, colour, likeness, square_of
from tests.peers import wait_until

pytestmark = [pytest.mark.interop, pytest.mark.slow]


def test_the_study_lists_the_ct_and_every_result(person: Person, answered: Answered) -> None:
    (result,) = answered.series["results"]
    assert {report["kind"] for report in result["reports"]} == set(FORMATS)
    for description in ("HEAD 5 STANDARD", "ICH AI picture", "ICH AI result", "ICH AI report, readable"):
        expect(person.series(description)).to_have_count(1, timeout=PATIENCE_MS)
    person.keep("ohif-study")
    assert person.faults == []


def test_the_readable_report_says_the_answer_the_scores_and_the_notice(person: Person, answered: Answered) -> None:
    person.open_series("ICH AI report, readable")
    shown = person.viewport
    expect(shown).to_contain_text("Intracranial hemorrhage suspected", timeout=PATIENCE_MS)
    person.keep("ohif-report")
    lines = shown.inner_text().splitlines()
    assert lines[2].startswith("Summary: Intracranial hemorrhage suspected (")
    assert any(NOTICE in line for line in lines)
    (result,) = answered.series["results"]
    for finding in result["outcome"]["findings"]:
        says = "present" if finding["score"] >= finding["threshold"] else "absent"
        words = [finding["name"], says, "score", f"{finding['score']:.3f}", "threshold", f"{finding['threshold']:.3f}"]
        assert any(line.split()[:6] == words for line in lines), words
        assert finding["name"] == "any" or (says == "present") == (finding["name"] in lines[2])
    assert person.faults == []
    expect(person.complaint).to_have_count(0)


def test_the_picture_is_shown_as_it_was_sent(person: Person, answered: Answered, tmp_path: Path) -> None:
    sent = _sent(answered, tmp_path)
    _open_picture(person, sent)
    person.keep("ohif-picture")
    Image.fromarray(sent).save(SCREENSHOTS / "secondary-capture-phantom.png")
    assert likeness(np.flipud(sent), sent) < 0.5
    assert person.faults == []
    expect(person.complaint).to_have_count(0)


def test_the_lesion_is_seen_under_the_heat_map(person: Person, answered: Answered, tmp_path: Path) -> None:
    sent = _sent(answered, tmp_path)
    _open_picture(person, sent)
    for page in (sent, square_of(person.image(), len(sent))):
        heated, brain = _under_the_heat(page)
        assert heated.size > 100
        # Fresh blood is brighter than brain. What lies under the heat map is read off the plain slice beside it.
        assert np.median(heated) > 1.25 * np.median(brain), (np.median(heated), np.median(brain))


def test_the_coded_report_stays_blank_and_leaves_the_viewer_usable(person: Person) -> None:
    """OHIF's fault: it takes every TID 1500 report for one with outlines. Why the readable one is sent as well."""
    person.open_series("ICH AI result")
    person.complaint.first.wait_for()
    assert person.viewport.inner_text().strip() == ""
    person.keep("ohif-coded-report")
    person.open_series("ICH AI report, readable")
    expect(person.viewport).to_contain_text("Intracranial hemorrhage suspected", timeout=PATIENCE_MS)


def _open_picture(person: Person, sent: Picture) -> None:
    person.open_series("ICH AI picture")
    expect(person.viewport).to_contain_text("ICH AI picture", timeout=PATIENCE_MS)
    # OHIF lays its own words and buttons over the picture: a small part of it. Without the slices it would be 0.73.
    wait_until(
        lambda: likeness(square_of(person.image(), len(sent)), sent) > 0.97, 60, "the picture is in the viewport"
    )


def _sent(answered: Answered, folder: Path) -> Picture:
    (file,) = answered.archive.files(folder, SOPClassUID="1.2.840.10008.5.1.4.1.1.7")
    page = pydicom.dcmread(file).pixel_array
    assert page.shape == (1024, 1024, 3)
    return np.asarray(page)


def _under_the_heat(page: Picture) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.int16]]:
    """Return the brightness of the plain slice where the slice beside it is coloured most, and of its whole brain.

    The best slice and its heat map stand side by side at the left of the page; the skull tells how far apart.
    """
    panel = page[250:590, 12:624]
    skull = panel.min(2) > 235
    shift = max(range(200, 420), key=lambda by: int((skull[:, by:] & skull[:, :-by]).sum()))
    plain, heat = panel[:, :-shift], panel[:, shift:]
    hue, grey = colour(heat), plain.max(2)
    return grey[hue > 0.6 * hue.max()], grey[(grey > 50) & (grey < 235)]
