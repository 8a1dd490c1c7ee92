"""The heat maps as numbers in the space of the CT: a Parametric Map (PS3.3 A.75), which a viewer lays over the slices.

Written with pydicom: the sources are known by a header, their places and UIDs, not as images.

Every slice has a frame, though few have a map, and the frames follow the normal of the slices: OHIF 3.13 lays frames
over slices by counting, and never finishes loading where there are fewer. The empty ones cost nothing: the file is
deflated.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

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
from ichnode.reporting.part10 import as_deflated_file
from ichnode.reporting.pixel_attributes import decimal

SERIES_DESCRIPTION = "ICH AI heat map (investigational)"
_IMAGE_TYPE = ("DERIVED", "PRIMARY", "VOLUME", "QUANTITY")
_STEPS = 256
"""Activation is told in steps of 1/256: finer ones say nothing of a map this coarse, and do not deflate."""


def build_pm(answer: Answer, identity: ReportIdentity, predecessors: Sequence[ReportReference]) -> bytes | None:
    """Return the heat maps as a Parametric Map of 32-bit floats, as the bytes of a PS3.10 file.

    One frame for each slice, on its very grid; 0..1, where 1 is the highest of the series. Slices without a map are 0
    throughout, and the label of their frame says so.

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
        slices = _along_the_normal(images)
        made = result_header(answer, identity, "OT", SERIES_DESCRIPTION)
        made.SOPClassUID = ParametricMapStorage
        made.FrameOfReferenceUID, made.PositionReferenceIndicator = str(frame_of_reference), None
        made.BodyPartExamined = "HEAD"
        _describe(made)
        say_how_lossy(made, answer.header)
        _reference(made, answer, slices)
        _dimensions(made, identity)
        made.SharedFunctionalGroupsSequence = [_shared(images)]
        made.PerFrameFunctionalGroupsSequence = [
            _frame(answer, images, index, number) for number, index in enumerate(slices, 1)
        ]
        _describe_pixels(made, images)
        return as_deflated_file(made, answer.device, _planes(images, slices), 4 * images.volume.size)


def _along_the_normal(images: SeriesImages) -> list[int]:
    """Return the slices in ascending order along the cross product of their row and column directions."""
    normal = np.cross(images.orientation[:3], images.orientation[3:])
    return [int(index) for index in np.argsort(np.array(images.positions_mm) @ normal, kind="stable")]


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


def _reference(made: Dataset, answer: Answer, slices: Sequence[int]) -> None:
    """Common Instance Reference module (PS3.3 C.12.2): each image once."""
    found = [slice_reference(answer.outcome, index, answer.sop_classes)[:2] for index in slices]
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
    content.FrameLabel = f"{images.heat_class.get(index, 'no map')}, image {index + 1} of {len(images.volume)}"
    place.ImagePositionPatient = [decimal(coordinate) for coordinate in images.positions_mm[index]]
    derivation.SourceImageSequence = source_images(answer, [index])
    derivation.SourceImageSequence[0].SpatialLocationsPreserved = "YES"
    derivation.DerivationCodeSequence = [code_item(codes.CALCULATION)]
    groups.FrameContentSequence, groups.PlanePositionSequence = [content], [place]
    groups.DerivationImageSequence = [derivation]
    return groups


def _describe_pixels(made: Dataset, images: SeriesImages) -> None:
    """Add the Floating Point Image Pixel module (PS3.3 C.7.6.24) and the number of frames, without the pixels."""
    made.NumberOfFrames, made.Rows, made.Columns = images.volume.shape
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated = 32


def _planes(images: SeriesImages, slices: Sequence[int]) -> Iterator[bytes]:
    """Yield the frames as little-endian 32-bit floats."""
    nothing = bytes(4 * images.volume[0].size)
    for index in slices:
        heat = images.heat.get(index)
        yield nothing if heat is None else (np.rint(heat * _STEPS) / _STEPS).astype("<f4").tobytes()
