"""Headers and outcomes to report on: everything real CTs are known to do, and every kind of answer."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, ExplicitVRLittleEndian

from ichnode.core.findings import CLASSES, Outcome, Verdict, Warned, findings_from, verdict_of
from ichnode.core.identity import derived_uid
from ichnode.core.images import SeriesImages
from ichnode.reporting.facts import Answer, DeviceFacts, ModelFacts, ReportIdentity, ReportReference
from ichnode.reporting.formats import FORMATS
from tests.conftest import missing

DATA = Path(os.environ.get("ICHNODE_TEST_DATA", Path(__file__).resolve().parents[2].parent / "shared" / "data"))
THRESHOLDS = dict(zip(CLASSES, (0.42, 0.5, 0.55, 0.5, 0.6, 0.35), strict=True))
MODEL = ModelFacts("demonstration", "1.0", "5c" * 32, "brain, subdural and bone window, 256 pixels, v1", THRESHOLDS)
DEVICE = DeviceFacts(
    observer_uid=derived_uid("observer", "tests"),
    name="ICH node of the tests",
    model="ichnode",
    serial="T-1",
    software_version="0.1.0",
    station_aet="ICHAI",
)
PREDECESSOR = ReportReference(
    derived_uid("study"), derived_uid("old series"), "1.2.840.10008.5.1.4.1.1.88.33", derived_uid("old report")
)


@dataclass(frozen=True)
class Series:
    """A header as the node reads it, its instances, and (SOP Instance UID, frame) of each slice in order."""

    header: Dataset
    evidence: tuple[tuple[str, str], ...]
    order: tuple[tuple[str, int], ...]


def identity(revision: int = 1, name: str = "sr") -> ReportIdentity:
    uid, series = (derived_uid(what, str(revision), name) for what in ("report", "report series"))
    moment = datetime(2024, 3, 31, 22, 30, 5, 250000, tzinfo=UTC)
    return ReportIdentity(uid, series, FORMATS[name].series_number, 1, moment, revision)


def answer(series: Series, kind: str, **changes: object) -> Answer:
    outcome, _ = outcome_of(kind, series)
    model = None if outcome.verdict is Verdict.NOT_ANALYSED else MODEL
    arguments = {"outcome": outcome, "model": model, "device": DEVICE} | changes
    return Answer(header=series.header, evidence=series.evidence, **arguments)  # type: ignore[arg-type]


def made(series: Series, kind: str, name: str = "sr", **changes: object) -> bytes | None:
    """Return the object of one of `FORMATS` for one of `KINDS`; None where it has nothing to say in that format."""
    _, predecessor = outcome_of(kind, series)
    who = changes.pop("identity", identity(2 if predecessor else 1, name))
    return FORMATS[name].build(answer(series, kind, **changes), who, [predecessor] if predecessor else [])  # type: ignore[arg-type]


def report(series: Series, kind: str, name: str = "sr", **changes: object) -> bytes:
    """Return the object of a format that has something to say of a kind."""
    content = made(series, kind, name, **changes)
    assert content is not None
    return content


# Outcomes -------------------------------------------------------------------------------------------------------------

KINDS = (
    "positive",
    "positive_any_only",
    "negative",
    "partial_positive",
    "partial_negative",
    "localizer",
    "contrast",
    "failed",
    "partial_not_analysed",
    "revision",
    "revision_not_analysed",
)
_MISSING = "6 of 30 slices, between 42.5 and 72.5 mm – the PACS says 30 instances"
_TILT = Warned("GANTRY_TILT", "The gantry was tilted by 18.5°.")
_WHY = {
    "localizer": Warned("LOCALIZER", "The series is a localizer (scout, topogram, surview)."),
    "contrast": Warned("CONTRAST", "The series was taken with contrast medium “Iomeron 300”."),
    "failed": Warned("ANALYSIS_FAILED", "The analysis failed 3 times for a technical reason."),
    "partial_not_analysed": Warned("TOO_FEW_SLICES", "The series has too few slices to be read as a head CT."),
    "revision_not_analysed": Warned("ANOTHER_SERIES_CHOSEN", "Another series of the same study suits better."),
}


def outcome_of(kind: str, series: Series) -> tuple[Outcome, ReportReference | None]:
    """Return the outcome of one of `KINDS` and its predecessor."""
    predecessor = PREDECESSOR if kind.startswith("revision") else None
    missing = _MISSING if kind.startswith("partial") else None
    if kind in _WHY:
        return Outcome(Verdict.NOT_ANALYSED, reason=_WHY[kind], missing=missing), predecessor
    slices = len(series.order)
    scores = np.full((slices, 6), 0.02)
    if kind == "positive_any_only":
        scores[slices // 2, 0] = THRESHOLDS["any"]
    elif "negative" not in kind:
        scores[slices // 3 : slices // 3 + 5, 0] = (0.5, 0.91, 0.987654, 0.93, 0.8)
        scores[slices // 3 + 2, 4] = 0.8123456
        scores[slices - 2 :, 5] = (0.36, 1.0)
    rows = tuple(tuple(float(v) for v in row) for row in scores)
    findings = findings_from(rows, THRESHOLDS)
    noted = (_TILT, Warned("GAPS", "Slices are missing inside the scan.")) if missing else (_TILT,)
    return Outcome(verdict_of(findings), rows, findings, noted, None, missing, series.order), predecessor


# Images ---------------------------------------------------------------------------------------------------------------

HOT = (20, 40)
"""Row and column of the highest activation: in front and, in the usual view, on the patient's left."""
USUAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def images_of(series: Series, kind: str, slices: int | None = None, **changes: object) -> SeriesImages:
    """Return a small head with a spot of blood, and heat maps of it for the slices that one of `KINDS` makes positive.

    64 rows of 0.9 mm, 56 columns of 1.1 mm.
    """
    outcome, _ = outcome_of(kind, series)
    count = slices or len(series.order)
    row, column = np.mgrid[:64, :56]
    out = np.hypot((row - 31.5) / 30, (column - 27.5) / 22)
    spot = np.hypot(row - HOT[0], column - HOT[1])
    plane = np.select([out > 1, out > 0.88, spot < 4], [-1000, 1000, 70], 35).astype(np.int16)
    mapped = sorted({index for finding in outcome.findings for index in finding.key_slices})
    heat = np.where(spot < 8, np.exp(-(spot**2) / 16), 0).astype(np.float32)
    heat_class = {
        index: CLASSES[0] if outcome.scores[index][0] >= THRESHOLDS["any"] else "epidural" for index in mapped
    }
    arguments = {
        "volume": np.repeat(plane[None], count, 0),
        "spacing_mm": (0.9, 1.1),
        "heat": {index: heat * np.float32(1 - 0.1 * place) for place, index in enumerate(mapped)},
        "heat_class": heat_class,
        "orientation": USUAL,
        "positions_mm": tuple((-30.25, -28.35, 5.0 * index) for index in range(count)),
        "thickness_mm": 5.0,
    }
    return SeriesImages(**(arguments | changes))  # type: ignore[arg-type]


