"""What of a CT object leaves the hospital: PS3.15 Annex E, Basic Application Level Confidentiality Profile.

The profile names what has to go; this does it the other way round and names what may stay: geometry, pixels and how
they came about. Everything else is gone, in sequences as well: every attribute of Table E.1-1 (but UIDs, which are
replaced, and those that an option keeps), private attributes, overlays, curves, and whatever the table forgot.

=========================  ============================================================================================
option (PS3.15 E.3)        what stays
=========================  ============================================================================================
always                     UIDs replaced, the same in every object; Patient's Name and ID are a pseudonym; type 2
                           attributes are there and empty
modified dates (E.3.6)     Study and Acquisition Date, moved by the same number of days for all of a patient
patient characteristics    Patient's Sex and Age, ages over 89 as 090Y
(E.3.7)
device identity (E.3.8)    Station Name, Device Serial Number, Software Versions
clean descriptors (E.3.9)  Study and Series Description and Protocol Name: only words of a short list and small numbers
=========================  ============================================================================================

Not done: text burned into pixels is not searched for (what says it has some is refused), and the face is not removed
from the pixels; Recognizable Visual Features is therefore YES.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime

from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence

from ichnode.core.identity import IMPLEMENTATION_CLASS_UID
from ichnode.core.pseudonyms import Pseudonyms
from ichnode.errors import BadObject


def _listed(text: str) -> tuple[str, ...]:
    return tuple(text.split())


KEPT = _listed("""
ImageType SOPClassUID Modality Manufacturer ManufacturerModelName PatientPosition BodyPartExamined ScanOptions
SliceThickness KVP SpacingBetweenSlices DataCollectionDiameter ReconstructionDiameter DistanceSourceToDetector
DistanceSourceToPatient GantryDetectorTilt TableHeight RotationDirection ExposureTime XRayTubeCurrent Exposure
FilterType GeneratorPower FocalSpots ConvolutionKernel ConvolutionKernelGroup RevolutionTime SingleCollimationWidth
TotalCollimationWidth TableSpeed TableFeedPerRotation SpiralPitchFactor CTDIvol SeriesNumber AcquisitionNumber
InstanceNumber ImagePositionPatient ImageOrientationPatient SliceLocation Laterality SamplesPerPixel
PhotometricInterpretation NumberOfFrames Rows Columns PixelSpacing BitsAllocated BitsStored HighBit
PixelRepresentation SmallestImagePixelValue LargestImagePixelValue PixelPaddingValue PixelPaddingRangeLimit
BurnedInAnnotation WindowCenter WindowWidth RescaleIntercept RescaleSlope RescaleType LossyImageCompression
LossyImageCompressionRatio LossyImageCompressionMethod PixelData ExtendedOffsetTable ExtendedOffsetTableLengths
SharedFunctionalGroupsSequence PerFrameFunctionalGroupsSequence PixelMeasuresSequence PlanePositionSequence
PlaneOrientationSequence PixelValueTransformationSequence CTReconstructionSequence CTImageFrameTypeSequence FrameType
PixelPresentation VolumetricProperties VolumeBasedCalculationTechnique CTTableDynamicsSequence CTGeometrySequence
CTAcquisitionDetailsSequence FrameContentSequence FrameAcquisitionNumber FrameAnatomySequence AnatomicRegionSequence
CodeValue CodingSchemeDesignator UnassignedSharedConvertedAttributesSequence
UnassignedPerFrameConvertedAttributesSequence FrameVOILUTSequence ContentQualification
""")
"""Attributes that stay as they are, by keyword; of sequences in their items as well."""
_ALLOWED = frozenset(int(tag_for_keyword(keyword)) for keyword in KEPT)
_REPLACED = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID")
_EMPTY = (
    "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName", "StudyID",
    "PositionReferenceIndicator",
)  # fmt: skip
_NAMES = (
    "PatientName", "PatientID", "OtherPatientIDs", "PatientBirthDate", "AccessionNumber", "StudyID", "InstitutionName",
    "ReferringPhysicianName", "PerformingPhysicianName", "OperatorsName", "NameOfPhysiciansReadingStudy",
    "PatientAddress", "PatientTelephoneNumbers",
)  # fmt: skip
_DEVICE = ("StationName", "DeviceSerialNumber", "SoftwareVersions")
_DESCRIPTORS = ("StudyDescription", "SeriesDescription", "ProtocolName")
_DATES = ("StudyDate", "AcquisitionDate")
_CODES = {
    "basic": ("113100", "Basic Application Confidentiality Profile"),
    "dates": ("113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
    "characteristics": ("113108", "Retain Patient Characteristics Option"),
    "device": ("113109", "Retain Device Identity Option"),
    "descriptors": ("113105", "Clean Descriptors Option"),
}
_WORDS = frozenset(
    _listed("""
CT HEAD BRAIN SKULL CRANIUM CEREBRUM NECK PLAIN NATIVE NATIV NON CONTRAST WITHOUT WITH W O WO UNENHANCED AXIAL AX
COR SAG SEQ SEQUENCE SPIRAL HELICAL SOFT TISSUE STANDARD STD SMOOTH SHARP BONE THIN THICK MM ROUTINE STROKE TRAUMA
EMERGENCY ADULT CHILD PEDIATRIC KOPF SCHAEDEL CRANE TETE CRANEO CABEZA RECON
""")
)
_TOKEN = re.compile(r"[A-Za-z0-9]+(?:\.[0-9]+)?")
_NUMBER = re.compile(r"[0-9]{1,2}(\.[0-9]{1,3})?")
_KERNEL = re.compile(r"[A-Z][a-z]?[0-9]{2}[a-z]?")


@dataclass(frozen=True, slots=True)
class Options:
    """Which options of the profile are used; all are off but the modified dates."""

    dates: bool = True
    characteristics: bool = False
    device: bool = False
    descriptors: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The profile and its options, by the keys of the code table."""
        return ("basic", *(name for name in _CODES if name != "basic" and getattr(self, name)))


