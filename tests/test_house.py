"""The rules of the house that no linter knows: what is packaged, what is logged, how long files are, what is said."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = sorted((ROOT / "ichnode").rglob("*.py"))
LAB = sorted((ROOT / "training").rglob("*.py"))
SOURCES = [*PACKAGE, *LAB]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())

PATIENT = re.compile(r"patient|birth|accession|referring|(?<!host)(?<!file)_name\b", re.IGNORECASE)
LEVELS = ("debug", "info", "warning", "error", "exception")
LONGEST = {"ichnode/dicom/scp.py": 319}
"""Longer than the rule, and not to grow: one class that holds an association from its first byte to its last."""
BROAD_EXCEPT = {
    "ichnode/tick.py",
    "ichnode/steps/attempt.py",  # the worker's loop
    "ichnode/cli/ichnode.py",
    "ichnode/core/group.py",  # raised again in every thread that waits for it
}


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def tracked() -> list[Path]:
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip("not a git checkout: nothing says which files are the project's")
    return [ROOT / name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]


def calls_of(tree: ast.AST, *functions: str):
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in functions:
            yield node


def test_every_package_is_packaged():
    mapped = PROJECT["tool"]["setuptools"]["package-dir"]
    found = set()
    for name, folder in mapped.items():
        for init in (ROOT / folder).rglob("__init__.py"):
            found.add(".".join([name, *init.parent.relative_to(ROOT / folder).parts]))
    assert found == set(PROJECT["tool"]["setuptools"]["packages"])


def test_every_folder_with_modules_is_a_package():
    for path in SOURCES:
        assert (path.parent / "__init__.py").exists(), named(path)


def test_files_are_small():
    lengths = {named(path): len(path.read_text().splitlines()) for path in SOURCES}
    assert {name: length for name, length in lengths.items() if length > LONGEST.get(name, 300)} == {}


def test_a_file_is_named_after_what_it_does():
    nothing = {"manager", "handler", "helper", "helpers", "utils", "util", "common", "misc"}
    assert [named(path) for path in SOURCES if nothing & set(path.stem.split("_"))] == []


def test_no_patient_data_is_logged_or_raised():
    found = []
    for path in PACKAGE:
        tree = ast.parse(path.read_text())
        logged = calls_of(tree, *(f"log.{level}" for level in LEVELS))
        raised = (n.exc for n in ast.walk(tree) if isinstance(n, ast.Raise) and isinstance(n.exc, ast.Call))
        for call in [*logged, *raised]:
            for value in [*call.args, *(keyword.value for keyword in call.keywords)]:
                words = [n.attr if isinstance(n, ast.Attribute) else n.id
                         for n in ast.walk(value) if isinstance(n, ast.Attribute | ast.Name)]  # fmt: skip
                if any(PATIENT.search(word) for word in words):
                    found.append(f"{named(path)}:{call.lineno}: {ast.unparse(call)}")
    assert found == []


def test_no_uid_is_logged():
    """A study or series is named by its number in the worklist, which leads to nobody without it."""
    found = []
    for path in PACKAGE:
        for call in calls_of(ast.parse(path.read_text()), *(f"log.{level}" for level in LEVELS)):
            values = [*call.args[1:], *(keyword.value for keyword in call.keywords)]
            words = [
                ast.unparse(n) for value in values for n in ast.walk(value) if isinstance(n, ast.Attribute | ast.Name)
            ]
            if any(re.search(r"_uid$|UID$|instance$", word) for word in words):
                found.append(f"{named(path)}:{call.lineno}: {ast.unparse(call)}")
    assert found == []


def test_the_search_for_patient_data_finds_it():
    for word in ("patient_name", "patient_id", "PatientID", "patient_birth_date", "accession_number", "family_name"):
        assert PATIENT.search(word)
    for word in ("destination", "hostname", "filename", "name", "series", "names"):
        assert not PATIENT.search(word)


def test_events_have_names_not_prose_and_say_what_to_do():
    prose, helpless = [], []
    for path in PACKAGE:
        for call in calls_of(ast.parse(path.read_text()), *(f"log.{level}" for level in LEVELS)):
            where = f"{named(path)}:{call.lineno}: {ast.unparse(call)}"
            event = call.args[0]
            for name in [event.body, event.orelse] if isinstance(event, ast.IfExp) else [event]:
                if not (isinstance(name, ast.Constant) and re.fullmatch(r"[a-z]+(\.[a-z_]+)+", name.value)):
                    prose.append(where)
            says = {keyword.arg for keyword in call.keywords}
            if call.func.attr in ("warning", "error") and not says & {"remedy", "again_in_s"}:
                helpless.append(where)
    assert prose == []
    assert helpless == []


def test_everything_is_caught_in_few_places():
    found = set()
    for path in PACKAGE:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ExceptHandler):
                caught = ast.unparse(node.type) if node.type else "BaseException"
                if caught in ("Exception", "BaseException") and not any(
                    isinstance(n, ast.Raise) and n.exc is None for n in ast.walk(node)
                ):
                    found.add(named(path))
    assert found <= BROAD_EXCEPT, found - BROAD_EXCEPT


def test_the_node_never_imports_the_lab():
    for path in PACKAGE:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                modules = [node.module or ""]
            else:
                continue
            assert not any(m.partition(".")[0] in ("ichnode_training", "training", "tests") for m in modules), named(
                path
            )


def test_nothing_is_left_undone():
    left = [named(path) for path in SOURCES if re.search(r"\b(TODO|FIXME|XXX)\b", path.read_text())]
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Raise) and "NotImplemented" in ast.unparse(node):
                left.append(f"{named(path)}:{node.lineno}")
    assert left == []


FORBIDDEN = {
    "a machine's paths": r"/(home|Users)/[a-z]+/|/root/\.",
    "issue numbers": r"\bissue #?\d+\b|\bclose[sd]? #\d+\b|\bfix(?:e[sd])? #\d+\b",
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_the_project_speaks_of_itself_alone(what):
    found = []
    for path in tracked():
        if path.suffix in (".safetensors", ".png", ".dcm", ".jpg") or path == Path(__file__):
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{named(path)}: {m[0]}" for m in re.finditer(FORBIDDEN[what], text, re.IGNORECASE)]
    assert found == []


def test_no_data_and_no_secrets_are_tracked():
    for path in tracked():
        assert path.suffix not in (".dcm", ".nii", ".gz", ".pkl", ".pt", ".pth", ".pem", ".key", ".sqlite"), named(path)
        assert path.stat().st_size < 64 * 1024 * 1024, named(path)


def test_whoever_reads_a_result_is_told_what_it_is_for():
    for name in ("README.md", "ichnode/cli/worklist.py", "ichnode/cli/serve.py", "ichnode/cli/analyse.py"):
        path = ROOT / name
        assert "research use only" in path.read_text().lower(), name


def test_the_node_process_holds_no_network():
    """Torch and OpenVINO live in the worker; a receiver with them would be four times as large."""
    code = "import sys, ichnode.cli.serve, ichnode.daemon; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    heavy = {"torch", "torchvision", "timm", "openvino", "safetensors", "scipy", "sklearn", "matplotlib", "ray"}
    loaded = set(done.stdout.split())
    assert "pynetdicom" in loaded
    assert loaded & heavy == set()
