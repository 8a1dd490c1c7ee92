"""Audit messages are in the form of PS3.15 A.5.1, and say who did what to whose images."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from ichnode.notify.atna import Concerned, Entry, audit_message
from ichnode.notify.syslog import syslog_message
from tests.made import NOON
from tests.notify.audit_form import faults

ONE = Concerned("1.2.3", "P<1>&\x07")


def made(what: str, who: str = "ada", address: str = "192.0.2.7", concerned=(ONE,), site: str = "ward") -> bytes:
    return audit_message(Entry(NOON, who, address, what, concerned), "ICHAI", "ICHAI@1a2b3c4d", site)


KINDS = {
    "node.started": ("110100", "110120", "E", "0"), "node.stopped": ("110100", "110121", "E", "0"),
    "session.begun": ("110114", "110122", "E", "0"), "session.refused": ("110114", "110122", "E", "4"),
    "session.ended": ("110114", "110123", "E", "0"), "study.viewed": ("110103", "study.viewed", "R", "0"),
    "worklist.viewed": ("110103", "worklist.viewed", "R", "0"),
    "study.exported": ("110106", "study.exported", "R", "0"),
    "worklist.searched": ("110112", "worklist.searched", "E", "0"),
    "feedback.given": ("110103", "feedback.given", "U", "0"),
    "account.changed": ("110113", "110137", "E", "0"), "token.added": ("110113", "110137", "E", "0"),
    "model.promoted": ("110113", "110131", "E", "0"), "destination.paused": ("110113", "110131", "E", "0"),
}  # fmt: skip


@pytest.mark.parametrize("what", KINDS)
@pytest.mark.parametrize("concerned", [(), (ONE, Concerned("1.2.4", ""))])
@pytest.mark.parametrize("who", ["ada", "token:monitoring", "terminal", "node"])
def test_the_form_of_the_standard(what, concerned, who):
    content = made(what, who, "" if who in ("terminal", "node") else "192.0.2.7", concerned, "")
    assert faults(content) == []
    root = ElementTree.fromstring(content)
    event = root.find("EventIdentification")
    kinds = [kind.get("csd-code") for kind in event.findall("EventTypeCode")]
    assert (event.find("EventID").get("csd-code"), kinds[0], event.get("EventActionCode"),
            event.get("EventOutcomeIndicator")) == KINDS[what]  # fmt: skip
    assert kinds[-1] == what, "what this program calls it stands beside the code of the standard"


def test_whose_images_who_and_from_where():
    root = ElementTree.fromstring(made("study.viewed"))
    people = [
        (p.get("UserID"), p.get("UserIsRequestor"), p.get("NetworkAccessPointID"))
        for p in root.iter("ActiveParticipant")
    ]
    assert people == [("ada", "true", "192.0.2.7"), ("ICHAI", "false", None)]
    objects = [(o.get("ParticipantObjectID"), o.get("ParticipantObjectTypeCode"), o[0].get("csd-code"))
               for o in root.iter("ParticipantObjectIdentification")]  # fmt: skip
    assert objects == [("1.2.3", "2", "110180"), ("P<1>&", "1", "2")]


def test_the_checks_find_what_is_wrong():
    good = made("study.viewed").decode()
    for change, word in (
        ('EventActionCode="R"', 'EventActionCode="X"'), ('UserIsRequestor="true"', ""),
        ("ActiveParticipant", "Participant"), ('csd-code="110103"', 'code="110103"'),
        ('EventDateTime="2026-03-01T12:00:00.000Z"', 'EventDateTime="noon"'),
    ):  # fmt: skip
        assert change in good
        assert faults(good.replace(change, word).encode()), change


def test_the_syslog_header_is_that_of_rfc_5424():
    line = syslog_message(NOON, b"<x/>", host="a host", program="ichnode", process=7, kind="DICOM+RFC3881")
    head = rb"<85>1 2026-03-01T12:00:00\.000Z ahost ichnode 7 DICOM\+RFC3881 - \xef\xbb\xbf"
    assert re.fullmatch(head + b"<x/>", line)
