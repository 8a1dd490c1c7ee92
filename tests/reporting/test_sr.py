"""The report as an object: derived identity, the CT's own header, and refusals of what contradicts itself."""

from __future__ import annotations

import dataclasses
import math
from datetime import datetime, timedelta, timezone
from io import BytesIO

import pydicom
import pytest
from pydicom.dataset import Dataset

from ichnode.core.findings import Finding, Outcome, Verdict, Warned
from ichnode.core.identity import IMPLEMENTATION_CLASS_UID, derived_uid, is_uid
from ichnode.errors import BadObject
from ichnode.reporting.facts import Answer, ReportIdentity
from ichnode.reporting.sr import build_sr
from tests.interop import tid1500
from tests.reporting import corpus


def read(raw: bytes) -> Dataset:
    return pydicom.dcmread(BytesIO(raw))


# Identity -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", corpus.KINDS)
@pytest.mark.parametrize("header", ["utf8", "enhanced", "ordered"])
def test_the_same_input_gives_the_same_bytes(kind: str, header: str) -> None:
    make = corpus.SYNTHETIC[header]
    assert corpus.report(make(), kind) == corpus.report(make(), kind)


def test_the_order_of_the_evidence_does_not_matter() -> None:
    series = corpus.named("ascii")
    turned = dataclasses.replace(series, evidence=series.evidence[::-1])
    assert corpus.report(series, "positive") == corpus.report(turned, "positive")


def test_the_identity_is_the_one_given_and_never_the_clock() -> None:
    raw = corpus.report(corpus.named("ascii"), "positive")
    report, identity = read(raw), corpus.identity()
    assert report.SOPInstanceUID == report.file_meta.MediaStorageSOPInstanceUID == identity.sop_instance_uid
    assert report.SeriesInstanceUID == identity.series_instance_uid
    assert (report.SeriesNumber, report.InstanceNumber) == (9101, 1)
    assert (report.ContentDate, report.ContentTime) == ("20240331", "223005.250000")
    assert (report.SeriesDate, report.SeriesTime) == (report.ContentDate, report.ContentTime)
    assert report.TimezoneOffsetFromUTC == "+0000"
    assert report.file_meta.ImplementationClassUID == IMPLEMENTATION_CLASS_UID
    assert str(datetime.now().year) not in raw.decode("latin-1")


def test_tracking_uids_outlive_a_revision_and_device_uids_follow_the_weights() -> None:
    series = corpus.named("ascii")
    first, second = read(corpus.report(series, "positive")), read(corpus.report(series, "revision"))
    other = dataclasses.replace(corpus.MODEL, digest="77" * 32)
    retrained = read(corpus.report(series, "positive", model=other))

    def trackers(report: Dataset) -> list[str]:
        return [str(item.UID) for item in tid1500.walk(report) if tid1500.name(item) == "112040"]

    assert trackers(first) == trackers(second)
    assert all(is_uid(uid) for uid in trackers(first))
    assert first.SOPInstanceUID != second.SOPInstanceUID
    assert first.DeviceUID == second.DeviceUID == derived_uid("device", corpus.MODEL.digest)
    assert retrained.DeviceUID != first.DeviceUID
    assert corpus.MODEL.digest in first.ContributingEquipmentSequence[-1].SoftwareVersions


@pytest.mark.parametrize("version", ["1.0", "1.00", "1" * 80, "1" * 81])
def test_the_versions_of_node_and_model_fit_their_values_however_long_they_are(version: str) -> None:
    """The last of several values takes the blank that makes the length even: a digest there had 65 characters."""
    model = dataclasses.replace(corpus.MODEL, version=version)
    found = read(corpus.report(corpus.named("ascii"), "positive", model=model)).ContributingEquipmentSequence[-1]
    assert found.SoftwareVersions[1] == corpus.MODEL.digest  # warnings are errors
    assert found.SoftwareVersions[2] == f"demonstration {version}"[:63]


def test_an_identity_needs_a_time_zone() -> None:
    with pytest.raises(ValueError, match="time zone"):
        ReportIdentity("2.25.1", "2.25.2", 9101, 1, datetime(2024, 1, 1), 1)


# Header ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("character_set", corpus.NAMES)
@pytest.mark.parametrize("kind", ["positive", "contrast"])
def test_names_survive_in_every_character_set(character_set: str, kind: str) -> None:
    series = corpus.named(character_set)
    said, name, description = corpus.NAMES[character_set]
    report = read(corpus.report(series, kind))
    assert str(report.PatientName) == name
    assert report.StudyDescription == description
    assert report.get("SpecificCharacterSet") == said


