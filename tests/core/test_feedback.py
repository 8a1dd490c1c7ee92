"""What follows from a reader's word, and what contradicts itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ichnode.core.feedback import MOST_COMMENT, ContradictionError, Feedback, Label, truth
from ichnode.core.findings import CLASSES, Verdict

SLICE = ("1.2.3", 1)
POSITIVE, NEGATIVE, NOT_ANALYSED = Verdict.POSITIVE, Verdict.NEGATIVE, Verdict.NOT_ANALYSED
NONE = dict.fromkeys(CLASSES, False)


@pytest.mark.parametrize(
    ("verdict", "agrees", "scan"),
    [
        (POSITIVE, True, {"any": True}),
        (POSITIVE, False, NONE),
        (NEGATIVE, True, NONE),
        (NEGATIVE, False, {"any": True}),
        (NOT_ANALYSED, True, {}),
        (NOT_ANALYSED, False, {}),
    ],
)
def test_a_word_on_the_verdict_says_whether_there_is_blood_and_not_which(verdict, agrees, scan):
    assert truth(verdict, Feedback(agrees)).scan == scan


def test_a_class_on_a_slice_is_on_the_scan_and_is_haemorrhage():
    found = truth(NEGATIVE, Feedback(False, (Label("subdural", True, SLICE), Label("epidural", False))))
    assert found.scan == {"any": True, "subdural": True, "epidural": False}
    assert found.slices == {SLICE: {"subdural": True, "any": True}}


def test_a_slice_without_any_has_no_class():
    assert truth(POSITIVE, Feedback(True, (Label("any", False, SLICE),))).slices == {SLICE: NONE}


@pytest.mark.parametrize(
    ("verdict", "agrees", "labels"),
    [
        (NEGATIVE, True, (Label("subdural", True),)),
        (POSITIVE, False, (Label("any", True, SLICE),)),
        (POSITIVE, True, (Label("any", False),)),
        (POSITIVE, True, (Label("subdural", False), Label("subdural", True, SLICE))),
        (POSITIVE, True, (Label("any", False, SLICE), Label("epidural", True, SLICE))),
    ],
)
def test_what_contradicts_itself_is_refused_in_words(verdict, agrees, labels):
    with pytest.raises(ContradictionError, match=r"there both is and is not .*hemorrhage on .*: change one"):
        truth(verdict, Feedback(agrees, labels))


def test_what_is_not_a_word_is_refused():
    with pytest.raises(ContradictionError, match="no class 'tumour'"):
        Label("tumour", True)
    with pytest.raises(ContradictionError, match="twice"):
        Feedback(True, (Label("any", True), Label("any", False)))
    with pytest.raises(ContradictionError, match="at most"):
        Feedback(True, (), "x" * (MOST_COMMENT + 1))


LABELS = st.lists(
    st.builds(Label, st.sampled_from(CLASSES), st.booleans(), st.sampled_from([None, SLICE, ("1.2.4", 2)])),
    unique_by=lambda one: (one.name, one.slice),
).map(tuple)


@given(st.sampled_from(list(Verdict)), st.booleans(), LABELS)
def test_what_is_known_never_contradicts_itself(verdict, agrees, labels):
    try:
        found = truth(verdict, Feedback(agrees, labels))
    except ContradictionError:
        return
    for label in labels:
        where = found.scan if label.slice is None else found.slices[label.slice]
        assert where[label.name] is label.present
    for where in (found.scan, *found.slices.values()):
        if any(where.get(name) for name in CLASSES[1:]):
            assert where["any"] is True
    for where in found.slices.values():
        assert not [name for name, there in where.items() if there and found.scan[name] is False]
