"""Every kind of report on every kind of header is clean in three validators and in our own checker."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import highdicom as hd
import pydicom
import pydicom.config
import pytest
from pydicom.dataset import Dataset

from ichnode.core.findings import CLASSES, Verdict
from ichnode.reporting import codes
from tests.interop import tid1500
from tests.interop.validators import dciodvfy, dsrdump, pixelmed
from tests.reporting import corpus

HEADERS = corpus.SYNTHETIC | corpus.REAL
# The tree follows the outcome: every kind of tree on one header, and every header once.
_TREES = (
    "positive", "negative", "partial_negative", "localizer", "partial_not_analysed", "revision",
    "revision_not_analysed",
)  # fmt: skip
FOR_PIXELMED = [
    *(("ascii", kind) for kind in _TREES),
    *((header, "partial_positive" if header == "enhanced" else "localizer") for header in corpus.SYNTHETIC),
]

pytestmark = pytest.mark.interop


@pytest.mark.parametrize(
    "header", [*corpus.SYNTHETIC, *(pytest.param(name, marks=pytest.mark.data) for name in corpus.REAL)]
)
@pytest.mark.parametrize("kind", corpus.KINDS)
def test_is_clean_in_dciodvfy_dsrdump_and_our_own_checker(header: str, kind: str, tmp_path: Path) -> None:
    path = _report(tmp_path, header, kind)
    assert dciodvfy(path) == []
    assert dsrdump(path) == []
    assert tid1500.complaints(pydicom.dcmread(path)) == []


@pytest.mark.slow
def test_pixelmed_is_content_with_each_kind_and_catches_what_is_broken(tmp_path: Path) -> None:
    paths = [_report(tmp_path, header, kind) for header, kind in FOR_PIXELMED]
    broken = [
        _broken(tmp_path, _finding_site_contained, "negative"),
        _broken(tmp_path, _procedure_outside_its_context_group, "localizer"),
    ]
    answers = pixelmed([*paths, *broken])
    assert {path.name: answers[path] for path in paths if answers[path]} == {}
    for path in broken:
        assert any(line.startswith("Error") for line in answers[path]), path.name


@pytest.mark.parametrize("header", ["ascii", "enhanced"])
@pytest.mark.parametrize("kind", corpus.KINDS)
def test_highdicom_reads_every_finding_back(header: str, kind: str, tmp_path: Path) -> None:
    path = _report(tmp_path, header, kind)
    series = HEADERS[header]()
    outcome, _ = corpus.outcome_of(kind, series)
    read = hd.sr.srread(path)
    assert len(read.get_evidence()) == len(series.evidence)
    if outcome.verdict is Verdict.NOT_ANALYSED:
        assert read.content.get_image_measurement_groups() == []
        return
    groups = read.content.get_image_measurement_groups()
    assert [g.tracking_identifier for g in groups[:6]] == [f"ICH {name}" for name in CLASSES]
    for group, finding in zip(groups[:6], outcome.findings, strict=False):
        assert group.finding_type == codes.HEMORRHAGE[finding.name]
        assert group.finding_sites[0].value == codes.BRAIN
        (measured,) = group.get_measurements(codes.CERTAINTY)
        assert measured.value == pytest.approx(finding.score * 100, abs=0.005)
        (presence,) = group.get_qualitative_evaluations(codes.PRESENCE)
        assert presence.value == (codes.PRESENT if finding.present else codes.ABSENT)
        seen = [
            (
                i.ReferencedSOPSequence[0].ReferencedSOPInstanceUID,
                i.ReferencedSOPSequence[0].get("ReferencedFrameNumber", 1),
            )
            for i in group[0].ContentSequence
            if i.ValueType == "IMAGE"
        ]
        assert seen == [outcome.order[index] for index in finding.key_slices]
    assert len(groups) == 6 + sum(len(f.key_slices) for f in outcome.findings)


# Negative controls: each defect is caught by the gate that is named ---------------------------------------------------


def _bad_completion_flag(report: Dataset) -> None:
    report.CompletionFlag = "DONE"


def _no_completion_flag(report: Dataset) -> None:
    del report.CompletionFlag


def _image_not_in_evidence(report: Dataset) -> None:
    listed = report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence
    del listed[:]
    listed.append(Dataset())
    listed[0].ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    listed[0].ReferencedSOPInstanceUID = "2.25.1"


def _long_meaning(report: Dataset) -> None:
    with pydicom.config.disable_value_validation():
        report.ConceptNameCodeSequence[0].CodeMeaning = "x" * 65


def _no_study(report: Dataset) -> None:
    del report.StudyInstanceUID


def _illegal_relationship(report: Dataset) -> None:
    _first(report, "112039").RelationshipType = "SELECTED FROM"


def _finding_site_contained(report: Dataset) -> None:
    _first(report, "363698007").RelationshipType = "CONTAINS"


def _procedure_outside_its_context_group(report: Dataset) -> None:
    code = _first(report, "121058").ConceptCodeSequence[0]
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "77477000", "SCT", "Computed tomography"


def _no_procedure_reported(report: Dataset) -> None:
    report.ContentSequence.remove(_first(report, "121058"))


def _number_as_context(report: Dataset) -> None:
    _first(report, "111012").RelationshipType = "HAS OBS CONTEXT"


def _observed_by_a_person(report: Dataset) -> None:
    _first(report, "121005").ConceptCodeSequence[0].CodeValue = "121006"


def _number_with_a_child(report: Dataset) -> None:
    _first(report, "111012").ContentSequence = [_first(report, "705057003")]


def _without_template(report: Dataset) -> None:
    del report.ContentTemplateSequence


def _other_site(report: Dataset) -> None:
    _first(report, "363698007").ConceptCodeSequence[0].CodeValue = "69536005"


def _continuous_group(report: Dataset) -> None:
    _first(report, "125007").ContinuityOfContent = "CONTINUOUS"


def _contradiction(report: Dataset) -> None:
    _first(report, "705057003").ConceptCodeSequence[0].CodeValue = tid1500.ABSENT


def _one_class_less(report: Dataset) -> None:
    measured = _first(report, "126010")
    measured.ContentSequence.remove(_first(measured, "125007"))


def _verified(report: Dataset) -> None:
    report.VerificationFlag = "VERIFIED"


def _no_notice(report: Dataset) -> None:
    container = _first(report, "C0034375")
    container.ContentSequence.remove(container.ContentSequence[-1])


def _shared_tracking_uid(report: Dataset) -> None:
    for item in tid1500.walk(report):
        if tid1500.name(item) == "112040":
            item.UID = "2.25.7"


@pytest.mark.parametrize(
    "break_it", [_bad_completion_flag, _no_completion_flag, _image_not_in_evidence, _long_meaning, _no_study]
)
def test_dciodvfy_catches(break_it: Callable[[Dataset], None], tmp_path: Path) -> None:
    assert dciodvfy(_broken(tmp_path, break_it)) != []


@pytest.mark.parametrize("break_it", [_no_completion_flag, _illegal_relationship])
def test_dsrdump_catches(break_it: Callable[[Dataset], None], tmp_path: Path) -> None:
    assert dsrdump(_broken(tmp_path, break_it)) != []


@pytest.mark.parametrize(
    "break_it",
    [
        _no_procedure_reported,
        _procedure_outside_its_context_group,
        _number_as_context,
        _number_with_a_child,
        _observed_by_a_person,
        _other_site,
        _without_template,
        _illegal_relationship,
        _finding_site_contained,
        _continuous_group,
        _contradiction,
        _one_class_less,
        _verified,
        _no_notice,
        _shared_tracking_uid,
        _image_not_in_evidence,
    ],
)
def test_our_own_checker_catches(break_it: Callable[[Dataset], None], tmp_path: Path) -> None:
    assert tid1500.complaints(pydicom.dcmread(_broken(tmp_path, break_it))) != []


def _first(item: Dataset, code: str) -> Dataset:
    return next(child for child in tid1500.walk(item) if tid1500.name(child) == code)


def _report(folder: Path, header: str, kind: str) -> Path:
    path = folder / f"{header}_{kind}.dcm"
    path.write_bytes(corpus.report(HEADERS[header](), kind))
    return path


def _broken(folder: Path, break_it: Callable[[Dataset], None], kind: str = "positive") -> Path:
    report = pydicom.dcmread(_report(folder, "ascii", kind))
    break_it(report)
    path = folder / f"broken{break_it.__name__}.dcm"
    with pydicom.config.disable_value_validation():
        report.save_as(path)
    return path