@pytest.mark.parametrize("decoded", [False, True])
def test_names_survive_whether_or_not_the_header_was_looked_at(decoded: bool) -> None:
    series = corpus.named("japanese")
    if decoded:
        assert series.header.PatientName and series.header.StudyDescription
    assert str(read(corpus.report(series, "negative")).PatientName) == corpus.NAMES["japanese"][1]


def test_a_name_in_another_character_set_than_is_said_survives_as_its_bytes() -> None:
    raw = corpus.report(corpus.in_wrong_character_set(), "negative")
    assert "Müller^Zoë".encode("latin-1") in raw


def test_illegal_values_of_the_ct_are_reported_as_they_are() -> None:
    with pydicom.config.disable_value_validation():
        header = corpus.named("latin1").header
        header.PatientSex, header.PatientBirthDate, header.StudyDate = "Male", "unknown", "2018.03.01"
        header.AccessionNumber = "A" * 40
        header.TimezoneOffsetFromUTC = "summer"
        series = corpus.named("latin1")
        report = read(corpus.report(dataclasses.replace(series, header=header), "negative"))
        assert (report.PatientSex, report.PatientBirthDate, report.StudyDate) == ("Male", "unknown", "2018.03.01")
        assert report.AccessionNumber == "A" * 40
        assert report.TimezoneOffsetFromUTC == "+0000"


def test_missing_type_2_attributes_are_present_and_empty() -> None:
    report = read(corpus.report(corpus.minimal(), "negative"))
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID",
                    "AccessionNumber", "ReferringPhysicianName"):  # fmt: skip
        assert keyword in report and not report[keyword].value
    assert "SpecificCharacterSet" not in report


@pytest.mark.parametrize("kind", ["positive", "localizer"])
def test_the_header_is_left_as_it_is(kind: str) -> None:
    series, untouched = corpus.ordered(), corpus.ordered()
    corpus.report(series, kind)
    assert series.header == untouched.header


def test_patient_and_study_are_the_cts_and_the_equipment_is_ours() -> None:
    series = corpus.ordered()
    report = read(corpus.report(series, "positive"))
    for keyword in ("StudyInstanceUID", "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "PatientAge",
                    "IssuerOfPatientID", "AdmissionID", "StudyDate", "StudyTime", "StudyID", "AccessionNumber",
                    "ReferringPhysicianName"):  # fmt: skip
        assert report[keyword].value == series.header[keyword].value, keyword
    assert (report.Manufacturer, report.ManufacturerModelName, report.StationName) == ("ichnode", "ichnode", "ICHAI")
    scanner, node = report.ContributingEquipmentSequence
    assert (scanner.Manufacturer, scanner.SoftwareVersions) == ("Scanners Inc", ["VA1", "P2"])
    assert node.ContributionDateTime == "20240331223005.250000+0000"
    assert report.DeidentificationMethod == "Not stated in the source images"
    for keyword in ("FrameOfReferenceUID", "BodyPartExamined", "ImagePositionPatient"):  # not in the SR IOD
        assert keyword not in report


def test_times_are_in_the_cts_zone_else_in_that_of_the_moment() -> None:
    report = read(corpus.report(corpus.ordered(), "negative"))
    assert (report.TimezoneOffsetFromUTC, report.ContentDate, report.ContentTime) == (
        "+0200",
        "20240401",
        "003005.250000",
    )
    west = timezone(timedelta(hours=-3, minutes=-30))
    local = dataclasses.replace(corpus.identity(), content_at=corpus.identity().content_at.astimezone(west))
    report = read(corpus.report(corpus.named("ascii"), "negative", identity=local))
    assert (report.TimezoneOffsetFromUTC, report.ContentTime) == ("-0330", "190005.250000")


def test_requests_are_referenced_with_all_that_their_item_needs() -> None:
    first, second = read(corpus.report(corpus.ordered(), "negative")).ReferencedRequestSequence
    assert (first.AccessionNumber, first.RequestedProcedureID) == ("A1", "RP1")
    assert [code.CodeValue for code in first.RequestedProcedureCodeSequence] == ["24725-4"]
    assert second.RequestedProcedureID == "RP2" and second["AccessionNumber"].is_empty
    assert second.StudyInstanceUID == derived_uid("study")
    assert "ReferencedRequestSequence" not in read(corpus.report(corpus.named("ascii"), "negative"))


