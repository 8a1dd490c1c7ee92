"""Services, settings and association policies."""

from __future__ import annotations

import itertools
import re

from ichnode.config import Settings
from ichnode.core.identity import IMPLEMENTATION_CLASS_UID
from ichnode.dicom.access import PROVIDER_BUSY, PROVIDER_CONGESTED, AccessList, AllowedPeer, Peer
from ichnode.dicom.event_reports import _REASONS
from ichnode.dicom.implementation import IMPLEMENTATION_VERSION_NAME
from ichnode.dicom.negotiation import APPLICATION_CONTEXT, AssociationRequest, protocol_refusal
from ichnode.dicom.requestor import Remote
from ichnode.dicom.secure import offered
from ichnode.dicom.statuses import Status
from ichnode.dicom.store_answers import JUDGEMENTS
from ichnode.dicom.syntaxes import STORAGE_COMMITMENT
from ichnode.peer_section import PeerSection
from ichnode.reporting.formats import FORMATS
from ichnode.sections import (
    DeliverySection,
    DestinationSection,
    NodeSection,
    ReceiveSection,
)
from ichnode.source_section import SourceSection
from ichnode.tls_section import TlsSection
from ichnode.workitems_section import WorkitemsSection
from tests.conformance.acceptor import REPORTER, accepted_contexts
from tests.conformance.activities import ACTIVITIES, VERIFY, Activity, http_answers, requested, storage_classes_sent
from tests.conformance.text import name_of, table

SECTIONS = {
    "[node]": NodeSection, "[tls]": TlsSection, "[receive]": ReceiveSection, "[[peers]]": PeerSection,
    "[source]": SourceSection, "[[destinations]]": DestinationSection, "[delivery]": DeliverySection,
    "[workitems]": WorkitemsSection,
}  # fmt: skip
_STORAGE = "1.2.840.10008.5.1.4.1.1."

_WHEN = {
    "SUCCESS": "The instance is durable.",
    "PROCESSING_FAILURE": "A report on storage commitment could not be recorded. Send it again later.",
    "NO_SUCH_EVENT_TYPE": "A report on storage commitment of another type than 1 and 2.",
    "INVALID_ARGUMENT": "A report on storage commitment that cannot be read, or answers no question of this node.",
    "OUT_OF_RESOURCES": "The disk is below `receive.low_disk_bytes`, the data set longer than "
    "`receive.max_dataset_bytes`, or file or row could not be written. Send it again later.",
    "DATA_SET_MISMATCH": "SOP Class or SOP Instance UID of the data set are not those of the request.",
    "CANNOT_UNDERSTAND": "The data set cannot be read up to its pixels, or lacks what identifies it.",
    "INVALID_SOP_INSTANCE": "Affected SOP Instance UID is empty or no UID.",
    "SOP_CLASS_NOT_SUPPORTED": "The request is of another SOP class than its presentation context.",
    "UNRECOGNIZED_OPERATION": "The request is of a service that the node does not provide.",
}  # fmt: skip


def content_and_transfer() -> str:
    """Return the storage SOP classes."""
    sent = storage_classes_sent()
    received = sorted({sop for sop, _ in accepted_contexts() if sop.startswith(_STORAGE)})
    rows = [
        (
            name_of(uid), uid, "Yes" if uid in sent else "No", "Yes" if uid in received else "No",
            ", ".join(f"`{name}`" if name in FORMATS else name for name in sent.get(uid, ())),
        )
        for uid in itertools.chain(received, sorted(set(sent) - set(received)))
    ]  # fmt: skip
    return table(("SOP class", "UID", "SCU", "SCP", "Created as"), rows)


def other_services() -> str:
    """Return the services that transfer no composite objects."""
    called = {c.abstract_syntax for activity in ACTIVITIES for c in requested(activity).contexts}
    answered = {sop for sop, _ in accepted_contexts() if _role(sop) == "SCP"}
    uids = sorted(uid for uid in called | answered if not uid.startswith(_STORAGE))
    yes_or_no = {True: "Yes", False: "No"}
    rows = [(name_of(u), u, yes_or_no[u in called], yes_or_no[u in answered]) for u in uids]
    return table(("SOP class", "UID", "SCU", "SCP"), rows)


def statuses_of_the_acceptor() -> str:
    """Return every status that the node answers with."""
    rows = [(f"0x{s:04X}", _words(s.name), _WHEN[s.name]) for s in Status]
    return table(("Status", "Meaning", "When"), rows)


