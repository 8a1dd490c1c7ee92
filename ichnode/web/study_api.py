"""A study for programs: all that its page shows, teach and sign-off."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ichnode.core.feedback import ContradictionError, Feedback, Label
from ichnode.errors import ConfigError
from ichnode.steps.node import Node
from ichnode.steps.order import place_priors
from ichnode.web import acts
from ichnode.web.doors import door, json_body
from ichnode.web.journal_words import in_words
from ichnode.web.refusals import Refused
from ichnode.web.slices import study_of
from ichnode.web.study_facts import answers_of, is_key, said, series_to_show
from ichnode.web.visitor import Visitor, node_of, note_view
from ichnode.worklist import feedback, readings
from ichnode.worklist.orders import Order

_WRONG_READING = 'Send {"seen": number of the newest answer that was seen, or null, "state": that of the study then}.'
_WRONG = (
    'Send {"agrees": true or false, "labels": [{"name", "present", "slice": [UID, frame] or null}], "comment": ""}.'
)


def study(request: Request, visitor: Visitor) -> Response:
    """Return all that is known of a study."""
    node = node_of(request)
    facts = study_of(node, request.path_params["study"])
    with node.worklist.read() as tx:
        latest, state = readings.latest_result(tx, facts["id"]), readings.state_of(tx, facts["id"])
    shown = series_to_show(facts, None)
    note_view(request, visitor, "study.viewed", facts["id"])
    journal = [{**row, "words": in_words(row["event"], row["detail"])} for row in facts["journal"]]
    more = {
        "answers": answers_of(facts), "latest_result": latest, "state": state,
        "shown_series": shown["id"] if shown else None,
    }  # fmt: skip
    return JSONResponse({**facts, "journal": journal, **more})


def study_feedback(request: Request, visitor: Visitor) -> Response:
    """Return all that readers ever said of a study, the latest first; what stands has no `superseded_at`."""
    node = node_of(request)
    study = study_of(node, request.path_params["study"])
    with node.worklist.read() as tx:
        given = said(feedback.of_study(tx, study["id"]))
    note_view(request, visitor, "study.viewed", study["id"])
    return JSONResponse({"feedback": given})


def give_feedback(request: Request, visitor: Visitor) -> Response:
    """Keep what a reader says of an answer, in place of what the same reader said of it before."""
    node = node_of(request)
    study_id, result_id = _answer_of(request)
    given = _feedback(request)
    return JSONResponse({"id": acts.give_feedback(node, visitor, study_id, result_id, given)})


def take_feedback_back(request: Request, visitor: Visitor) -> Response:
    """Take back what a reader said of an answer."""
    node = node_of(request)
    study_id, result_id = _answer_of(request)
    return JSONResponse({"done": acts.take_feedback_back(node, visitor, study_id, result_id)})


def sign_study_off(request: Request, visitor: Visitor) -> Response:
    """Mark a study as read by whoever saw its newest answer, `seen`, and its `state`; says who has read it."""
    node = node_of(request)
    study = study_of(node, request.path_params["study"])
    body = json_body(request)
    seen, state = body.get("seen"), body.get("state")
    if not (seen is None or is_key(seen)) or not (state is None or isinstance(state, str)):
        raise Refused(422, "READING", _WRONG_READING)
    return JSONResponse({"read_by": acts.sign_off(node, visitor, study["id"], seen, state)})


def make_study_unread(request: Request, visitor: Visitor) -> Response:
    """Make a study unread again."""
    node = node_of(request)
    study = study_of(node, request.path_params["study"])
    return JSONResponse({"done": acts.make_unread(node, visitor, study["id"])})


def fetch_study_priors(request: Request, visitor: Visitor) -> Response:
    """Order the older head CTs of the study's patient; the node fetches and analyses them."""
    node = node_of(request)
    study = study_of(node, request.path_params["study"])
    return JSONResponse({"order": order_priors(node, visitor, study["id"]).id})


def order_priors(node: Node, visitor: Visitor, study_id: int) -> Order:
    """Place the order.

    Raises
    ------
    Refused
        409 when nothing can be fetched, or the study does not say whose it is.
    """
    try:
        return place_priors(node, visitor, study_id)
    except ConfigError as error:
        raise Refused(409, error.code, error.sentence) from None


def _answer_of(request: Request) -> tuple[int, int]:
    study = study_of(node_of(request), request.path_params["study"])
    result_id: int = request.path_params["result"]
    if result_id not in {r["id"] for s in study["series"] for r in s["results"]}:
        raise Refused(404, "NO_RESULT", "There is no such answer of this study.")
    return study["id"], result_id


def _feedback(request: Request) -> Feedback:
    body = json_body(request)
    labels, comment = body.get("labels", []), body.get("comment", "")
    if not isinstance(body.get("agrees"), bool) or not isinstance(labels, list) or not isinstance(comment, str):
        raise Refused(422, "FEEDBACK", _WRONG)
    try:
        return Feedback(body["agrees"], tuple(_label(one) for one in labels), comment)
    except ContradictionError as error:
        raise Refused(422, "FEEDBACK", str(error)) from None


def _label(given: object) -> Label:
    match given:
        case {"name": str(name), "present": bool(present), "slice": [str(instance), int(frame)]}:
            return Label(name, present, (instance, frame))
        case {"name": str(name), "present": bool(present), **more} if more.get("slice") is None:
            return Label(name, present)
    raise Refused(422, "FEEDBACK", _WRONG)


_STUDY = "/api/v1/studies/{study:int}"
ROUTES = [
    door(_STUDY, "study.read", study, name="api_study"),
    door(f"{_STUDY}/feedback", "study.read", study_feedback),
    door(f"{_STUDY}/results/{{result:int}}/feedback", "study.teach", give_feedback, ("POST",)),
    door(f"{_STUDY}/results/{{result:int}}/feedback", "study.teach", take_feedback_back, ("DELETE",)),
    door(f"{_STUDY}/reading", "study.sign", sign_study_off, ("POST",)),
    door(f"{_STUDY}/reading", "study.sign", make_study_unread, ("DELETE",)),
    door(f"{_STUDY}/priors", "study.sign", fetch_study_priors, ("POST",)),
]
