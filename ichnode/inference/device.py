"""Where a network runs, by what a person says: a device that is not there is told before anything is loaded."""

from __future__ import annotations

import torch

from ichnode.errors import ConfigError


def device_of(asked: str) -> torch.device:
    """Return the device.

    Parameters
    ----------
    asked : str
        ``auto`` is the first CUDA device where there is one, else the CPU; or ``cpu``, ``cuda``, ``cuda:1`` ….

    Raises
    ------
    ConfigError
        It is no device, or not one of this machine.
    """
    if asked == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(asked)
    except RuntimeError:
        chosen = torch.device("meta")
    if chosen.type not in ("cpu", "cuda"):
        raise ConfigError(f"{asked!r} is no device that ichnode can use: say auto, cpu, cuda or cuda:N.")
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise ConfigError(
            f"The device {asked} is not there, or PyTorch {torch.__version__} cannot use it: say auto or cpu, or look "
            "at the driver (nvidia-smi)."
        )
    return chosen
