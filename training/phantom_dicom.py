"""A phantom as a DICOM CT series: one CT Image Storage instance a slice (PS3.3 A.3), every UID derived."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from ichnode.core.identity import derived_uid

from .phantom import Phantom, beyond_field

TAG_VARIANTS: dict[str, dict[str, Any]] = {
    "12-bit": {},
    "12-bit-1000": {"intercept": -1000},
    "12-bit-wrapped": {"intercept": 0, "wrapped": True},
    "16-bit": {"bits_stored": 16},
    "16-bit-0": {"bits_stored": 16, "intercept": 0},
    "16-bit-padded": {"bits_stored": 16, "padding": -2000},
}
"""Ways in which scanners write the same Hounsfield units, as arguments of `write_dicom`."""
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
    wrapped: bool = False,
    padding: int | None = None,
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
        RescaleIntercept: -1024, -1000 (nothing is below -1000 HU then), or 0, which needs the signed 16 bits.
    wrapped : bool
        Write negative values as 12 bits of two's complement called unsigned, as some files of RSNA 2019 are.
    padding : int, optional
        PixelPaddingValue, stored outside the reconstruction circle; needs the signed 16 bits.
    **attributes
        DICOM keywords that replace or, with the value None, remove what is written by default.

    Returns
    -------
    files : list of Path
    """
    if bits_stored not in (12, 16) or (intercept > -1000 and bits_stored == 12 and not wrapped):
        raise ValueError("12 bits hold Hounsfield units only with an intercept of -1000 or less")
    if padding is not None and bits_stored == 12:
        raise ValueError("a padding value needs the signed 16 bits")
    folder.mkdir(parents=True, exist_ok=True)
    identity = (uid_seed, str(phantom.seed))
    files = []
    for index in range(len(phantom.hu)):
        ds = _slice(phantom, index, (*identity, str(series_number)))
        _store(ds, phantom.hu[index], bits_stored, intercept, wrapped, padding)
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


def _slice(phantom: Phantom, index: int, series: tuple[str, ...]) -> Dataset:
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
    ds.Modality, ds.Manufacturer, ds.ManufacturerModelName = "CT", "ichnode", "Synthetic head"
    ds.BodyPartExamined, ds.ScanOptions = "HEAD", "AXIAL MODE"
    ds.KVP, ds.SliceThickness, ds.GantryDetectorTilt = "120", f"{protocol.thickness_mm:g}", f"{protocol.tilt_deg:g}"
    ds.PatientPosition, ds.AcquisitionNumber, ds.InstanceNumber = "HFS", 1, index + 1
    ds.ImagePositionPatient = [f"{value:.6g}" for value in phantom.positions_mm[index]]
    ds.ImageOrientationPatient = [f"{value:.8g}" for value in protocol.orientation]
    ds.PositionReferenceIndicator = ""
    ds.PixelSpacing = [f"{value:.6g}" for value in phantom.pixel_spacing_mm]
    ds.Rows, ds.Columns = phantom.hu.shape[1:]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.WindowCenter, ds.WindowWidth = "40", "80"
    return ds


def _store(
    ds: Dataset, hu: npt.NDArray[np.int16], bits_stored: int, intercept: int, wrapped: bool, padding: int | None
) -> None:
    signed = bits_stored == 16
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, bits_stored, bits_stored - 1, int(signed)
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = str(intercept), "1", "HU"
    stored = hu.astype(np.int32) - intercept
    if wrapped:
        stored %= 4096
    elif not signed:
        stored = np.clip(stored, 0, 4095)
    if padding is not None:
        ds.add_new("PixelPaddingValue", "SS", padding)
        stored[beyond_field(len(hu))] = padding
    ds.PixelData = stored.astype("<i2" if signed else "<u2").tobytes()


def _encode(ds: Dataset, transfer_syntax: str) -> None:
    from pydicom.uid import UID

    syntax = UID(transfer_syntax)
    if syntax.is_encapsulated:
        ds.compress(syntax, generate_instance_uid=False)
    else:
        ds.file_meta.TransferSyntaxUID = syntax
