"""The CSV of report outcomes: what it may say, and how it is told what is wrong with it."""

from __future__ import annotations

import pytest

from ichnode.errors import ConfigError
from ichnode.steps.outcomes import read_outcomes


@pytest.fixture
def written(tmp_path):
    def write(text, encoding="utf-8"):
        file = tmp_path / "outcomes.csv"
        file.write_bytes(text.encode(encoding))
        return file

    return write


def test_what_follows_from_a_row(written):
    rows = read_outcomes(written(
        "\ufeffAccession, ANY ,subdural,epidural\nA1,1,yes,\nA2,0,,\nA3,,1,no\nA4,,,\n"
    ))  # fmt: skip
    assert [row.accession for row in rows] == ["A1", "A2", "A3", "A4"]
    assert rows[0].scan == {"any": True, "subdural": True}
    assert rows[1].scan == dict.fromkeys(
        ("any", "intraparenchymal", "intraventricular", "subarachnoid", "subdural", "epidural"), False
    ), "no haemorrhage is none of any kind"
    assert rows[2].scan == {"any": True, "subdural": True, "epidural": False}, "a kind is a haemorrhage"
    assert rows[3].scan == {}


def test_a_uid_goes_before_an_accession_number(written):
    (row,) = read_outcomes(written("study_instance_uid,accession,any\n1.2.3,A1,true\n"))
    assert (row.study_instance_uid, row.accession) == ("1.2.3", "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("any\n1\n", "no column accession or study_instance_uid"),
        ("accession\nSECRET\n", "no column of a class"),
        ("accession,any,name\nSECRET,1,x\n", "the column 'name', which is not known"),
        ("accession,any\nA,1\nSECRET,maybe\n", "Line 3 .*any has to be 1, 0 or empty"),
        ("accession,any\n,1\n", "Line 2 .*names no study"),
        ("study_instance_uid,any\nSECRET,1\n", "Line 2 .*is no UID"),
        ("accession,any,subdural\nSECRET,0,1\n", "Line 2 .*contradicts itself"),
        ("accession;any\nSECRET;1\n", "semicolons between their columns"),
        ("accession,any,any\nSECRET,1,0\n", "the column any twice"),
        ("accession,any\nA,1\nSECRET,CT,1\n", "Line 3 .*more values than there are columns"),
        ('accession,any\nSECRET,"1\n', "not CSV"),
    ],
)
def test_what_is_wrong_is_said_without_saying_whose_it_is(written, text, said):
    with pytest.raises(ConfigError, match=said) as caught:
        read_outcomes(written(text))
    assert "SECRET" not in caught.value.sentence


def test_a_file_that_is_none(written, tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_outcomes(tmp_path / "absent.csv")
    with pytest.raises(ConfigError, match="not CSV in UTF-8"):
        read_outcomes(written("accession,any\nä,1\n", "latin-1"))
