"""The papers are true: what they name is there, what they count is installed, what they claim is no more than research."""

from __future__ import annotations

import ast
import json
import re
import tomllib

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tests.generated import ROOT
from tests.papers.distributions import installed
from tests.papers.hazards import HAZARDS
from tests.papers.requirements import REQUIREMENTS, path_and_name

PAPERS = ROOT / "docs" / "papers"
PAGES = [*sorted(PAPERS.glob("*.md")), ROOT / "deploy" / "README.md", ROOT / "docs" / "peers.md"]


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=lambda r: r.code)
def test_every_test_that_a_requirement_names_exists(requirement):
    assert requirement.tests
    for test in requirement.tests:
        file, name = path_and_name(test)
        tree = ast.parse((ROOT / "tests" / file).read_text())
        assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}, test


def test_every_hazard_has_controls_and_every_requirement_controls_one():
    codes = {r.code for r in REQUIREMENTS}
    assert len(codes) == len(REQUIREMENTS)
    controls = {code for hazard in HAZARDS for code in hazard.by}
    assert controls == codes
    assert all(hazard.by for hazard in HAZARDS)


def test_the_bill_of_materials_is_cyclonedx_and_complete():
    text = (PAPERS / "sbom.cdx.json").read_text()
    judge = JsonStrictValidator(SchemaVersion.V1_6)
    assert judge.validate_str(text) is None
    assert judge.validate_str(text.replace('"required"', '"requried"')) is not None
    bill = json.loads(text)
    named = {one["name"]: one for one in bill["components"]}
    assert {one.name: one.version for one in installed()}.items() <= {n: c["version"] for n, c in named.items()}.items()
    assert {"htmx.org", "ichnode demonstration model"} == set(named) - {one.name for one in installed()}
    direct = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    for line in direct:
        name = re.match(r"[A-Za-z0-9-]+", line)[0]
        assert named[name.lower()]["scope"] == "required"


def links(text: str) -> list[str]:
    return [target.partition("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_paper_points_at_is_there(page):
    text = page.read_text(encoding="utf-8")
    for target in filter(None, links(text)):
        assert (page.parent / target).exists(), target
    for file, name in re.findall(r"`?(?:tests/)([\w/]+\.py)::(\w+)`?", text):
        assert f"def {name}(" in (ROOT / "tests" / file).read_text(), name


@pytest.mark.parametrize("page", sorted(PAPERS.glob("*.md")), ids=lambda page: page.name)
def test_a_paper_claims_nothing_but_research_use(page):
    text = " ".join(page.read_text(encoding="utf-8").split())
    assert "esearch use only" in text
    for word in ("certified", "cleared", "approved", "compliant", "guarantee"):
        for sentence in re.findall(rf"[^.|]*\b{word}\b[^.|]*", text):
            assert re.search(r"\b(not|no|nobody|nothing|none|neither)\b", sentence), sentence


def test_every_paper_is_in_the_list():
    assert set(links((PAPERS / "README.md").read_text())) >= {p.name for p in PAPERS.iterdir()} - {"README.md"}


def test_commands_and_settings_that_are_named_exist():
    from ichnode.cli.ichnode import _COMMANDS
    from ichnode.config import Settings

    sections = Settings.model_fields
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for command in re.findall(r"`ichnode ([a-z]+)", text):
            assert command in _COMMANDS, (page.name, command)
        for section, key in re.findall(r"`([a-z]+)\.([a-z_]+)`", text):
            if section in sections:
                fields = type(getattr(Settings(), section)).model_fields
                assert key in fields, (page.name, section, key)