@pytest.mark.parametrize(
    ("kind", "flags"),
    [
        ("positive", ("COMPLETE", "FINAL")),
        ("negative", ("COMPLETE", "FINAL")),
        ("localizer", ("COMPLETE", "FINAL")),
        ("partial_positive", ("PARTIAL", "PRELIMINARY")),
        ("partial_not_analysed", ("PARTIAL", "PRELIMINARY")),
    ],
)
def test_a_partial_series_is_preliminary_and_nothing_is_ever_verified(kind: str, flags: tuple[str, str]) -> None:
    report = read(corpus.report(corpus.named("ascii"), kind))
    assert (report.CompletionFlag, report.PreliminaryFlag) == flags
    assert ("CompletionFlagDescription" in report) == (flags[0] == "PARTIAL")
    assert report.VerificationFlag == "UNVERIFIED"


def test_a_revision_names_its_predecessor() -> None:
    (study,) = read(corpus.report(corpus.named("ascii"), "revision")).PredecessorDocumentsSequence
    (series,) = study.ReferencedSeriesSequence
    (document,) = series.ReferencedSOPSequence
    assert (
        study.StudyInstanceUID,
        series.SeriesInstanceUID,
        document.ReferencedSOPClassUID,
        document.ReferencedSOPInstanceUID,
    ) == dataclasses.astuple(corpus.PREDECESSOR)
    assert "PredecessorDocumentsSequence" not in read(corpus.report(corpus.named("ascii"), "positive"))


@pytest.mark.parametrize("kind", ["positive", "localizer"])
def test_every_instance_of_the_series_is_evidence(kind: str) -> None:
    series = corpus.named("ascii")
    (study,) = read(corpus.report(series, kind)).CurrentRequestedProcedureEvidenceSequence
    (listed,) = study.ReferencedSeriesSequence
    assert (study.StudyInstanceUID, listed.SeriesInstanceUID) == (derived_uid("study"), derived_uid("series"))
    assert {(r.ReferencedSOPClassUID, r.ReferencedSOPInstanceUID) for r in listed.ReferencedSOPSequence} == set(
        series.evidence
    )


# Refusals -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID"])
def test_a_header_without_study_or_series_is_refused(keyword: str) -> None:
    series = corpus.named("ascii")
    del series.header[keyword]
    with pytest.raises(BadObject):
        corpus.report(series, "negative")


def _altered(kind: str, **changes: object) -> Outcome:
    return dataclasses.replace(corpus.outcome_of(kind, corpus.named("ascii"))[0], **changes)


def _with_score(score: float) -> Outcome:
    outcome = _altered("negative")
    findings = (Finding("any", score, 0.42), *outcome.findings[1:])
    return dataclasses.replace(outcome, findings=findings)


@pytest.mark.parametrize(
    ("outcome", "why"),
    [
        (_altered("positive", verdict=Verdict.NEGATIVE), "verdict"),
        (_altered("negative", verdict=Verdict.POSITIVE), "verdict"),
        (_altered("negative", findings=()), "one finding for each class"),
        (_altered("positive", order=()), "no place in the order"),
        (_altered("positive", order=(("2.25.9", 1),) * 30), "not among the evidence"),
        (_altered("localizer", reason=None), "has a reason"),
        (_altered("negative", verdict=Verdict.NOT_ANALYSED, reason=Warned("X", "x")), "no findings"),
        (_with_score(math.nan), "not a number from 0 to 1"),
        (_with_score(-0.1), "not a number from 0 to 1"),
    ],
)
def test_an_outcome_that_contradicts_itself_is_refused(outcome: Outcome, why: str) -> None:
    series = corpus.named("ascii")
    with pytest.raises(ValueError, match=why):
        answer = Answer(
            header=series.header, evidence=series.evidence, outcome=outcome, model=corpus.MODEL, device=corpus.DEVICE
        )
        build_sr(answer, corpus.identity(), [])


def test_findings_need_a_model_and_a_report_needs_evidence() -> None:
    series = corpus.named("ascii")
    with pytest.raises(ValueError, match="needs the model"):
        corpus.report(series, "negative", model=None)
    with pytest.raises(ValueError, match="instances"):
        corpus.report(dataclasses.replace(series, evidence=()), "localizer")
