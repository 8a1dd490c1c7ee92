"""The codes: no typo in a SNOMED identifier, and DICOM's dictionary agrees with what it knows."""

from __future__ import annotations

import pytest
from pydicom.sr._cid_dict import cid_concepts
from pydicom.sr._concepts_dict import concepts
from pydicom.sr.coding import Code

from ichnode.core.findings import CLASSES
from ichnode.reporting import codes

EVERY = {name: code for name, code in vars(codes).items() if isinstance(code, Code)} | {
    f"HEMORRHAGE {name}": code for name, code in codes.HEMORRHAGE.items()
}
SNOMED = sorted({code.value for code in EVERY.values() if code.scheme_designator == "SCT"})
NOT_IN_THE_DICTIONARY = {"QUALITATIVE_EVALUATIONS", "ENGLISH", "PRESENCE"} | {
    f"HEMORRHAGE {name}" for name in CLASSES if name != "any"
}


def verhoeff_is_right(digits: str) -> bool:
    """Verhoeff's check (1969), which every SNOMED CT identifier ends with."""
    permutation = [list(range(10)), [1, 5, 7, 6, 2, 8, 3, 0, 9, 4]]
    while len(permutation) < 8:
        permutation.append([permutation[1][digit] for digit in permutation[-1]])
    check = 0
    for place, digit in enumerate(reversed(digits)):
        check = _dihedral(check, permutation[place % 8][int(digit)])
    return check == 0


def _dihedral(a: int, b: int) -> int:
    """Product in the dihedral group of the pentagon: 0..4 are rotations, 5..9 reflections."""
    if a < 5:
        return (a + b) % 5 if b < 5 else (a + b - 5) % 5 + 5
    return (a - 5 - b) % 5 + 5 if b < 5 else (a - b) % 5


@pytest.mark.parametrize("value", SNOMED)
def test_snomed_identifiers_have_the_right_check_digit(value: str) -> None:
    assert verhoeff_is_right(value)


@pytest.mark.parametrize("value", ["274110009", "95457006", "62414007", "75063001", "1386001", "13860000"])
def test_the_check_digit_catches_invented_and_mistyped_identifiers(value: str) -> None:
    assert not verhoeff_is_right(value)


@pytest.mark.parametrize("name", sorted(set(EVERY) - NOT_IN_THE_DICTIONARY))
def test_dicoms_dictionary_has_the_code_with_this_meaning(name: str) -> None:
    code = EVERY[name]
    known = [
        meaning
        for entries in concepts[code.scheme_designator].values()
        for value, (meaning, _) in entries.items()
        if value == code.value
    ]
    plain = {text.removesuffix(" (disorder)").removesuffix(" (body structure)").casefold() for text in known}
    assert code.meaning.casefold() in {*plain, *(text.removesuffix(" structure") for text in plain)}


@pytest.mark.parametrize("name", sorted(NOT_IN_THE_DICTIONARY))
def test_the_exceptions_are_really_not_in_the_dictionary(name: str) -> None:
    code = EVERY[name]
    listed = concepts.get(code.scheme_designator, {}).values()
    assert not any(code.value in entries for entries in listed)


@pytest.mark.parametrize(
    ("code", "cid"),
    [
        (codes.CT_UNSPECIFIED, 100),
        (codes.PRESENT, 240),
        (codes.ABSENT, 240),
        (codes.UNDETERMINED, 240),
        (codes.DEVICE, 270),
        (codes.CERTAINTY, 6048),
        (codes.IMAGING_MEASUREMENT_REPORT, 7021),
        (codes.ARTIFICIAL_INTELLIGENCE, 7162),
        (codes.SOURCE_OF_MEASUREMENT, 7551),
        (codes.ACQUISITION_EQUIPMENT, 7005),
        (codes.PROCESSING_EQUIPMENT, 7005),
    ],
)
def test_coded_values_are_members_of_their_context_group(code: Code, cid: int) -> None:
    keywords = cid_concepts[cid].get(code.scheme_designator, [])
    assert any(code.value in concepts[code.scheme_designator][keyword] for keyword in keywords)


def test_every_class_has_its_own_code_and_meanings_fit_their_attribute() -> None:
    assert tuple(codes.HEMORRHAGE) == CLASSES
    assert len({code.value for code in codes.HEMORRHAGE.values()}) == len(CLASSES)
    for code in EVERY.values():
        assert len(code.value) <= 16 and len(code.scheme_designator) <= 16 and len(code.meaning) <= 64
