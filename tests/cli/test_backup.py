"""``ichnode backup``: what it takes along."""

from __future__ import annotations

import pytest


@pytest.mark.usefixtures("node")
@pytest.mark.parametrize("by_name", [True, False])
def test_the_configuration_comes_along_however_it_was_named(ichnode, data, tmp_path, monkeypatch, by_name):
    config = tmp_path / "my.toml"
    config.write_text(f'[node]\ndata = "{data}"\n')
    if not by_name:
        monkeypatch.setenv("ICHNODE_CONFIG", str(config))
    said = ichnode("backup", *(["--config", config] if by_name else []), tmp_path / "copy")
    assert said.code == 0, said.err
    assert (tmp_path / "copy" / "config.toml").read_text() == config.read_text()