def deidentified(source: Dataset, pseudonyms: Pseudonyms, options: Options) -> Dataset:
    """Return a new data set that holds only what may leave.

    Parameters
    ----------
    source : Dataset
        A CT object with its file meta information; it is left as it is.

    Raises
    ------
    BadObject
        ``BURNED_IN_ANNOTATION``: it says that text is burned into its pixels. ``IDENTIFIER_LEFT``: a value that
        identifies the patient stands in an attribute that is kept, such as a name in Manufacturer's Model Name.
    """
    if str(source.get("BurnedInAnnotation", "")).upper() == "YES":
        raise BadObject("The image says that text is burned into its pixels.", "BURNED_IN_ANNOTATION")
    patient = str(source.get("PatientID", "")) or str(source.get("StudyInstanceUID", ""))
    kept = _kept(source, _ALLOWED)
    for name in _EMPTY:
        setattr(kept, name, "")
    for name in _REPLACED:
        if source.get(name):
            setattr(kept, name, pseudonyms.uid(str(source[name].value)))
    kept.PatientName = kept.PatientID = pseudonyms.patient(patient)
    _optional(kept, source, options, lambda day: pseudonyms.moved(day, patient))
    kept.PatientIdentityRemoved = "YES"
    kept.DeidentificationMethod = "PS3.15 Annex E, what is not needed removed"
    kept.DeidentificationMethodCodeSequence = Sequence([_code(*_CODES[name]) for name in options.names])
    kept.LongitudinalTemporalInformationModified = "MODIFIED" if options.dates else "REMOVED"
    kept.add_new(0x00280302, "CS", "YES")  # Recognizable Visual Features: the face is there
    kept.file_meta = FileMetaDataset()
    kept.file_meta.MediaStorageSOPClassUID = kept.SOPClassUID
    kept.file_meta.MediaStorageSOPInstanceUID = kept.SOPInstanceUID
    kept.file_meta.TransferSyntaxUID = source.file_meta.TransferSyntaxUID
    kept.file_meta.ImplementationClassUID = IMPLEMENTATION_CLASS_UID
    left = sorted({keyword for keyword, value in _texts(kept) for one in identifiers(source) if one in value.upper()})
    if left:
        raise BadObject(f"Something that identifies the patient stands in {', '.join(left)}.", "IDENTIFIER_LEFT")
    return kept


def identifiers(source: Dataset) -> set[str]:
    """Return, in capitals, what of the original must not stand in any text of the copy.

    Names by their parts, of four characters at least: shorter ones stand in many a word. Not those that are words of
    any head CT: a patient called Head is not named by the body part. An institution by its whole name, since it may be
    called after a manufacturer.
    """
    found: set[str] = set()
    for name in _NAMES:
        text = str(source.get(name, "") or "").upper()
        parts = [text] if name == "InstitutionName" else re.split(r"[\^=\\,;\s]+", text)
        found.update(part for part in parts if len(part) >= 4 and part not in _WORDS and any(map(str.isalnum, part)))
    return found


def _texts(dataset: Dataset) -> Iterator[tuple[str, str]]:
    """Yield keyword and value of every text that was kept, in sequences as well; the pseudonym is none of them."""
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield from _texts(item)
        elif element.VR in ("AE", "CS", "LO", "SH", "LT", "ST", "UC", "UT") and element.keyword != "PatientID":
            yield element.keyword, str(element.value)


def _kept(source: Dataset, allowed: frozenset[int]) -> Dataset:
    """Return the allowed attributes, and of allowed sequences the allowed attributes."""
    kept = Dataset()
    for element in source:
        if int(element.tag) not in allowed:
            continue
        if element.VR == "SQ":
            items = [item for item in (_kept(one, allowed) for one in element.value) if len(item)]
            if items:
                kept.add(DataElement(element.tag, "SQ", Sequence(items)))
        else:
            kept[element.tag] = element
    return kept


def _optional(kept: Dataset, source: Dataset, options: Options, moved: Callable[[date], date]) -> None:
    if options.dates:
        for name in _DATES:
            day = _day(str(source.get(name, "") or ""))
            if day is not None:
                setattr(kept, name, moved(day).strftime("%Y%m%d"))
    if options.characteristics:
        sex, age = str(source.get("PatientSex", "")).upper(), str(source.get("PatientAge", "")).upper()
        kept.PatientSex = sex if sex in ("M", "F", "O") else ""
        if re.fullmatch("[0-9]{3}[DWMY]", age):
            kept.PatientAge = "090Y" if age.endswith("Y") and int(age[:3]) > 89 else age
    if options.device:
        for name in _DEVICE:
            if source.get(name):
                kept[name] = source[name]
    if options.descriptors:
        for name in _DESCRIPTORS:
            words = [word for word in _TOKEN.findall(str(source.get(name, "") or "")) if _harmless(word)]
            if words:
                setattr(kept, name, " ".join(words)[:64])


def _harmless(word: str) -> bool:
    return word.upper() in _WORDS or bool(_NUMBER.fullmatch(word) or _KERNEL.fullmatch(word))


def _day(text: str) -> date | None:
    try:
        return datetime.strptime(text, "%Y%m%d").date()
    except ValueError:
        return None


def _code(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning
    return item
