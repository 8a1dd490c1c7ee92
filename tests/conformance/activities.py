"""Why the node calls others, what it then proposes, and what it makes of answers: by doing it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ichnode.dicom.commitment import ask
from ichnode.dicom.find import StudyQuery, find_series, series_count
from ichnode.dicom.requestor import Remote
from ichnode.dicom.retrieve import get, move
from ichnode.dicom.scu import echo, store
from ichnode.dicom.store_answers import Alternatives
from ichnode.dicom.stow import _judged
from ichnode.errors import PeerRefused, PeerUnreachable
from ichnode.https import WebAnswer, WebRemote, _check
from ichnode.reporting.formats import FORMATS
from ichnode.sections import DestinationSection
from ichnode.steps.deliver import _liked_classes
from tests.conformance.objects import OBJECTS, built
from tests.conformance.wire import Proposed, proposed

HTTP_CODES = (
    200,
    201,
    202,
    204,
    307,
    400,
    401,
    403,
    404,
    405,
    406,
    408,
    409,
    413,
    415,
    429,
    500,
    501,
    502,
    503,
    504,
    507,
)


@dataclass(frozen=True)
class Activity:
    """One reason to open an association."""

    title: str
    when: str
    act: Callable[[Remote], object]


@cache
def requested(activity: Activity) -> Proposed:
    """Return what the node proposes for an activity."""
    return proposed(activity.act)


def _send(name: str) -> Callable[[Remote], object]:
    def act(remote: Remote) -> object:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "object.dcm"
            built(name)[0].made.save_as(path)
            liked = _liked_classes(name, DestinationSection(name="peer", aet="PEER", host="127.0.0.1"))
            return store(remote, [path], None, Alternatives({path: liked}, lambda file, _: file))

    return act


VERIFY = Activity(
    "Verify a destination",
    "`ichnode echo`, `ichnode doctor`, and before anything is sent to a destination that did not answer before.",
    echo,
)
COUNT = Activity(
    "Ask how many images a series has",
    "While a series is being received, every `source.ask_every_s` seconds, where `source.aet` is set.",
    lambda remote: series_count(remote, "2.25.1", "2.25.2"),
)
LOOK = Activity(
    "Ask what should have come",
    "Every `source.look_every_s` seconds, and for `ichnode backfill` and `ichnode priors`, where `source.retrieve` is "
    "c-move or c-get.",
    lambda remote: find_series(remote, StudyQuery("20260101", "20260102"), lambda study: True),
)
MOVE = Activity(
    "Have a series sent: C-MOVE",
    "Where a series did not come, or not all of it, and `source.retrieve` is c-move. The destination is `node.aet`.",
    lambda remote: move(remote, "2.25.1", "2.25.2"),
)
GET = Activity(
    "Fetch a series: C-GET",
    "As C-MOVE, where `source.retrieve` is c-get.",
    lambda remote: get(remote, "2.25.1", "2.25.2", lambda instance: 0),
)
SEND = {
    name: Activity(
        f"Send a result: {name}",
        "When one is due for a destination by C-STORE; all that is due travels on one association.",
        _send(name),
    )
    for name in OBJECTS
}
COMMIT = Activity(
    "Ask for storage commitment",
    "After results were stored, at a destination by C-STORE with `commitment = true`; many instances in one request.",
    lambda remote: ask(remote, "2.25.3", [(FORMATS["sr"].sop_classes[0], "2.25.4")], lambda report: None,
                       lambda: True, 0.0),
)  # fmt: skip
ACTIVITIES = (VERIFY, COUNT, LOOK, MOVE, GET, *SEND.values(), COMMIT)


def storage_classes_sent() -> dict[str, list[str]]:
    """Return the SOP classes of created objects, each with the formats that may travel in it."""
    sent: dict[str, list[str]] = {}
    for name in OBJECTS:
        classes = FORMATS[name].sop_classes if name in FORMATS else (str(built(name)[0].made.SOPClassUID),)
        for uid in classes:
            sent.setdefault(uid, []).append(name)
    return sent


def http_answers() -> list[tuple[int, str]]:
    """Return what the node makes of each HTTP status that says nothing more."""
    web = WebRemote("peer", "https://pacs.example/dicom-web")
    return [(code, _taken_as(web, code)) for code in HTTP_CODES]


def _taken_as(web: WebRemote, code: int) -> str:
    try:
        _check(web, code, "")
    except (PeerUnreachable, PeerRefused) as error:
        return f"of the service: everything for it waits and is offered again ({error.code})"
    answer = _judged(web, Path(__file__), WebAnswer(code, b""))
    if answer.error is None:
        return "of the instance: stored"
    return f"of the instance: {'transient, offered again' if answer.transient else 'permanent, failed until retried'}"
