"""Every word of the picture, as data: what is drawn is what stands here, and a test can read it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydicom.dataset import Dataset

from ichnode.core.findings import CLASSES, Finding, Outcome, Verdict
from ichnode.reporting.facts import Answer, ReportIdentity
from ichnode.reporting.key_slices import COUNTED, key_slices
from ichnode.reporting.picture.fusion import window_of
from ichnode.reporting.sentences import UNCALIBRATED, UNREAD, ascii_only, headline

BANNER = "RESEARCH USE ONLY - investigational AI output, not verified by a radiologist"
HEAT_LEGEND = "activation of the network (cross: its peak), not an outline of the bleed"
HIGHEST_LEGEND = "These are the slices with the highest scores of the series; none reaches a threshold."
STRIP_TITLE = "Score of any hemorrhage, slice by slice (dashed: threshold {threshold:.3f})"
_MOST_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Caption:
    """The words of one slice.

    Attributes
    ----------
    index : int
        Place in `Outcome.order`, from 0.
    title, score, window : str
    heat : str or None
        What the map beside it explains; None without one.
    name : str
        The class that the slice is shown for.
    """

    index: int
    title: str
    score: str
    window: str
    heat: str | None
    name: str


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table: a class, its score, its threshold, and the answer in a word."""

    name: str
    score: str
    threshold: str
    answer: str
    present: bool


@dataclass(frozen=True, slots=True)
class PageWords:
    """All that is written on the page, from top to bottom."""

    patient: str
    answer: str
    verdict: Verdict
    captions: tuple[Caption, ...]
    legend: str | None
    strip: str | None
    rows: tuple[Row, ...]
    warnings: tuple[str, ...]
    maker: tuple[str, ...]

    def all(self) -> tuple[str, ...]:
        """Return every text, in the order of the page."""
        captions = (text for c in self.captions for text in (c.title, c.score, c.window, c.heat) if text)
        table = (text for row in self.rows for text in (row.name, row.score, row.threshold, row.answer))
        under = (text for text in (self.legend, self.strip) if text)
        return (BANNER, self.patient, self.answer, *captions, *under, *table, *self.warnings, *self.maker)


def page_words(answer: Answer, identity: ReportIdentity, made: Dataset, replaces: bool) -> PageWords:
    """Return the words of the page.

    Parameters
    ----------
    answer : Answer
    identity : ReportIdentity
    made : Dataset
        The object's header, from `result_header`: patient, study and time as it says them.
    replaces : bool
        Whether an earlier picture is replaced by this one.
    """
    outcome, captions = answer.outcome, _captions(answer)
    return PageWords(
        patient=_patient(made),
        answer=headline(outcome),
        verdict=outcome.verdict,
        captions=captions,
        legend=_legend(outcome, captions),
        strip=STRIP_TITLE.format(threshold=outcome.findings[0].threshold) if outcome.findings else None,
        rows=tuple(_row(finding) for finding in outcome.findings),
        warnings=tuple(_warnings(outcome)),
        maker=tuple(_maker(answer, identity, made, replaces)),
    )


def window_caption(name: str) -> str:
    """Return the window in which a class is shown, in words."""
    called, window = window_of(name)
    return f"{called} W {window.width:g} L {window.level:g}"


def identified(made: Dataset) -> str:
    """Return patient and accession number in few words."""
    return f"ID {_text(made, 'PatientID')}, accession {_text(made, 'AccessionNumber')}"


def shown_slices(outcome: Outcome, heated: Sequence[int] = ()) -> tuple[tuple[int, str], ...]:
    """Return up to three slices to show, each with the class that it is shown for.

    Of what is present first the best slice of each class, the highest score first; then its other key slices, those
    that are no neighbours of one already chosen and have a heat map before the rest. Where nothing is present, the
    slices with the highest score of any hemorrhage, no two of them neighbours.
    """
    if outcome.verdict is Verdict.NEGATIVE:
        return tuple((index, CLASSES[0]) for index in _highest([row[0] for row in outcome.scores]))
    chosen: dict[int, str] = {}
    present = sorted((f for f in outcome.findings if f.present), key=lambda f: (f.name == CLASSES[0], -f.score))
    for finding in present:
        if not set(finding.key_slices) & set(chosen):
            chosen.setdefault(finding.key_slices[0], finding.name)
    rest = [slice_ for slice_ in key_slices(outcome) if slice_.index not in chosen]
    while rest and len(chosen) < _MOST_SHOWN:
        beside = {index + step for index in chosen for step in (-1, 1)}
        slice_ = min(rest, key=lambda slice_: (slice_.index in beside, slice_.index not in heated))
        rest.remove(slice_)
        subtypes = [name for name, _ in slice_.shows if name != CLASSES[0]]
        chosen[slice_.index] = subtypes[0] if subtypes else CLASSES[0]
    return tuple(chosen.items())[:_MOST_SHOWN]


