"""CT objects made with pydicom: the independent writer beside the reader under test."""

from __future__ import annotations

import base64
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from ichnode.dicom.part10 import part10_prefix
from ichnode.dicom.syntaxes import _samples

UNCOMPRESSED = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)


def head_hu(size: int = 64) -> np.ndarray:
    """HU of one slice: air, a ring of bone, brain, a little of everything so that no codec has it easy."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    radius = np.hypot(x, y) / size
    hu = np.full((size, size), -1000, np.int32)
    hu[radius < 0.45] = 1200
    hu[radius < 0.40] = 35
    return np.clip(hu + np.random.default_rng(7).integers(-15, 15, hu.shape), -1024, 3071)


def part10_of(uid: str) -> bytes:
    """A whole file of a CT of 32 x 32 in a deflated or compressed transfer syntax; of the latter the sample's frame."""
    ds = ct_dataset(head_hu(32), BitsStored=16, HighBit=15, PixelPaddingValue=None)
    if uid in _samples():
        ds.PixelData = encapsulate([base64.b64decode(_samples()[uid])])
        ds["PixelData"].VR = "OB"
        ds["PixelData"].is_undefined_length = True
        encoded = encode(ds, ExplicitVRLittleEndian)
    else:
        encoded = encode(ds, UID(uid))
    return part10_prefix(ds.SOPClassUID, ds.SOPInstanceUID, uid, "CT") + encoded


def ct_dataset(hu: np.ndarray | None = None, **attributes: Any) -> Dataset:
    """A single-frame CT with every attribute that is read; `attributes` replace or, when None, remove."""
    hu = head_hu() if hu is None else hu
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL", "CT_SOM5 SEQ"]
    ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, "1.2.826.0.1.3680043.8.498.1"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.826.0.1.3680043.8.498.2", "1.2.826.0.1.3680043.8.498.3"
    ds.FrameOfReferenceUID = "1.2.826.0.1.3680043.8.498.4"
    ds.StudyDate, ds.StudyTime, ds.AccessionNumber = "20260102", "030405.678", "ACC-1"
    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = "Müller^Zoë", "ID-1", "19500101", "F"
    ds.ReferringPhysicianName, ds.StationName = "Ärztin^Eva", "CT1"
    ds.StudyDescription, ds.SeriesDescription, ds.ProtocolName = "CT Schädel", "Schädel nativ 4.8 H31s", "01_HeadSeq"
    ds.Modality, ds.Manufacturer, ds.ManufacturerModelName = "CT", "SIEMENS", "SOMATOM"
    ds.BodyPartExamined, ds.ScanOptions, ds.PatientPosition = "HEAD", ["AXIAL MODE", "X"], "HFS"
    ds.SliceThickness, ds.GantryDetectorTilt, ds.ConvolutionKernel = "4.8", "-12.5", ["H31s", "2"]
    ds.SeriesNumber, ds.AcquisitionNumber, ds.InstanceNumber = 3, 2, 17
    ds.ImagePositionPatient, ds.ImageOrientationPatient = [-115.25, -110.5, 42.125], [1, 0, 0, 0, 0.9763, -0.2164]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns, ds.PixelSpacing = *hu.shape, [0.45, 0.46]
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.PixelPaddingValue, ds.BurnedInAnnotation = 0, "NO"
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "-1024", "1", "HU"
    ds.PixelData = (hu + 1024).astype("<u2").tobytes()
    ds["PixelData"].VR = "OW"
    for keyword, value in attributes.items():
        if value is None:
            if keyword in ds:
                del ds[keyword]
        else:
            setattr(ds, keyword, value)
    return ds


def encode(ds: Dataset, syntax: UID | str = ExplicitVRLittleEndian) -> bytes:
    """Encode as it would stand in a C-STORE request."""
    syntax = UID(syntax)
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = syntax.is_implicit_VR, syntax.is_little_endian
    if syntax == ExplicitVRBigEndian and "PixelData" in ds:
        ds = Dataset(ds)
        ds.PixelData = np.frombuffer(ds.PixelData, "<u2").astype(">u2").tobytes()
        ds["PixelData"].VR = "OW"
    write_dataset(buffer, ds)
    encoded = buffer.getvalue()
    if syntax == DeflatedExplicitVRLittleEndian:
        deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        encoded = deflater.compress(encoded) + deflater.flush()
        encoded += b"\0" * (len(encoded) % 2)
    return encoded


def save(ds: Dataset, path: Path, syntax: UID | str = ExplicitVRLittleEndian) -> Path:
    """Write a Part 10 file."""
    ds = Dataset(ds)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = UID(syntax)
    if UID(syntax) == ExplicitVRBigEndian:
        ds.PixelData = np.frombuffer(ds.PixelData, "<u2").astype(">u2").tobytes()
        ds["PixelData"].VR = "OW"
    ds.save_as(path, enforce_file_format=True)
    return path


def item(**attributes: Any) -> Dataset:
    """One item of a sequence."""
    ds = Dataset()
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    return ds


def enhanced_ct(frames: int = 12, **attributes: Any) -> Dataset:
    """An Enhanced CT: orientation, kernel and pixel size shared, place and rescale a frame."""
    hu = head_hu()
    single = ct_dataset(
        hu,
        ImagePositionPatient=None, ImageOrientationPatient=None, PixelSpacing=None, SliceThickness=None,
        RescaleSlope=None, RescaleIntercept=None, RescaleType=None, ConvolutionKernel=None, GantryDetectorTilt=None,
        BodyPartExamined=None, AcquisitionNumber=None, ImageType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"],
        SOPClassUID=EnhancedCTImageStorage, NumberOfFrames=frames,
    )  # fmt: skip
    single.SharedFunctionalGroupsSequence = Sequence(
        [
            item(
                PlaneOrientationSequence=[item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])],
                PixelMeasuresSequence=[item(PixelSpacing=[0.45, 0.45], SliceThickness="5")],
                CTReconstructionSequence=[item(ConvolutionKernel="Hr40", ConvolutionKernelGroup="BRAIN")],
                CTAcquisitionDetailsSequence=[item(GantryDetectorTilt="3.5")],
                FrameAnatomySequence=[
                    item(
                        FrameLaterality="U",
                        AnatomicRegionSequence=[
                            item(CodeValue="69536005", CodingSchemeDesignator="SCT", CodeMeaning="Head")
                        ],
                    )
                ],
            )
        ]
    )
    single.PerFrameFunctionalGroupsSequence = Sequence(
        [
            item(
                FrameContentSequence=[item(FrameAcquisitionNumber=4, StackID="1", InStackPositionNumber=k + 1)],
                PlanePositionSequence=[item(ImagePositionPatient=[-115, -115, 5 * k])],
                PixelValueTransformationSequence=[
                    item(RescaleIntercept=str(-1024 - k), RescaleSlope="1", RescaleType="HU")
                ],
                CTImageFrameTypeSequence=[item(FrameType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"])],
            )
            for k in range(frames)
        ]
    )
    single.PixelData = b"".join((hu + 1024 + k).astype("<u2").tobytes() for k in range(frames))
    for keyword, value in attributes.items():
        setattr(single, keyword, value)
    return single
