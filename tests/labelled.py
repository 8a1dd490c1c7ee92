"""A node's data folder with answered series of drawn heads, with and without blood, that readers have judged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset

from ichnode.core.feedback import Feedback, Label
from ichnode.core.findings import Verdict
from ichnode.core.identity import derived_uid, digest_of
from ichnode.dicom.part10 import part10_prefix
from ichnode.inference.engine import Engine
from ichnode.steps.analyse import analyse_next
from ichnode.steps.assemble import assemble_due
from ichnode.steps.node import Node
from ichnode.worklist import feedback, schema
from tests.made import rows
from tests.steps.spooled import CT, EXPLICIT_LE, started

SIDE, PIXEL_MM, SLICES = 96, 2.2, 20


def drawn_head(number: int, bleeds: bool) -> np.ndarray:
    """A skull with brain and ventricles, and in bleeding ones a ball of blood; shape (slices, rows, columns)."""
    rng = np.random.default_rng(number)
    y, x = (np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2) * PIXEL_MM
    y, x = y - rng.uniform(-2, 2), x - rng.uniform(-2, 2)
    plane = np.full((SIDE, SIDE), -1000.0)
    radius = np.hypot(y / 85, x / 70)
    plane[radius < 1], plane[radius < 0.9] = 1000, 32
    plane[np.hypot(y / 20, x / 9) < 1] = 8
    hu = np.repeat(plane[None], SLICES, 0)
    if bleeds:
        first = int(rng.integers(4, SLICES - 10))
        at = rng.uniform(-15, 15, 2)
        hu[first : first + 7, np.hypot(y - at[0], x - at[1]) < 36] = 76
    return np.rint(hu + rng.normal(0, 2, hu.shape)).astype(np.int16)


def head_files(template: Dataset, number: int, bleeds: bool) -> list[Dataset]:
    """A drawn head as CT slices of a study, patient and accession number of its own."""
    made = []
    for index, plane in enumerate(drawn_head(number, bleeds)):
        ds = Dataset()
        ds.update(template)
        ds.PatientID, ds.PatientName, ds.AccessionNumber = f"LAB{number}", f"LAB^{number}", f"ACC{number}"
        ds.StudyInstanceUID = derived_uid("lab", str(number))
        ds.SeriesInstanceUID = derived_uid("lab series", str(number))
        ds.SOPInstanceUID = derived_uid("lab slice", str(number), str(index))
        ds.InstanceNumber, ds.Rows, ds.Columns = index + 1, SIDE, SIDE
        ds.PixelSpacing, ds.SliceThickness = [PIXEL_MM, PIXEL_MM], 5
        ds.ImagePositionPatient, ds.ImageOrientationPatient = [-105, -105, 5 * index], [1, 0, 0, 0, 1, 0]
        ds.GantryDetectorTilt = 0
        ds.PixelData = (plane + 1024).astype("<u2").tobytes()
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = EXPLICIT_LE
        ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = CT, ds.SOPInstanceUID
        made.append(ds)
    return made


def template_of(file: Path) -> Dataset:
    """A real header without its pixels."""
    return dcmread(file, stop_before_pixels=True)


def answered_heads(node: Node, engine: Engine, template: Dataset, bleeding: dict[int, bool]) -> None:
    """Receive, assemble and analyse drawn heads."""
    from pydicom.filebase import DicomBytesIO
    from pydicom.filewriter import write_dataset

    for number, bleeds in bleeding.items():
        for ds in head_files(template, number, bleeds):
            stream = DicomBytesIO()
            stream.is_little_endian, stream.is_implicit_VR = True, False
            write_dataset(stream, ds)
            data = stream.getvalue()
            node.spool.put_slice(part10_prefix(CT, ds.SOPInstanceUID, EXPLICIT_LE, "CT"), data, digest_of(data))
    started(node)
    boot_at = node.now()
    node.now.forward(60)  # type: ignore[attr-defined]
    assemble_due(node, boot_at)
    while analyse_next(node, engine, f"{node.boot_id}/worker"):
        pass


def judged_by_readers(node: Node, bleeding: dict[int, bool]) -> None:
    """Let a reader say of every answer whether it is right; of blood, which kind it is."""
    by_uid = {derived_uid("lab series", str(number)): bleeds for number, bleeds in bleeding.items()}
    keys = {row["id"]: row["series_instance_uid"] for row in rows(node.worklist, schema.series)}
    for result in rows(node.worklist, schema.results):
        bleeds = by_uid.get(keys[result["series_id"]])
        if bleeds is None:
            continue
        agrees = (result["verdict"] == Verdict.POSITIVE) == bleeds
        labels = (Label("intraparenchymal", True),) if bleeds else ()
        with node.worklist.write() as tx:
            feedback.give(tx, node.now(), "reader", result["id"], Feedback(agrees, labels))
