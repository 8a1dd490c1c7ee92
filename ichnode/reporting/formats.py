"""The formats of an answer: what each is called, under which SOP Classes it may travel, and what makes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from pydicom.uid import (
    BasicTextSRStorage,
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    EnhancedSRStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    KeyObjectSelectionDocumentStorage,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
    ParametricMapStorage,
    SecondaryCaptureImageStorage,
)

from ichnode.reporting.capture import build_sc
from ichnode.reporting.capture_frames import build_sc_frames
from ichnode.reporting.facts import Answer, ReportIdentity, ReportReference
from ichnode.reporting.key_objects import build_kos
from ichnode.reporting.parametric_map import build_pm
from ichnode.reporting.presentation import build_gsps
from ichnode.reporting.sr import build_sr
from ichnode.reporting.text_sr import build_text_sr


@dataclass(frozen=True, slots=True)
class Format:
    """One way to say an answer.

    Attributes
    ----------
    name : str
        As in ``formats`` of a destination.
    series_number : int
        SeriesNumber (0020,0011): high, so that viewers list results after the images.
    sop_classes : tuple of str
        SOP Class UIDs that can carry the same content; the first is what `build` makes, `recast` makes the others.
    build : callable
        Returns the bytes of a PS3.10 file, the same for the same input; None where this answer has nothing to say in
        this format, such as key images of a negative series.
    shows : bool
        Whether it is made of pixels or heat maps; the others are words, made in no time, and do not wait for pictures.
    """

    name: str
    series_number: int
    sop_classes: tuple[str, ...]
    build: Callable[[Answer, ReportIdentity, Sequence[ReportReference]], bytes | None]
    shows: bool = False


_ALL = (
    Format("sr", 9101, (ComprehensiveSRStorage, Comprehensive3DSRStorage, EnhancedSRStorage), build_sr),
    Format("text-sr", 9102, (EnhancedSRStorage, ComprehensiveSRStorage, BasicTextSRStorage), build_text_sr),
    Format("sc", 9103, (SecondaryCaptureImageStorage,), build_sc, shows=True),
    Format("sc-frames", 9104, (MultiFrameTrueColorSecondaryCaptureImageStorage,), build_sc_frames, shows=True),
    Format("kos", 9105, (KeyObjectSelectionDocumentStorage,), build_kos),
    Format("pm", 9106, (ParametricMapStorage,), build_pm, shows=True),
    Format("gsps", 9107, (GrayscaleSoftcopyPresentationStateStorage,), build_gsps),
)  # fmt: skip
FORMATS: Mapping[str, Format] = MappingProxyType({made.name: made for made in _ALL})
