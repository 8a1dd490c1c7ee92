"""The description of the JSON (OpenAPI 3.1), made from the routes themselves and `ichnode.web.api_schemas`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.metadata import version

from starlette.routing import BaseRoute

from ichnode.core.access import PERMISSIONS
from ichnode.web.api_schemas import ANSWERS, BINARY, BODIES, QUERIES, TEXT, WHOLE, Schema, object_of
from ichnode.web.doors import Door


def document(routes: Sequence[BaseRoute]) -> Schema:
    """Return the document."""
    paths: Schema = {}
    for route in routes:
        if isinstance(route, Door) and route.path.startswith("/api/v1/"):
            path = re.sub(r"{(\w+)(:\w+)?}", r"{\1}", route.path)
            for method in sorted((route.methods or set()) - {"HEAD"}):
                paths.setdefault(path, {})[method.lower()] = _operation(route, path, method.lower())
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ichnode", "version": "1", "description": "Research use only, not for diagnosis. Made by ichnode "
            f"{version('ichnode')}. Within version 1 fields are added, never taken away or changed.",
        },
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "`ichnode token add`"}},
            "schemas": {"Error": object_of({"error": object_of({"code": TEXT, "sentence": TEXT})})},
        },
        "x-scopes": {name: f"from {role} up" for name, role in PERMISSIONS.items()},
    }  # fmt: skip


def _operation(route: Door, path: str, method: str) -> Schema:
    named = re.findall(r"{(\w+)(?::(\w+))?}", route.path)
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": WHOLE if kind == "int" else TEXT}
        for name, kind in named
    ]
    for name, (said, schema) in QUERIES.get(path, {}).items():
        parameters.append({"name": name, "in": "query", "required": False, "description": said, "schema": schema})
    operation: Schema = {
        "operationId": route.name,
        "summary": route.does,
        "x-scope": route.permission,
        "parameters": parameters,
        "responses": {
            "200": _done(method, path),
            "default": {
                "description": "Refused: a stable code, and a sentence that says what to do.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
            },
        },
    }
    if method == "post" and path in BODIES:
        kind, schema = BODIES[path]
        operation["requestBody"] = {"required": True, "content": {kind: {"schema": schema}}}
    return operation


def _done(method: str, path: str) -> Schema:
    if (method, path) in BINARY:
        kind, said = BINARY[method, path]
        return {"description": said, "content": {kind: {}}}
    return {"description": "Done.", "content": {"application/json": {"schema": ANSWERS[method, path]}}}
