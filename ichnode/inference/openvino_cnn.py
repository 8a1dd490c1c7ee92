"""The CNN in OpenVINO: bf16 and fused on a CPU, compiled in this process, without a compiler on the machine.

OpenVINO is an extra, ``pip install ichnode[openvino]`` (Apache-2.0). Its Python package tells its makers of each import
unless `openvino_telemetry` is missing; here it always is: a node calls nobody that its configuration does not name.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ichnode.core.identity import digest_of
from ichnode.inference.activation import stage_maps
from ichnode.inference.bundle import Bundle
from ichnode.inference.network import CnnLstm


def has_openvino() -> bool:
    """Tell whether OpenVINO is installed."""
    return importlib.util.find_spec("openvino") is not None


class OpenVinoCnn:
    """The CNN of a bundle on the CPU, for batches of one size; a smaller one is filled up and cut off again.

    Parameters
    ----------
    network : CnnLstm
        In fp32, on the CPU.
    precision : str
        ``fp32`` or ``bf16``. Never left to OpenVINO, which takes bf16 unasked.
    batch : int
        Slices.
    threads : int or None
        None: as many as cores.
    cache : Path or None
        Folder in which the compiled model is kept for the next start.
    """

    def __init__(
        self, bundle: Bundle, network: CnnLstm, precision: str, batch: int, threads: int | None, cache: Path | None
    ) -> None:
        self.name = f"OpenVINO {precision}"
        self.one_size = False  # it sees to that itself
        side = bundle.preprocessing.matrix
        self._shape = (batch, bundle.preprocessing.channels, side, side)
        settings = {
            "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
            "INFERENCE_NUM_THREADS": threads or len(os.sched_getaffinity(0)), "NUM_STREAMS": 1,
        }  # fmt: skip
        kept = cache / _file_name(bundle, precision, self._shape) if cache else None
        compiled = _kept(kept, settings)
        if compiled is None:
            compiled = _core().compile_model(_converted(network, self._shape), "CPU", settings)
            _keep(kept, compiled)
        self._request = compiled.create_infer_request()

    def __call__(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Return features and maps."""
        count, batch = len(pictures), self._shape[0]
        if count < batch:
            pictures = torch.cat((pictures, pictures.new_zeros((batch - count, *self._shape[1:]))))
        self._request.infer([pictures.contiguous().numpy()], share_inputs=True)
        outputs = (self._request.get_output_tensor(index).data for index in range(2))
        features, maps = (torch.from_numpy(output[:count].copy()) for output in outputs)
        return features, maps


def _core() -> Any:
    return _openvino().Core()


def _openvino() -> Any:
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


class _Both(nn.Module):
    """The CNN with the maps of the explained stage as a second output."""

    def __init__(self, network: CnnLstm) -> None:
        super().__init__()
        self.network = network

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Return pooled features and maps."""
        with stage_maps(self.network) as found:
            features = self.network.cnn(pictures)
        return features, found[0]


def _converted(network: CnnLstm, shape: tuple[int, int, int, int]) -> Any:
    _openvino()
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.fx_decoder import TorchFXPythonDecoder

    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch and OpenVINO about each other
        program = torch.export.export(_Both(network), (torch.zeros(shape),), strict=False)
        decoder = TorchFXPythonDecoder(program.run_decompositions().module(), dynamic_shapes=False)
        frontend = FrontEndManager().load_by_framework("pytorch")
        model = frontend.convert(frontend.load(decoder))
    model.reshape(list(shape))
    return model


def _file_name(bundle: Bundle, precision: str, shape: tuple[int, ...]) -> str:
    """Name what was compiled by all that it depends on; OpenVINO itself looks at the processor."""
    made_of = (bundle.digest, precision, str(shape), version("openvino"), torch.__version__)
    return f"{digest_of('|'.join(made_of).encode())[:32]}.blob"


MOST_KEPT = 4
"""Compiled models; those that were used longest ago go. One is about as large as its bundle."""


def _kept(file: Path | None, settings: dict[str, Any]) -> Any:
    """Return the model compiled at an earlier start; None where there is none that can be used."""
    if file is None or not file.exists():
        return None
    try:
        file.touch()
        return _core().import_model(file.read_bytes(), "CPU", settings)
    except (OSError, RuntimeError):  # half written, or of another processor: made anew
        return None


def _keep(file: Path | None, compiled: Any) -> None:
    if file is None:
        return
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = file.with_suffix(f".{os.getpid()}")
    temporary.write_bytes(compiled.export_model().getvalue())
    temporary.replace(file)
    forget_oldest(file.parent)


def forget_oldest(cache: Path) -> None:
    """Remove the compiled models that were used longest ago, until `MOST_KEPT` are left."""
    for old in sorted(cache.glob("*.blob"), key=lambda one: one.stat().st_mtime)[:-MOST_KEPT]:
        old.unlink(missing_ok=True)
