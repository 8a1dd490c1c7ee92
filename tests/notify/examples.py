"""docs/messages.md: every message in full, as the code writes it."""

from __future__ import annotations

import inspect
import json
from dataclasses import replace

from ichnode.notify import fhir, hl7, mail, webhook
from tests.notify import recipe
from tests.notify.made import (
    AT,
    CORRECTION,
    ESCALATION,
    FAILED,
    FINAL,
    PATIENT,
    POSITIVE,
    RETRACTED,
    SECRET,
    TEST,
    channel,
)

KINDS = {
    "An alert": POSITIVE,
    "A correction": CORRECTION,
    "The final message after a preliminary one (hl7, fhir)": FINAL,
    "A retraction": RETRACTED,
    "An escalation": ESCALATION,
    "A series that could not be analysed": FAILED,
    "An alert where the channel may know the patient": replace(POSITIVE, patient=PATIENT),
    "A test": TEST,
}


def messages() -> str:
    """Return the page."""
    lines = [
        "# Messages",
        "",
        "Generated from `ichnode/notify/` by `make docs`. What they mean: [integrator.md](integrator.md#notices). ",
        "Patients and numbers are made up. Research use only.",
        "",
    ]
    for title, example in (("Webhook", _webhook), ("Mail", _mail), ("HL7 v2.5.1", _hl7), ("FHIR R4", _fhir)):
        lines += [f"## {title}", "", *example()]
    return "\n".join(lines)


def _block(content: str, kind: str = "") -> list[str]:
    return [f"```{kind}", *content.rstrip().splitlines(), "```", ""]


def _webhook() -> list[str]:
    body = webhook.body_of(POSITIVE)
    at = int(AT.timestamp())
    lines = ["One request, its body in one line:", ""]
    lines += _block(
        "\n".join(
            [
                "POST /alerts HTTP/1.1",
                "Content-Type: application/json",
                f"Content-Length: {len(body)}",
                f"{webhook.SIGNATURE}: {webhook.signature(SECRET, at, body)}",
                f"Ichnode-Message: {POSITIVE.uid}",
                "",
                body.decode(),
            ]
        )
    )
    lines += [f"The secret of this example is `{SECRET}`. The check, in Python:", ""]
    lines += _block(inspect.getsource(recipe.is_from_the_node), "python")
    for title in ("A correction", "An alert where the channel may know the patient", "A test"):
        content = json.dumps(json.loads(webhook.body_of(KINDS[title])), indent=1)
        lines += [f"### {title}: JSON", "", *_block(content, "json")]
    return lines


def _mail() -> list[str]:
    lines = []
    for title in ("An alert", "A correction"):
        lines += [f"### {title}: mail", "", *_block(mail.mail_of(channel("mail"), KINDS[title]).as_string())]
    return lines


def _hl7() -> list[str]:
    ends = {"sending_facility": "RADIOLOGY", "receiving_application": "RIS", "receiving_facility": "HOSPITAL"}
    lines = ["Segments end with a carriage return; the frame is `0x0B` ... `0x1C 0x0D`.", ""]
    for title, message in KINDS.items():
        content = hl7.message_of(channel("hl7", **ends), message).decode().replace("\r", "\n")
        lines += [f"### {title}: ORU^R01", "", *_block(content)]
    return lines


def _fhir() -> list[str]:
    lines = [
        "A POST to the base of the server, `application/fhir+json`. The first of the six Observations is shown.",
        "",
    ]
    for title in ("An alert", "A correction", "An alert where the channel may know the patient"):
        bundle = fhir.bundle_of(KINDS[title])
        bundle["entry"] = bundle["entry"][:2]
        lines += [f"### {title}: transaction", "", *_block(json.dumps(bundle, indent=1), "json")]
    return lines