def pictured(series: Series, kind: str, name: str, **changes: object) -> bytes:
    """Return the object of a format that shows images, for one of `KINDS` with its images."""
    return report(series, kind, name, **({"images": images_of(series, kind)} | changes))


# Headers --------------------------------------------------------------------------------------------------------------

NAMES: Mapping[str, tuple[str | list[str] | None, str, str]] = {
    "ascii": (None, "Doe^Jane", "CT HEAD"),
    "utf8": ("ISO_IR 192", "Müller^Zoë=王^小東", "CT Schädel – nativ"),
    "latin1": ("ISO_IR 100", "Müller^Zoë", "CT Schädel nativ"),
    "japanese": (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう", "頭部"),
    "katakana": (["ISO 2022 IR 13", "ISO 2022 IR 87"], "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう", "頭部"),
    "cyrillic": ("ISO_IR 144", "Люксембург^Роза", "КТ головы"),
    "gb18030": ("GB18030", "Wang^XiaoDong=王^小东", "头部"),
}
"""Character set, patient's name, study description."""


def named(character_set: str) -> Series:
    """Return a synthetic series whose texts are in the character set."""
    said, name, description = NAMES[character_set]
    header = _ct()
    if said is not None:
        header.SpecificCharacterSet = said
    header.PatientName, header.StudyDescription = name, description
    return _series(_read_back(header))


def in_wrong_character_set() -> Series:
    """Return a series that says UTF-8 and writes Latin-1."""
    header = _ct()
    header.SpecificCharacterSet, header.PatientName = "ISO_IR 100", "Müller^Zoë"
    return _series(_read_back(header, lambda raw: raw.replace(b"ISO_IR 100", b"ISO_IR 192")))


def minimal() -> Series:
    """Return a series whose header lacks every attribute that is not of type 1."""
    header = Dataset()
    for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
        setattr(header, keyword, derived_uid("minimal", keyword))
    header.SOPClassUID, header.Modality = CTImageStorage, "CT"
    return _series(_read_back(header))


def ordered() -> Series:
    """Return a series with two requests, its own time zone, and an empty character set and de-identification method."""
    header = _ct()
    header.TimezoneOffsetFromUTC = "+0200"
    header.IssuerOfPatientID, header.AdmissionID, header.PatientAge = "HOSPITAL", "ADM-7", "067Y"
    header.PatientIdentityRemoved, header.DeidentificationMethod = "YES", ""
    code, incomplete, first, second = Dataset(), Dataset(), Dataset(), Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "24725-4", "LN", "CT Head"
    incomplete.CodeValue = "X"
    first.AccessionNumber, first.RequestedProcedureID = "A1", "RP1"
    first.RequestedProcedureDescription = "CT head without contrast"
    first.RequestedProcedureCodeSequence = [code, incomplete]
    first.ScheduledProcedureStepID = "SPS1"
    second.RequestedProcedureID = "RP2"
    header.RequestAttributesSequence = [first, second]
    return _series(_read_back(header))


def enhanced(frames: int = 30) -> Series:
    """Return one Enhanced CT instance whose frames are the slices."""
    header = _ct()
    header.SOPClassUID, header.NumberOfFrames = EnhancedCTImageStorage, frames
    transformation, measures, shared, frame = Dataset(), Dataset(), Dataset(), Dataset()
    for keyword in ("RescaleSlope", "RescaleIntercept"):
        setattr(transformation, keyword, header[keyword].value)
        del header[keyword]
    measures.PixelSpacing = header.PixelSpacing
    del header.PixelSpacing
    shared.PixelMeasuresSequence, frame.PixelValueTransformationSequence = [measures], [transformation]
    header.SharedFunctionalGroupsSequence = [shared]
    header.PerFrameFunctionalGroupsSequence = [frame] * frames
    read = _read_back(header)
    uid = str(read.SOPInstanceUID)
    return Series(read, ((EnhancedCTImageStorage, uid),), tuple((uid, frame) for frame in range(1, frames + 1)))


def ge() -> Series:
    """Return the real tilted GE series; its de-identified header has empty dates and no study ID."""
    return _real(sorted(_data("ge_head_ct").glob("*.dcm")))


def philips() -> Series:
    """Return the real 5 mm Philips series."""
    return _real(sorted(_data("philips_mixed_study/S2010").glob("I*")))


def ct_ich() -> Series:
    """Return a series with the header that CT-ICH patients get."""
    module_path = _data("ct_ich") / "to_dicom.py"
    spec = importlib.util.spec_from_file_location("to_dicom", module_path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    header = module.ct_dataset(np.zeros((512, 512), np.int16), 49, 2, 0)
    del header.PixelData
    return _series(_read_back(header))


SYNTHETIC = {"minimal": minimal, "ordered": ordered, "enhanced": enhanced} | {
    name: (lambda name=name: named(name)) for name in NAMES
}
REAL = {"ge": ge, "philips": philips, "ct_ich": ct_ich}


def _ct() -> Dataset:
    header = Dataset()
    header.SOPClassUID, header.SOPInstanceUID = CTImageStorage, derived_uid("synthetic", "0")
    header.StudyInstanceUID, header.SeriesInstanceUID = derived_uid("study"), derived_uid("series")
    header.PatientName, header.PatientID = "Doe^Jane", "P-4711"
    header.PatientBirthDate, header.PatientSex = "19570401", "F"
    header.StudyDate, header.StudyTime, header.StudyID, header.AccessionNumber = "20240331", "221500", "S1", "A0001"
    header.ReferringPhysicianName, header.Modality = "Holmes^Oliver", "CT"
    header.Rows, header.Columns, header.PixelSpacing = 512, 512, [0.48828125, 0.48828125]
    header.FrameOfReferenceUID = derived_uid("frame of reference")
    header.RescaleSlope, header.RescaleIntercept = 1, -1024
    header.Manufacturer, header.ManufacturerModelName, header.SoftwareVersions = (
        "Scanners Inc",
        "Spin 64",
        ["VA1", "P2"],
    )
    return header


def _series(header: Dataset, slices: int = 30) -> Series:
    uids = [str(header.SOPInstanceUID), *(derived_uid("synthetic", str(i)) for i in range(1, slices))]
    return Series(header, tuple((CTImageStorage, uid) for uid in uids), tuple((uid, 1) for uid in uids))


def _read_back(header: Dataset, change: object = None) -> Dataset:
    """Write and read the header, as the node has it: not decoded yet."""
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.file_meta.MediaStorageSOPClassUID = header.SOPClassUID
    header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
    file = BytesIO()
    header.save_as(file, enforce_file_format=True)
    raw = file.getvalue() if change is None else change(file.getvalue())  # type: ignore[operator]
    return pydicom.dcmread(BytesIO(raw), stop_before_pixels=True)


def _real(paths: list[Path]) -> Series:
    headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in paths]
    pairs = tuple((str(h.SOPClassUID), str(h.SOPInstanceUID)) for h in headers)
    return Series(pydicom.dcmread(paths[0], stop_before_pixels=True), pairs, tuple((uid, 1) for _, uid in pairs))


def _data(name: str) -> Path:
    folder = DATA / name
    if not folder.exists():
        missing(f"no {name} in the folder of the test data (ICHNODE_TEST_DATA)")
    return folder