def statuses_of_others() -> str:
    """Return what the node makes of a C-STORE status."""
    rows = [(_range(j.first, j.last), j.taken_as, j.meaning) for j in JUDGEMENTS]
    return table(("Status", "Taken as", "Meaning"), rows)


def http_statuses() -> str:
    """Return what the node makes of an HTTP status that says nothing more."""
    return table(("HTTP status", "Taken as"), http_answers())


def configuration() -> str:
    """Return the settings that concern DICOM."""
    tables = []
    for number, (heading, section) in enumerate(SECTIONS.items(), 1):
        rows = [
            (f"`{key}`", "required" if field.is_required() else _default(field.get_default()), field.description)
            for key, field in section.model_fields.items()
        ]
        tables.append(f"### 6.{number} `{heading}`\n\n{table(('Setting', 'Default', 'Meaning'), rows)}")
    return "\n\n".join(tables)


def association_parameters() -> str:
    """Return numbers, names and times of associations; those of the requestor from what it sends."""
    receive, delivery, sent = Settings().receive, Settings().delivery, requested(VERIFY)
    answer = f"{delivery.timeout_s:g} s (`delivery.timeout_s`)"
    many = f"{receive.max_associations} (`receive.max_associations`), {receive.associations_per_peer} from one address"
    own = "2 for each destination (results, storage commitment), 2 for the source and `source.at_once` to fetch"
    rows = [
        ("Application Context Name", APPLICATION_CONTEXT, APPLICATION_CONTEXT),
        ("Implementation Class UID", _text(sent.user_items[0x52]), IMPLEMENTATION_CLASS_UID),
        ("Implementation Version Name", _text(sent.user_items[0x55]), IMPLEMENTATION_VERSION_NAME),
        ("Maximum PDU length received", sent.max_pdu_bytes, f"{receive.max_pdu_bytes} (`receive.max_pdu_bytes`)"),
        ("Associations at once", own, many),
        ("Asynchronous operations", "negotiated" if 0x53 in sent.user_items else "not negotiated", "not negotiated"),
        ("Time for the TCP connection", f"{Remote('', '', '', 0, '').connect_timeout_s:g} s", ""),
        ("Time for the association request", "", f"{receive.request_timeout_s:g} s (`receive.request_timeout_s`)"),
        ("Time for an answer", answer, ""),
        ("Time without a message", "", f"{receive.idle_timeout_s:g} s (`receive.idle_timeout_s`)"),
        ("Time inside one PDU", answer, f"{receive.stall_timeout_s:g} s (`receive.stall_timeout_s`)"),
        ("Longest data set", "", f"{receive.max_dataset_bytes} bytes (`receive.max_dataset_bytes`)"),
    ]
    return table(("Parameter", "As requestor", "As acceptor"), rows)


def association_initiation() -> str:
    """Return each activity with the contexts that it proposes."""
    said = []
    for number, activity in enumerate(ACTIVITIES, 1):
        contexts = table(("Abstract syntax", "UID", "Transfer syntaxes", "UIDs", "Role"), _proposed(activity))
        said.append(f"#### 7.1.{number} {activity.title}\n\n{activity.when}\n\n{contexts}")
    return "\n\n".join(said)


def _proposed(activity: Activity) -> list[tuple[str, ...]]:
    request = requested(activity)
    return [
        (
            name_of(context.abstract_syntax), context.abstract_syntax,
            "<br>".join(map(name_of, context.transfer_syntaxes)), "<br>".join(context.transfer_syntaxes),
            request.roles(context.abstract_syntax),
        )
        for context in request.contexts
    ]  # fmt: skip


ACCEPTED_TITLES = ("Abstract syntax", "UID", "Transfer syntax", "UID", "Role")


def accepted() -> str:
    """Return the contexts that are accepted."""
    return table(ACCEPTED_TITLES, [(name_of(s), s, name_of(t), t, _role(s)) for s, t in accepted_contexts()])


def accepted_of_reporters() -> str:
    """Return the contexts that are accepted of a destination which may only report on storage commitment."""
    contexts = accepted_contexts(REPORTER)
    return table(ACCEPTED_TITLES, [(name_of(s), s, name_of(t), t, _role(s)) for s, t in contexts])


def _role(sop_class_uid: str) -> str:
    """Return the node's role where it accepts: what peers report to it, it asked for (PS3.4 J.3.3)."""
    return "SCU" if sop_class_uid == STORAGE_COMMITMENT else "SCP"


