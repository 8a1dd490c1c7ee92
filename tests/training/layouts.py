"""Small data sets in exactly the layouts in which the public ones come."""

import warnings
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

RSNA_ORDER = ("epidural", "intraparenchymal", "intraventricular", "subarachnoid", "subdural", "any")


def plane(number: int, size: int = 64) -> np.ndarray:
    """HU of one slice of a head: its brain has 30 HU plus its number."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    radius = np.hypot(x, y) / size
    hu = np.full((size, size), -1000, np.int32)
    hu[radius < 0.42] = 1000
    hu[radius < 0.38] = 30 + number
    return hu


def rsna_file(image: str, patient: str, study: str, z: float, hu: np.ndarray, **other) -> Dataset:
    """An image as RSNA wrote it: pseudonyms for UIDs, no SOP Class UID outside the file meta information."""
    with _pseudonyms():
        return _rsna_file(image, patient, study, z, hu, **other)


@contextmanager
def _pseudonyms():
    """Pydicom warns of UIDs that are none; RSNA's are."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _rsna_file(image: str, patient: str, study: str, z: float, hu: np.ndarray, **other) -> Dataset:
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = CTImageStorage
    ds.file_meta.MediaStorageSOPInstanceUID = "1.2.840.4267.32." + str(abs(hash(image)) % 10**9)
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.add_new(0x00080018, "UI", image)
    ds.Modality, ds.PatientID, ds.StudyID = "CT", patient, ""
    ds.add_new(0x0020000D, "UI", study)
    ds.add_new(0x0020000E, "UI", study.replace("ID_", "ID_5"))
    ds.ImagePositionPatient, ds.ImageOrientationPatient = [-125, -122.5, z], [1, 0, 0, 0, 1, 0]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns, ds.PixelSpacing = *hu.shape, [2.5, 2.5]
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
    ds.WindowCenter, ds.WindowWidth, ds.RescaleIntercept, ds.RescaleSlope = "30", "80", "-1024", "1"
    ds.PixelData = (hu + 1024).astype("<i2").tobytes()
    for name, value in other.items():
        setattr(ds, name, value)
    return ds


