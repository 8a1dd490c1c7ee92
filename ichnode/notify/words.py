"""What a message says in words, for people: mail, notes of HL7, conclusions of FHIR. ASCII, and no patient data."""

from __future__ import annotations

from ichnode.notify.message import Message

NOTICE = "Made by software for research use only. Not for diagnosis; no physician has verified it."

_CALLS = {
    "positive": "POSITIVE: signs of intracranial haemorrhage",
    "negative": "negative: no sign of intracranial haemorrhage reaches its threshold",
    "not_analysed": "NOT ANALYSED",
    "failed": "NOT ANALYSED: the analysis failed",
    "retracted": "RETRACTED: the answer was taken back",
}


def headline(message: Message) -> str:
    """Return the message in a line."""
    if message.kind == "test":
        return f"TEST message of ichnode {message.node}: no patient, no finding"
    begin = {"correction": "CORRECTION: ", "final": "FINAL: ", "escalation": "STILL UNREAD: "}.get(message.kind, "")
    end = " (preliminary, slices are missing)" if message.preliminary else ""
    return f"{begin}{_CALLS[message.called]}{end}, study {message.study}"


def sentences(message: Message) -> list[str]:
    """Return all that it says, a sentence each, without the headline."""
    if message.kind == "test":
        return ["Somebody tries whether this channel works. Nothing has to be done.", NOTICE]
    said = []
    if message.corrects is not None:
        why = "is no longer true" if message.is_correction else "was preliminary: the missing slices have come"
        said.append(f"Takes the place of message {message.corrects}, which {why}.")
    if message.escalates is not None:
        said.append(f"Nobody has signed the study off since message {message.escalates}; step {message.step}.")
    if message.reason is not None:
        said.append(f"{message.reason[0]}: {message.reason[1]}")
    said += [
        f"{finding.name}: {'PRESENT' if finding.present else 'absent'}, score {finding.score:.2f} "
        f"(threshold {finding.threshold:.2f})"
        for finding in message.findings
        if finding.score is not None and finding.threshold is not None
    ]
    return [*said, NOTICE]