def secure_transport() -> str:
    """Return what is offered of TLS, and how it is switched on."""
    suites = [
        f"{protocol}: {', '.join(n for p, n in offered() if p == protocol)}" for protocol in ("TLSv1.3", "TLSv1.2")
    ]
    tls = TlsSection()
    rows = [
        (
            "Protocols",
            "TLS 1.3 preferred, TLS 1.2; nothing older, no compression, no renegotiation, no session resumption",
        ),
        ("Cipher suites", "<br>".join(suites)),
        ("Keys of certificates", "RSA of 2048 bits or more, elliptic curves of 224 bits or more; no SHA-1 signatures"),
        ("TCP port", f"{tls.port} (`tls.port`), beside or instead of the one without TLS (`tls.plain_port`)"),
        ("Certificates of requestors", "asked for and verified (`tls.require_certificate`, `tls.ca_file`)"),
        ("Certificates of acceptors", "verified with the name of the host or `certificate_name`; or by `fingerprint`"),
        (
            "Binding to an AE title",
            "by common name, DNS name, IP address or SHA-256 (`certificates` of a `[[peers]]` entry)",
        ),
        ("Revocation", "not looked at: take the certificate's name out of `[[peers]]`"),
        (
            "Port to plain, or plain to TLS",
            "ended at once; on the TLS port a plain A-ASSOCIATE-RQ is answered with an A-ABORT",
        ),
    ]
    return table(("Property", "Value"), rows)


def commitment_failures() -> str:
    """Return the failure reasons that have a sentence."""
    return table(("Failure Reason (0008,1197)", "Meaning"), [(f"0x{r:04X}", said) for r, said in _REASONS.items()])


def rejections() -> str:
    """Return why an association is rejected, and with which numbers."""
    stranger = AccessList("ICHAI", [AllowedPeer("A")]).refusal(Peer("B", "192.0.2.1", "ICHAI"))
    other = AccessList("ICHAI", []).refusal(Peer("A", "127.0.0.1", "OTHER"))
    plain = AccessList("ICHAI", [AllowedPeer("A", tls=True)]).refusal(Peer("A", "192.0.2.1", "ICHAI"))
    bound = AccessList("ICHAI", [AllowedPeer("A", certificates=("a",))])
    without = bound.refusal(Peer("A", "192.0.2.1", "ICHAI", True))
    version = protocol_refusal(AssociationRequest(2, "ICHAI", "A", APPLICATION_CONTEXT, (), 0, bytes(68)))
    context = protocol_refusal(AssociationRequest(1, "ICHAI", "A", "1.2", (), 0, bytes(68)))
    reasons = {
        "The called AE title is not `node.aet`": other,
        "Calling AE title and address are in no `[[peers]]` entry; without any, only loopback is let in": stranger,
        "Its `[[peers]]` entry asks for TLS": plain,
        "Its `[[peers]]` entry asks for a certificate that it does not show (or `CERTIFICATE_OF_ANOTHER`)": without,
        "Another protocol version": version,
        "Another application context": context,
    }
    rows = [(when, r.result, r.source, r.reason, f"`{r.code}`") for when, r in reasons.items() if r is not None]
    assert len(rows) == len(reasons)
    full = "Too many associations, in all or from one address; the disk is below `receive.disk_floor_bytes`"
    rows.append((full, *PROVIDER_BUSY, "`TOO_MANY_ASSOCIATIONS`, `TOO_MANY_ASSOCIATIONS_OF_PEER`, `DISK_FULL`"))
    capped = "`max_associations` of its `[[peers]]` entry are open, or it sends faster than its entry allows"
    rows.append((capped, *PROVIDER_BUSY, "`TOO_MANY_ASSOCIATIONS_OF_ENTRY`, `TOO_FAST`"))
    rows.append(("The node is shutting down, or cannot serve one more", *PROVIDER_CONGESTED, "`STOPPING`, `THREADS`"))
    return table(("When", "Result", "Source", "Reason", "Code in the log"), rows)


def _words(name: str) -> str:
    return re.sub("(?i)sop", "SOP", name.replace("_", " ").capitalize())


def _range(first: int, last: int) -> str:
    if (first, last) == (0x0000, 0xFFFF):
        return "any other"
    return f"0x{first:04X}" if first == last else f"0x{first:04X} to 0x{last:04X}"


def _default(value: object) -> str:
    if value in ("", ()):
        return "empty"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{', '.join(value)}`" if isinstance(value, tuple) else f"`{value}`"


def _text(items: list[bytes]) -> str:
    return items[0].decode("ascii").strip("\0 ")
