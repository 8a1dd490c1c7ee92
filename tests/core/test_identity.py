"""Derived identity: the same parts give the same UID, other parts never do, and every UID is one."""

from __future__ import annotations

import hashlib
import re
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ichnode.core.identity import IMPLEMENTATION_CLASS_UID, derived_uid, digest_of, is_uid

PARTS = st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=70), max_size=5)


@given(PARTS)
def test_derived_uid_is_valid_and_always_the_same(parts):
    uid = derived_uid(*parts)
    assert uid == derived_uid(*parts)
    assert is_uid(uid)
    assert uuid.UUID(int=int(uid.removeprefix("2.25."))).version == 5


@given(PARTS, PARTS)
def test_other_parts_give_another_uid(one, other):
    assert (derived_uid(*one) == derived_uid(*other)) == ("\0".join(one) == "\0".join(other))


def test_parts_do_not_run_into_each_other():
    assert derived_uid("sr", "1.2", "3") != derived_uid("sr", "1.23", "") != derived_uid("sr", "1.2", "3", "")


def test_derived_uid_does_not_change_with_the_version():
    assert derived_uid("sr", "1.2.3", "1", "1", "abc") == KNOWN


KNOWN = "2.25.271549223817643207671022647919544722106"


@pytest.mark.parametrize("uid", ["1.2", "2.25.0", "1.2.840.10008.1.1", "1." + "2" * 62, IMPLEMENTATION_CLASS_UID])
def test_valid_uids(uid):
    assert is_uid(uid)


@pytest.mark.parametrize(
    "text",
    ["", "1", "1.", ".1", "1..2", "1.02", "01.2", "1.2 ", "1.2\n", "1.2\0", "1.a", "1." + "2" * 63, "../1.2", "१.२"],
)
def test_what_is_no_uid(text):
    assert not is_uid(text)


@given(st.text(max_size=80))
def test_a_uid_is_never_a_path(text):
    if is_uid(text):
        assert re.fullmatch(r"[0-9.]{3,64}", text)
        assert ".." not in text


@given(st.lists(st.binary(max_size=200), max_size=5))
def test_digest_is_that_of_the_whole_however_it_is_cut(chunks):
    assert digest_of(*chunks) == hashlib.sha256(b"".join(chunks)).hexdigest()
