"""Temperature scaling (Guo et al., ICML 2017), a temperature for each class.

Temperatures are divided into the last layers, so that a calibrated bundle is an ordinary one: the node knows nothing of
them. Ranks, and with them AUC, stay as they are for every class, but where a mirrored reading is averaged in.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ichnode.inference.network import CnnLstm

_LEAST_OF_EACH = 5


def fit_temperatures(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the temperatures that make the scores most likely.

    Parameters
    ----------
    logits : tensor of shape (views, n, 6)
        The score is the mean over the views of the sigmoid.
    labels : tensor of shape (n, 6)
        NaN where unknown.

    Returns
    -------
    tensor of shape (6,), above 0
        1 where there are fewer than five known positives or negatives.
    """
    found = torch.ones(logits.shape[-1])
    for column in range(logits.shape[-1]):
        known = labels[:, column].isfinite()
        truth = labels[known, column]
        if min(float(truth.sum()), float((1 - truth).sum())) >= _LEAST_OF_EACH:
            found[column] = _fit(logits[:, known, column].double(), truth.double())
    return found


def _fit(logits: Tensor, truth: Tensor) -> float:
    logarithm = torch.zeros((), dtype=torch.float64, requires_grad=True)
    search = torch.optim.LBFGS([logarithm], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        search.zero_grad()
        score = torch.sigmoid(logits * torch.exp(-logarithm)).mean(0).clamp(1e-7, 1 - 1e-7)
        loss = nn.functional.binary_cross_entropy(score, truth)
        loss.backward()
        return loss

    search.step(closure)
    return float(logarithm.detach().clamp(-3, 3).exp())


def divide(network: CnnLstm, temperatures: Tensor) -> None:
    """Divide temperatures of shape (6,) into the layers that make the logits."""
    with torch.no_grad():
        for layer in (network.head, network.slice_head):
            if layer is not None:
                layer.weight.div_(temperatures[:, None])
                layer.bias.div_(temperatures)
