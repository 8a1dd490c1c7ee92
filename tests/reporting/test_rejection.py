"""The note that takes results back: whom it names, under which title, filed where they are."""

from __future__ import annotations

import dataclasses
from io import BytesIO

import pydicom
import pytest
from pydicom.dataset import Dataset

from ichnode.core.identity import derived_uid
from ichnode.reporting.facts import ReportIdentity, ReportReference
from ichnode.reporting.rejection import REJECTION_NOTE, SERIES_NUMBER, build_rejection
from tests.interop import document
from tests.reporting import corpus

CLASSES = SR, TEXT_SR, SC, FRAMES, MAP, PR, KO = tuple(
    f"1.2.840.10008.5.1.4.1.1.{tail}" for tail in ("88.33", "88.22", "7", "7.4", "30", "11.1", "88.59")
)


def rejected(study: str) -> list[ReportReference]:
    """Return one object of each class that a result may have; the two documents are in one series."""
    series = {uid: derived_uid("in", "SR" if uid in (SR, TEXT_SR) else uid) for uid in CLASSES}
    return [ReportReference(study, series[uid], uid, derived_uid("object", uid)) for uid in CLASSES]


def note(series: corpus.Series | None = None, **changes: object) -> bytes:
    header = changes.pop("header", None) or (series or corpus.named("ascii")).header
    arguments = {
        "rejected": rejected(str(header.get("StudyInstanceUID"))),  # type: ignore[attr-defined]
        "because": "wrong-result",
        "device": corpus.DEVICE,
        "identity": dataclasses.replace(corpus.identity(), series_number=SERIES_NUMBER),
        "remark": "A later analysis of this series is negative.",
    } | changes
    return build_rejection(header, **arguments)  # type: ignore[arg-type]


def read(raw: bytes) -> Dataset:
    return pydicom.dcmread(BytesIO(raw))


@pytest.mark.parametrize(
    ("because", "title", "said"),
    [("wrong-result", "113037", "they were wrong."), ("wrong-patient", "113038", "they are not of this patient.")],
)
def test_the_title_says_why_and_the_text_what_takes_their_place(because: str, title: str, said: str) -> None:
    made = read(note(because=because))
    assert (made.SOPClassUID, made.Modality, made.SeriesNumber) == (REJECTION_NOTE, "KO", 9109)
    assert made.SeriesDescription == "ICH AI results withdrawn (investigational)"
    assert document.name(made) == title
    assert made.ContentTemplateSequence[0].TemplateIdentifier == "2010"
    (text,) = document.texts_of(made)
    first, second = text.split("\r\n")
    assert first.startswith("The AI results referenced here are withdrawn") and first.endswith(said)
    assert second == "A later analysis of this series is negative."
    assert list(document.context(made)) == []


def test_without_a_remark_there_is_one_line_and_a_remark_is_ascii() -> None:
    assert document.texts_of(read(note(remark="")))[0].count("\r\n") == 0
    assert document.texts_of(read(note(remark="Falscher Schädel\nund so weiter")))[0].endswith(
        "\r\nFalscher Schadel und so weiter"
    )


def test_images_are_images_and_all_else_is_composite_without_a_purpose() -> None:
    made = read(note())
    pointing = [item for item in made.ContentSequence if "ReferencedSOPSequence" in item]
    assert [(item.ReferencedSOPSequence[0].ReferencedSOPClassUID, item.ValueType) for item in pointing] == [
        (SR, "COMPOSITE"), (TEXT_SR, "COMPOSITE"), (SC, "IMAGE"), (FRAMES, "IMAGE"), (MAP, "IMAGE"),
        (PR, "COMPOSITE"), (KO, "COMPOSITE"),
    ]  # fmt: skip
    assert not any("ConceptNameCodeSequence" in item for item in pointing)


def test_the_evidence_is_what_is_rejected_series_by_series() -> None:
    (study,) = read(note()).CurrentRequestedProcedureEvidenceSequence
    found = {
        (study.StudyInstanceUID, series.SeriesInstanceUID, sop.ReferencedSOPClassUID, sop.ReferencedSOPInstanceUID)
        for series in study.ReferencedSeriesSequence
        for sop in series.ReferencedSOPSequence
    }
    wanted = rejected(derived_uid("study"))
    assert found == {dataclasses.astuple(reference) for reference in wanted}
    assert len(study.ReferencedSeriesSequence) == len({r.series_instance_uid for r in wanted}) == len(wanted) - 1


@pytest.mark.parametrize("character_set", corpus.NAMES)
def test_the_patient_is_that_of_the_rejected_objects(character_set: str) -> None:
    report = read(corpus.report(corpus.named(character_set), "positive"))
    for header in (report, corpus.named(character_set).header):
        made = read(note(header=header))
        assert str(made.PatientName) == corpus.NAMES[character_set][1]
        assert made.StudyInstanceUID == report.StudyInstanceUID
        assert made.get("SpecificCharacterSet") == corpus.NAMES[character_set][0]


@pytest.mark.parametrize("of", ["report", "image"])
def test_requests_and_equipment_are_named_whether_a_report_or_an_image_is_given(of: str) -> None:
    series = corpus.ordered()
    header = read(corpus.report(series, "positive")) if of == "report" else series.header
    made = read(note(header=header))
    assert [request.RequestedProcedureID for request in made.ReferencedRequestSequence] == ["RP1", "RP2"]
    assert [e.Manufacturer for e in made.ContributingEquipmentSequence] == (
        ["ichnode"] if of == "report" else ["Scanners Inc", "ichnode"]
    )
    assert made.ContributingEquipmentSequence[-1].ContributionDescription == "Rejection note, revision 1"
    assert (made.TimezoneOffsetFromUTC, made.ContentTime) == ("+0200", "003005.250000")


def test_the_same_input_gives_the_same_bytes_and_leaves_the_header() -> None:
    series = corpus.ordered()
    assert note(series) == note(corpus.ordered())
    assert series.header == corpus.ordered().header


def test_what_cannot_be_rejected_is_refused() -> None:
    of_another = rejected("2.25.4711")
    for wrong, why in (
        ({"rejected": []}, "and of no other"),
        ({"rejected": of_another}, "and of no other"),
        ({"rejected": [*of_another, *rejected(derived_uid("study"))]}, "and of no other"),
        ({"because": "doubt"}, "not of doubt"),
    ):
        with pytest.raises(ValueError, match=why):
            note(**wrong)
    header = corpus.named("ascii").header
    del header.StudyInstanceUID
    with pytest.raises(ValueError, match="the study that it is filed in"):
        note(header=header, rejected=rejected(derived_uid("study")))


def test_identity_is_the_one_given() -> None:
    identity = ReportIdentity("2.25.5", "2.25.6", SERIES_NUMBER, 3, corpus.identity().content_at, 2)
    made = read(note(identity=identity))
    assert (made.SOPInstanceUID, made.SeriesInstanceUID, made.InstanceNumber) == ("2.25.5", "2.25.6", 3)
    assert made.file_meta.MediaStorageSOPInstanceUID == "2.25.5"
