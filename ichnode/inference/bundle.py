"""A model bundle: a folder with ``weights.safetensors`` and ``card.json``, known by its digest; never a pickle.

This module reads cards without importing torch, so that a report or ``ichnode doctor`` can name the model cheaply.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ichnode.core.findings import CLASSES
from ichnode.core.identity import digest_of
from ichnode.core.windows import PAPER, Window
from ichnode.errors import BundleError

if TYPE_CHECKING:
    from torch import Tensor

WEIGHTS = "weights.safetensors"
CARD = "card.json"
FORMAT = 1
PREPROCESSING_VERSION = "1"
"""Version of the rules in `ichnode.inference.preprocess`; a bundle of another version is refused."""
INTENDED_USE = "research use only"
_TEXTS = ("name", "version", "intended_use")
_PARTS = ("architecture", "preprocessing", "thresholds", "training_data", "metrics", "limitations", "is_not")


@dataclass(frozen=True, slots=True)
class Architecture:
    """What `ichnode.inference.network.CnnLstm` is built from; the defaults are the paper's network.

    Its parameters of the same names say what each one does. A card that lacks one means its default.
    """

    backbone: str = "resnet50"
    hidden: int = 512
    layers: int = 2
    slice_head: bool = False
    channels: int = 3
    deltas: bool = False
    attention: bool = False


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How Hounsfield volumes become network input; the rules are in `ichnode.inference.preprocess`.

    Attributes
    ----------
    matrix : int
        Side of the network's square input in pixels.
    field_of_view_mm : float or None
        Side of the square cut out around the head; None keeps the scanner's pixels (the paper).
    slab_mm : float
        Thickness to which thin series are averaged.
    windows : three `Window`
        One per channel.
    mean, std : three floats each
        Normalisation of the channels after windowing to 0..1.
    mirrored : bool
        Read the scan a second time with left and right exchanged and average the two scores.
    neighbours : int
        Slices on either side that a slice brings along as further channels; 1 makes 9 channels of 3 windows.
    """

    matrix: int = 512
    field_of_view_mm: float | None = None
    slab_mm: float = 5.0
    windows: tuple[Window, Window, Window] = PAPER
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    mirrored: bool = False
    version: str = PREPROCESSING_VERSION
    neighbours: int = 0

    @property
    def channels(self) -> int:
        """Channels of the network's input."""
        return (1 + 2 * self.neighbours) * len(self.windows)

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form that stands in a card."""
        return asdict(self)

    @classmethod
    def from_json(cls, part: Mapping[str, Any]) -> Preprocessing:
        """Read the JSON form; `TypeError`, `KeyError` or `ValueError` when it is not one."""
        brain, subdural, bone = (Window(float(w["level"]), float(w["width"])) for w in part["windows"])
        first, second, third = (float(v) for v in part["mean"])
        one, two, three = (float(v) for v in part["std"])
        wide = part["field_of_view_mm"]
        return cls(
            int(part["matrix"]), None if wide is None else float(wide), float(part["slab_mm"]), (brain, subdural, bone),
            (first, second, third), (one, two, three), bool(part["mirrored"]), str(part["version"]),
            int(part.get("neighbours", 0)),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle whose card has been read and checked and whose files match each other.

    Attributes
    ----------
    folder : Path
    digest : str
        SHA-256 over the weights file and the canonical card without its ``digest``, hexadecimal: the identity.
    name, version : str
    architecture : Architecture
    preprocessing : Preprocessing
    thresholds : dict
        Operating point of every class in `ichnode.core.findings.CLASSES`, 0..1.
    card : dict
        The whole card: training data with licence and citation, metrics, intended use, limitations, what it is not.
    """

    folder: Path
    digest: str
    name: str
    version: str
    architecture: Architecture
    preprocessing: Preprocessing
    thresholds: dict[str, float]
    card: dict[str, Any]

    @property
    def weights(self) -> Path:
        """The weights file."""
        return self.folder / WEIGHTS


def default_bundle_path() -> Path:
    """Return the folder of the bundle that is shipped with ichnode (a demonstration model, research use only)."""
    return Path(__file__).parent / "bundles" / "default"