def save(ds: Dataset, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    ds.preamble = bytes(128)
    with _pseudonyms():
        ds.save_as(path, enforce_file_format=True)


def write_rsna(folder: Path) -> None:
    """Three studies of two patients to learn from and one of a third without labels, with what RSNA has of defects."""
    rows = []

    def study(name: str, patient: str, part: str, bleeds: tuple[int, ...], size: int = 64) -> None:
        for number in (3, 0, 2, 1):  # files come in no order
            image = f"ID_{name}{number:02d}"
            ds = rsna_file(image, patient, f"ID_study{name}", 10 + 5.0 * number, plane(number, size))
            save(ds, folder / part / f"{image}.dcm")
            if part == "stage_2_train":
                rows.extend(f"{image}_{c},{int(number in bleeds and c in ('any', 'subdural'))}" for c in RSNA_ORDER)

    study("aaa", "ID_p1", "stage_2_train", (1, 2))
    study("bbb", "ID_p1", "stage_2_train", (), size=80)
    study("ccc", "ID_p2", "stage_2_train", ())
    study("ddd", "ID_p3", "stage_2_test", ())
    wrapped = plane(0) % 4096
    save(
        rsna_file(
            "ID_ccc00", "ID_p2", "ID_studyccc", 10, plane(0), BitsStored=12, HighBit=11, PixelRepresentation=0,
            RescaleIntercept="0", PixelData=wrapped.astype("<u2").tobytes(),
        ),
        folder / "stage_2_train/ID_ccc00.dcm",
    )  # fmt: skip
    short = rsna_file("ID_6431af929", "ID_p2", "ID_studyccc", 30, plane(4), PixelData=b"\0" * 1000)
    save(short, folder / "stage_2_train/ID_6431af929.dcm")
    rows += [f"ID_6431af929_{c},0" for c in RSNA_ORDER]
    rows += [row for row in rows if row.startswith("ID_aaa01")]  # an image that is there twice
    rows += ["ID_bbb03_any,1"]  # and one that contradicts itself
    (folder / "stage_2_train.csv").write_text("ID,Label\n" + "".join(f"{row}\n" for row in rows))


def ct_file(study: str, series: str, number: int, hu: np.ndarray, description: str = "", **other) -> Dataset:
    """An ordinary CT slice of a head, 5 mm thick unless said otherwise."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = CTImageStorage
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = f"{series}.{number}"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = study, series
    ds.PatientName = ds.PatientID = "PAT-" + study
    ds.Modality, ds.ImageType = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.BodyPartExamined, ds.Manufacturer, ds.ManufacturerModelName = "HEAD", "GE MEDICAL SYSTEMS", "LightSpeed VCT"
    ds.ConvolutionKernel, ds.SliceThickness, ds.InstanceNumber = "STANDARD", "5", number + 1
    ds.FrameOfReferenceUID = study + ".9"
    if description:
        ds.SeriesDescription = description
    ds.ImagePositionPatient, ds.ImageOrientationPatient = [-80, -80, 5.0 * number], [1, 0, 0, 0, 1, 0]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns, ds.PixelSpacing = *hu.shape, [2.5, 2.5]
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.RescaleIntercept, ds.RescaleSlope = "-1024", "1"
    ds.PixelData = (hu + 1024).astype("<u2").tobytes()
    for name, value in other.items():
        setattr(ds, name, value)
    return ds


def write_cq500(folder: Path) -> None:
    """Two studies that can be read, one that has contrast only, one that reads.csv does not know."""
    votes = {"CQ500-CT-66": (1, 1, 0), "CQ500-CT-7": (0, 1, 0), "CQ500-CT-8": (1, 1, 1)}
    finds = ("ICH", "IPH", "IVH", "SDH", "EDH", "SAH")
    lines = ["name,Category," + ",".join(f"R{r}:{f}" for r in (1, 2, 3) for f in finds)]
    for name, readers in votes.items():
        lines.append(f"{name},B1," + ",".join(str(int(v and f in ("ICH", "SAH"))) for v in readers for f in finds))
    folder.mkdir(exist_ok=True)
    (folder / "reads.csv").write_text("\n".join(lines) + "\n")
    for number, series in {
        66: {"CT Plain": (30, 5.0), "CT PLAIN THIN": (60, 2.4), "CT CONTRAST": (30, 5.0)},
        7: {"CT PLAIN THIN": (60, 2.4)},
        8: {"CT C": (30, 5.0), "CT CONTRAST": (30, 5.0)},
        9: {"CT Plain": (30, 5.0)},
    }.items():
        for index, (name, (count, step)) in enumerate(series.items()):
            study = f"1.3.{number}"
            for z in range(count):
                ds = ct_file(study, f"{study}.{index}", z, plane(z % 10), SliceThickness=str(step))
                ds.ImagePositionPatient = [-80, -80, step * z]
                where = folder / f"CQ500CT{number} CQ500CT{number}" / "Unknown Study" / name / f"CT{z:06d}.dcm"
                save(ds, where)


def write_folder(folder: Path, studies: int = 2, slices: int = 30) -> list[str]:
    """Ordinary studies, two series each: one to read and a scout. Returns their Study Instance UIDs."""
    names = []
    for study in range(1, studies + 1):
        uid = f"1.2.{study}"
        names.append(uid)
        for z in range(slices):
            save(ct_file(uid, f"{uid}.1", z, plane(z % 10), "HEAD 5.0"), folder / f"s{study}" / f"{z}.dcm")
        scout = ct_file(uid, f"{uid}.2", 0, plane(0), "SCOUT", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
        save(scout, folder / f"s{study}" / "scout.dcm")
    return names


def labels_csv(path: Path, lines: list[dict[str, str]]) -> Path:
    names = list(dict.fromkeys(name for line in lines for name in line))
    path.write_text("\n".join([",".join(names), *(",".join(line.get(n, "") for n in names) for line in lines)]) + "\n")
    return path
