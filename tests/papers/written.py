"""The papers that are written from the code, the packages and the requirements."""

from __future__ import annotations

import importlib
import tomllib
from pathlib import Path

from tests.conformance.text import table
from tests.papers.distributions import installed
from tests.papers.hazards import HAZARDS
from tests.papers.requirements import REQUIREMENTS, path_and_name

ROOT = Path(__file__).parents[2]


def hazards() -> str:
    """Return the hazard analysis."""
    titles = ("", "Hazard", "Sequence of events", "Harm", "Severity", "Control", "Verified by", "What remains")
    rows = [
        (h.code, h.hazard, h.sequence, h.harm, h.severity, h.control, ", ".join(map(_to_requirement, h.by)), h.rest)
        for h in HAZARDS
    ]
    return f"""# Hazard analysis

In the form of ISO 14971:2019, clauses 5 to 8. Written by `make docs`; the tests check that every control is a requirement with tests that exist. Research
use only: this is the developers' analysis of the software, for those who decide about its use in a study. It is no risk management file of a medical
device, nobody has reviewed it from outside, and probabilities are not estimated because there are no data from use.

*Intended use*: [intended-use.md](intended-use.md). *Severity*: grave, may lead to death or lasting harm where somebody relied on it; moderate,
other harm. Since nobody may rely on it, the first control of every hazard is that nobody does.

{table(titles, rows)}
"""


def software() -> str:
    """Return software items, requirements with their tests, and SOUP."""
    node = [one for one in installed() if one.needed_by == "node"]
    soup = table(("Package", "Version", "What it is"), [(one.name, one.version, one.summary) for one in node])
    tests = [(r.code, r.sentence, "<br>".join(map(_to_test, r.tests))) for r in REQUIREMENTS]
    return f"""# Software items and traceability

In the form of IEC 62304:2006+A1:2015, clauses 5.1 to 5.7 and 8.1. Written by `make docs` from packages, tests and pinned versions; the tests check that
every test named here exists. Research use only: ichnode is not developed under a quality system, and no safety class is claimed. Were it a medical
device, software that gives the answer would be of class C, or B with a control outside of it.

## Software items

Each package is an item; import-linter holds who may use whom ([ARCHITECTURE.md](../../ARCHITECTURE.md), section 3), so that a fault in one of them
cannot reach others by a way that is not drawn. The analysis runs in a process of its own.

{table(("Item", "What it is"), _items())}

## Requirements and tests

{table(("", "Requirement", "Verified by"), tests)}

## Software of unknown provenance (SOUP)

What the node needs at run time, at the versions of `constraints.txt`; with licences and what training needs: [licences.md](licences.md), as CycloneDX:
[sbom.cdx.json](sbom.cdx.json). Also Python, its standard library with SQLite and OpenSSL, glibc and Linux of the machine, and htmx in the pages.

{soup}
"""


def _items() -> list[tuple[str, str]]:
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    return [(f"`{name}`", _first_sentence(name)) for name in packages]


def _first_sentence(package: str) -> str:
    said = importlib.import_module(package).__doc__
    assert said, f"{package} does not say what it is"
    return " ".join(said.strip().partition("\n\n")[0].split())


def _to_requirement(code: str) -> str:
    assert code in {r.code for r in REQUIREMENTS}, code
    return f"[{code}](software.md#requirements-and-tests)"


def _to_test(test: str) -> str:
    file, name = path_and_name(test)
    return f"[`{name}`](../../tests/{file})"
