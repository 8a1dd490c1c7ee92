"""The description of the JSON (OpenAPI 3.1), made from the routes themselves; what an answer holds is written here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from starlette.routing import BaseRoute

from ichnode.core.access import PERMISSIONS
from ichnode.core.findings import CLASSES
from ichnode.web.doors import Door
from ichnode.worklist.triage_list import STATUSES

Schema = dict[str, Any]
_TEXT: Schema = {"type": "string"}
_NUMBER: Schema = {"type": "number"}
_WHOLE: Schema = {"type": "integer"}
_YES_NO: Schema = {"type": "boolean"}
_TIME: Schema = {"type": "string", "format": "date-time"}


def _or_null(schema: Schema) -> Schema:
    return {**schema, "type": [schema["type"], "null"]}


def _object(required: Schema, more: bool = True) -> Schema:
    return {"type": "object", "properties": required, "required": sorted(required), "additionalProperties": more}


def _list(of: Schema) -> Schema:
    return {"type": "array", "items": of}


_COUNTS: Schema = {"type": "object", "additionalProperties": _WHOLE}
_LINE = _object(
    {
        "id": _WHOLE, "status": {"type": "string", "enum": list(STATUSES)}, "verdict": _TEXT, "urgency": _WHOLE,
        "any_score": _or_null(_NUMBER), "preliminary": _YES_NO, "failed": _YES_NO, "reason_code": _or_null(_TEXT),
        "reason": _or_null(_TEXT), "deliveries": _COUNTS, "notices": _COUNTS, "last_slice_at": _TIME,
        "answered_at": _or_null(_TIME), "delivered_at": _or_null(_TIME), "study_instance_uid": _TEXT,
        "patient_id": _TEXT, "patient_name": _TEXT, "patient_birth_date": _TEXT, "patient_sex": _TEXT,
        "accession_number": _TEXT, "study_date": _TEXT, "study_time": _TEXT, "description": _TEXT,
        "station_name": _TEXT, "read_at": _or_null(_TIME), "read_by": _or_null(_TEXT), "series": _WHOLE,
        "slices": _WHOLE,
    }
)  # fmt: skip
_WORKLIST = _object({
    "studies": _list(_LINE), "next": _or_null(_TEXT),
    "counts": {"type": "object", "additionalProperties": _object({"unread": _WHOLE, "all": _WHOLE})},
})  # fmt: skip
_OUTLET = _object(
    {
        "name": _TEXT, "waiting": _WHOLE, "oldest_at": _or_null(_TIME), "failed": _WHOLE, "delivered_last_day": _WHOLE,
        "last_success_at": _or_null(_TIME), "failures": _WHOLE, "open_until": _or_null(_TIME),
        "last_error": _or_null(_TEXT), "paused_at": _or_null(_TIME), "paused_by": _or_null(_TEXT),
    }
)  # fmt: skip
_NODE = _object(
    {
        "aet": _TEXT, "listens_on": _TEXT, "started_at": _or_null(_TIME), "worries": _list(_TEXT),
        "worker": _object({"state": _TEXT, "since": _or_null(_TIME), "device": _or_null(_TEXT)}),
        "disk": _object({"free_bytes": _WHOLE, "total_bytes": _WHOLE, "low_bytes": _WHOLE, "floor_bytes": _WHOLE}),
        "queue": _object({
            "receiving": _WHOLE, "queued": _WHOLE, "running": _WHOLE, "failed": _WHOLE, "oldest_at": _or_null(_TIME),
        }),
        "last_day": _object({
            "answered": _WHOLE, "positive": _WHOLE, "negative": _WHOLE, "not_analysed": _WHOLE,
            "median_s": _or_null(_NUMBER), "p95_s": _or_null(_NUMBER),
        }),
        "destinations": _list(_OUTLET), "channels": _list(_OUTLET),
        "senders": _list(_object({
            "calling_aet": _TEXT, "address": _TEXT, "associations": _WHOLE, "broken": _WHOLE, "open": _WHOLE,
            "last_at": _TIME,
        })),
        "models": _list(_object({
            "digest": _TEXT, "name": _TEXT, "version": _TEXT, "state": _TEXT, "origin": _TEXT, "pinned": _YES_NO,
            "registered_at": _TIME, "activated_at": _or_null(_TIME), "gate": _or_null(_YES_NO),
        })),
        "shadow_agreement": _or_null({"type": "object"}), "versions": {"type": "object"},
    }
)  # fmt: skip
_STUDY = _object({
    "id": _WHOLE, "study_instance_uid": _TEXT, "patient_id": _TEXT, "patient_name": _TEXT, "accession_number": _TEXT,
    "study_date": _TEXT, "read_at": _or_null(_TIME), "read_by": _or_null(_TEXT), "notices": _list({"type": "object"}),
    "series": _list(_object({
        "id": _WHOLE, "series_instance_uid": _TEXT, "state": _TEXT, "revision": _WHOLE, "received": _WHOLE,
        "reason_code": _or_null(_TEXT), "reason": _or_null(_TEXT), "jobs": _list({"type": "object"}),
        "results": _list(_object({"id": _WHOLE, "verdict": _TEXT, "outcome": {"type": "object"}})),
    })),
    "journal": _list(_object({"at": _TIME, "event": _TEXT, "detail": {"type": "object"}})),
})  # fmt: skip
_AUDIT = _object({"entries": _list(_object({
    "id": _WHOLE, "at": _TIME, "who": _TEXT, "address": _TEXT, "what": _TEXT, "study_id": _or_null(_WHOLE),
    "detail": {"type": "object"},
}))})  # fmt: skip
_RULES = _object({
    "files": _WHOLE, "unread": _list(_object({"file": _TEXT, "code": _TEXT, "sentence": _TEXT})),
    "series": _list(_object({
        "study_instance_uid": _TEXT, "series_instance_uid": _TEXT, "description": _or_null(_TEXT), "slices": _WHOLE,
        "extent_mm": _NUMBER, "spacing_mm": _or_null(_NUMBER), "tilt_deg": _NUMBER,
        "would": {"type": "string", "enum": ["analyse", "not analyse"]}, "code": _or_null(_TEXT),
        "sentence": _or_null(_TEXT), "warnings": _list(_object({"code": _TEXT, "sentence": _TEXT})),
    })),
})  # fmt: skip
_MONTHS = _object({"months": _list(_object({
    "month": _TEXT, "model_digest": _TEXT, "name": _TEXT, "positives": _WHOLE, "confirmed_positives": _WHOLE,
    "negatives": _WHOLE, "confirmed_negatives": _WHOLE, "agreement": _or_null(_NUMBER), "ppv": _or_null(_NUMBER),
    "npv": _or_null(_NUMBER),
}))})  # fmt: skip
_LABEL = _object({
    "name": {"type": "string", "enum": list(CLASSES)}, "present": _YES_NO,
    "slice": {"type": ["array", "null"], "description": "SOP Instance UID and frame; null: the whole scan."},
})  # fmt: skip
_FEEDBACK = _object({"feedback": _list(_object({
    "id": _WHOLE, "result": _WHOLE, "revision": _WHOLE, "reader": _TEXT, "given_at": _TIME,
    "superseded_at": _or_null(_TIME), "agrees": _YES_NO, "comment": _TEXT, "labels": _list(_LABEL),
}))})  # fmt: skip
_STACK = _object({
    "digest": _TEXT, "part": _WHOLE, "planes": _TEXT, "classes": _list(_TEXT), "scores": _list(_list(_NUMBER)),
    "thresholds": _list(_NUMBER), "first": _WHOLE, "keys": _list(_object({"index": _WHOLE, "score": _NUMBER})),
    "slices": _list(_object({
        "rows": _WHOLE, "columns": _WHOLE, "pixel_mm": _list(_NUMBER), "position_mm": _or_null(_NUMBER),
    })),
    "heat": _or_null({"type": "object"}),
})  # fmt: skip
_DONE = _object({"done": _YES_NO})

ANSWERS: dict[tuple[str, str], Schema] = {
    ("get", "/api/v1/worklist"): _WORKLIST,
    ("post", "/api/v1/worklist/search"): _WORKLIST,
    ("get", "/api/v1/studies/{study}"): _STUDY,
    ("get", "/api/v1/node"): _NODE,
    ("get", "/api/v1/agreement"): _MONTHS,
    ("get", "/api/v1/audit"): _AUDIT,
    ("post", "/api/v1/retry"): _object({"analyses": _WHOLE, "deliveries": _WHOLE}),
    ("post", "/api/v1/destinations/{name}/pause"): _object({"name": _TEXT, "paused": _YES_NO}),
    ("post", "/api/v1/rules"): _RULES,
    ("get", "/api/v1/studies/{study}/series/{series}/stack"): _STACK,
    ("get", "/api/v1/studies/{study}/feedback"): _FEEDBACK,
    ("post", "/api/v1/studies/{study}/results/{result}/feedback"): _object({"id": _WHOLE}),
    ("delete", "/api/v1/studies/{study}/results/{result}/feedback"): _DONE,
    ("post", "/api/v1/studies/{study}/reading"): _object({"read_by": _TEXT}),
    ("delete", "/api/v1/studies/{study}/reading"): _DONE,
}
_BODIES: dict[str, tuple[str, Schema]] = {
    "/api/v1/studies/{study}/results/{result}/feedback": (
        "application/json",
        {"type": "object", "required": ["agrees"], "properties": {
            "agrees": _YES_NO, "labels": _list(_LABEL), "comment": _TEXT,
        }},
    ),
    "/api/v1/studies/{study}/reading": ("application/json", _object({"seen": _or_null(_WHOLE)})),
    "/api/v1/worklist/search": ("application/json", _object({"text": _TEXT})),
    "/api/v1/retry": ("application/json", {"type": "object", "properties": {"study": _WHOLE}}),
    "/api/v1/destinations/{name}/pause": ("application/json", _object({"paused": _YES_NO})),
    "/api/v1/rules": (
        "multipart/form-data", _object({"files": _list({"type": "string", "contentMediaType": "application/dicom"})})
    ),
}  # fmt: skip
_PAGE = {
    "limit": ("Studies at most, 1 to 200.", _WHOLE), "after": ("`next` of the page before.", _TEXT),
    "status": ("May be given more than once.", _list({"type": "string", "enum": list(STATUSES)})),
    "read": ("yes or no.", _TEXT), "from": ("First study date, 2026-01-31.", _TEXT), "to": ("Last study date.", _TEXT),
}  # fmt: skip
_QUERIES: dict[str, dict[str, tuple[str, Schema]]] = {
    "/api/v1/worklist": _PAGE,
    "/api/v1/worklist/search": _PAGE,
    "/api/v1/audit": {
        "limit": _PAGE["limit"], "before": ("Only entries with a smaller id.", _WHOLE),
        "study": ("Only of this study.", _WHOLE),
    },
}  # fmt: skip


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
            "schemas": {"Error": _object({"error": _object({"code": _TEXT, "sentence": _TEXT})})},
        },
        "x-scopes": {name: f"from {role} up" for name, role in PERMISSIONS.items()},
    }  # fmt: skip


def _operation(route: Door, path: str, method: str) -> Schema:
    named = re.findall(r"{(\w+)(?::(\w+))?}", route.path)
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": _WHOLE if kind == "int" else _TEXT}
        for name, kind in named
    ]
    for name, (said, schema) in _QUERIES.get(path, {}).items():
        parameters.append({"name": name, "in": "query", "required": False, "description": said, "schema": schema})
    operation: Schema = {
        "operationId": route.name,
        "summary": route.does,
        "x-scope": route.permission,
        "parameters": parameters,
        "responses": {
            "200": {"description": "Done.", "content": {"application/json": {"schema": ANSWERS[method, path]}}},
            "default": {
                "description": "Refused: a stable code, and a sentence that says what to do.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
            },
        },
    }
    if method == "post" and path in _BODIES:
        kind, schema = _BODIES[path]
        operation["requestBody"] = {"required": True, "content": {kind: {"schema": schema}}}
    return operation
