"""The journal of a study in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Detail = Mapping[str, Any]


def _plain(sentence: str) -> Callable[[Detail], str]:
    return lambda _: sentence


_URGENT = {
    "peer": "{} sends it, whose images are analysed first", "request": "its images say that the request is {}",
    "workitem": "work item {} asks for it with high priority",
}  # fmt: skip
_WORDS: dict[str, Callable[[Detail], str]] = {
    "study.opened": _plain("First slice of the study received"),
    "study.awaited": _plain("Images come by themselves: the study is no longer only one that was ordered"),
    "study.urgent": lambda d: f"Urgent: {_URGENT[d['because']].format(d['said'])}",
    "series.opened": _plain("First slice of the series received"),
    "series.reopened": lambda d: f"A late slice: revision {d['revision']} begins",
    "series.closed": lambda d: (
        f"Series complete: {d['because']}" + (f"; missing: {d['missing']}" if d["missing"] else "")
    ),
    "series.ignored": lambda d: (
        f"Not to be analysed: {d['reason']}" + ("; the answer before stands" if d.get("answer_stands") else "")
    ),
    "series.outranked": _plain("A better reconstruction of the study is read instead"),
    "series.reconsidered": _plain("Considered again: the series that was read instead is out"),
    "series.purged": lambda d: f"Images, heat maps and files of the reports removed: {d['because']}",
    "study.forgotten": _plain("All that was known of the study was removed"),
    "slice.conflict": _plain("A slice came again with other content; kept and flagged"),
    "job.claimed": lambda d: (
        {"analyse": "Analysis begins", "illustrate": "Pictures are begun"}.get(d["kind"], "Report begins")
        + (f", attempt {d['attempt']}" if d["attempt"] > 1 else "")
    ),
    "job.again": lambda d: f"Attempt {d['attempt']} did not succeed; it is tried again",
    "job.released": lambda d: f"The worker ended in the middle of attempt {d['attempt']}; it is tried again",
    "job.given_back": lambda d: (
        "Another model became active meanwhile: it is read by that one"
        if d["because"] == "MODEL_CHANGED"
        else "The analysis pool is away: it waits, and the attempt does not count"
    ),
    "job.failed": lambda d: f"Failed: {d['reason']}",
    "job.retried": _plain("Queued again by hand"),
    "result.made": lambda d: (
        f"Answer of revision {d['revision']}: {str(d['verdict']).replace('_', ' ')}"
        + (f", read on {d['read_by']}" if d.get("read_by") else "")
    ),
    "result.illustrated": lambda d: f"Heat maps kept, {d['pictures']} picture(s) made of the answer",
    "result.retracted": lambda d: f"Answer of revision {d['revision']} taken back: {d['because']}",
    "result.rejected": lambda d: f"{d['notes']} rejection note(s) for those who have it",
    "result.not_rejected": lambda d: f"No rejection note could be made: {d['error']}",
    "delivery.claimed": lambda d: (
        f"Sending to {d['destination']}" + (f", attempt {d['attempt']}" if d["attempt"] > 1 else "")
    ),
    "delivery.accepted": lambda d: f"Delivered to {d['destination']}",
    "delivery.again": lambda d: f"{d['destination']} cannot take it now; it is tried again",
    "delivery.refused": lambda d: f"Refused by {d['destination']}",
    "delivery.given_up": lambda d: f"Given up: {d['destination']} did not answer for too long",
    "delivery.recast": lambda d: f"Sent to {d['destination']} in a form that it takes",
    "delivery.released": lambda d: f"Sending to {d['destination']} was cut short; it is sent again",
    "delivery.put_back": lambda d: f"Not sent to {d['destination']} before the node ended; the next start does it",
    "delivery.retried": lambda d: f"To be sent to {d['destination']} again, by hand",
    "delivery.withdrawn": _plain("What had not been sent yet is not sent any more"),
    "notice.filed": lambda d: f"To be told to {d['channel']}: {d['kind']}, {str(d['call']).replace('_', ' ')}",
    "notice.withdrawn": lambda d: f"What {d['channel']} had not heard yet is not told any more",
    "notice.not_escalated": _plain("Signed off: nobody has to be reminded"),
    "commitment.requested": lambda d: f"{d.get('destination', 'The archive')} was asked whether it keeps it",
    "commitment.given": lambda d: f"{d.get('destination', 'The archive')} commits itself to keep it",
    "retrieval.listed": lambda d: (
        f"The archive has {d['said'] if d['said'] is not None else 'images'}, more than came: they will be fetched"
    ),
    "retrieval.claimed": lambda d: (
        "Fetching from the archive" + (f", attempt {d['attempt']}" if d["attempt"] > 1 else "")
    ),
    "retrieval.complete": lambda d: f"All {d['here']} images that the archive has are here",
    "retrieval.again": lambda d: f"The archive gave {d['here']}; it is asked again later",
    "retrieval.hastened": _plain("An order had listed it; now it is fetched as what should have come by itself"),
    "retrieval.put_back": _plain("The archive is asked later"),
    "retrieval.failed": lambda d: f"Not fetched any more: the archive says {d['said']}, it gave {d['here']}",
    "retrieval.released": _plain("Fetching was cut short; it is tried again"),
    "retrieval.retried": _plain("To be fetched again, by hand"),
    "order.placed": lambda d: f"Order {d['order']}: {d['kind']}",
    "order.resumed": lambda d: f"Order {d['order']}: {d['kind']}, again",
    "order.listed": lambda d: f"The archive has {d['series']} older series of the patient that are not here",
    "order.done": lambda d: f"Order {d['order']} is done",
    "workitem.offered": lambda d: f"Work item {d['workitem']} asks for it: about to be claimed",
    "workitem.claimed": lambda d: f"Work item {d['workitem']} was claimed",
    "workitem.begun": lambda d: f"Work item {d['workitem']}: its input is here, or is being fetched",
    "workitem.completed": lambda d: f"Work item {d['workitem']} is COMPLETED, with {d['outputs']} object(s)",
    "workitem.canceled": lambda d: f"Work item {d['workitem']} is CANCELED: {d['reason']}",
    "workitem.lost": lambda d: f"Work item {d['workitem']} is not this node's any more: {d['why']}",
    "alarm.no_result": _plain("Overdue: no result for too long"),
    "alarm.cleared": _plain("Not overdue any more"),
    "feedback.given": lambda d: f"{d['by']} {'agrees' if d['agrees'] else 'disagrees'}",
    "feedback.taken_back": lambda d: f"{d['by']} takes back what they said",
    "study.read": lambda d: f"Read and signed off by {d['by']}",
    "study.unread": lambda d: "Unread again" + (f" by {d['by']}" if "by" in d else f": {d.get('because', '')}"),
}


def in_words(event: str, detail: Detail) -> str:
    """Return one row of the journal as a person reads it; an event without words as it is, with its details."""
    said = _WORDS.get(event)
    try:
        if said is not None:
            return said(detail)
    except KeyError:  # a row of an older version
        pass
    listed = ", ".join(f"{key} {value}" for key, value in detail.items() if value is not None)
    return f"{event}: {listed}" if listed else event
