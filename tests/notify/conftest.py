"""An authority, a secret, and a clock for the signatures."""

from __future__ import annotations

import pytest

from tests.certificates import Authority
from tests.notify.made import AT, SECRET


@pytest.fixture(scope="session")
def authority(tmp_path_factory, component):
    return Authority(tmp_path_factory.mktemp("authority"), component("openssl", "openssl"))


@pytest.fixture(scope="session")
def shown(authority):
    return authority.issue("receiver")


@pytest.fixture
def secret_file(tmp_path):
    file = tmp_path / "secret"
    file.write_text(SECRET + "\n")
    return str(file)


@pytest.fixture
def now():
    return lambda: AT
