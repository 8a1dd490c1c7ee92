"""The local test set: the same for ever, its share of both kinds, growing with the labels."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ichnode.core.test_set import TEST, TRAINING, assign

patients = st.dictionaries(st.text("abcdef0123456789", min_size=4, max_size=8), st.booleans(), max_size=60)


@given(patients, patients, st.floats(0.05, 0.95))
def test_who_has_a_part_keeps_it_and_each_kind_has_its_share(first, more, share):
    kept = assign(first, {}, share)
    everyone = {**more, **first}
    new = assign(everyone, kept, share)
    assert not new.keys() & kept.keys()
    parts = {**kept, **new}
    assert parts.keys() == everyone.keys()
    assert set(parts.values()) <= {TEST, TRAINING}
    for kind in (True, False):
        group = [parts[p] for p, bleeds in everyone.items() if bleeds is kind]
        assert share * len(group) - 1 < group.count(TEST) <= share * len(group)


def test_the_same_patients_have_the_same_parts_in_any_order():
    bleeds = {f"p{i}": i % 3 == 0 for i in range(40)}
    backwards = dict(reversed(bleeds.items()))
    assert assign(bleeds, {}, 0.3) == assign(backwards, {}, 0.3)


def test_a_patient_who_was_well_and_bled_later_stays_where_they_were():
    kept = assign({"a": False, "b": False, "c": True}, {}, 0.5)
    assert "a" not in assign({"a": True, "d": True}, kept, 0.5)
