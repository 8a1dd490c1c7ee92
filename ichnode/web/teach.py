"""Teach and sign off: what the forms of the study page send, and the page of agreement over time."""

from __future__ import annotations

from typing import Any

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ichnode.core.feedback import ContradictionError, Feedback, Label
from ichnode.core.findings import CLASSES
from ichnode.web import acts
from ichnode.web.doors import door
from ichnode.web.pages import page
from ichnode.web.refusals import Refused
from ichnode.web.slices import study_of
from ichnode.web.study_facts import series_to_show, whole_number
from ichnode.web.study_page import page_of
from ichnode.web.visitor import Visitor, node_of
from ichnode.worklist import agreement

_SAYS = {"yes": True, "no": False}


def teach(request: Request, visitor: Visitor) -> Response:
    """Keep what a reader says of an answer, or take it back."""
    node, form = node_of(request), request.state.form
    study = study_of(node, request.path_params["study"])
    result = _result(study, whole_number(form.get("result")))
    series = next(s for s in study["series"] if result in s["results"])
    given = None if form.get("take_back") else _feedback(form, result)
    if given is None:
        acts.take_feedback_back(node, visitor, study["id"], result["id"])
    else:
        acts.give_feedback(node, visitor, study["id"], result["id"], given)
    return _again(request, visitor, study["id"], series["id"], "study/teach.html", "#teach")


def sign_off(request: Request, visitor: Visitor) -> Response:
    """Mark a study as read, or as unread again."""
    node, form = node_of(request), request.state.form
    study = study_of(node, request.path_params["study"])
    if form.get("unread"):
        acts.make_unread(node, visitor, study["id"])
    else:
        seen, state = whole_number(form.get("seen")), str(form.get("state", ""))
        acts.sign_off(node, visitor, study["id"], seen, state)
    return _again(request, visitor, study["id"], None, "study/reading.html", "#reading")


def reading_card(request: Request, visitor: Visitor) -> Response:
    """Show who has read a study: the part of its page that changes when somebody signs off elsewhere."""
    study = study_of(node_of(request), request.path_params["study"])
    parts = page_of(node_of(request), visitor, study, series_to_show(study, None))
    return page(request, "study/reading.html", visitor, **parts)


def agreement_page(request: Request, visitor: Visitor) -> Response:
    """Show agreement and predictive values over time."""
    with node_of(request).worklist.read() as tx:
        months = agreement.by_month(tx)
    verdicts = [one for one in months if one.name == "verdict"]
    classes = [one for one in months if one.name != "verdict"]
    return page(request, "agreement.html", visitor, verdicts=verdicts[::-1], classes=classes[::-1])


def _again(
    request: Request, visitor: Visitor, study_id: int, series_id: int | None, part: str, anchor: str
) -> Response:
    """Answer with the part of the page that changed, or without a script with the page."""
    if request.headers.get("HX-Request") != "true":
        chosen = f"?series={series_id}" if series_id is not None else ""
        return RedirectResponse(f"/studies/{study_id}{chosen}{anchor}", 303)
    node = node_of(request)
    study = study_of(node, study_id)
    return page(request, part, visitor, **page_of(node, visitor, study, series_to_show(study, series_id)))


def _feedback(form: FormData, result: dict[str, Any]) -> Feedback:
    agrees = _SAYS.get(str(form.get("agrees", "")))
    if agrees is None:
        raise Refused(422, "FEEDBACK", "Say whether you agree or disagree.")
    try:
        labels = [
            Label(name, _SAYS[says]) for name in CLASSES[1:] if (says := str(form.get(f"class-{name}", ""))) in _SAYS
        ]
        read = {(instance, frame) for instance, frame in result["outcome"].get("order", ())}
        labels += [_mark(str(mark), read) for mark in form.getlist("mark")]
        return Feedback(agrees, tuple(labels), str(form.get("comment", "")).strip().replace("\r\n", "\n"))
    except ContradictionError as error:
        raise Refused(422, "FEEDBACK", str(error)) from None


def _mark(mark: str, read: set[tuple[str, int]]) -> Label:
    """Read ``SOP Instance UID:frame:class:yes``: a place among slices would be another slice once more of them came."""
    match mark.split(":"):
        case [instance, frame, name, ("yes" | "no") as says] if (instance, whole_number(frame)) in read:
            return Label(name, _SAYS[says], (instance, int(frame)))
    raise Refused(422, "FEEDBACK", "A slice was judged that the model did not read.")


def _result(study: dict[str, Any], result_id: int | None) -> dict[str, Any]:
    results: list[dict[str, Any]] = [r for s in study["series"] for r in s["results"] if r["id"] == result_id]
    if results:
        return results[0]
    raise Refused(404, "NO_RESULT", "There is no such answer of this study.")


ROUTES = [
    door("/studies/{study:int}/feedback", "study.teach", teach, ("POST",)),
    door("/studies/{study:int}/reading", "study.sign", sign_off, ("POST",)),
    door("/studies/{study:int}/reading", "study.read", reading_card, by_itself=True),
    door("/agreement", "worklist.read", agreement_page),
]
