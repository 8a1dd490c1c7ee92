"""Names in every character set come through every document byte by byte; what ichnode itself says is ASCII."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from io import BytesIO

import pydicom
import pytest
from pydicom.dataset import Dataset

from ichnode.reporting.facts import ReportReference
from ichnode.reporting.formats import FORMATS
from ichnode.reporting.recast import recast
from ichnode.reporting.rejection import build_rejection
from tests.reporting import corpus

FROM_THE_CT = (
    "PatientName", "PatientID", "StudyDescription", "StudyID", "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip
DOCUMENTS = ("sr", "text-sr", "kos", "gsps")


def _rejection(series: corpus.Series) -> bytes:
    study = str(series.header.StudyInstanceUID)
    return build_rejection(
        pydicom.dcmread(BytesIO(corpus.report(series, "positive"))),
        [ReportReference(study, "2.25.1", FORMATS["sr"].sop_classes[0], "2.25.2")],
        because="wrong-patient",
        device=corpus.DEVICE,
        identity=dataclasses.replace(corpus.identity(), series_number=9109),
        remark="Vertauschte Schädel.",
    )


MADE: dict[str, Callable[[corpus.Series], bytes]] = {
    **{
        name: lambda series, name=name: corpus.report(series, "positive", name)
        for name in ("sr", "text-sr", "kos", "gsps")
    },
    **{
        f"{name} as {uid}": lambda series, name=name, uid=uid: recast(corpus.report(series, "positive", name), uid)
        for name in ("sr", "text-sr")
        for uid in FORMATS[name].sop_classes[1:]
    },
    "rejection": _rejection,
}


@pytest.mark.parametrize("what", MADE)
@pytest.mark.parametrize("character_set", corpus.NAMES)
def test_what_the_ct_says_is_said_in_its_own_bytes_and_all_else_is_ascii(what: str, character_set: str) -> None:
    made = pydicom.dcmread(BytesIO(MADE[what](corpus.named(character_set))))
    header = corpus.named(character_set).header
    for keyword in FROM_THE_CT:
        there, here = header.get_item(keyword).value, made.get_item(keyword).value
        assert isinstance(there, bytes) and there == here, keyword
    assert made.get("SpecificCharacterSet") == corpus.NAMES[character_set][0]
    assert str(made.PatientName) == corpus.NAMES[character_set][1]
    assert [text for text in _texts(made) if not text.isascii()] == []


@pytest.mark.parametrize("what", MADE)
def test_a_name_that_is_not_in_the_character_set_that_is_said_survives_too(what: str) -> None:
    assert "Müller^Zoë".encode("latin-1") in MADE[what](corpus.in_wrong_character_set())


def _texts(made: Dataset) -> Iterator[str]:
    for element in made:
        if element.VR == "SQ":
            for item in element.value:
                yield from _texts(item)
        elif element.VR in ("LO", "LT", "PN", "SH", "ST", "UC", "UT") and element.keyword not in FROM_THE_CT:
            yield str(element.value)
