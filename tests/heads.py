"""Small head CTs as files, many of them quickly: 64 x 64, a dozen slices of 10 mm, eligible by every header."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from ichnode.core.identity import derived_uid
from tests.dicom.made_ct import ct_dataset


def study_uid(name: str) -> str:
    return derived_uid("study", name)


def series_uid(name: str, series: str = "head") -> str:
    return derived_uid("series", name, series)


def write_head(folder: Path, name: str, series: str = "head", slices: int = 12, **attributes: Any) -> list[Path]:
    """Write one series of the study `name`; `attributes` replace those of every slice."""
    folder = folder / name / series
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for index in range(slices):
        given = {
            "StudyInstanceUID": study_uid(name), "SeriesInstanceUID": series_uid(name, series),
            "SOPInstanceUID": derived_uid("image", name, series, str(index)), "AccessionNumber": f"A-{name}"[:16],
            "FrameOfReferenceUID": derived_uid("frame", name), "PatientID": f"P-{name}", "InstanceNumber": index + 1,
            "ImagePositionPatient": [-128, -128, 10 * index], "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
            "PixelSpacing": [4, 4], "SliceThickness": 10, "GantryDetectorTilt": 0, "PatientName": f"DOE^{name}",
            "PixelPaddingValue": None, **attributes,
        }  # fmt: skip
        ds = ct_dataset(**given)
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        paths.append(folder / f"{index:03d}.dcm")
        ds.save_as(paths[-1], enforce_file_format=True)
    return paths
