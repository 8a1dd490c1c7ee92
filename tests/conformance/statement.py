"""The DICOM conformance statement: `outline.md` with what stands between braces read from the code."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from ichnode import __version__
from tests.conformance import annexes, networking

OUTLINE = Path(__file__).with_name("outline.md")
_PLACE = re.compile(r"\{\{([a-z ]+)\}\}")

PARTS: Mapping[str, Callable[[], str]] = {
    "version": lambda: __version__,
    "contents": lambda: _contents(OUTLINE.read_text(encoding="utf-8")),
    "content and transfer": networking.content_and_transfer,
    "other services": networking.other_services,
    "statuses of the acceptor": networking.statuses_of_the_acceptor,
    "statuses of others": networking.statuses_of_others,
    "http answers": networking.http_statuses,
    "configuration": networking.configuration,
    "association parameters": networking.association_parameters,
    "association initiation": networking.association_initiation,
    "accepted contexts": networking.accepted,
    "accepted contexts of reporters": networking.accepted_of_reporters,
    "secure transport": networking.secure_transport,
    "commitment failures": networking.commitment_failures,
    "rejections": networking.rejections,
    "character sets": annexes.character_sets,
    "created objects": annexes.created_objects,
    "codes": annexes.coded_terms,
    "classes": annexes.classes,
    "private attributes": annexes.private_attributes,
    "extensions": annexes.extensions,
}


def statement() -> str:
    """Return the whole document."""
    outline = OUTLINE.read_text(encoding="utf-8")
    assert set(_PLACE.findall(outline)) == set(PARTS), "the outline and its parts disagree"
    return _PLACE.sub(lambda place: PARTS[place[1]](), outline)


def _contents(outline: str) -> str:
    titles = re.findall(r"^## (.+)$", outline, re.MULTILINE)
    return "\n".join(f"- [{title}](#{re.sub(r'[^a-z0-9-]', '', title.lower().replace(' ', '-'))})" for title in titles)
