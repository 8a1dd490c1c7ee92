"""What each request of the JSON holds and is answered with, as JSON schemas; `ichnode.web.openapi` describes them."""

from __future__ import annotations

from typing import Any

from ichnode.core.findings import CLASSES
from ichnode.worklist.triage_list import STATUSES

Schema = dict[str, Any]
TEXT: Schema = {"type": "string"}
_NUMBER: Schema = {"type": "number"}
WHOLE: Schema = {"type": "integer"}
_YES_NO: Schema = {"type": "boolean"}
_TIME: Schema = {"type": "string", "format": "date-time"}


def _or_null(schema: Schema) -> Schema:
    return {**schema, "type": [schema["type"], "null"]}


def object_of(required: Schema, more: bool = True) -> Schema:
    """Return the schema of an object that has all of these."""
    return {"type": "object", "properties": required, "required": sorted(required), "additionalProperties": more}


def _list(of: Schema) -> Schema:
    return {"type": "array", "items": of}


_URGENT: Schema = {**_or_null(TEXT), "description": "peer, request or workitem: who asks for haste; null: nobody."}
_COUNTS: Schema = {"type": "object", "additionalProperties": WHOLE}
_LINE = object_of(
    {
        "id": WHOLE, "status": {"type": "string", "enum": list(STATUSES)}, "verdict": TEXT, "urgency": WHOLE,
        "any_score": _or_null(_NUMBER), "preliminary": _YES_NO, "failed": _YES_NO, "reason_code": _or_null(TEXT),
        "reason": _or_null(TEXT), "deliveries": _COUNTS, "notices": _COUNTS, "last_slice_at": _TIME,
        "answered_at": _or_null(_TIME), "delivered_at": _or_null(_TIME), "study_instance_uid": TEXT,
        "overdue_since": _or_null(_TIME), "urgent_because": _URGENT, "patient_id": TEXT, "patient_name": TEXT,
        "patient_birth_date": TEXT, "patient_sex": TEXT,
        "accession_number": TEXT, "study_date": TEXT, "study_time": TEXT, "description": TEXT,
        "station_name": TEXT, "read_at": _or_null(_TIME), "read_by": _or_null(TEXT), "series": WHOLE,
        "slices": WHOLE,
    }
)  # fmt: skip
_WORKLIST = object_of({
    "studies": _list(_LINE), "next": _or_null(TEXT),
    "counts": {"type": "object", "additionalProperties": object_of({"unread": WHOLE, "all": WHOLE})},
})  # fmt: skip
_OUTLET = object_of(
    {
        "name": TEXT, "waiting": WHOLE, "oldest_at": _or_null(_TIME), "failed": WHOLE, "delivered_last_day": WHOLE,
        "last_success_at": _or_null(_TIME), "failures": WHOLE, "open_until": _or_null(_TIME),
        "last_error": _or_null(TEXT), "paused_at": _or_null(_TIME), "paused_by": _or_null(TEXT),
    }
)  # fmt: skip
_NODE = object_of(
    {
        "aet": TEXT, "listens_on": TEXT, "started_at": _or_null(_TIME), "worries": _list(TEXT),
        "worker": object_of({"state": TEXT, "since": _or_null(_TIME), "device": _or_null(TEXT)}),
        "disk": object_of({"free_bytes": WHOLE, "total_bytes": WHOLE, "low_bytes": WHOLE, "floor_bytes": WHOLE}),
        "queue": object_of({
            "receiving": WHOLE, "queued": WHOLE, "running": WHOLE, "failed": WHOLE, "oldest_at": _or_null(_TIME),
        }),
        "last_day": object_of({
            "answered": WHOLE, "positive": WHOLE, "negative": WHOLE, "not_analysed": WHOLE,
            "median_s": _or_null(_NUMBER), "p95_s": _or_null(_NUMBER),
        }),
        "destinations": _list(_OUTLET), "channels": _list(_OUTLET),
        "source": _or_null(object_of({
            "where": TEXT, "how": TEXT, "failures": WHOLE, "open_until": _or_null(_TIME),
            "last_success_at": _or_null(_TIME), "last_error": _or_null(TEXT),
        })),
        "certificates": _list(TEXT),
        "pull": object_of({
            "retrieve": TEXT, "alarm_minutes": _NUMBER, "overdue": WHOLE, "overdue_since": _or_null(_TIME),
            "silent_senders": _list(object_of({"aet": TEXT, "since": _TIME})), "waiting": WHOLE, "fetched": WHOLE,
            "failed": WHOLE, "look": {"type": "object"}, "fetch": {"type": "object"},
            "not_fetched": _list(object_of({
                "study_instance_uid": TEXT, "series_instance_uid": TEXT, "said": _or_null(WHOLE), "gave": WHOLE,
                "attempts": WHOLE, "error": _or_null(TEXT),
            })),
            "orders": _list(object_of({
                "id": WHOLE, "kind": TEXT, "state": TEXT, "studies": WHOLE, "waiting": WHOLE, "fetched": WHOLE,
                "failed": WHOLE, "unanswered": WHOLE,
            })),
        }),
        "senders": _list(object_of({
            "calling_aet": TEXT, "address": TEXT, "associations": WHOLE, "broken": WHOLE, "open": WHOLE,
            "last_at": _TIME,
        })),
        "models": _list(object_of({
            "digest": TEXT, "name": TEXT, "version": TEXT, "state": TEXT, "origin": TEXT, "pinned": _YES_NO,
            "registered_at": _TIME, "activated_at": _or_null(_TIME), "gate": _or_null(_YES_NO),
        })),
        "shadow_agreement": _or_null({"type": "object"}), "versions": {"type": "object"},
    }
)  # fmt: skip
_CODED = object_of({"code": TEXT, "sentence": TEXT})
_NOTICE = object_of({
    "uid": TEXT, "channel": TEXT, "kind": TEXT, "called": TEXT, "step": _or_null(WHOLE), "created_at": _TIME,
    "state": TEXT, "attempts": WHOLE, "delivered_at": _or_null(_TIME), "error": _or_null(TEXT),
    "corrects": _or_null(TEXT), "escalates": _or_null(TEXT),
})  # fmt: skip
_ANSWER = object_of({
    "result": WHOLE, "revision": WHOLE, "series_id": WHOLE, "series": _or_null(TEXT), "verdict": TEXT, "sentence": TEXT,
    "kinds": _list(TEXT), "preliminary": _YES_NO, "missing": _or_null(TEXT), "reason": _or_null(_CODED),
    "warnings": _list(_CODED), "model": _or_null(TEXT), "model_version": _or_null(TEXT),
    "model_digest": _or_null(TEXT), "made_at": _TIME, "pictures_to_come": _YES_NO,
    "overtaken": {**TEXT, "description": "What happened to the series after this answer, in words; empty: nothing."},
    "superseded_at": _or_null(_TIME), "retraction": _or_null(TEXT),
    "retracted_because": _or_null(TEXT), "retraction_remark": _or_null(TEXT), "seconds": {"type": "object"},
    "findings": _list(object_of({"name": TEXT, "score": _NUMBER, "threshold": _NUMBER, "present": _YES_NO})),
    "key_slices": _list(object_of({
        "index": WHOLE, "image": {"type": "array"}, "score": _NUMBER, "kinds": _list(TEXT), "window": TEXT,
    })),
    "reports": _list(object_of({
        "id": WHOLE, "kind": TEXT, "sop_instance_uid": TEXT, "size": WHOLE,
        "deliveries": _list(object_of({
            "destination": TEXT, "state": TEXT, "attempts": WHOLE, "delivered_at": _or_null(_TIME),
            "committed_at": _or_null(_TIME), "error": _or_null(TEXT),
        })),
    })),
    "notices": _list(_NOTICE), "purged_at": _or_null(_TIME),
})  # fmt: skip
_STUDY = object_of({
    "id": WHOLE, "study_instance_uid": TEXT, "patient_id": TEXT, "patient_name": TEXT, "patient_birth_date": TEXT,
    "patient_sex": TEXT, "accession_number": TEXT, "study_date": TEXT, "study_time": TEXT, "description": TEXT,
    "station_name": TEXT, "read_at": _or_null(_TIME), "read_by": _or_null(TEXT), "urgent_because": _URGENT,
    "notices": _list(_NOTICE),
    "answers": {**_list(_ANSWER), "description": "Every answer that was ever given, the latest first."},
    "latest_result": {**_or_null(WHOLE), "description": "What a sign-off has to have `seen`."},
    "state": {**TEXT, "description": "Another one after a newer answer, a retraction, or late slices; for a sign-off."},
    "shown_series": {**_or_null(WHOLE), "description": "The series that a viewer shows first."},
    "series": _list(object_of({
        "id": WHOLE, "series_instance_uid": TEXT, "state": TEXT, "revision": WHOLE, "received": WHOLE,
        "reason_code": _or_null(TEXT), "reason": _or_null(TEXT), "jobs": _list({"type": "object"}),
        "purged_at": {**_or_null(_TIME), "description": "When its images and files of reports were removed."},
        "results": _list(object_of({"id": WHOLE, "verdict": TEXT, "outcome": {"type": "object"}})),
    })),
    "journal": _list(object_of({
        "at": _TIME, "event": TEXT, "detail": {"type": "object"}, "words": TEXT, "series_id": _or_null(WHOLE),
    })),
})  # fmt: skip
_AUDIT = object_of({"entries": _list(object_of({
    "id": WHOLE, "at": _TIME, "who": TEXT, "address": TEXT, "what": TEXT, "study_id": _or_null(WHOLE),
    "detail": {"type": "object"},
}))})  # fmt: skip
_RULES = object_of({
    "files": WHOLE, "unread": _list(object_of({"file": TEXT, "code": TEXT, "sentence": TEXT})),
    "series": _list(object_of({
        "study_instance_uid": TEXT, "series_instance_uid": TEXT, "description": _or_null(TEXT), "slices": WHOLE,
        "extent_mm": _NUMBER, "spacing_mm": _or_null(_NUMBER), "tilt_deg": _NUMBER,
        "would": {"type": "string", "enum": ["analyse", "not analyse"]}, "code": _or_null(TEXT),
        "sentence": _or_null(TEXT), "warnings": _list(_CODED),
    })),
})  # fmt: skip
_MONTHS = object_of({"months": _list(object_of({
    "month": TEXT, "model_digest": TEXT, "name": TEXT, "positives": WHOLE, "confirmed_positives": WHOLE,
    "negatives": WHOLE, "confirmed_negatives": WHOLE, "agreement": _or_null(_NUMBER), "ppv": _or_null(_NUMBER),
    "npv": _or_null(_NUMBER), "model_name": TEXT, "model_version": TEXT,
}))})  # fmt: skip
_LABEL = object_of({
    "name": {"type": "string", "enum": list(CLASSES)}, "present": _YES_NO,
    "slice": {"type": ["array", "null"], "description": "SOP Instance UID and frame; null: the whole scan."},
})  # fmt: skip
_FEEDBACK = object_of({"feedback": _list(object_of({
    "id": WHOLE, "result": WHOLE, "revision": WHOLE, "reader": TEXT, "given_at": _TIME,
    "superseded_at": _or_null(_TIME), "agrees": _YES_NO, "comment": TEXT, "labels": _list(_LABEL),
}))})  # fmt: skip
_STACK = object_of({
    "digest": TEXT, "part": WHOLE, "planes": TEXT, "classes": _list(TEXT),
    "scores": {**_list(_list(_NUMBER)), "description": "Empty where the current answer is not of all of these slices."},
    "thresholds": _list(_NUMBER), "first": WHOLE, "keys": _list(object_of({"index": WHOLE, "score": _NUMBER})),
    "slices": _list(object_of({
        "rows": WHOLE, "columns": WHOLE, "pixel_mm": _list(_NUMBER), "position_mm": _or_null(_NUMBER),
        "sop_instance_uid": TEXT, "frame": WHOLE,
        "scores": {**_or_null(_list(_NUMBER)), "description": "null where the current answer is not of this slice."},
    })),
    "heat": _or_null(object_of({"address": TEXT, "maps": _list(object_of({"index": WHOLE, "name": TEXT}))})),
})  # fmt: skip
_SCANNERS = object_of({"scanners": _list(object_of({
    "station": TEXT,
    "charts": _list(object_of({
        "name": TEXT, "unit": TEXT, "values": {**_list(_NUMBER), "description": "The latest series last."},
        "centre": _or_null(_NUMBER), "low": _or_null(_NUMBER), "high": _or_null(_NUMBER),
        "outside": {**_list(WHOLE), "description": "Places in `values`, from 0."},
    })),
}))})  # fmt: skip
_MODEL = object_of({"digest": TEXT, "name": TEXT, "version": TEXT, "state": TEXT})
_DONE = object_of({"done": _YES_NO})

