"""Which series of an archive should have come to the node: by what its answer to a query tells, before any is fetched.

The rules are those of `ichnode.core.eligibility` and `ichnode.core.head_evidence`, as far as a query carries their
facts. What a query leaves open is fetched: the headers decide then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ichnode.core.eligibility import LOCALIZER_WORDS
from ichnode.core.lexicon import Contrast, Region, contrast_of, region_of


@dataclass(frozen=True, slots=True)
class Listed:
    """One series, as an archive lists it.

    Attributes
    ----------
    images : int or None
        Number of Series Related Instances (0020,1209); None where the archive does not tell.
    """

    study_instance_uid: str
    series_instance_uid: str
    modality: str = ""
    body_part: str = ""
    study_description: str = ""
    series_description: str = ""
    images: int | None = None


@dataclass(frozen=True, slots=True)
class ListedStudy:
    """One study, as an archive lists it; dates and times as DICOM writes them, local time of the scanner."""

    study_instance_uid: str
    study_date: str = ""
    study_time: str = ""
    description: str = ""
    patient_id: str = ""
    birth_date: str = ""


@dataclass(frozen=True, slots=True)
class Filters:
    """What a hospital says of the series that it wants read.

    Attributes
    ----------
    min_slices : int
        Fewer are not read.
    body_parts : tuple of str
        Values of Body Part Examined that are wanted, beside an empty one; empty: what names a head.
    descriptions : tuple of str
        One of them has to stand in the study or series description; empty: anything.
    leave_out : tuple of str
        None of them may stand there.
    """

    min_slices: int = 8
    body_parts: tuple[str, ...] = ()
    descriptions: tuple[str, ...] = ()
    leave_out: tuple[str, ...] = ()


def unwanted(listed: Listed, filters: Filters) -> str | None:
    """Return why a series is not fetched: a reason code, or ``FILTERED`` by the hospital's own words; None: it is."""
    texts = f"{listed.study_description}\n{listed.series_description}".casefold()
    if listed.modality and listed.modality != "CT":
        return "NOT_CT"
    if _names(texts, filters.leave_out) or (filters.descriptions and not _names(texts, filters.descriptions)):
        return "FILTERED"
    if LOCALIZER_WORDS.search(listed.series_description.upper()):
        return "LOCALIZER"
    if listed.images is not None and 1 < listed.images < filters.min_slices:  # one may be an Enhanced CT
        return "TOO_FEW_SLICES"
    if contrast_of(listed.series_description) is Contrast.GIVEN:
        return "CONTRAST"
    if filters.body_parts:
        wanted = {part.casefold() for part in filters.body_parts}
        return None if listed.body_part.casefold() in wanted | {""} else "FILTERED"
    return None if _may_be_head(listed) else "NOT_HEAD"


def is_since(study: ListedStudy, since: datetime) -> bool:
    """Tell whether a study began at or after a local time; one without a time of day counts by its day.

    One without a date is taken as new: the archive has matched it to the days that it was asked for.
    """
    if not study.study_date:
        return True
    began = study.study_date + (study.study_time[:6] or "235959")
    return began >= since.strftime("%Y%m%d%H%M%S")


def _may_be_head(listed: Listed) -> bool:
    """Let the most specific text that names a region decide; where none does, the headers will."""
    for text in (listed.series_description, listed.body_part, listed.study_description):
        region = region_of(text)
        if region is not Region.NOTHING:
            return region is not Region.OTHER
    return True


def _names(texts: str, words: Sequence[str]) -> bool:
    return any(word.casefold() in texts for word in words)
