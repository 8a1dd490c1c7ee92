"""The JSON stays what it was: fields are added, never taken away. ``api_promise.json`` only ever grows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ichnode.web.app import routes
from ichnode.web.openapi import document

PROMISE = Path(__file__).with_name("api_promise.json")


def offered() -> set[str]:
    """Each request with its scope, what may be sent with it, and each field of its answer with its types."""
    found: set[str] = set()
    for path, methods in document(routes(1))["paths"].items():
        for method, said in methods.items():
            here = f"{method} {path}"
            found.add(f"{here} needs {said['x-scope']}")
            found |= {f"{here} takes {one['name']}" for one in said.get("parameters", [])}
            for kind, body in said.get("requestBody", {}).get("content", {}).items():
                found |= {f"{here} is sent {kind} {field}" for field in fields(body.get("schema", {}))}
            for status, answer in said["responses"].items():
                for kind, body in answer.get("content", {}).items():
                    found |= {f"{here} answers {status} {kind} {field}" for field in fields(body.get("schema", {}))}
    return found


def fields(schema: dict[str, Any], here: str = "") -> Iterator[str]:
    """Yield the dotted name of each field with its types."""
    kinds = schema.get("type", "any")
    yield f"{here or '.'}: {' or '.join([kinds] if isinstance(kinds, str) else sorted(kinds))}"
    for name, one in schema.get("properties", {}).items():
        yield from fields(one, f"{here}.{name}")
    if isinstance(schema.get("items"), dict):
        yield from fields(schema["items"], f"{here}[]")


def test_what_was_once_promised_is_still_there():
    promised = json.loads(PROMISE.read_text())
    assert len(promised) > 300
    assert not set(promised) - offered()


def test_what_is_new_is_promised_from_now_on():
    """After adding a field, add its line: ``python -m tests.web.test_api_promise``."""
    assert not offered() - set(json.loads(PROMISE.read_text()))


if __name__ == "__main__":
    kept = set(json.loads(PROMISE.read_text())) if PROMISE.exists() else set()
    PROMISE.write_text(json.dumps(sorted(kept | offered()), indent=0) + "\n")
