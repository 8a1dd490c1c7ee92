"""The study page: the answer, the slices, the other series and why not, what was sent where, the journal, Teach."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from ichnode.core.feedback import MOST_COMMENT
from ichnode.core.findings import CLASSES
from ichnode.steps.node import Node
from ichnode.web.doors import door
from ichnode.web.journal_words import in_words
from ichnode.web.pages import page
from ichnode.web.refusals import Refused
from ichnode.web.slices import study_of
from ichnode.web.study_api import order_priors
from ichnode.web.study_facts import (
    answer_of,
    answers_of,
    current_result,
    said,
    said_elsewhere,
    series_to_show,
    whole_number,
)
from ichnode.web.visitor import Visitor, node_of, note_view
from ichnode.worklist import feedback, jobs, readings

VIEWERS = {"viewer": "Open in the viewer", "pacs": "Open in the PACS"}


def study(request: Request, visitor: Visitor) -> Response:
    """Show a study."""
    node = node_of(request)
    found = study_of(node, request.path_params["study"])
    series = series_to_show(found, whole_number(request.query_params.get("series")))
    note_view(request, visitor, "study.viewed", found["id"])
    return page(request, "study/page.html", visitor, **page_of(node, visitor, found, series))


def page_of(node: Node, visitor: Visitor, found: dict[str, Any], series: dict[str, Any] | None) -> dict[str, Any]:
    """Return everything that the template shows."""
    result = current_result(series) if series else None
    with node.worklist.read() as tx:
        given = said(feedback.of_study(tx, found["id"]))
        latest, state = readings.latest_result(tx, found["id"]), readings.state_of(tx, found["id"])
    links = {name: words for name, words in VIEWERS.items() if getattr(node.settings.web, f"{name}_url")}
    return {
        "study": found,
        "now": node.now(),
        "series": series,
        "answer": answer_of(series, result) if series and result else None,
        "elsewhere": said_elsewhere(found, series) if series else None,
        "history": answers_of(found),
        "journal": [{"at": row["at"], "words": in_words(row["event"], row["detail"]), "series_id": row["series_id"]}
                    for row in found["journal"]],
        "latest": latest,
        "state": state,
        "given": given,
        "mine": _mine(given, visitor, result),
        "classes": CLASSES,
        "most_comment": MOST_COMMENT,
        "links": links,
        "may_fetch": bool(node.settings.source.retrieve) and visitor.may("study.sign"),
    }  # fmt: skip


def study_news(request: Request, visitor: Visitor) -> Response:
    """Tell an open page which answer is the newest, whether it is out of date, who has read; nothing of the patient."""
    number = request.path_params["study"]
    if number >= 2**31:
        raise Refused(404, "NO_STUDY", "There is no such study.")
    with node_of(request).worklist.read() as tx:
        latest, read_by = readings.latest_result(tx, number), readings.read_by(tx, number)
        to_come, state = jobs.pictures_to_come(tx, number), readings.state_of(tx, number)
    return JSONResponse({"latest": latest, "state": state, "read_by": read_by, "pictures_to_come": to_come})


def elsewhere(request: Request, visitor: Visitor) -> Response:
    """Lead to another viewer of the same study; the address is the administrator's, with the UIDs filled in."""
    node = node_of(request)
    found = study_of(node, request.path_params["study"])
    name = request.path_params["name"]
    template = getattr(node.settings.web, f"{name}_url", "") if name in VIEWERS else ""
    series = series_to_show(found, None)
    if not template or series is None:
        raise Refused(404, "NO_VIEWER", "No such viewer is configured.")
    address = template.format(
        study_instance_uid=found["study_instance_uid"], series_instance_uid=series["series_instance_uid"]
    )
    note_view(request, visitor, "study.opened_elsewhere", found["id"], viewer=name)
    return RedirectResponse(address, 303)


def fetch_priors(request: Request, visitor: Visitor) -> Response:
    """Order the older studies of the patient; the node fetches them."""
    node = node_of(request)
    found = study_of(node, request.path_params["study"])
    order_priors(node, visitor, found["id"])
    return RedirectResponse(f"/studies/{found['id']}#journal", 303)


def _mine(given: list[dict[str, Any]], visitor: Visitor, result: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return what the visitor said of the result that is shown and that stands, with its slices by their place."""
    if result is None:
        return None
    stands = (
        g for g in given if g["result"] == result["id"] and g["reader"] == visitor.name and not g["superseded_at"]
    )
    mine = next(stands, None)
    if mine is None:
        return None
    place = {(instance, frame): index for index, (instance, frame) in enumerate(result["outcome"]["order"])}
    scan = {label["name"]: label["present"] for label in mine["labels"] if label["slice"] is None}
    marks = [
        {
            "index": place[tuple(label["slice"])],
            "image": label["slice"],
            "name": label["name"],
            "present": label["present"],
        }
        for label in mine["labels"]
        if label["slice"] is not None
    ]
    return {**mine, "scan": scan, "marks": sorted(marks, key=lambda mark: (mark["index"], mark["name"]))}


ROUTES = [
    door("/studies/{study:int}", "study.read", study),
    door("/studies/{study:int}/news", "study.read", study_news, by_itself=True),
    door("/studies/{study:int}/open/{name}", "study.read", elsewhere),
    door("/studies/{study:int}/priors", "study.sign", fetch_priors, ("POST",)),
]
