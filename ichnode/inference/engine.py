"""A model bundle, loaded and warm: Hounsfield volume in, six scores for every slice out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ichnode.errors import BundleError
from ichnode.inference.activation import class_activation, on_image, pulls, stage_maps, stage_of
from ichnode.inference.bundle import Bundle, load_bundle
from ichnode.inference.memory import keep_memory
from ichnode.inference.network import CnnLstm, load_state
from ichnode.inference.preprocess import Prepared, channels, prepare, with_neighbours

MICRO_BATCH = 4
"""Slices that go through the CNN together: bounds memory for any series; more is not faster on a CPU."""
MOST_KEPT = 256 << 20
"""Bytes of feature maps that a reading keeps to be explained: 66 slices of ResNet-50 at 512 x 512. Of a longer series
none are kept, and they are made again for the slices that are explained."""
BLANK = 64
"""Side of the blank picture that goes through the early stages of a CNN when the maps behind them are known."""


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """A series as the network has read it: the scores, and what it takes to explain them.

    Attributes
    ----------
    scores : float32 array of shape (slices, 6), columns as `ichnode.core.findings.CLASSES`, 0..1
        In the order the slices were given. Thin slices that were averaged to one slab share its scores. Not calibrated
        probabilities.
    prepared : Prepared
    features : tuple of tensors of shape (slabs, features)
        Pooled features; a second one of the mirrored slices where the bundle asks for that reading.
    maps : tuple of tensors of shape (slabs, channels, h, w)
        What the explained stage of the CNN gave, for each of `features`; empty when it would be over `MOST_KEPT`.
    shape : (slices, rows, columns)
        Of the volume.
    """

    scores: NDArray[np.float32]
    prepared: Prepared
    features: tuple[Tensor, ...]
    maps: tuple[Tensor, ...]
    shape: tuple[int, int, int]


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
            stage_of(network)
        except (RuntimeError, SafetensorError) as error:
            raise BundleError(
                f"The weights of the model bundle {path} do not fit the network {bundle.architecture.backbone!r}."
            ) from error
        network.eval().requires_grad_(False).to(chosen, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return cls(bundle, network, chosen)

    def warm(self) -> None:
        """Read and explain air once, so that the first patient does not wait for memory and kernels."""
        side = self.bundle.preprocessing.matrix
        air = np.full((2 * MICRO_BATCH + 1, side, side), -1024, np.int16)
        reading = self.read(air, [self.bundle.preprocessing.slab_mm * i for i in range(len(air))], (1.0, 1.0))
        self.activations(reading, [(0, 0)])

    def read(
        self, volume_hu: NDArray[np.int16], positions_mm: Sequence[float], pixel_spacing_mm: tuple[float, float]
    ) -> Reading:
        """Score every slice of one series, and keep what it takes to explain the scores.

        Parameters
        ----------
        volume_hu : int16 array of shape (slices, rows, columns)
            Hounsfield units, rows from front to back of a supine patient, as an axial head CT is.
        positions_mm : sequence of float, one per slice
            Position along the slice normal, growing towards the vertex. Any order.
        pixel_spacing_mm : (between rows, between columns)

        Raises
        ------
        BadObject
            Shapes, positions or spacing do not describe a volume.
        """
        prepared = prepare(volume_hu, positions_mm, pixel_spacing_mm, self.bundle.preprocessing)
        views = (False, True) if self.bundle.preprocessing.mirrored else (False,)
        # No inference_mode: what it makes cannot take part in a gradient later.
        with torch.no_grad():
            seen_by = [self._features(prepared.hu, mirror) for mirror in views]
            features = tuple(pooled for pooled, _ in seen_by)
            maps = tuple(torch.cat(kept) for _, kept in seen_by if kept)
            read = [torch.sigmoid(self._network.read(seen, [len(seen)])) for seen in features]  # (slabs, 6) each
            scores = torch.stack(read).mean(0)
        slices, rows, columns = volume_hu.shape
        return Reading(scores.cpu().numpy()[prepared.slab_of], prepared, features, maps, (slices, rows, columns))

    def score(
        self, volume_hu: NDArray[np.int16], positions_mm: Sequence[float], pixel_spacing_mm: tuple[float, float]
    ) -> NDArray[np.float32]:
        """Return only the scores of `read`, shape (slices, 6)."""
        return self.read(volume_hu, positions_mm, pixel_spacing_mm).scores

    def activations(self, reading: Reading, wanted: Sequence[tuple[int, int]]) -> NDArray[np.float32]:
        """Return where in a slice the network saw what raised one of the slice's scores.

        See `ichnode.inference.activation`. A slice that was averaged into a slab has the map of its slab. Where the
        score is the mean of a plain and a mirrored reading, the maps of both readings' logits are added, the mirrored
        one turned back, before what is negative is cut off.

        Parameters
        ----------
        reading : Reading
        wanted : sequence of (slice, class column)
            Columns as `ichnode.core.findings.CLASSES`.

        Returns
        -------
        float32 array of shape (wanted, rows, columns), 0..1
            On the pixels of the image; 1 is the highest value of all the maps wanted together, so that the pictures of
            one series can be compared. Maps that are 0 throughout stay so.

        Raises
        ------
        BundleError
            The backbone gives no feature maps.
        """
        _, rows, columns = reading.shape
        slab_of = reading.prepared.slab_of
        places = [(int(slab_of[index]), column) for index, column in wanted]
        if not places:
            return np.zeros((0, rows, columns), np.float32)
        once = list(dict.fromkeys(places))
        cells = torch.stack([self._cells(reading, mirror, once) for mirror in range(len(reading.features))])
        maps = on_image(cells.sum(0).clamp_(min=0).cpu().numpy(), reading.prepared.field, rows, columns)
        highest = float(maps.max())
        if highest > 0:
            maps /= highest
        return maps[[once.index(place) for place in places]]

    def _cells(self, reading: Reading, mirror: int, places: Sequence[tuple[int, int]]) -> Tensor:
        pull = pulls(self._network, reading.features[mirror], places)
        slabs = torch.tensor([slab for slab, _ in places])
        side = (1, self.bundle.preprocessing.channels, BLANK, BLANK)
        blank = torch.zeros(side, device=self._device).contiguous(memory_format=torch.channels_last)
        found = [
            class_activation(self._network, self._maps(reading, rows, mirror), towards, blank)
            for rows, towards in zip(slabs.split(MICRO_BATCH), pull.split(MICRO_BATCH), strict=True)
        ]
        cells = torch.cat(found)
        return cells.flip(-1) if mirror else cells

    def _maps(self, reading: Reading, rows: Tensor, mirror: int) -> Tensor:
        if reading.maps:
            return reading.maps[mirror][rows.to(self._device)]
        with torch.no_grad(), stage_maps(self._network) as found:
            self._network.cnn(self._pictures(reading.prepared.hu, rows, bool(mirror)))
        return found[0]

    def _features(self, hu: Tensor, mirror: bool) -> tuple[Tensor, list[Tensor]]:
        """Pool the features of every slab, and keep the maps of the explained stage unless they grow too large."""
        most = MOST_KEPT // (2 if self.bundle.preprocessing.mirrored else 1)
        pooled, kept, keeping = [], list[Tensor](), True
        for rows in torch.arange(len(hu)).split(MICRO_BATCH):
            with stage_maps(self._network) as found:
                pooled.append(self._network.cnn(self._pictures(hu, rows, mirror)))
            kept = [*kept, *found] if keeping else []
            keeping = sum(part.nbytes for part in kept) <= most and keeping
        return torch.cat(pooled), kept if keeping else []

    def _pictures(self, hu: Tensor, rows: Tensor, mirror: bool) -> Tensor:
        how = self.bundle.preprocessing
        slabs = hu[with_neighbours(rows.tolist(), len(hu), how)]  # (up to 4, 1 + 2 neighbours, H, W)
        pictures = channels(slabs.to(self._device), how)  # (up to 4, channels, H, W)
        view = pictures.flip(-1) if mirror else pictures
        return view.contiguous(memory_format=torch.channels_last)


def try_bundle(path: Path) -> None:
    """Let a bundle's network read a few slices of water, so that one that cannot be run never comes in.

    Raises
    ------
    BundleError
        It cannot be loaded, or its scores are not numbers.
    """
    scores = Engine.load(path, "cpu").score(np.zeros((4, 64, 64), np.int16), [0.0, 5.0, 10.0, 15.0], (3.0, 3.0))
    if scores.shape != (4, 6) or not np.isfinite(scores).all():
        raise BundleError(f"The network of the model bundle {path} gives scores that are not numbers.")
