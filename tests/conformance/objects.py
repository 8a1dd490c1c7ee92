"""What the created objects hold: found by building them for many kinds of series and answers, and comparing."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from datetime import timedelta
from functools import cache
from io import BytesIO

import pydicom
from highdicom._standard_utils import get_iod_module_map, get_module_attribute_map, get_sop_class_iod_map
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from ichnode.core.images import SeriesImages
from ichnode.reporting.facts import ReportReference
from ichnode.reporting.formats import FORMATS
from ichnode.reporting.rejection import SERIES_NUMBER, TITLES, build_rejection
from tests.conformance.text import table
from tests.reporting import corpus

REJECTION = "rejection note"
OBJECTS = (*FORMATS, REJECTION)
LONGEST_VALUE = 48

_OTHER_DEVICE = dataclasses.replace(
    corpus.DEVICE, name="another", serial="T-2", station_aet="OTHER", observer_uid="2.25.7"
)
_OTHER_VERSION = dataclasses.replace(corpus.DEVICE, software_version="9.8.7")
_MAY_BE_MISSING = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID",
    "AccessionNumber", "ReferringPhysicianName", "StudyDescription",
)  # fmt: skip
"""Of an image that has all that a picture needs."""
_OTHER_MODEL = dataclasses.replace(corpus.MODEL, name="other", version="2.0", digest="7d" * 32)


@dataclasses.dataclass(frozen=True)
class Built:
    """An object, the header it was made from, and whether only the configuration differs from the first one."""

    header: Dataset
    made: Dataset
    configured_otherwise: bool = False


@cache
def built(name: str) -> tuple[Built, ...]:
    """Return objects of one of `OBJECTS`: the first is of a positive series with everything in its header."""
    full, minimal, ordered, enhanced = corpus.named("utf8"), corpus.minimal(), corpus.ordered(), corpus.enhanced(24)
    enhanced.header.NumberOfFrames = 25  # one of them is no slice
    ordered.header.LossyImageCompression, ordered.header.LossyImageCompressionRatio = "01", "10"
    sparse = dataclasses.replace(full, header=copy.deepcopy(full.header))
    for keyword in _MAY_BE_MISSING:
        del sparse.header[keyword]
    who = corpus.identity(7, "sr" if name == REJECTION else name)
    other = dataclasses.replace(who, content_at=who.content_at + timedelta(days=3, seconds=7.5), instance_number=2)
    tries = [
        *((full, kind, {}) for kind in ("positive", "negative", "failed", "partial_positive", "revision")),
        *((minimal, kind, {}) for kind in ("positive", "failed")),
        (sparse, "positive", {}),
        (ordered, "positive", {"identity": other, "model": _OTHER_MODEL, "images": _smaller(ordered),
                               "device": _OTHER_VERSION}),
        (enhanced, "positive", {}),
        (full, "positive", {"device": _OTHER_DEVICE}),
    ]  # fmt: skip
    found = []
    for series, kind, changes in tries:
        made = _make(name, series, kind, dict(changes))
        if made is not None:
            read = pydicom.dcmread(BytesIO(made))
            found.append(Built(series.header, read, changes.get("device") is _OTHER_DEVICE))
    return tuple(found)


def _make(name: str, series: corpus.Series, kind: str, changes: dict[str, object]) -> bytes | None:
    if name != REJECTION:
        return corpus.made(series, kind, name, **({"images": corpus.images_of(series, kind)} | changes))
    if kind != "positive":
        return None
    study = str(series.header.StudyInstanceUID)
    identity = dataclasses.replace(changes.get("identity", corpus.identity()), series_number=SERIES_NUMBER)  # type: ignore[type-var]
    return build_rejection(
        series.header, [ReportReference(study, "2.25.1", FORMATS["sr"].sop_classes[0], "2.25.2")],
        because=list(TITLES)["identity" in changes], device=changes.get("device", corpus.DEVICE),  # type: ignore[arg-type]
        identity=identity, remark="",
    )  # fmt: skip


def _smaller(series: corpus.Series) -> SeriesImages:
    images = corpus.images_of(series, "positive")
    heat = {index: one[:60, :48] for index, one in list(images.heat.items())[:-1]}
    volume = images.volume[:, :60, :48]
    return dataclasses.replace(images, volume=volume, heat=heat, spacing_mm=(0.8, 1.0), thickness_mm=4.0)


def iod_table(name: str) -> str:
    """Return the table of an object's attributes; those inside of sequences are not listed."""
    builds = built(name)
    modules = _modules(str(builds[0].made.SOPClassUID))
    elements = {element.tag: element for one in builds for element in one.made}
    rows = []
    for tag, element in sorted(elements.items()):
        place, module = f"({tag.group:04X},{tag.element:04X})", modules.get(element.keyword, "(extension)")
        rows.append((element.name, place, element.VR, module, _presence(builds, element), _source(builds, element)))
    return table(("Attribute", "Tag", "VR", "Module", "Presence", "Source"), rows)