_SERIES = "/api/v1/studies/{study}/series/{series}"
ANSWERS: dict[tuple[str, str], Schema] = {
    ("get", "/api/v1/worklist"): _WORKLIST,
    ("post", "/api/v1/worklist/search"): _WORKLIST,
    ("get", "/api/v1/studies/{study}"): _STUDY,
    ("get", "/api/v1/node"): _NODE,
    ("get", "/api/v1/node/scanners"): _SCANNERS,
    ("post", "/api/v1/models/{digest}/promote"): _MODEL,
    ("post", "/api/v1/models/rollback"): _MODEL,
    ("get", "/api/v1/agreement"): _MONTHS,
    ("get", "/api/v1/audit"): _AUDIT,
    ("post", "/api/v1/retry"): object_of({"analyses": WHOLE, "deliveries": WHOLE, "retrievals": WHOLE}),
    ("post", "/api/v1/destinations/{name}/pause"): object_of({"name": TEXT, "paused": _YES_NO}),
    ("post", "/api/v1/rules"): _RULES,
    ("get", "/api/v1/studies/{study}/series/{series}/stack"): _STACK,
    ("get", "/api/v1/studies/{study}/feedback"): _FEEDBACK,
    ("post", "/api/v1/studies/{study}/results/{result}/feedback"): object_of({"id": WHOLE}),
    ("delete", "/api/v1/studies/{study}/results/{result}/feedback"): _DONE,
    ("post", "/api/v1/studies/{study}/reading"): object_of({"read_by": TEXT}),
    ("delete", "/api/v1/studies/{study}/reading"): _DONE,
    ("post", "/api/v1/studies/{study}/priors"): object_of({"order": WHOLE}),
}
BINARY: dict[tuple[str, str], tuple[str, str]] = {
    ("get", f"{_SERIES}/planes/{{digest}}/{{part}}"): (
        "application/octet-stream",
        "Some slices in Hounsfield units, in the order of `slices`: of each its length in bytes (32 bits, "
        "little-endian; 0 where the pixels cannot be read), then all low bytes, then all high bytes of 16-bit "
        "numbers, one a pixel, row after row. Such a number n, folded, is the difference (n >> 1) ^ -(n & 1) to the "
        "pixel before it in its row, and of the first to 0; sums are taken in 16 bits.",
    ),
    ("get", f"{_SERIES}/heat/{{result}}/{{digest}}"): (
        "application/octet-stream",
        "The heat maps of an answer in the order of `maps`: one byte a pixel, row after row, as large as their slices.",
    ),
    ("get", "/api/v1/studies/{study}/reports/{report}"): ("application/dicom", "The file."),
    ("get", "/api/v1/events"): (
        "text/event-stream",
        "Server-sent events. `change`: something is new; data is {change, positives, answers}: the number of the "
        "change, the ids of the unread positive studies (of many the 50 answered last, newest first), and of each the "
        "number of its answer, which only grows. `ended`: the token does not hold any more.",
    ),
}
"""What is no JSON: media type, and what it holds."""
BODIES: dict[str, tuple[str, Schema]] = {
    "/api/v1/studies/{study}/results/{result}/feedback": (
        "application/json",
        {"type": "object", "required": ["agrees"], "properties": {
            "agrees": _YES_NO, "labels": _list(_LABEL), "comment": TEXT,
        }},
    ),
    "/api/v1/studies/{study}/reading": (
        "application/json",
        {"type": "object", "required": ["seen"], "properties": {
            "seen": _or_null(WHOLE),
            "state": {
                **TEXT,
                "description": "As `state` of the study that was seen. Without it 409 where an answer was taken back, "
                "or slices came, after the newest answer.",
            },
        }},
    ),
    "/api/v1/worklist/search": ("application/json", object_of({"text": TEXT})),
    "/api/v1/retry": ("application/json", {"type": "object", "properties": {"study": WHOLE}}),
    "/api/v1/destinations/{name}/pause": ("application/json", object_of({"paused": _YES_NO})),
    "/api/v1/rules": (
        "multipart/form-data", object_of({"files": _list({"type": "string", "contentMediaType": "application/dicom"})})
    ),
}  # fmt: skip
_PAGE = {
    "limit": ("Studies at most, 1 to 200.", WHOLE), "after": ("`next` of the page before.", TEXT),
    "status": ("May be given more than once.", _list({"type": "string", "enum": list(STATUSES)})),
    "read": ("yes or no.", TEXT), "from": ("First study date, 2026-01-31.", TEXT), "to": ("Last study date.", TEXT),
}  # fmt: skip
QUERIES: dict[str, dict[str, tuple[str, Schema]]] = {
    "/api/v1/worklist": _PAGE,
    "/api/v1/worklist/search": _PAGE,
    "/api/v1/audit": {
        "limit": _PAGE["limit"], "before": ("Only entries with a smaller id.", WHOLE),
        "study": ("Only of this study.", WHOLE),
    },
}  # fmt: skip