def _highest(values: Sequence[float]) -> list[int]:
    chosen: list[int] = []
    for index in sorted(range(len(values)), key=lambda i: -values[i]):
        if len(chosen) < _MOST_SHOWN and all(abs(index - other) > 1 for other in chosen):
            chosen.append(index)
    return chosen


def _captions(answer: Answer) -> tuple[Caption, ...]:
    images, outcome = answer.images, answer.outcome
    if images is None:
        return ()
    slices = len(images.volume)
    if outcome.verdict is Verdict.NOT_ANALYSED:
        middle = slices // 2
        title = f"Image {middle + 1} of {slices}, to recognise the scan by"
        return (Caption(middle, title, "Not analysed", window_caption(""), None, ""),)
    made = []
    for index, name in shown_slices(outcome, tuple(images.heat)):
        finding = outcome.findings[CLASSES.index(name)]
        score = outcome.scores[index][CLASSES.index(name)]
        heat = f"heat map: {images.heat_class[index]}" if index in images.heat else None
        made.append(
            Caption(
                index, f"Image {index + 1} of {slices}{f': {_named(name)}' if finding.present else ''}",
                f"score {score:.3f}, threshold {finding.threshold:.3f}",
                window_caption(name), heat, name,
            )
        )  # fmt: skip
    return tuple(made)


def _legend(outcome: Outcome, captions: Sequence[Caption]) -> str | None:
    if any(caption.heat for caption in captions):
        return HEAT_LEGEND
    return HIGHEST_LEGEND if outcome.verdict is Verdict.NEGATIVE and captions else None


def _named(name: str) -> str:
    return "any hemorrhage" if name == CLASSES[0] else name


def _row(finding: Finding) -> Row:
    answer = "PRESENT" if finding.present else "absent"
    return Row(
        _named(finding.name), f"{finding.score:.3f}", f"{finding.threshold:.3f}", answer, finding.present
    )  # fmt: skip


def _patient(made: Dataset) -> str:
    date = _text(made, "StudyDate")
    if len(date) == 8 and date.isdigit():
        date = f"{date[:4]}-{date[4:6]}-{date[6:]}"
    return f"Patient ID: {_text(made, 'PatientID')} | Accession: {_text(made, 'AccessionNumber')} | Study: {date}"


def _text(made: Dataset, keyword: str) -> str:
    """Return a value with a question mark for each letter that the font lacks; no letter stands in for another."""
    said = str(made.get(keyword) or "").strip().encode("ascii", "replace").decode("ascii")
    return "".join(letter if letter.isprintable() else "?" for letter in said) or "none"


def _warnings(outcome: Outcome) -> list[str]:
    said = []
    if outcome.missing is not None:
        missing = ascii_only(outcome.missing).rstrip(".")
        said.append(f"PRELIMINARY: the series was incomplete. Missing: {missing}.")
    said += [ascii_only(f"Warning: {warned.sentence}") for warned in outcome.warnings]
    if outcome.verdict is Verdict.NOT_ANALYSED:
        said.append(UNREAD)
    return said


def _maker(answer: Answer, identity: ReportIdentity, made: Dataset, replaces: bool) -> list[str]:
    device, model = answer.device, answer.model
    date, time = str(made.ContentDate), str(made.ContentTime)
    moment = f"{date[:4]}-{date[4:6]}-{date[6:]} {time[:2]}:{time[2:4]} (UTC{made.TimezoneOffsetFromUTC})"
    said = f"Revision {identity.revision}{', replaces the earlier picture' if replaces else ''}, {moment}"
    lines = [f"{said}. {device.name} ({device.station_aet}), ichnode {device.software_version}."]
    if model is not None:
        lines[0] = f"Model {model.name} {model.version}, weights sha256:{model.digest[:12]}. {lines[0]}"
        lines.append(f"{COUNTED} {UNCALIBRATED}")
    return [ascii_only(line) for line in lines]
