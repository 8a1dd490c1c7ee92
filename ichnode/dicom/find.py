"""What an archive says that it has: C-FIND of studies and their series (Study Root, PS3.4 C.6.2.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom.association import Association
from pynetdicom.presentation import build_context

from ichnode.core.wanted import Listed, ListedStudy
from ichnode.dicom.requestor import Remote, associated
from ichnode.dicom.syntaxes import EXPLICIT_LE, IMPLICIT_LE
from ichnode.errors import PeerRefused, PeerUnreachable

STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
MOST_STUDIES = 20_000
"""Answers to one question; more is taken for an archive that ignores the question."""
_PENDING = (0xFF00, 0xFF01)


@dataclass(frozen=True, slots=True)
class StudyQuery:
    """CT studies of some days, or of one patient.

    Attributes
    ----------
    first_date, last_date : str
        ``20260131``, both included; empty: no bound.
    patient_id : str
        Matched as it is: without wildcards.
    """

    first_date: str = ""
    last_date: str = ""
    patient_id: str = ""

    @property
    def dates(self) -> str:
        """The range as DICOM writes it (PS3.4 C.2.2.2.5)."""
        return f"{self.first_date}-{self.last_date}" if self.first_date or self.last_date else ""


def find_series(remote: Remote, query: StudyQuery, chosen: Callable[[ListedStudy], bool]) -> list[Listed]:
    """Ask for CT studies, and for the series of those that are `chosen`, on one association.

    Raises
    ------
    PeerUnreachable, PeerRefused
    """
    with associated(remote, [build_context(STUDY_ROOT_FIND, [EXPLICIT_LE, IMPLICIT_LE])]) as association:
        studies: list[ListedStudy] = []
        for answer in _answers(remote, association, _study_keys(query)):
            studies.append(_study(answer))
            if len(studies) > MOST_STUDIES:
                raise PeerRefused(f"{remote.name} answers with more than {MOST_STUDIES} studies: ask for fewer days.")
        found = []
        for study in filter(chosen, studies):
            for answer in _answers(remote, association, _series_keys(study.study_instance_uid)):
                one = _series(study, answer)
                if one is not None:
                    found.append(one)
        return found


def series_count(remote: Remote, study_uid: str, series_uid: str) -> int | None:
    """Ask how many images a series has, sending both UIDs.

    Returns
    -------
    int or None
        NumberOfSeriesRelatedInstances (0020,1209); None when the peer does not return it or knows no such series.

    Raises
    ------
    PeerUnreachable
        It does not answer, or cannot now.
    PeerRefused
        It does not answer such questions.
    """
    query = Dataset()
    query.QueryRetrieveLevel = "SERIES"
    query.StudyInstanceUID = study_uid
    query.SeriesInstanceUID = series_uid
    query.NumberOfSeriesRelatedInstances = None
    count = None
    with associated(remote, [build_context(STUDY_ROOT_FIND, [EXPLICIT_LE, IMPLICIT_LE])]) as association:
        for found in _answers(remote, association, query):
            # Some peers ignore a key and return every series of the study.
            if found.get("SeriesInstanceUID") == series_uid:
                count = whole(found.get("NumberOfSeriesRelatedInstances"))
    return count


def whole(value: object) -> int | None:
    """Return a number of instances as peers write it; None where it is none."""
    try:
        return int(str(value))
    except ValueError:
        return None


def _answers(remote: Remote, association: Association, query: Dataset) -> Iterator[Dataset]:
    if not association.accepted_contexts:
        raise PeerRefused(f"{remote.name} does not answer queries (Study Root C-FIND). Ask another source, or none.")
    if not association.is_established:
        raise PeerUnreachable(f"{remote.name} ended the association between two questions.")
    for answer, found in association.send_c_find(query, STUDY_ROOT_FIND):
        if "Status" not in answer:
            raise PeerUnreachable(f"{remote.name} did not answer the query in time.")
        if answer.Status in _PENDING:
            if found is not None:
                yield found
        elif answer.Status != 0:
            sentence = f"{remote.name} answered the query with 0x{answer.Status:04X}."
            raise PeerUnreachable(sentence) if answer.Status >> 8 == 0xA7 else PeerRefused(sentence)


def _study_keys(query: StudyQuery) -> Dataset:
    keys = Dataset()
    keys.QueryRetrieveLevel = "STUDY"
    if not query.patient_id.isascii():
        keys.SpecificCharacterSet = "ISO_IR 192"
    keys.StudyInstanceUID = keys.StudyTime = keys.StudyDescription = ""
    keys.StudyDate = query.dates
    keys.ModalitiesInStudy = "CT"
    if query.patient_id:
        keys.PatientID, keys.PatientBirthDate = query.patient_id, ""
    return keys


def _series_keys(study_uid: str) -> Dataset:
    keys = Dataset()
    keys.QueryRetrieveLevel = "SERIES"
    keys.StudyInstanceUID = study_uid
    keys.Modality = "CT"
    keys.SeriesInstanceUID = keys.SeriesDescription = keys.BodyPartExamined = ""
    keys.NumberOfSeriesRelatedInstances = None
    return keys


def _study(answer: Dataset) -> ListedStudy:
    return ListedStudy(
        _text(answer, "StudyInstanceUID"), _text(answer, "StudyDate"), _text(answer, "StudyTime"),
        _text(answer, "StudyDescription"), _text(answer, "PatientID"), _text(answer, "PatientBirthDate"),
    )  # fmt: skip


def _series(study: ListedStudy, answer: Dataset) -> Listed | None:
    uid = _text(answer, "SeriesInstanceUID")
    if not uid or _text(answer, "StudyInstanceUID") not in ("", study.study_instance_uid):
        return None
    return Listed(
        study.study_instance_uid, uid, _text(answer, "Modality"), _text(answer, "BodyPartExamined"),
        study.description, _text(answer, "SeriesDescription"), whole(answer.get("NumberOfSeriesRelatedInstances")),
    )  # fmt: skip


def _text(answer: Dataset, keyword: str) -> str:
    value: Any = answer.get(keyword)
    return "" if value is None else str(value).strip()
