"""Documents that are generated from the code say what the code says."""

import pytest

from tests.generated import DOCUMENTS, ROOT


@pytest.mark.parametrize("name", sorted(DOCUMENTS))
def test_document_is_current(name):
    assert (ROOT / name).read_text(encoding="utf-8") == DOCUMENTS[name](), "run `make docs`"
