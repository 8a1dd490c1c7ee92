"""Small drawn heads, so that the training code can be held by tests without patients."""

import csv
import tempfile
from pathlib import Path

import numpy as np
from ichnode_training.__main__ import main
from ichnode_training.heads import Head, head_from
from ichnode_training.plane_writer import PlaneWriter
from ichnode_training.planes import Planes, Scan, open_planes
from PIL import Image

from ichnode.core.findings import CLASSES
from ichnode.inference.bundle import Preprocessing

SMALL = Preprocessing(matrix=64, field_of_view_mm=200.0)


_written = tempfile.TemporaryDirectory(prefix="ichnode-heads-", ignore_cleanup_errors=True)


def scan_of(hu: np.ndarray, lesion: np.ndarray | None, labels: np.ndarray, patient: str = "1") -> Scan:
    """A scan of these arrays, 0.45 mm and 5 mm apart, in a data set that ends with the tests."""
    names = tuple(str(index) for index in range(len(hu)))
    given = Scan(patient, patient, patient, names, (0.45, 0.45), np.arange(len(hu)) * 5.0, labels, labels.max(axis=0))
    with PlaneWriter(Path(tempfile.mkdtemp(dir=_written.name)), {"name": "drawn heads"}) as writer:
        return writer.add(given, hu, lesion)


def imported(folder: Path) -> Planes:
    """CT-ICH in `folder` as a data set beside it, by the command."""
    assert main(["import", "ct-ich", str(folder), "--into", str(folder / "planes")]) == 0
    return open_planes(folder / "planes")


def scan(patient: int, bleeds: bool, slices: int = 12) -> Scan:
    """A skull of 150 mm with brain, a ventricle, a cistern, and in bleeding ones a ball of blood in some slices."""
    rng = np.random.default_rng(patient)
    y, x = (np.mgrid[:512, :512] - 255.5) * 0.45
    y, x = y - rng.uniform(-8, 8), x - rng.uniform(-8, 8)
    hu = np.full((slices, 512, 512), -1000.0)
    lesion = np.zeros(hu.shape, np.bool_)
    at = rng.uniform(-35, 35, 2)
    first = int(rng.integers(2, slices - 5))
    for index in range(slices):
        radius = np.hypot(y / 80, x / 68)
        hu[index][radius < 1] = 900
        hu[index][radius < 0.93] = 32
        hu[index][np.hypot(y / 22, x / 9) < 1] = 6
        hu[index][np.hypot(y - 55, x) < 12] = 6
        if bleeds and first <= index < first + 4:
            lesion[index] = np.hypot(y - at[0], x - at[1]) < 14
            hu[index][lesion[index]] = 68
        hu[index] += rng.normal(0, 2, (512, 512))
    labels = np.zeros((slices, len(CLASSES)), np.float32)
    labels[lesion.any(axis=(1, 2))] = [1, 1, 0, 0, 0, 0]
    return scan_of(hu.astype(np.int16), lesion if bleeds else None, labels, str(patient))


def head(patient: int, bleeds: bool) -> Head:
    return head_from(scan(patient, bleeds), SMALL)


def write_ct_ich(
    folder: Path, slices: tuple[tuple[int, int, int], ...], without_bone: tuple[int, int] = (0, 0)
) -> None:
    """Write (patient, slice, bleeds) in exactly the layout of the data set: 650-pixel pictures of a square head."""
    for name in ("brain", "bone", "masks"):
        (folder / name).mkdir()
    rows = []
    for patient, number, blood in slices:
        rows.append([patient, number, blood, blood, 0, 0, 0, 0])
        brain = np.zeros((650, 650), np.uint8)
        brain[100:500, 100:500] = round((30 + number + 20) / 120 * 255)
        brain[90:100] = 255
        Image.fromarray(brain).save(folder / f"brain/{patient:03d}_{number:02d}.jpg", quality=100)
        if (patient, number) != without_bone:
            bone = np.zeros((650, 650), np.uint8)
            bone[90:100] = round((800 + 900) / 3200 * 255)
            Image.fromarray(bone).save(folder / f"bone/{patient:03d}_{number:02d}.jpg", quality=100)
        if blood:
            mask = np.zeros((650, 650), np.uint8)
            mask[200:300, 200:300] = 255
            Image.fromarray(mask).save(folder / f"masks/{patient:03d}_{number:02d}.jpg", quality=100)
    with (folder / "labels.csv").open("w", newline="") as file:
        header = [
            "patient",
            "slice",
            "any",
            "epidural",
            "intraparenchymal",
            "intraventricular",
            "subarachnoid",
            "subdural",
        ]
        csv.writer(file).writerows([header, *rows])
