"""The pictures and the map in dicom3tools' validator and in DCMTK: headers, kinds, and what is broken."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pydicom.config
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, RLELossless

from ichnode.dicom.scu import Remote, store
from tests.interop.validators import dciodvfy, find_component
from tests.peers import Orthanc, Storescp, run_dcmtk
from tests.reporting import corpus

HEADERS = corpus.SYNTHETIC | corpus.REAL
EVERY_HEADER = [*corpus.SYNTHETIC, *(pytest.param(name, marks=pytest.mark.data) for name in corpus.REAL)]
PAGES = ("positive", "negative", "partial_positive", "contrast", "partial_not_analysed", "revision")

pytestmark = pytest.mark.interop


@pytest.mark.parametrize("header", EVERY_HEADER)
@pytest.mark.parametrize("kind", PAGES)
def test_the_page_is_clean(header: str, kind: str, tmp_path: Path) -> None:
    assert dciodvfy(_filed(tmp_path, corpus.pictured(HEADERS[header](), kind, "sc"))) == []


@pytest.mark.parametrize("header", EVERY_HEADER)
def test_frames_and_map_are_clean(header: str, tmp_path: Path) -> None:
    assert dciodvfy(_filed(tmp_path, corpus.pictured(HEADERS[header](), "partial_positive", "sc-frames"))) == []
    made = corpus.made(HEADERS[header](), "positive", "pm", images=corpus.images_of(HEADERS[header](), "positive"))
    if header == "minimal":
        assert made is None  # no frame of reference
    else:
        assert made is not None and dciodvfy(_filed(tmp_path, made)) == []


@pytest.mark.parametrize("kind", ["positive", "negative", "partial_negative", "revision"])
def test_frames_and_map_of_every_answer_are_clean(kind: str, tmp_path: Path) -> None:
    series = corpus.named("japanese")
    images = corpus.images_of(series, kind)
    assert dciodvfy(_filed(tmp_path, corpus.pictured(series, kind, "sc-frames"))) == []
    made = corpus.made(series, kind, "pm", images=images)
    assert (made is None) == ("negative" in kind) == (not images.heat)  # no map where there is no finding
    assert made is None or dciodvfy(_filed(tmp_path, made)) == []


def test_what_is_unusual_is_clean_too(tmp_path: Path) -> None:
    series = corpus.named("ascii")
    outcome, _ = corpus.outcome_of("negative", series)
    one = dataclasses.replace(outcome, scores=outcome.scores[:1], order=outcome.order[:1])
    single = corpus.pictured(
        series, "negative", "sc-frames", outcome=one, images=corpus.images_of(series, "negative", 1)
    )
    assert dciodvfy(_filed(tmp_path, single)) == []
    assert dciodvfy(_filed(tmp_path, corpus.pictured(series, "positive", "sc", images=None))) == []
    thin = corpus.images_of(series, "positive", thickness_mm=None)
    assert dciodvfy(_filed(tmp_path, corpus.pictured(series, "positive", "pm", images=thin))) == []
    series.header.LossyImageCompression, series.header.LossyImageCompressionRatio = "01", 8
    series.header.LossyImageCompressionMethod = "ISO_10918_1"
    for name in ("sc", "sc-frames", "pm"):
        assert dciodvfy(_filed(tmp_path, corpus.pictured(series, "positive", name))) == []


@pytest.mark.parametrize(("name", "frame"), [("sc", 0), ("sc-frames", 12)])
def test_dcmtk_shows_what_was_drawn(name: str, frame: int, tmp_path: Path) -> None:
    path, plain = _filed(tmp_path, corpus.pictured(corpus.named("ascii"), "positive", name)), tmp_path / "plain.dcm"
    run_dcmtk(find_component("dcmdrle", "dcmtk"), path, plain)
    picture = tmp_path / "shown.ppm"
    run_dcmtk(find_component("dcm2pnm", "dcmtk"), "+F", str(frame + 1), plain, picture)
    header, colours = picture.read_bytes().split(b"\n255\n", 1)
    made = pydicom.dcmread(path)
    assert header.split()[-2:] == [str(made.Columns).encode(), str(made.Rows).encode()]
    pixels = made.pixel_array if name == "sc" else made.pixel_array[frame]
    assert (np.frombuffer(colours, np.uint8).reshape(pixels.shape) == pixels).all()


def test_they_arrive_as_they_were_compressed_or_not(orthanc: Orthanc, storescp: Storescp, tmp_path: Path) -> None:
    """Orthanc takes RLE and Deflated as they are; storescp takes neither, so that it is sent the plain pixels."""
    paths = [tmp_path / f"{name}.dcm" for name in ("sc", "sc-frames", "pm")]
    for path in paths:
        path.write_bytes(corpus.pictured(corpus.named("utf8"), "positive", path.stem))
    for port, aet in ((orthanc.port, orthanc.aet), (storescp.port, storescp.aet)):
        answers = store(Remote("pacs", aet, "127.0.0.1", port, "ICHAI", timeout_s=60.0, connect_timeout_s=10.0), paths)
        assert [(answer.status, answer.error) for answer in answers] == [(0, None)] * 3
    sent = {str(one.SOPInstanceUID): one for one in map(pydicom.dcmread, paths)}
    syntaxes = []
    for folder in (orthanc.files(tmp_path / "back", Modality="OT"), storescp.received.iterdir()):
        kept = {str(one.SOPInstanceUID): one for one in map(pydicom.dcmread, folder)}
        assert set(sent) <= set(kept)
        for uid, one in sent.items():
            assert (kept[uid].pixel_array == one.pixel_array).all()
            assert str(kept[uid].PatientName) == corpus.NAMES["utf8"][1]
        syntaxes.append({kept[uid].file_meta.TransferSyntaxUID for uid in sent})
    as_made = {ExplicitVRLittleEndian, RLELossless, DeflatedExplicitVRLittleEndian}
    assert syntaxes == [as_made, {ExplicitVRLittleEndian}]


# Negative controls: the validator does catch these -------------------------------------------------------------------


def _no_conversion(made: Dataset) -> None:
    del made.ConversionType


def _no_body_part(made: Dataset) -> None:
    del made.BodyPartExamined


def _no_labels(made: Dataset) -> None:
    del made.FrameLabelVector


def _no_place(made: Dataset) -> None:
    del made.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence


def _no_meaning(made: Dataset) -> None:
    del made.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence


@pytest.mark.parametrize(
    ("name", "break_it"),
    [
        ("sc", _no_conversion),
        ("sc", _no_body_part),
        ("sc-frames", _no_labels),
        ("pm", _no_place),
        ("pm", _no_meaning),
    ],
)
def test_dciodvfy_catches(name: str, break_it: Callable[[Dataset], None], tmp_path: Path) -> None:
    made = pydicom.dcmread(_filed(tmp_path, corpus.pictured(corpus.named("ascii"), "positive", name)))
    break_it(made)
    path = tmp_path / "broken.dcm"
    with pydicom.config.disable_value_validation():
        made.save_as(path)
    assert dciodvfy(path) != []


def _filed(folder: Path, content: bytes) -> Path:
    path = folder / "made.dcm"
    path.write_bytes(content)
    return path
