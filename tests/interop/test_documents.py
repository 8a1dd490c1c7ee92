"""The readable report, the key images, the marks on them and the rejection notes in every validator there is."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pydicom.config
import pytest
from pydicom.dataset import Dataset

from ichnode.reporting.facts import ReportReference
from ichnode.reporting.formats import FORMATS
from ichnode.reporting.recast import recast
from ichnode.reporting.rejection import TITLES, build_rejection
from tests.interop import text_tree, tid1500
from tests.interop.document import children, walk
from tests.interop.validators import dciodvfy, dcmpschk, dsr2html, dsrdump, find_component, pixelmed
from tests.peers import run_dcmtk
from tests.reporting import corpus

HEADERS = corpus.SYNTHETIC | corpus.REAL
EVERY_HEADER = [*corpus.SYNTHETIC, *(pytest.param(name, marks=pytest.mark.data) for name in corpus.REAL)]
WITH_KEY_SLICES = ("positive", "positive_any_only", "partial_positive", "revision")
OTHER_CLASSES = [(name, uid) for name in ("sr", "text-sr") for uid in FORMATS[name].sop_classes[1:]]
RECAST_KINDS = ("positive", "negative", "partial_positive", "localizer", "revision_not_analysed")
CHECKER = {"sr": tid1500.complaints, "text-sr": text_tree.complaints}

pytestmark = pytest.mark.interop


@pytest.mark.parametrize("header", EVERY_HEADER)
@pytest.mark.parametrize("kind", corpus.KINDS)
def test_the_readable_report_is_clean(header: str, kind: str, tmp_path: Path) -> None:
    path = _filed(tmp_path, corpus.report(HEADERS[header](), kind, "text-sr"))
    assert dciodvfy(path) == []
    assert dsrdump(path) == []
    assert text_tree.complaints(pydicom.dcmread(path)) == []


@pytest.mark.parametrize("header", EVERY_HEADER)
@pytest.mark.parametrize("kind", WITH_KEY_SLICES)
def test_key_images_and_their_marks_are_clean(header: str, kind: str, tmp_path: Path) -> None:
    selection = _filed(tmp_path, corpus.report(HEADERS[header](), kind, "kos"), "kos")
    assert dciodvfy(selection) == []
    assert dsrdump(selection) == []
    marks = corpus.made(HEADERS[header](), kind, "gsps")
    if header == "minimal":
        assert marks is None  # neither matrix nor rescale are known
        return
    assert marks is not None
    state = _filed(tmp_path, marks, "gsps")
    assert dciodvfy(state) == []
    assert dcmpschk(state) == []


@pytest.mark.parametrize("header", EVERY_HEADER)
def test_rejection_notes_are_clean(header: str, tmp_path: Path) -> None:
    for because in TITLES:
        path = _filed(tmp_path, _rejection(HEADERS[header](), because))
        assert dciodvfy(path) == []
        assert dsrdump(path) == []


@pytest.mark.parametrize(("name", "sop_class_uid"), OTHER_CLASSES)
@pytest.mark.parametrize("kind", RECAST_KINDS)
def test_reports_are_clean_under_every_class_they_may_travel_in(
    name: str, sop_class_uid: str, kind: str, tmp_path: Path
) -> None:
    for header in ("utf8", "enhanced"):
        path = _filed(tmp_path, recast(corpus.report(HEADERS[header](), kind, name), sop_class_uid))
        assert dciodvfy(path) == []
        assert dsrdump(path) == []
        assert CHECKER[name](pydicom.dcmread(path)) == []


@pytest.mark.parametrize("character_set", ["ascii", "utf8", "latin1", "cyrillic"])
def test_dcmtk_shows_a_person_the_answer_and_the_table(character_set: str, tmp_path: Path) -> None:
    series = corpus.named(character_set)
    shown = dsr2html(_filed(tmp_path, corpus.report(series, "partial_positive", "text-sr")))
    answer = shown.index("PRELIMINARY: Intracranial hemorrhage suspected (subdural, epidural).")
    assert answer < shown.index("subdural          present  score 0.812  threshold 0.600  image  13 of 30<br>")
    shown = dsr2html(_filed(tmp_path, corpus.report(series, "localizer", "text-sr")))
    assert "Not analysed (LOCALIZER)" in shown and "nobody has looked at them" in shown
    assert "Intracranial hemorrhage" in dsr2html(_filed(tmp_path, corpus.report(series, "positive")))


@pytest.mark.slow
def test_pixelmed_is_content_with_every_document_and_catches_what_is_broken(tmp_path: Path) -> None:
    series, frames = corpus.ordered(), corpus.enhanced()
    paths = [_filed(tmp_path, corpus.report(series, kind, "text-sr"), f"text_{kind}") for kind in corpus.KINDS]
    paths += [
        _filed(tmp_path, corpus.report(corpus.minimal(), "positive", name), f"min_{name}")
        for name in ("text-sr", "kos")
    ]
    paths += [_filed(tmp_path, corpus.report(s, "positive", "kos"), f"kos_{len(s.evidence)}") for s in (series, frames)]
    paths += [_filed(tmp_path, _rejection(series, because), because) for because in TITLES]
    for name, uid in OTHER_CLASSES:
        kinds = ("negative", "localizer") if name == "sr" else ("positive",)
        paths += [_filed(tmp_path, recast(corpus.report(series, k, name), uid), f"{name}{k}{uid}") for k in kinds]
    for name in ("text-sr", "kos"):
        paths += [
            _filed(tmp_path, corpus.report(corpus.named(said), "positive", name), f"{name}_{said}")
            for said in corpus.NAMES
        ]
    purpose = _broken(tmp_path, "kos", _purpose_on_an_image)
    answers = pixelmed([*paths, purpose])
    assert {path.name: answers[path] for path in paths if answers[path]} == {}
    assert any(line.startswith("Error") and "Purpose of Reference" in line for line in answers[purpose])


def test_dcmtk_windows_a_slice_as_the_marks_say(head_ct: Path, tmp_path: Path) -> None:
    paths = sorted(head_ct.rglob("*.dcm"))
    images = sorted((pydicom.dcmread(path) for path in paths), key=lambda i: float(i.ImagePositionPatient[2]))
    series = corpus.Series(
        pydicom.dcmread(paths[0], stop_before_pixels=True),
        tuple((str(i.SOPClassUID), str(i.SOPInstanceUID)) for i in images),
        tuple((str(i.SOPInstanceUID), 1) for i in images),
    )
    state = _filed(tmp_path, corpus.report(series, "positive", "gsps"))
    referenced = pydicom.dcmread(state).ReferencedSeriesSequence[0].ReferencedImageSequence[1]
    shown = next(i for i in images if i.SOPInstanceUID == referenced.ReferencedSOPInstanceUID)
    program, picture = find_component("dcmp2pgm", "dcmtk"), tmp_path / "shown.pgm"
    run_dcmtk(program, "-p", state, shown.filename, picture)
    header, grey = picture.read_bytes().split(b"255\n", 1)
    assert header.split()[-2:] == [b"256", b"256"]
    hounsfield = shown.pixel_array * float(shown.RescaleSlope) + float(shown.RescaleIntercept)
    window = np.clip((hounsfield - 39.5) / 79 + 0.5, 0, 1) * 255  # PS3.3 C.11.2.1.2.1
    assert np.abs(np.frombuffer(grey, np.uint8).reshape(256, 256) - window).max() <= 1
    assert ((window > 0) & (window < 255)).any()


# Negative controls: each defect is caught by the gate that is named ---------------------------------------------------


def _purpose_on_an_image(selection: Dataset) -> None:
    image = next(item for item in selection.ContentSequence if item.ValueType == "IMAGE")
    name = Dataset()
    name.CodeValue, name.CodingSchemeDesignator, name.CodeMeaning = "260753009", "SCT", "Source"
    image.ConceptNameCodeSequence = [name]


def _image_not_in_evidence(selection: Dataset) -> None:
    selection.ContentSequence[-1].ReferencedSOPSequence[0].ReferencedSOPInstanceUID = "2.25.1"


def _no_displayed_area(state: Dataset) -> None:
    del state.DisplayedAreaSelectionSequence


def _answer_last(report: Dataset) -> None:
    report.ContentSequence.append(report.ContentSequence.pop(0))


def _normal(report: Dataset) -> None:
    report.ContentSequence[0].ContentSequence[0].TextValue = "Normal."


def _other_answer(report: Dataset) -> None:
    report.ContentSequence[0].ContentSequence[0].TextValue = "No intracranial hemorrhage detected."


def _preliminary_in_words_only(report: Dataset) -> None:
    answer = report.ContentSequence[0].ContentSequence[0]
    answer.TextValue = f"PRELIMINARY: {answer.TextValue}"


def _no_notice(report: Dataset) -> None:
    report.ContentSequence[0].ContentSequence.pop()


def _bare_line_feeds(report: Dataset) -> None:
    table = children(report, "121070")[0].ContentSequence[0]
    table.TextValue = str(table.TextValue).replace("\r\n", "\n")


def _ragged(report: Dataset) -> None:
    table = children(report, "121070")[0].ContentSequence[0]
    table.TextValue = str(table.TextValue).replace("any  ", "any ")


def _image_twice(report: Dataset) -> None:
    images = children(report, "121180")[0].ContentSequence
    images[-1] = images[-2]


def _one_image_less(report: Dataset) -> None:
    children(report, "121180")[0].ContentSequence.pop()


def _by_a_person(report: Dataset) -> None:
    children(report, "121005")[0].ConceptCodeSequence[0].CodeValue = "121006"


def _continuous(report: Dataset) -> None:
    report.ContentSequence[0].ContinuityOfContent = "CONTINUOUS"


def _number(report: Dataset) -> None:
    next(item for item in walk(report) if item.ValueType == "TEXT").ValueType = "NUM"


def _template(report: Dataset) -> None:
    report.ContentTemplateSequence = [Dataset()]


@pytest.mark.parametrize(
    "break_it",
    [
        _answer_last, _normal, _other_answer, _preliminary_in_words_only, _no_notice, _bare_line_feeds, _ragged,
        _image_twice, _one_image_less, _by_a_person, _continuous, _number, _template,
    ],
)  # fmt: skip
def test_our_own_checker_catches(break_it: Callable[[Dataset], None], tmp_path: Path) -> None:
    assert text_tree.complaints(pydicom.dcmread(_broken(tmp_path, "text-sr", break_it))) != []


@pytest.mark.parametrize(
    ("name", "break_it"),
    [("kos", _image_not_in_evidence), ("gsps", _no_displayed_area)],
)
def test_dciodvfy_catches(name: str, break_it: Callable[[Dataset], None], tmp_path: Path) -> None:
    assert dciodvfy(_broken(tmp_path, name, break_it)) != []


def test_dcmpschk_and_dsrdump_catch(tmp_path: Path) -> None:
    assert dcmpschk(_broken(tmp_path, "gsps", _no_displayed_area)) != []
    assert dsrdump(_broken(tmp_path, "text-sr", _number)) != []


def _rejection(series: corpus.Series, because: str) -> bytes:
    study = str(series.header.StudyInstanceUID)
    rejected = [
        ReportReference(study, f"2.25.1{number}", uid, f"2.25.2{number}")
        for number, uid in enumerate(made.sop_classes[0] for made in FORMATS.values())
    ]
    return build_rejection(
        series.header, rejected, because=because, device=corpus.DEVICE, remark="A later analysis is negative.",
        identity=dataclasses.replace(corpus.identity(), series_number=9109),
    )  # fmt: skip


def _filed(folder: Path, content: bytes, name: str = "made") -> Path:
    path = folder / f"{name}.dcm"
    path.write_bytes(content)
    return path


def _broken(folder: Path, name: str, break_it: Callable[[Dataset], None]) -> Path:
    made = pydicom.dcmread(_filed(folder, corpus.report(corpus.named("ascii"), "positive", name)))
    break_it(made)
    path = folder / f"broken{break_it.__name__}.dcm"
    with pydicom.config.disable_value_validation():
        made.save_as(path)
    return path
