import json
import subprocess
import sys

import pytest
import torch

from ichnode.core.findings import CLASSES
from ichnode.core.windows import PAPER
from ichnode.errors import BundleError
from ichnode.inference.bundle import Architecture, Preprocessing, default_bundle_path, load_bundle, write_bundle

from .conftest import SMALL_PICTURE, TINY, card

TENSORS = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(2, dtype=torch.float16)}


@pytest.fixture
def bundle(tmp_path):
    return write_bundle(tmp_path / "model", card(TINY, SMALL_PICTURE), TENSORS)


def test_what_is_written_is_read_back(bundle):
    read = load_bundle(bundle.folder)
    assert read == bundle
    assert read.architecture == TINY
    assert read.preprocessing == SMALL_PICTURE
    assert set(read.thresholds) == set(CLASSES)
    assert len(read.digest) == 64


def test_the_digest_is_the_content_not_the_place_or_the_time(bundle, tmp_path):
    again = write_bundle(tmp_path / "elsewhere", card(TINY, SMALL_PICTURE), TENSORS)
    assert again.digest == bundle.digest
    other = write_bundle(tmp_path / "other", card(TINY, SMALL_PICTURE), {**TENSORS, "a": TENSORS["a"] + 1})
    renamed = write_bundle(tmp_path / "renamed", {**card(TINY, SMALL_PICTURE), "name": "else"}, TENSORS)
    assert len({bundle.digest, other.digest, renamed.digest}) == 3


def test_one_flipped_byte_of_the_weights_is_noticed(bundle):
    data = bytearray(bundle.weights.read_bytes())
    data[-1] ^= 1
    bundle.weights.write_bytes(data)
    with pytest.raises(BundleError, match="altered"):
        load_bundle(bundle.folder)


def test_a_threshold_changed_by_hand_is_noticed(bundle):
    path = bundle.folder / "card.json"
    full = json.loads(path.read_text())
    full["thresholds"]["any"] = 0.4
    path.write_text(json.dumps(full))
    with pytest.raises(BundleError, match="altered"):
        load_bundle(bundle.folder)


def test_layout_of_the_json_does_not_matter(bundle):
    path = bundle.folder / "card.json"
    path.write_text(json.dumps(json.loads(path.read_text()), sort_keys=True))
    assert load_bundle(bundle.folder).digest == bundle.digest


@pytest.mark.parametrize("file", ["weights.safetensors", "card.json"])
def test_a_missing_file_is_named(bundle, file):
    (bundle.folder / file).unlink()
    with pytest.raises(BundleError, match="cannot be read"):
        load_bundle(bundle.folder)


@pytest.mark.parametrize("text", ["{", "[]", '"x"', "\udcff"])
def test_a_card_that_is_no_card(bundle, text):
    (bundle.folder / "card.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(BundleError):
        load_bundle(bundle.folder)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format": 99}, "format"),
        ({"preprocessing": {**SMALL_PICTURE.as_json(), "version": "0"}}, "preprocessing version"),
        ({"preprocessing": {"version": "1"}}, "does not describe"),
        ({"architecture": {"backbone": "resnet50", "unknown": 1}}, "does not describe"),
        ({"thresholds": {"any": 0.5}}, "does not describe"),
        ({"thresholds": dict.fromkeys(CLASSES, 1.5)}, "threshold"),
        ({"thresholds": dict.fromkeys(CLASSES, float("nan"))}, "threshold"),
        ({"intended_use": "diagnosis"}, "research use only"),
    ],
)
def test_a_card_that_cannot_be_run_is_refused_and_nothing_is_written(tmp_path, change, says):
    with pytest.raises(BundleError, match=says):
        write_bundle(tmp_path / "model", {**card(TINY, SMALL_PICTURE), **change}, TENSORS)
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("part", ["limitations", "metrics", "training_data", "is_not", "intended_use"])
def test_an_incomplete_card_is_refused(tmp_path, part):
    short = card(TINY, SMALL_PICTURE)
    del short[part]
    with pytest.raises(BundleError, match=part):
        write_bundle(tmp_path / "model", short, TENSORS)


def test_the_defaults_are_the_papers():
    assert Architecture() == Architecture("resnet50", 512, 2, False)
    assert Preprocessing().windows == PAPER
    assert (Preprocessing().matrix, Preprocessing().field_of_view_mm) == (512, None)


def test_reading_a_card_does_not_import_torch():
    code = (
        "import sys; from ichnode.inference.bundle import default_bundle_path, load_bundle; "
        "load_bundle(default_bundle_path()); assert 'torch' not in sys.modules and 'timm' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)


def test_the_shipped_bundle_says_what_it_is():
    bundle = load_bundle(default_bundle_path())
    card_text = json.dumps(bundle.card)
    assert "research use only" in bundle.card["intended_use"].lower()
    assert "demonstration" in card_text
    assert "not for clinical use" in card_text
    assert "Hssayeni" in card_text and "CC BY 4.0" in card_text and "CT-ICH v1.0.0" in card_text
    figures = bundle.card["metrics"]["classes"]["any"]
    baseline = bundle.card["metrics"]["baseline"]
    for name in ("slice_auc", "scan_auc"):
        assert figures[name]["low"] <= figures[name]["value"] <= figures[name]["high"]
        assert figures[name]["value"] > baseline[f"{name}_any"]
    size = sum(path.stat().st_size for path in bundle.folder.iterdir())
    assert size <= 20e6
    assert {path.name for path in bundle.folder.iterdir()} == {"weights.safetensors", "card.json"}
