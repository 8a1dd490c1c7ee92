"""A phantom as a DICOM CT series: one CT Image Storage instance a slice (PS3.3 A.3), every UID derived."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from ichnode.core.identity import derived_uid

from .phantom import Phantom

KERNELS = {"soft": "STANDARD", "bone": "BONE"}


def write_dicom(
    phantom: Phantom,
    folder: Path,
    *,
    patient_name: str = "PHANTOM^HEAD",
    patient_id: str | None = None,
    accession: str | None = None,
    uid_seed: str = "",
    series_number: int = 2,
    series_description: str | None = None,
    study_description: str = "CT HEAD W/O CONTRAST",
    kernel: str | None = None,
    transfer_syntax: str = ExplicitVRLittleEndian,
    bits_stored: int = 12,
    intercept: int = -1024,
    **attributes: Any,
) -> list[Path]:
    """Write a phantom into `folder`, one file a slice, from the lowest slice up.

    Parameters
    ----------
    phantom : Phantom
    folder : Path
        Made if absent.
    uid_seed : str
        Part of every UID: the same phantom and seed give the same UIDs; another seed is another patient's study. Series
        of one study share `uid_seed` and differ in `series_number`.
    kernel : str, optional
        ConvolutionKernel; by default that of the protocol.
    transfer_syntax : str
        Explicit or implicit little endian, deflated, or one that pydicom can encode (RLE, JPEG-LS, JPEG 2000).
    bits_stored : int
        12 (unsigned) or 16 (signed).
    intercept : int
        RescaleIntercept: -1024, or 0, which needs the signed 16 bits.
    **attributes
        DICOM keywords that replace or, with the value None, remove what is written by default.

    Returns
    -------
    files : list of Path
    """
    if bits_stored not in (12, 16) or (intercept > -1000 and bits_stored == 12):
        raise ValueError("12 bits hold Hounsfield units only with an intercept of -1000 or less")
    folder.mkdir(parents=True, exist_ok=True)
    identity = (uid_seed, str(phantom.seed))
    files = []
    for index in range(len(phantom.hu)):
        ds = _slice(phantom, index, (*identity, str(series_number)), bits_stored, intercept)
        ds.StudyInstanceUID = derived_uid("phantom", "study", *identity)
        ds.FrameOfReferenceUID = derived_uid("phantom", "frame", *identity)
        ds.SeriesNumber = series_number
        number = f"{phantom.seed:05d}"
        ds.PatientName, ds.PatientID = patient_name, patient_id or f"PHANTOM{number}"
        ds.AccessionNumber = accession or f"P{number}"
        ds.StudyDescription = study_description
        thickness = f"{phantom.protocol.thickness_mm:g}"
        ds.ConvolutionKernel = kernel or KERNELS[phantom.protocol.kernel]
        ds.SeriesDescription = series_description or f"HEAD {thickness} {ds.ConvolutionKernel}"
        for keyword, value in attributes.items():
            if value is not None:
                setattr(ds, keyword, value)
            elif keyword in ds:
                delattr(ds, keyword)
        if ds.file_meta.TransferSyntaxUID != transfer_syntax:
            _encode(ds, transfer_syntax)
        path = folder / f"{index + 1:04d}.dcm"
        ds.save_as(path, enforce_file_format=True)
        files.append(path)
    return files


def _slice(phantom: Phantom, index: int, series: tuple[str, ...], bits_stored: int, intercept: int) -> Dataset:
    protocol = phantom.protocol
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = CTImageStorage
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = derived_uid("phantom", "image", *series, str(index))
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.SeriesInstanceUID = derived_uid("phantom", "series", *series)
    ds.PatientBirthDate, ds.PatientSex = "", "O"
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = "20200101"
    ds.StudyTime = ds.SeriesTime = ds.AcquisitionTime = ds.ContentTime = "120000"
    ds.StudyID, ds.ReferringPhysicianName = str(phantom.seed), ""
    ds.Modality, ds.Manufacturer, ds.ManufacturerModelName = "CT", "ichnode", "Head phantom"
    ds.BodyPartExamined, ds.ScanOptions = "HEAD", "AXIAL MODE"
    ds.KVP, ds.SliceThickness, ds.GantryDetectorTilt = "120", f"{protocol.thickness_mm:g}", f"{protocol.tilt_deg:g}"
    ds.PatientPosition, ds.AcquisitionNumber, ds.InstanceNumber = "HFS", 1, index + 1
    ds.ImagePositionPatient = [f"{value:.6g}" for value in phantom.positions_mm[index]]
    ds.ImageOrientationPatient = [f"{value:.8g}" for value in protocol.orientation]
    ds.PositionReferenceIndicator = ""
    ds.PixelSpacing = [f"{value:.6g}" for value in phantom.pixel_spacing_mm]
    ds.Rows, ds.Columns = phantom.hu.shape[1:]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    signed = bits_stored == 16
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, bits_stored, bits_stored - 1, int(signed)
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = str(intercept), "1", "HU"
    ds.WindowCenter, ds.WindowWidth = "40", "80"
    stored = phantom.hu[index].astype(np.int32) - intercept
    if not signed:
        stored = np.clip(stored, 0, 4095)
    ds.PixelData = stored.astype("<i2" if signed else "<u2").tobytes()
    return ds


def _encode(ds: Dataset, transfer_syntax: str) -> None:
    from pydicom.uid import UID

    syntax = UID(transfer_syntax)
    if syntax.is_encapsulated:
        ds.compress(syntax, generate_instance_uid=False)
    else:
        ds.file_meta.TransferSyntaxUID = syntax
