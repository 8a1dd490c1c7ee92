"""First weights from a file: a bundle, weights of a timm backbone, or a checkpoint of the paper's authors."""

from __future__ import annotations

import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ichnode.inference.bundle import Bundle, load_bundle
from ichnode.inference.network import CnnLstm, load_state

from .authors import from_authors, is_theirs
from .recipe import Recipe
from .start import StartError, load_cnn


def started(path: Path | None, recipe: Recipe) -> tuple[Recipe, dict[str, Tensor] | None, Bundle | None]:
    """Return the recipe, its first state and the bundle that it starts from, as far as `path` gives them.

    A recipe that starts from a bundle takes over its network and preprocessing.

    Raises
    ------
    StartError
        As `initial_state`; or the recipe needs a bundle, and `path` is none.
    """
    bundle = load_bundle(path) if path is not None and path.is_dir() else None
    if recipe.start == "bundle":
        if bundle is None:
            raise StartError(f"The recipe {recipe.name} starts from a bundle: give its folder with --init.")
        recipe = recipe.of(bundle)
    return recipe, None if path is None else initial_state(path, recipe), bundle


def initial_state(path: Path, recipe: Recipe) -> dict[str, Tensor]:
    """Return the first state of a recipe's network from a folder or file.

    Parameters
    ----------
    path : Path
        A bundle of the same network; or a file in safetensors or PyTorch's format with weights of the backbone under
        timm's names, or with a checkpoint of the authors. Pickles are read with ``weights_only=True`` and nothing else.
    recipe : Recipe

    Raises
    ------
    StartError
        The file cannot be read, or its weights do not fit the recipe's network.
    """
    network = CnnLstm.build(recipe.architecture)
    if path.is_dir():
        try:
            load_state(network, load_file(load_bundle(path).weights))
        except RuntimeError as error:
            raise StartError(f"The bundle {path} is of another network than the recipe's.") from error
        return network.state_dict()
    weights = read_weights(path)
    if is_theirs(weights):
        try:
            load_state(network, from_authors(weights))
        except RuntimeError as error:
            raise StartError(
                f"{path} does not fit the recipe's network: {str(error).splitlines()[-1].strip()}"
            ) from error
    else:
        load_cnn(network, weights)
    return network.state_dict()


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a file of tensors; a checkpoint may hold them under ``state_dict`` or ``model``."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        held: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (
        OSError, RuntimeError, SafetensorError, pickle.UnpicklingError, zipfile.BadZipFile, EOFError, LookupError,
        ValueError, TypeError, AttributeError, struct.error,
    ) as error:  # fmt: skip  # the last ones: of bytes that are taken for a pickle
        raise StartError(f"{path} is no file of weights that can be read safely.") from error
    for key in ("state_dict", "model"):
        held = held.get(key, held) if isinstance(held, dict) else held
    if not isinstance(held, dict) or not all(isinstance(tensor, Tensor) for tensor in held.values()):
        raise StartError(f"{path} holds no weights by name.")
    return {str(name).removeprefix("module."): tensor for name, tensor in held.items()}
