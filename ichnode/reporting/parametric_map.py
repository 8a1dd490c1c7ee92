"""The heat maps as numbers in the space of the CT: a Parametric Map (PS3.3 A.75), which a viewer lays over the slices.

Written with pydicom: the sources are known by a header, their places and UIDs, not as images.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pydicom.config
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import ParametricMapStorage

from ichnode.core.identity import derived_uid
from ichnode.core.images import SeriesImages
from ichnode.reporting import codes
from ichnode.reporting.derivation import image_item, say_how_lossy, source_images
from ichnode.reporting.facts import Answer, ReportIdentity, ReportReference
from ichnode.reporting.header import code_item, result_header
from ichnode.reporting.key_slices import slice_reference
from ichnode.reporting.part10 import as_file
from ichnode.reporting.pixel_attributes import decimal

SERIES_DESCRIPTION = "ICH AI heat map (investigational)"
_IMAGE_TYPE = ("DERIVED", "PRIMARY", "VOLUME", "QUANTITY")


def build_pm(answer: Answer, identity: ReportIdentity, predecessors: Sequence[ReportReference]) -> bytes | None:
    """Return the heat maps as a Parametric Map of 32-bit floats, as the bytes of a PS3.10 file.

    One frame for each slice that has a map, on the very grid of that slice; 0..1, where 1 is the highest of the series.

    Parameters
    ----------
    answer : Answer
    identity : ReportIdentity
    predecessors : sequence of ReportReference
        Not used: a Parametric Map has nowhere to name what it replaces.

    Returns
    -------
    bytes or None
        The same for the same input. None without a heat map, and where the CT has no Frame of Reference that would put
        the map in its place.

    Raises
    ------
    BadObject
        The header has no Study or Series Instance UID.
    ValueError
        A slice is not among the evidence.
    """
    images, frame_of_reference = answer.images, answer.header.get("FrameOfReferenceUID")
    if images is None or not images.heat or not frame_of_reference:
        return None
    with pydicom.config.disable_value_validation():
        mapped = sorted(images.heat)
        made = result_header(answer, identity, "OT", SERIES_DESCRIPTION)
        made.SOPClassUID = ParametricMapStorage
        made.FrameOfReferenceUID, made.PositionReferenceIndicator = str(frame_of_reference), None
        made.BodyPartExamined = "HEAD"
        _describe(made)
        say_how_lossy(made, answer.header)
        _reference(made, answer, mapped)
        _dimensions(made, identity)
        made.SharedFunctionalGroupsSequence = [_shared(images)]
        made.PerFrameFunctionalGroupsSequence = [
            _frame(answer, images, index, number) for number, index in enumerate(mapped, 1)
        ]
        _pixels(made, images, mapped)
        return as_file(made, answer.device)


def _describe(made: Dataset) -> None:
    """Parametric Map Image module (PS3.3 C.8.32.2) and Content Identification macro."""
    made.ImageType = list(_IMAGE_TYPE)
    made.ContentQualification = "RESEARCH"
    made.ContentLabel = "ICH_ACTIVATION"
    made.ContentDescription = "Class activation, not an outline of the bleed"
    made.ContentCreatorName = None
    made.PixelPresentation, made.PresentationLUTShape = "MONOCHROME", "IDENTITY"
    made.BurnedInAnnotation = made.RecognizableVisualFeatures = "NO"
    made.AcquisitionContextSequence = []


def _reference(made: Dataset, answer: Answer, mapped: Sequence[int]) -> None:
    """Common Instance Reference module (PS3.3 C.12.2): each image once."""
    found = [slice_reference(answer.outcome, index, answer.sop_classes)[:2] for index in mapped]
    of_series = Dataset()
    of_series.SeriesInstanceUID = str(answer.header.SeriesInstanceUID)
    of_series.ReferencedInstanceSequence = [image_item(*image) for image in dict.fromkeys(found)]
    made.ReferencedSeriesSequence = [of_series]


def _dimensions(made: Dataset, identity: ReportIdentity) -> None:
    """Multi-frame Dimension module (PS3.3 C.7.6.17): frames are told apart by where they lie."""
    organisation, index = Dataset(), Dataset()
    organisation.DimensionOrganizationUID = derived_uid("dimensions", identity.sop_instance_uid)
    index.DimensionOrganizationUID = organisation.DimensionOrganizationUID
    index.DimensionIndexPointer, index.FunctionalGroupPointer = (
        Tag("ImagePositionPatient"),
        Tag("PlanePositionSequence"),
    )
    index.DimensionDescriptionLabel = "Image Position (Patient)"
    made.DimensionOrganizationSequence, made.DimensionIndexSequence = [organisation], [index]


def _shared(images: SeriesImages) -> Dataset:
    groups, orientation, measures, window, identical, kind = (Dataset() for _ in range(6))
    orientation.ImageOrientationPatient = [decimal(cosine) for cosine in images.orientation]
    measures.PixelSpacing = [decimal(side) for side in images.spacing_mm]
    if images.thickness_mm is not None:
        measures.SliceThickness = decimal(images.thickness_mm)
    window.WindowCenter, window.WindowWidth = decimal(0.5), decimal(1)
    identical.RescaleIntercept, identical.RescaleSlope, identical.RescaleType = 0, 1, "US"
    kind.FrameType = list(_IMAGE_TYPE)
    groups.PlaneOrientationSequence, groups.PixelMeasuresSequence = [orientation], [measures]
    groups.FrameVOILUTSequence, groups.PixelValueTransformationSequence = [window], [identical]
    groups.ParametricMapFrameTypeSequence = [kind]
    groups.RealWorldValueMappingSequence = [_meaning()]
    return groups


def _meaning() -> Dataset:
    """Return what the numbers mean (PS3.3 C.7.6.16.2.11): class activation from 0 to 1."""
    mapping, quantity = Dataset(), Dataset()
    mapping.LUTLabel, mapping.LUTExplanation = "ACTIVATION", "Class activation, 1 is the highest of the series"
    mapping.RealWorldValueSlope, mapping.RealWorldValueIntercept = 1.0, 0.0
    mapping.DoubleFloatRealWorldValueFirstValueMapped, mapping.DoubleFloatRealWorldValueLastValueMapped = 0.0, 1.0
    mapping.MeasurementUnitsCodeSequence = [code_item(codes.NO_UNITS)]
    quantity.ValueType = "CODE"
    quantity.ConceptNameCodeSequence = [code_item(codes.QUANTITY)]
    quantity.ConceptCodeSequence = [code_item(codes.CLASS_ACTIVATION)]
    mapping.QuantityDefinitionSequence = [quantity]
    return mapping


def _frame(answer: Answer, images: SeriesImages, index: int, number: int) -> Dataset:
    groups, content, place, derivation = (Dataset() for _ in range(4))
    content.DimensionIndexValues = [number]
    content.FrameLabel = f"{images.heat_class[index]}, image {index + 1} of {len(images.volume)}"
    place.ImagePositionPatient = [decimal(coordinate) for coordinate in images.positions_mm[index]]
    derivation.SourceImageSequence = source_images(answer, [index])
    derivation.SourceImageSequence[0].SpatialLocationsPreserved = "YES"
    derivation.DerivationCodeSequence = [code_item(codes.CALCULATION)]
    groups.FrameContentSequence, groups.PlanePositionSequence = [content], [place]
    groups.DerivationImageSequence = [derivation]
    return groups


def _pixels(made: Dataset, images: SeriesImages, mapped: Sequence[int]) -> None:
    """Floating Point Image Pixel module (PS3.3 C.7.6.24) and Multi-frame Functional Groups."""
    maps = np.stack([images.heat[index] for index in mapped]).astype("<f4")
    made.NumberOfFrames = len(mapped)
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.Rows, made.Columns = maps.shape[1:]
    made.BitsAllocated = 32
    made.FloatPixelData = maps.tobytes()
