"""What the study page says, as plain values: the same for the page and for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from ichnode.core.findings import CLASSES, Verdict
from ichnode.core.lifecycle import JobState, SeriesState
from ichnode.steps.stack import Stack
from ichnode.worklist.feedback import Given

ANSWERS = {
    "positive": "Intracranial hemorrhage suspected",
    "negative": "No intracranial hemorrhage detected",
    "not_analysed": "Not analysed",
}
SHORT = dict(zip(CLASSES, ("any", "IPH", "IVH", "SAH", "SDH", "EDH"), strict=True))
"""As radiologists say it where there is little room."""
_OF_DELIVERY = ("destination", "state", "attempts", "delivered_at", "committed_at", "error")
_OF_NOTICE = (
    "uid", "channel", "kind", "called", "step", "created_at", "state", "attempts", "delivered_at", "error", "corrects",
    "escalates",
)  # fmt: skip
_KIND_WINDOW = {"subdural": "subdural"}


def whole_number(given: object) -> int | None:
    """Return the number that a form or an address says in plain digits; None where it says none."""
    return int(given) if isinstance(given, str) and given.isascii() and given.isdigit() and len(given) < 10 else None


def is_key(given: object) -> bool:
    """Tell whether a value of JSON can be the key of a row: the databases have 32 bits, and true is no number."""
    return isinstance(given, int) and not isinstance(given, bool) and 0 < given < 2**31


def current_result(series: dict[str, Any]) -> dict[str, Any] | None:
    """Return the result of a series that stands, if there is one."""
    return next((r for r in reversed(series["results"]) if r["superseded_at"] is None), None)


def series_to_show(study: dict[str, Any], wanted: int | None) -> dict[str, Any] | None:
    """Return the series that is looked at: the one asked for, the one read for the study, or the largest."""
    found: dict[int | None, dict[str, Any]] = {series["id"]: series for series in study["series"]}
    if wanted in found:
        return found[wanted]
    analysed = [s for s in study["series"] if (r := current_result(s)) and r["any_score"] is not None]
    if study["chosen_series_id"] in found and (not analysed or found[study["chosen_series_id"]] in analysed):
        return found[study["chosen_series_id"]]
    ranked: list[dict[str, Any]] = sorted(analysed or study["series"], key=lambda s: (-s["received"], s["id"]))
    return ranked[0] if ranked else None


def answers_of(study: dict[str, Any]) -> list[dict[str, Any]]:
    """Return every answer that was ever given of a study, the latest first, each with who was told of it."""
    found = [
        {
            **answer_of(series, result, study["notices"]),
            "series_id": series["id"],
            "series": series["description"],
            "purged_at": series["purged_at"],
        }
        for series in study["series"]
        for result in series["results"]
    ]
    return sorted(found, key=lambda one: -one["result"])


def overtaken(series: dict[str, Any], result: dict[str, Any]) -> str:
    """Return what happened to a series after an answer that its page goes on to show; empty where nothing did."""
    if series["revision"] == result["revision"] and series["state"] != SeriesState.RECEIVING:
        return ""
    newer = [job for job in series["jobs"] if job["revision"] == series["revision"] and job["kind"] != "illustrate"]
    came = "More slices came after this answer" if series["last_slice_at"] > result["created_at"] else (
        "This series was looked at anew after this answer"
    )  # fmt: skip
    if any(job["state"] == JobState.FAILED for job in newer):
        return f"{came}; the new analysis failed."
    if series["state"] == SeriesState.RECEIVING or any(
        job["state"] in (JobState.QUEUED, JobState.RUNNING) for job in newer
    ):
        return f"{came}; a new analysis is on its way."
    return f"{came} and changed nothing. {series['reason'] or ''}".strip()


def said_elsewhere(study: dict[str, Any], series: dict[str, Any]) -> tuple[str, int] | None:
    """Return (status, id) of another series that says more of the study than the one that is shown; None where not."""
    ranked = [Verdict.POSITIVE, Verdict.NEGATIVE]
    says = {
        one["id"]: ranked.index(result["verdict"])
        for one in study["series"]
        if (result := current_result(one)) and result["retraction"] is None and result["verdict"] in ranked
    }
    best = min(says, key=lambda number: (says[number], number), default=series["id"])
    if says.get(best, len(ranked)) >= says.get(series["id"], len(ranked)):
        return None
    return str(ranked[says[best]]), best


def pictures_to_come(series: dict[str, Any], result: dict[str, Any]) -> bool:
    """Tell whether the pictures of a result are still being made: its answer does not wait for them."""
    return any(
        job["kind"] == "illustrate" and job["revision"] == result["revision"] and job["state"] in ("queued", "running")
        for job in series["jobs"]
    )


def answer_of(series: dict[str, Any], result: dict[str, Any], notices: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    """Return a result of a series in words and figures; `notices` are those of its study."""
    outcome = result["outcome"]
    findings = [
        {
            "name": CLASSES[column], "score": f["score"], "threshold": f["threshold"],
            "present": f["score"] >= f["threshold"],
        }
        for column, f in enumerate(outcome["findings"])
    ]  # fmt: skip
    kinds = [f["name"] for f in findings if f["present"] and f["name"] != CLASSES[0]]
    return {
        "result": result["id"],
        "revision": result["revision"],
        "verdict": result["verdict"],
        "sentence": ANSWERS[result["verdict"]],
        "kinds": kinds,
        "preliminary": result["preliminary"],
        "missing": outcome["missing"],
        "reason": outcome["reason"],
        "warnings": outcome["warnings"],
        "findings": findings,
        "key_slices": key_slices(outcome),
        "model": result["model_name"],
        "model_version": result["model_version"],
        "model_digest": result["model_digest"],
        "made_at": result["created_at"],
        "pictures_to_come": pictures_to_come(series, result),
        "overtaken": overtaken(series, result) if result["superseded_at"] is None else "",
        "superseded_at": result["superseded_at"],
        "retraction": result["retraction"],
        "retracted_because": result["retracted_because"],
        "retraction_remark": result["retraction_remark"],
        "seconds": result["seconds"],
        "reports": [
            {
                "id": report["id"], "kind": report["kind"], "sop_instance_uid": report["sop_instance_uid"],
                "size": report["size"],
                "deliveries": [
                    {key: d[key] for key in _OF_DELIVERY}
                    for d in report["deliveries"]
                ],
            }
            for report in result["reports"]
        ],
        "notices": [
            {key: notice[key] for key in _OF_NOTICE} for notice in notices if notice["result_id"] == result["id"]
        ],
    }  # fmt: skip


def key_slices(outcome: dict[str, Any]) -> list[dict[str, Any]]:
    """Return each key slice once, the one with the highest score first, and the window in which it is best seen."""
    shown: dict[int, list[tuple[float, str]]] = {}
    for column, finding in enumerate(outcome["findings"]):
        for index in finding["key_slices"]:
            shown.setdefault(index, []).append((outcome["scores"][index][column], CLASSES[column]))
    keys = []
    for index, classes in shown.items():
        ranked = sorted(classes, reverse=True)
        kinds = [name for _, name in ranked if name != CLASSES[0]] or [CLASSES[0]]
        keys.append(
            {
                "index": index,
                "image": list(outcome["order"][index]),
                "score": ranked[0][0],
                "kinds": kinds,
                "short": [SHORT[k] for k in kinds],
                "window": _KIND_WINDOW.get(kinds[0], "brain"),
            }
        )
    return sorted(keys, key=lambda key: -key["score"])


def stack_facts(stack: Stack, result: dict[str, Any] | None, address: str) -> dict[str, Any]:
    """Return what a viewer needs to know of a series: its slices, and what the model says of each.

    Parameters
    ----------
    result : dict or None
        The current result. Each slice has its scores where it was among those that were read; `scores` and its like
        are empty where not one was, and `scores` also where some were not.
    address : str
        Of the series, without a slash at the end.
    """
    outcome = result["outcome"] if result else {}
    order = [(instance, frame) for instance, frame in outcome.get("order", ())]
    known = dict(zip(order, outcome.get("scores", ()), strict=True))
    places = {one.key: index for index, one in enumerate(stack.slices) if one.key in known}
    keys = [
        {**key, "index": places[order[key["index"]]]}
        for key in (key_slices(outcome) if places else ())
        if order[key["index"]] in places
    ]
    whole = [one.key for one in stack.slices] == order
    return {
        "digest": stack.digest,
        "part": stack.part,
        "planes": f"{address}/planes/{stack.digest}",
        "classes": list(CLASSES),
        "scores": outcome["scores"] if places and whole else [],
        "thresholds": [f["threshold"] for f in outcome["findings"]] if places else [],
        "keys": keys,
        "first": keys[0]["index"] if keys else len(stack.slices) // 2,
        "slices": [
            {
                "rows": one.rows, "columns": one.columns, "pixel_mm": list(one.pixel_mm),
                "position_mm": one.position_mm, "left": one.view.left, "right": one.view.right,
                "top": one.view.top, "bottom": one.view.bottom, "sop_instance_uid": one.key[0], "frame": one.key[1],
                "scores": known.get(one.key),
            }
            for one in stack.slices
        ],
    }  # fmt: skip


def said(given: Sequence[Given]) -> list[dict[str, Any]]:
    """Return what readers said, as plain values."""
    return [
        {
            "id": one.id, "result": one.result_id, "revision": one.revision, "reader": one.reader,
            "given_at": one.given_at.isoformat(),
            "superseded_at": one.superseded_at.isoformat() if one.superseded_at else None,
            "agrees": one.feedback.agrees, "comment": one.feedback.comment,
            "labels": [asdict(label) for label in one.feedback.labels],
        }
        for one in given
    ]  # fmt: skip
