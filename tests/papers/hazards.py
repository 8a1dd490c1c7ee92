"""Hazards in the form of ISO 14971: what could harm, how it would come to that, and what keeps it from happening."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Hazard:
    """One hazard. Severity and probability are estimates of the developers, before a hospital's own."""

    code: str
    hazard: str
    sequence: str
    harm: str
    severity: str
    control: str
    by: tuple[str, ...]
    """Requirements that are the control."""
    rest: str
    """What remains."""


HAZARDS = (
    Hazard("H01", "A haemorrhage is called negative", "The model misses it; a reader trusts the answer and puts the study back.", "Treatment is late", "grave",
        "Research use only, on every object and page; never VERIFIED; the order of reading must not depend on it; card with measured figures.", ("R14", "R15", "R09"),
        "High: the demonstration model missed and will miss. No clinical use."),
    Hazard("H02", "A healthy head is called positive", "The model errs; a reader is interrupted, others wait.", "Another patient waits; needless tests", "moderate",
        "Key slices and heat maps show where; warnings; sign-off and feedback; gate before promotion.", ("R14", "R15", "R13"),
        "High with the demonstration model (specificity 0.67 in cross-validation)."),
    Hazard("H03", "No answer, and nobody notices", "Node, worker or rule is down; silence is taken for negative.", "Reliance on an answer that never comes", "grave",
        "Three answers, none of them silence; watchdog; metrics and alarms; what failed or waits stands right below unread positives; the silence detector and the alarm of overdue studies, where `[source]` is set.", ("R03", "R13", "R23", "R25", "R33", "R26", "R27", "R28"),
        "A study that the PACS never sent is unknown to the node unless it asks the PACS."),
    Hazard("H04", "A fragment is read as if whole", "Slices come late or over several associations; the bleed is in those missing.", "Wrong negative", "grave",
        "Completeness by evidence; PRELIMINARY and PARTIAL; late slices make a new answer.", ("R04", "R05"), "Low; the report says what is missing."),
    Hazard("H05", "The wrong images are read", "Contrast, bone kernel, another body part, wrong order, wrong units.", "Wrong answer", "grave",
        "All headers decide; geometry and Hounsfield gate; refusal with a reason.", ("R06", "R07"), "A series whose headers are false throughout."),
    Hazard("H06", "The answer stands under another patient", "Identity mixed up, or character sets garbled.", "Wrong treatment of two patients", "grave",
        "Identity is copied from the images, byte by byte; evidence names every instance; retraction with rejection note.", ("R09", "R12"),
        "Wrong identity in the images themselves."),
    Hazard("H07", "An answer that was replaced is acted on", "A correction does not reach who heard the first.", "Wrong or late treatment", "grave",
        "Predecessor in the report; correction to every channel that may have heard; withdrawal of what was not sent.", ("R05", "R12", "R11"),
        "A PACS that does not show predecessors; read the newest."),
    Hazard("H08", "An image or result is lost", "Crash, full disk, PACS away.", "Reading or proof is missing", "moderate",
        "Acknowledged when durable; outbox; storage commitment; retention never touches what is needed.", ("R01", "R02", "R11", "R22", "R30", "R31"),
        "Loss of the disk itself: back up."),
    Hazard("H09", "A new model is worse", "Retrained on few or skewed labels, and promoted.", "More wrong answers", "grave",
        "Frozen test set by patient; gate; shadow; roll back in one command; promotion only by a person.", ("R15", "R16"),
        "Test sets of one hospital are small: the interval is part of the verdict."),
    Hazard("H10", "Patient data get out", "Network, log, message, page, export, stolen disk.", "Loss of privacy", "moderate",
        "Allow-list, TLS, sign-in, roles, tokens; no names in logs and addresses; messages without patient by default; audit; de-identified export.",
        ("R17", "R19", "R20", "R21", "R29", "R32"), "The data folder is not encrypted by the node: encrypt the disk."),
    Hazard("H11", "Somebody breaks in or floods it", "Malformed objects, guessing, floods from inside the network.", "Service is down, data get out or are false", "grave",
        "Bounded lengths and times; one analysis dies, not the node; throttled sign-in; least privilege.", ("R18", "R17", "R23", "R32"),
        "DICOM without TLS is neither secret nor authentic: switch TLS on, or keep it in its network."),
    Hazard("H12", "The PACS is harmed", "Results flood it, or originals change.", "Others cannot work", "moderate",
        "Originals are never sent or changed; the same object under the same UID; back-off; circuits.", ("R11", "R08", "R10"), "Low."),
    Hazard("H13", "An upgrade breaks it or loses work", "New code on old data, or old code on new data.", "No answers for hours", "moderate",
        "Migrations; refusal in a sentence; backup, restore and roll back in the runbook.", ("R24", "R01", "R30", "R31"), "Try it on a copy first."),
)  # fmt: skip
