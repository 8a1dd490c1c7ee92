"""Bundles in the data folder: whole or not there, under their digest and no other name."""

from __future__ import annotations

import pytest

from ichnode.errors import PermanentError
from ichnode.storage import models
from ichnode.storage.models import ModelStore

DIGEST = "ab" * 32
FILES = {"weights.safetensors": b"w" * 1000, "card.json": b"{}"}


@pytest.fixture
def store(tmp_path):
    return ModelStore(tmp_path / "models")


def content(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_what_was_put_lies_under_its_digest(store):
    folder = store.put(DIGEST, FILES)
    assert folder == store.path(DIGEST) == store.root / DIGEST
    assert content(folder) == FILES
    assert (folder.stat().st_mode & 0o777, store.root.stat().st_mode & 0o777) == (0o700, 0o700)


def test_putting_it_again_heals_it(store):
    folder = store.put(DIGEST, FILES)
    (folder / "card.json").write_bytes(b"altered")
    (folder / "weights.safetensors").unlink()
    assert content(store.put(DIGEST, FILES)) == FILES


def test_a_copy_that_breaks_off_leaves_nothing(store, monkeypatch):
    real = models.write_durable

    def full(path, *chunks):
        if path.name == "card.json":
            raise OSError("the disk is full")
        real(path, *chunks)

    monkeypatch.setattr(models, "write_durable", full)
    with pytest.raises(OSError, match="full"):
        store.put(DIGEST, FILES)
    assert list(store.root.iterdir()) == []


def test_somebody_else_was_faster(store, monkeypatch):
    real = models.write_durable

    def write(path, *chunks):
        real(path, *chunks)
        if path.name == "card.json" and not store.path(DIGEST).exists():
            monkeypatch.setattr(models, "write_durable", real)
            store.put(DIGEST, FILES)

    monkeypatch.setattr(models, "write_durable", write)
    assert content(store.put(DIGEST, FILES)) == FILES
    assert [path.name for path in store.root.iterdir()] == [DIGEST]


@pytest.mark.parametrize("name", ["", "..", "../" + DIGEST[3:], DIGEST[:-1], DIGEST.upper()])
def test_a_name_that_is_no_digest_leads_nowhere(store, name):
    with pytest.raises(PermanentError, match="not the digest of a model"):
        store.path(name)
