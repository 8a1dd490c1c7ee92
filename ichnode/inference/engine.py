"""A model bundle, loaded and warm: Hounsfield volume in, six scores for every slice out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ichnode.core.hounsfield import Decode
from ichnode.errors import BundleError
from ichnode.inference.activation import class_activation, on_image, pulls, stage_of
from ichnode.inference.agreement import compare, drawn_head
from ichnode.inference.bundle import Bundle, load_bundle
from ichnode.inference.computing import CPU_BATCH, CUDA_BATCH, NOT_HERE, Cnn, Computing, TorchCnn, faster_than_plain
from ichnode.inference.device import device_of
from ichnode.inference.memory import give_back, keep_memory
from ichnode.inference.network import CnnLstm, load_state
from ichnode.inference.preprocess import Prepared, channels, prepare, with_neighbours
from ichnode.inference.reading import Reading
from ichnode.log import get_logger

MOST_KEPT = 256 << 20
"""Bytes of feature maps that a reading keeps to be explained: 66 slices of ResNet-50 at 512 x 512. Of a longer series
none are kept, and they are made again for the slices that are explained."""
BLANK = 64
"""Side of the blank picture that goes through the early stages of a CNN when the maps behind them are known."""
PLAIN = Computing()
PLAIN_NAME = "torch fp32"
_RETREATS = "The rest is computed on the CPU until the worker starts again. End what else uses the device's memory."
_GOES_ON = "This way to compute the network does not work here; the next one is taken. Or set engine.runtime."
_DISAGREES = "Its scores are not those of fp32; the next way to compute is taken. No action is needed."
log = get_logger(__name__)


class Engine:
    """One network on one device. Not for several threads at once: a worker process has its own.

    Same input, same machine, same scores to the last bit, run after run.

    Attributes
    ----------
    bundle : Bundle
    device : str
        ``cpu`` or ``cuda:0`` and the like.
    """

    decode: Decode | None = None
    """Nobody else reads pixels: a crash costs the one series that this process has in hand."""

    def __init__(self, bundle: Bundle, network: CnnLstm, device: torch.device) -> None:
        self.bundle = bundle
        self._network = network
        self._use(device)

    def _use(self, device: torch.device) -> None:
        self.device = str(device)
        self._device = device
        self._batch = CUDA_BATCH if device.type == "cuda" else CPU_BATCH
        self._cnn: Cnn = TorchCnn(self._network)

    @property
    def computed_by(self) -> str:
        """Where the CNN is computed, by what and in which precision: ``cpu, OpenVINO bf16``."""
        return f"{self.device}, {self._cnn.name}"

    @classmethod
    def load(cls, path: Path, device: str = "auto", threads: int | None = None, computing: Computing = PLAIN) -> Engine:
        """Load a bundle onto a device.

        Parameters
        ----------
        path : Path
            Folder of the bundle.
        device : str
            ``auto`` takes the first CUDA device where there is one, else the CPU; or a torch device.
        threads : int, optional
            CPU threads for torch (process-wide); None leaves torch's choice.
        computing : Computing
            How the CNN may be computed. What is faster than plain torch in fp32 is used only where it agrees with that.

        Raises
        ------
        BundleError
            The bundle is missing, altered, or its weights do not fit the network its card names.
        ConfigError
            There is no such device.
        """
        bundle = load_bundle(path)
        if threads is not None:
            torch.set_num_threads(threads)
        keep_memory()
        chosen = device_of(device)
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
        engine = cls(bundle, network, chosen)
        engine._hasten(threads, computing)
        give_back()
        return engine

    def _hasten(self, threads: int | None, computing: Computing) -> None:
        """Compute the CNN in the fastest way that says what plain fp32 says; where there is none it stays plain."""
        ways = list(faster_than_plain(self.bundle, self._network, self._device, threads, computing))
        if not ways:
            return
        head, plain = drawn_head(), self._cnn
        expected = self.score(*head)
        for make in ways:
            try:
                self._cnn = make()
                agreement = compare(expected, self.score(*head), self.bundle)
            except NOT_HERE as error:
                self._cnn = plain
                log.warning("engine.not_here", runtime=computing.runtime, error=type(error).__name__, remedy=_GOES_ON)
                continue
            if agreement.holds:
                log.info("engine.agrees", computed_by=self.computed_by, off=round(agreement.off, 5))
                return
            log.warning(
                "engine.disagrees", computed_by=self.computed_by, off=round(agreement.off, 5), remedy=_DISAGREES
            )  # fmt: skip
            self._cnn = plain

    def warm(self) -> None:
        """Read and explain air once, so that the first patient does not wait for memory and kernels."""
        side = self.bundle.preprocessing.matrix
        air = np.full((2 * self._batch + 1, side, side), -1024, np.int16)
        reading = self.read(air, [self.bundle.preprocessing.slab_mm * i for i in range(len(air))], (1.0, 1.0))
        self.activations(reading, [(0, 0)])

    def prepare(
        self, volume_hu: NDArray[np.int16], positions_mm: Sequence[float], pixel_spacing_mm: tuple[float, float]
    ) -> Prepared:
        """Make a volume ready for `read`, which would do it itself: in another thread, while `read` has another one.

        For a GPU it lies in pinned memory, from which it is copied without the processor.
        """
        prepared = prepare(volume_hu, positions_mm, pixel_spacing_mm, self.bundle.preprocessing)
        return replace(prepared, hu=prepared.hu.pin_memory()) if self._device.type == "cuda" else prepared

    def read(
        self, volume_hu: NDArray[np.int16], positions_mm: Sequence[float], pixel_spacing_mm: tuple[float, float],
        prepared: Prepared | None = None,
    ) -> Reading:  # fmt: skip
        """Score every slice of one series, and keep what it takes to explain the scores.

        Parameters
        ----------
        volume_hu : int16 array of shape (slices, rows, columns)
            Hounsfield units, rows from front to back of a supine patient, as an axial head CT is.
        positions_mm : sequence of float, one per slice
            Position along the slice normal, growing towards the vertex. Any order.
        pixel_spacing_mm : (between rows, between columns)
        prepared : Prepared, optional
            Of the same volume, by `prepare`.

        Raises
        ------
        BadObject
            Shapes, positions or spacing do not describe a volume.
        """
        if prepared is None:
            prepared = prepare(volume_hu, positions_mm, pixel_spacing_mm, self.bundle.preprocessing)
        slices, rows, columns = volume_hu.shape
        try:
            return self._read(prepared, (slices, rows, columns))
        except torch.OutOfMemoryError:
            if self._device.type == "cpu" and self._cnn.name == PLAIN_NAME:
                raise
        self._retreat()
        return self._read(prepared, (slices, rows, columns))

    def _read(self, prepared: Prepared, shape: tuple[int, int, int]) -> Reading:
        views = (False, True) if self.bundle.preprocessing.mirrored else (False,)
        # No inference_mode: what it makes cannot take part in a gradient later.
        with torch.no_grad():
            hu = prepared.hu.to(self._device, non_blocking=True)  # windows are cut where the network is
            seen_by = [self._features(hu, mirror) for mirror in views]
            features = tuple(pooled for pooled, _ in seen_by)
            maps = tuple(torch.cat(kept) for _, kept in seen_by if kept)
            read = [torch.sigmoid(self._network.read(seen, [len(seen)])) for seen in features]  # (slabs, 6) each
            scores = torch.stack(read).mean(0)
        return Reading(scores.cpu().numpy()[prepared.slab_of], prepared, features, maps, shape)

    def _retreat(self) -> None:
        """Go on with plain fp32 on the CPU, where a device has not even memory for one slice."""
        log.warning("engine.out_of_memory", device=self.device, remedy=_RETREATS)
        self._network.to("cpu")
        self._use(torch.device("cpu"))

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
            for rows, towards in zip(slabs.split(CPU_BATCH), pull.split(CPU_BATCH), strict=True)
        ]
        cells = torch.cat(found)
        return cells.flip(-1) if mirror else cells

    def _maps(self, reading: Reading, rows: Tensor, mirror: int) -> Tensor:
        if reading.maps:
            return reading.maps[mirror][rows.to(self._device)]
        with torch.no_grad():
            return self._seen(reading.prepared.hu, rows, bool(mirror))[1]

    def _features(self, hu: Tensor, mirror: bool) -> tuple[Tensor, list[Tensor]]:
        """Pool the features of every slab, and keep the maps of the explained stage unless they grow too large."""
        most = MOST_KEPT // (2 if self.bundle.preprocessing.mirrored else 1)
        pooled, kept, keeping = [], list[Tensor](), True
        for rows in torch.arange(len(hu)).split(self._batch):
            features, maps = self._seen(hu, rows, mirror)
            pooled.append(features)
            kept = [*kept, maps] if keeping else []
            keeping = sum(part.nbytes for part in kept) <= most and keeping
        return torch.cat(pooled), kept if keeping else []

    def _seen(self, hu: Tensor, rows: Tensor, mirror: bool) -> tuple[Tensor, Tensor]:
        """Send some slices through the CNN, in halves where the device has no memory for all of them."""
        if len(rows) > self._batch:
            parts = [self._seen(hu, part, mirror) for part in rows.split(self._batch)]
            return torch.cat([features for features, _ in parts]), torch.cat([maps for _, maps in parts])
        size = self._batch if self._cnn.one_size else len(rows)
        try:
            seen = self._cnn(self._pictures(hu, torch.cat((rows, rows[-1:].expand(size - len(rows)))), mirror))
            return seen if size == len(rows) else (seen[0][: len(rows)].clone(), seen[1][: len(rows)].clone())
        except torch.OutOfMemoryError:
            if size == 1:
                raise
        self._batch = (size + 1) // 2  # from now on
        torch.cuda.empty_cache()
        return self._seen(hu, rows, mirror)

    def _pictures(self, hu: Tensor, rows: Tensor, mirror: bool) -> Tensor:
        how = self.bundle.preprocessing
        slabs = hu[with_neighbours(rows.tolist(), len(hu), how)]  # (rows, 1 + 2 neighbours, H, W)
        pictures = channels(slabs.to(self._device), how)  # (rows, channels, H, W)
        view = pictures.flip(-1) if mirror else pictures
        return view.contiguous(memory_format=torch.channels_last)
