"""What the created objects hold: attributes, codes, character sets."""

from __future__ import annotations

from pydicom.sr.coding import Code

from ichnode.core.findings import CLASSES
from ichnode.reporting import codes
from ichnode.reporting.formats import FORMATS
from tests.conformance import objects
from tests.conformance.text import name_of, table
from tests.reporting.corpus import NAMES


def character_sets() -> str:
    """Return the values of Specific Character Set with which copying is tested."""
    said = ["\\".join(terms) if isinstance(terms, list) else terms for terms, _, _ in NAMES.values() if terms]
    return ", ".join(f"`{terms}`" for terms in said) + ", and without any"


def created_objects() -> str:
    """Return a table of attributes for each object that the node makes."""
    said = []
    for number, name in enumerate(objects.OBJECTS, 1):
        first = objects.built(name)[0].made
        others = FORMATS[name].sop_classes[1:] if name in FORMATS else ()
        facts = [
            f"Transfer syntax: {name_of(first.file_meta.TransferSyntaxUID)}. Template: {objects.templates(name)}.",
            *([f"The same content as another instance: {', '.join(map(name_of, others))}."] if others else []),
        ]
        title = f"`{name}`" if name in FORMATS else name.capitalize()
        heading = f"#### 10.1.{number} {title}: {name_of(first.SOPClassUID)}"
        said.append(f"{heading}\n\n{' '.join(facts)}\n\n{objects.iod_table(name)}")
    return "\n\n".join(said)


def extensions() -> str:
    """Return the attributes of each object that are in no module of its IOD."""
    found = {name: objects.extensions(name) for name in objects.OBJECTS}
    return "; ".join(f"{name} ({', '.join(keywords)})" for name, keywords in found.items() if keywords) or "none"


def private_attributes() -> str:
    """Return the private attributes of created objects."""
    return ", ".join(sorted({tag for name in objects.OBJECTS for tag in objects.private_attributes(name)})) or "none"


def coded_terms() -> str:
    """Return every code that the node may write."""
    found = [value for value in vars(codes).values() if isinstance(value, Code)] + list(codes.HEMORRHAGE.values())
    rows = sorted({(c.scheme_designator, c.value, c.meaning) for c in found})
    return table(("Scheme", "Code value", "Meaning"), rows)


def classes() -> str:
    """Return the finding of each class."""
    rows = [(name, *(codes.HEMORRHAGE[name][part] for part in (1, 0, 2))) for name in CLASSES]
    return table(("Class", "Scheme", "Code value", "Meaning"), rows)