def extensions(name: str) -> list[str]:
    """Return the keywords of top-level attributes that are in no module of the object's IOD."""
    builds = built(name)
    modules = _modules(str(builds[0].made.SOPClassUID))
    return sorted({e.keyword for one in builds for e in one.made if e.keyword not in modules})


def private_attributes(name: str) -> list[str]:
    """Return tags of private attributes, at any depth."""
    return sorted({str(e.tag) for one in built(name) for e in one.made.iterall() if e.tag.is_private})


def templates(name: str) -> str:
    """Return the template that an object claims."""
    found = {
        f"TID {item.TemplateIdentifier}" for one in built(name) for item in one.made.get("ContentTemplateSequence", [])
    }
    return ", ".join(sorted(found)) or "none"


def _modules(sop_class_uid: str) -> Mapping[str, str]:
    """Return the first module of the IOD that has an attribute, by keyword (PS3.3, as highdicom carries it)."""
    attributes = get_module_attribute_map()
    found: dict[str, str] = {"SOPClassUID": "sop-common", "SOPInstanceUID": "sop-common"}
    for module in get_iod_module_map()[get_sop_class_iod_map()[sop_class_uid]]:
        for attribute in attributes[module["key"]]:
            if not attribute["path"]:
                found.setdefault(attribute["keyword"], module["key"])
    return found


def _presence(builds: tuple[Built, ...], element: DataElement) -> str:
    there = [one.made[element.tag] for one in builds if element.tag in one.made]
    if len(there) < len(builds):
        return "ANAP"
    empty = sum(one.is_empty for one in there)
    return "ALWAYS" if not empty else "EMPTY" if empty == len(there) else "VNAP"


def _source(builds: tuple[Built, ...], element: DataElement) -> str:
    tag = element.tag
    same = [one for one in builds if tag in one.made]
    from_header = [
        (one.header[tag], one.made[tag]) for one in same if one.header.get(element.keyword) not in (None, "")
    ]
    if from_header and all(theirs.value == ours.value for theirs, ours in from_header):
        invented = any(not one.header.get(element.keyword) and not one.made[tag].is_empty for one in same)
        return "COPY, else AUTO" if invented else "COPY"
    (configured,) = [one for one in builds if one.configured_otherwise]
    first = builds[0].made.get(tag)
    if first is not None and element.VR != "SQ" and first != configured.made.get(tag):
        return "CONFIG"
    values = [one.made[tag].value for one in same if not one.made[tag].is_empty]
    if not values:
        return "EMPTY"
    if len(values) > 1 and all(value == values[0] for value in values):
        return f"FIXED{_said(same[0].made[tag])}"
    return "AUTO"


def _said(element: DataElement) -> str:
    if element.VR == "SQ":
        items = element.value
        if len(items) == 1 and "CodeValue" in items[0]:
            item = items[0]
            return f": ({item.CodeValue}, {item.CodingSchemeDesignator}, {item.CodeMeaning})"
        return ""
    text = "\\".join(map(str, element.value)) if element.VM > 1 else str(element.value)
    return f": {text}" if element.VR not in ("OB", "OW", "OF", "UN") and 0 < len(text) <= LONGEST_VALUE else ""