def load_bundle(path: Path) -> Bundle:
    """Read and check a bundle; torch is not needed.

    Raises
    ------
    BundleError
        The folder or a file is missing, the card is incomplete or of another version, or a file was altered since the
        bundle was written.
    """
    try:
        weights = (path / WEIGHTS).read_bytes()
        card = json.loads((path / CARD).read_text(encoding="utf-8"))
    except OSError as error:
        raise BundleError(
            f"The model bundle {path} cannot be read: {Path(error.filename or path).name}: "
            f"{error.strerror or error}. A bundle is a folder with {WEIGHTS} and {CARD}."
        ) from error
    except ValueError as error:
        raise BundleError(f"The model bundle {path} has a {CARD} that is not JSON.") from error
    if not isinstance(card, dict):
        raise BundleError(f"The model bundle {path} has a {CARD} that is not a JSON object.")
    bundle = _bundle(path, card, str(card.get("digest", "")))
    if bundle.digest != _digest(weights, card):
        raise BundleError(f"The model bundle {path} was altered: its files do not match the digest in its card.")
    return bundle


def write_bundle(folder: Path, card: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Bundle:
    """Write a bundle and return it as `load_bundle` reads it back.

    Parameters
    ----------
    folder : Path
        Made where it is missing; an older bundle in it is overwritten.
    card : mapping
        Everything but ``format`` and ``digest``: ``name``, ``version``, ``intended_use``, ``architecture``,
        ``preprocessing``, ``thresholds``, ``training_data``, ``metrics``, ``limitations``, ``is_not``.
    tensors : mapping of str to torch.Tensor
        The network's state; half precision is allowed and read back as single.
    """
    from safetensors.torch import save

    full = {"format": FORMAT, **card}
    weights = save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
    full["digest"] = _digest(weights, full)
    _bundle(folder, full, full["digest"])  # an incomplete card is refused before anything is written
    folder.mkdir(parents=True, exist_ok=True)
    (folder / WEIGHTS).write_bytes(weights)
    (folder / CARD).write_text(json.dumps(full, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return load_bundle(folder)


def _digest(weights: bytes, card: Mapping[str, Any]) -> str:
    bare = {key: value for key, value in card.items() if key != "digest"}
    canonical = json.dumps(bare, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return digest_of(digest_of(weights).encode(), digest_of(canonical.encode()).encode())


def _bundle(path: Path, card: dict[str, Any], digest: str) -> Bundle:
    if card.get("format") != FORMAT:
        raise BundleError(f"The model bundle {path} is of format {card.get('format')!r}; this version reads {FORMAT}.")
    absent = [key for key in (*_TEXTS, *_PARTS) if key not in card]
    if absent:
        raise BundleError(f"The card of the model bundle {path} lacks {', '.join(absent)}.")
    if INTENDED_USE not in str(card["intended_use"]).lower():
        raise BundleError(f'The card of the model bundle {path} does not say "{INTENDED_USE}" as its intended use.')
    try:
        preprocessing = Preprocessing.from_json(card["preprocessing"])
        architecture = Architecture(**card["architecture"])
        thresholds = {name: float(card["thresholds"][name]) for name in CLASSES}
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise BundleError(f"The card of the model bundle {path} does not describe a model: {error!r}.") from error
    if preprocessing.version != PREPROCESSING_VERSION:
        raise BundleError(
            f"The model bundle {path} needs preprocessing version {preprocessing.version}; "
            f"this ichnode has {PREPROCESSING_VERSION}."
        )
    if preprocessing.channels != architecture.channels:
        raise BundleError(
            f"The card of the model bundle {path} makes {preprocessing.channels} channels of a slice "
            f"for a network that takes {architecture.channels}."
        )
    if not all(math.isfinite(value) and 0 < value < 1 for value in thresholds.values()):
        raise BundleError(f"The card of the model bundle {path} has a threshold outside 0..1.")
    return Bundle(path, digest, str(card["name"]), str(card["version"]), architecture, preprocessing, thresholds, card)
