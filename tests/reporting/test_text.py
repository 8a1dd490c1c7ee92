"""A report as text: read from the object, whoever made it, and safe to print."""

from __future__ import annotations

import warnings
from io import BytesIO
from pathlib import Path
from random import Random

import pydicom
import pytest

from ichnode.errors import BadObject
from ichnode.reporting.text import render_text
from tests.reporting import corpus


def test_a_positive_report_can_be_read(tmp_path: Path) -> None:
    raw = corpus.report(corpus.named("utf8"), "positive")
    path = tmp_path / "report.dcm"
    path.write_bytes(raw)
    text = render_text(raw)
    assert text == render_text(path)
    lines = text.splitlines()
    assert "  patient   Müller^Zoë=王^小東, ID P-4711, born 19570401" in lines
    assert "  document  COMPLETE, FINAL, UNVERIFIED" in lines
    assert "    ICH subdural: Subdural intracranial hemorrhage, Present, Certainty of Finding 81.23 %" in lines
    assert (
        "    ICH subdural, image 13 of 30: Subdural intracranial hemorrhage, Present, Certainty of Finding 81.23 %"
        in lines
    )
    assert "    ICH intraventricular: Intraventricular hemorrhage, Absent, Certainty of Finding 2.0 %" in lines
    assert "    Comment: Research use only. Investigational AI output, not verified by a radiologist." in lines
    assert f"  evidence  30 instances of series {corpus.named('utf8').header.SeriesInstanceUID}" in lines


def test_frames_and_predecessors_are_shown() -> None:
    series = corpus.enhanced()
    text = render_text(corpus.report(series, "revision"))
    assert f"      image {series.header.SOPInstanceUID} frame 13" in text.splitlines()
    assert (
        f"  replaces  {corpus.PREDECESSOR.sop_instance_uid} of series {corpus.PREDECESSOR.series_instance_uid}" in text
    )


def test_a_series_that_was_not_analysed_says_why() -> None:
    text = render_text(corpus.report(corpus.minimal(), "failed"))
    assert "Comment: Not analysed (ANALYSIS_FAILED): The analysis failed 3 times for a technical reason." in text
    assert "Intracranial hemorrhage: Undetermined" in text
    assert "  patient   -, ID -, born -" in text


def test_the_text_is_that_of_the_object_and_not_of_an_outcome() -> None:
    report = pydicom.dcmread(BytesIO(corpus.report(corpus.named("ascii"), "negative")))
    comments = report.ContentSequence[-1].ContentSequence
    comments[-2].TextValue = "Altered.\tOnce."
    comments[-1].TextValue = "Altered.\r\n\x07\x7fSecond  line."
    file = BytesIO()
    report.save_as(file)
    lines = render_text(file.getvalue()).splitlines()
    assert lines[-4:] == ["    Comment: Altered. Once.", "    Comment:", "      Altered.", "        Second  line."]


def test_what_is_not_a_report_is_refused() -> None:
    file = BytesIO()
    corpus.named("ascii").header.save_as(file)
    with pytest.raises(BadObject, match="not a Structured Report"):
        render_text(file.getvalue())
    with pytest.raises(BadObject, match="not a readable DICOM file"):
        render_text(b"no DICOM at all")


@pytest.mark.parametrize("kept", [140, 1000, 2000, 3000, 5000, 0.5, 0.9, 0.99, -1])
def test_a_report_that_is_cut_off_is_refused(kept: float) -> None:
    raw = corpus.report(corpus.named("ascii"), "positive")
    end = kept if isinstance(kept, int) else int(kept * len(raw))
    with pytest.raises(BadObject):
        render_text(raw[:end])


def test_flipped_bytes_are_refused_or_shown_but_never_a_crash() -> None:
    raw, random = corpus.report(corpus.named("ascii"), "negative"), Random(20240331)
    refused = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(60):
            altered = bytearray(raw)
            for _ in range(8):
                altered[random.randrange(132, len(raw))] = random.randrange(256)
            try:
                render_text(bytes(altered))
            except BadObject:
                refused += 1
    assert refused > 5
