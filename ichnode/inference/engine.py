"""A model bundle, loaded and warm: Hounsfield volume in, six scores for every slice out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ichnode.errors import BundleError
from ichnode.inference.bundle import Bundle, load_bundle
from ichnode.inference.memory import keep_memory
from ichnode.inference.network import CnnLstm, load_state
from ichnode.inference.preprocess import channels, prepare

MICRO_BATCH = 4
"""Slices that go through the CNN together: bounds memory for any series; more is not faster on a CPU."""


class Engine:
    """One network on one device. Not for several threads at once: a worker process has its own.

    Same input, same machine, same scores to the last bit, run after run.

    Attributes
    ----------
    bundle : Bundle
    device : str
        ``cpu`` or ``cuda:0`` and the like.
    """

    def __init__(self, bundle: Bundle, network: CnnLstm, device: torch.device) -> None:
        self.bundle = bundle
        self.device = str(device)
        self._network = network
        self._device = device

    @classmethod
    def load(cls, path: Path, device: str = "auto", threads: int | None = None) -> Engine:
        """Load a bundle onto a device.

        Parameters
        ----------
        path : Path
            Folder of the bundle.
        device : str
            ``auto`` takes the first CUDA device where there is one, else the CPU; or a torch device.
        threads : int, optional
            CPU threads for torch (process-wide); None leaves torch's choice.

        Raises
        ------
        BundleError
            The bundle is missing, altered, or its weights do not fit the network its card names.
        """
        bundle = load_bundle(path)
        if threads is not None:
            torch.set_num_threads(threads)
        keep_memory()
        chosen = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device)
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.allow_tf32 = False
        try:
            network = CnnLstm.build(bundle.architecture)
            load_state(network, load_file(bundle.weights))
        except (RuntimeError, SafetensorError) as error:
            raise BundleError(
                f"The weights of the model bundle {path} do not fit the network {bundle.architecture.backbone!r}."
            ) from error
        network.eval().to(chosen, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return cls(bundle, network, chosen)

    def warm(self) -> None:
        """Run once on air, so that the first patient does not wait for memory and kernels."""
        side = self.bundle.preprocessing.matrix
        air = np.full((2 * MICRO_BATCH + 1, side, side), -1024, np.int16)
        self.score(air, [self.bundle.preprocessing.slab_mm * i for i in range(len(air))], (1.0, 1.0))

    def score(
        self, volume_hu: NDArray[np.int16], positions_mm: Sequence[float], pixel_spacing_mm: tuple[float, float]
    ) -> NDArray[np.float32]:
        """Score every slice of one series.

        Parameters
        ----------
        volume_hu : int16 array of shape (slices, rows, columns)
            Hounsfield units, rows from front to back of a supine patient, as an axial head CT is.
        positions_mm : sequence of float, one per slice
            Position along the slice normal, growing towards the vertex. Any order.
        pixel_spacing_mm : (between rows, between columns)

        Returns
        -------
        float32 array of shape (slices, 6), columns as `ichnode.core.findings.CLASSES`, 0..1
            In the order the slices were given. Thin slices that were averaged to one slab share its scores. Not
            calibrated probabilities.

        Raises
        ------
        BadObject
            Shapes, positions or spacing do not describe a volume.
        """
        how = self.bundle.preprocessing
        prepared = prepare(volume_hu, positions_mm, pixel_spacing_mm, how)
        with torch.inference_mode():
            scores = self._read(prepared.hu, mirror=False)
            if how.mirrored:
                scores = (scores + self._read(prepared.hu, mirror=True)) / 2
        result: NDArray[np.float32] = scores.cpu().numpy()[prepared.slab_of]
        return result

    def _read(self, hu: Tensor, mirror: bool) -> Tensor:
        features = []
        for part in hu.split(MICRO_BATCH):
            pictures = channels(part.to(self._device), self.bundle.preprocessing)  # (up to 4, 3, H, W)
            view = pictures.flip(-1) if mirror else pictures
            features.append(self._network.cnn(view.contiguous(memory_format=torch.channels_last)))
        return torch.sigmoid(self._network.read(torch.cat(features), [len(hu)]))  # (slabs, 6)
