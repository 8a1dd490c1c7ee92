"""What PS3.15 A.5.1 asks of an audit message, from its schema: elements, their order, attributes, values."""

from __future__ import annotations

import re
from xml.etree import ElementTree

CODED = {"csd-code": r"\S.*", "codeSystemName": r"\S.*", "displayName?": r".+", "originalText": r".+"}
YES_NO = r"true|false|0|1"
DATE_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"

# Children in order, each with "*" (any number), "+" (one or more), "?" (at most one) or nothing (one); then attributes.
FORM: dict[str, tuple[list[str], dict[str, str]]] = {
    "AuditMessage": (
        ["EventIdentification", "ActiveParticipant+", "AuditSourceIdentification", "ParticipantObjectIdentification*"],
        {},
    ),
    "EventIdentification": (
        ["EventID", "EventTypeCode*", "EventOutcomeDescription?", "PurposeOfUse*"],
        {"EventActionCode?": "[CRUDE]", "EventDateTime": DATE_TIME, "EventOutcomeIndicator": "0|4|8|12"},
    ),
    "ActiveParticipant": (
        ["RoleIDCode*", "MediaIdentifier?"],
        {
            "UserID": ".+", "AlternativeUserID?": ".*", "UserName?": ".*", "UserIsRequestor": YES_NO,
            "NetworkAccessPointID?": ".+", "NetworkAccessPointTypeCode?": "[1-5]",
        },
    ),
    "AuditSourceIdentification": (["AuditSourceTypeCode*"], {"AuditEnterpriseSiteID?": ".+", "AuditSourceID": ".+"}),
    "ParticipantObjectIdentification": (
        ["ParticipantObjectIDTypeCode", "ParticipantObjectName?", "ParticipantObjectQuery?", "ParticipantObjectDetail*",
         "ParticipantObjectDescription*"],
        {
            "ParticipantObjectID": ".+", "ParticipantObjectTypeCode?": "[1-4]",
            "ParticipantObjectTypeCodeRole?": r"[1-9]|1\d|2[0-6]", "ParticipantObjectDataLifeCycle?": r"[1-9]|1[0-5]",
            "ParticipantObjectSensitivity?": ".*",
        },
    ),
    **{name: ([], CODED) for name in
       ("EventID", "EventTypeCode", "RoleIDCode", "AuditSourceTypeCode", "ParticipantObjectIDTypeCode")},
}  # fmt: skip


def faults(content: bytes) -> list[str]:
    """Return what is wrong with a message."""
    root = ElementTree.fromstring(content)
    if root.tag != "AuditMessage":
        return [f"the root is {root.tag}"]
    return [fault for element in root.iter() for fault in _of(element)]


def _of(element: ElementTree.Element) -> list[str]:
    if element.tag not in FORM:
        return [f"{element.tag} is not known"]
    children, attributes = FORM[element.tag]
    pattern = "".join(f"(?:{name.rstrip('*+?')} ){name[len(name.rstrip('*+?')) :]}" for name in children)
    found = (
        [] if re.fullmatch(pattern, "".join(f"{child.tag} " for child in element)) else [f"children of {element.tag}"]
    )
    known = {name.rstrip("?"): value for name, value in attributes.items()}
    required = {name for name in attributes if not name.endswith("?")}
    found += [f"{element.tag} lacks {name}" for name in required - set(element.attrib)]
    found += [f"{element.tag} may not have {name}" for name in set(element.attrib) - set(known)]
    found += [
        f"{name} of {element.tag} is {value!r}"
        for name, value in element.attrib.items()
        if name in known and not re.fullmatch(known[name], value)
    ]
    return found
