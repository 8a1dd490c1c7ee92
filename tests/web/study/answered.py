"""A head CT in a node, with an answer whose scores and heat maps are known: pages do not care who made them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom

from ichnode.core.findings import CLASSES, Outcome, findings_from, verdict_of
from ichnode.core.images import SeriesImages
from ichnode.dicom.pixels import read_hounsfield
from ichnode.inference.bundle import Bundle
from ichnode.steps.assemble import assemble_due, look_at
from ichnode.steps.node import Node
from ichnode.steps.report import file_outcome
from ichnode.worklist import jobs
from tests.made import Clock
from tests.steps.spooled import put, started

THRESHOLD = 0.5
HOT = (14, 15, 16, 17)
"""Slices with blood, of 32."""
KEY = 15


def scores_of(slices: int, positive: bool) -> tuple[tuple[float, ...], ...]:
    """Scores that rise towards the key slice; subdural blood on one slice more."""
    rows = []
    for index in range(slices):
        any_score = round(0.95 - 0.06 * abs(index - KEY), 3) if positive and index in HOT else 0.1
        rows.append((any_score, any_score - 0.05, 0.02, 0.03, 0.6 if positive and index == 20 else 0.05, 0.01))
    return tuple(rows)


def answer(node: Node, clock: Clock, files: Sequence[Path], bundle: Bundle, positive: bool = True) -> None:
    """Take a series in and file an answer of it."""
    for file in files:
        put(node, file)
    started(node)
    boot_at = clock()
    clock.forward(60)
    assemble_due(node, boot_at)
    with node.worklist.write() as tx:
        job = jobs.claim_job(tx, clock(), "analyse", "boot/worker", 600)
    assert job is not None
    look = look_at(tuple(f.slice for f in job.filed), node.selection)
    filed = [job.filed[i] for i in look.geometry.order]
    scores = scores_of(len(filed), positive)
    findings = findings_from(scores, dict.fromkeys(CLASSES, THRESHOLD))
    order = tuple((f.slice.sop_instance_uid, f.slice.frame) for f in filed)
    outcome = Outcome(verdict_of(findings), scores, findings, look.geometry.warnings, None, job.missing, order)
    file_outcome(node, job, outcome, bundle, {"load": 0.5, "inference": 1.0}, _images(node, filed, positive))


def _images(node: Node, filed: Sequence[object], positive: bool) -> SeriesImages:
    slices = [one.slice for one in filed]  # type: ignore[attr-defined]
    volume = np.concatenate([read_hounsfield(node.spool.path(one.file))[0] for one in filed])  # type: ignore[attr-defined]
    heat = {index: spot(*volume.shape[1:]) for index in HOT} if positive else {}
    positions = tuple(one.position_mm for one in slices)
    return SeriesImages(
        volume, slices[0].pixel_spacing_mm, heat, dict.fromkeys(heat, "any"), slices[0].orientation, positions,
        slices[0].thickness_mm,
    )  # fmt: skip


def spot(rows: int, columns: int) -> np.ndarray:
    """A heat map: a round spot left of the middle."""
    y, x = np.mgrid[:rows, :columns]
    return np.exp(-(((y - rows / 2) / 20) ** 2 + ((x - columns / 3) / 20) ** 2)).astype(np.float32)


def renamed(files: Sequence[Path], folder: Path, **attributes: object) -> list[Path]:
    """Copies of a series under other UIDs, with other attributes, valid or not."""
    folder.mkdir()
    copies = []
    with pydicom.config.disable_value_validation():
        for file in files:
            ds = pydicom.dcmread(file)
            for keyword, value in attributes.items():
                setattr(ds, keyword, value)
            seed = "-".join(map(str, attributes.values()))
            ds.StudyInstanceUID, ds.SeriesInstanceUID = (
                pydicom.uid.generate_uid(entropy_srcs=[seed, what]) for what in ("study", "series")
            )
            ds.SOPInstanceUID = pydicom.uid.generate_uid(entropy_srcs=[seed, str(ds.InstanceNumber)])
            ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
            ds.save_as(folder / file.name)
            copies.append(folder / file.name)
    return copies


def at(node: Node, clock: Clock) -> Node:
    """The node with a clock that is moved by hand."""
    return replace(node, now=clock)
