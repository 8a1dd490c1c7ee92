"""What the paper measured and where: Nguyen et al., MIDL 2020, and what others published on the same data.

``rsna``: the competition's weighted log loss over slices (Table 1). ``cq500``: AUC of each class over scans, where a
scan's score is its highest slice and its label the majority of three readers (Table 2). ``own``: any other data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ichnode.core.findings import CLASSES

from .cq500 import ABOUT as CQ500
from .rsna import ABOUT as RSNA


@dataclass(frozen=True, slots=True)
class Protocol:
    """One of the paper's tables, or none.

    Attributes
    ----------
    title : str
    data : str or None
        Name of the data set that it is about.
    published : mapping of method to its figures in the order of `columns`
        "" where nothing was published.
    columns : tuple of str
    note : str
        What keeps the figures from being the same thing.
    """

    title: str
    data: str | None
    columns: tuple[str, ...]
    published: Mapping[str, tuple[str, ...]]
    note: str

    def ours(self, figures: Mapping[str, Any]) -> tuple[str, ...]:
        """Return this model's line of the table."""
        if self.columns == LOSS:
            return (with_interval(figures["log_loss"], 5),)
        return tuple(with_interval(figures["scan"][name]["auc"]) for name in CLASSES)


LOSS = ("weighted log loss",)
PROTOCOLS: Mapping[str, Protocol] = {
    "rsna": Protocol(
        "RSNA 2019: weighted log loss over slices (Table 1 of the paper)", RSNA["name"], LOSS,
        {
            "ResNet-50 CNN-LSTM, the paper, private leaderboard": ("0.05289",),
            "SE-ResNeXt-50 CNN-LSTM, the paper, private leaderboard": ("0.05218",),
            "ResNet-50 CNN-LSTM, the paper, its validation set": ("0.0637",),
            "SE-ResNeXt-50 CNN-LSTM, the paper, its validation set": ("0.0629",),
            "first place of the competition, many models, private leaderboard": ("0.04383",),
        },
        "The private leaderboard's labels are not public: submission.csv is the file to send in. The paper's "
        "validation set shares 285 patients with its training set; the split here does not.",
    ),
    "cq500": Protocol(
        "CQ500: AUC over scans (Table 2 of the paper)", CQ500["name"], CLASSES,
        {
            "ResNet-50 CNN-LSTM, the paper": ("0.960", "", "", "", "", ""),
            "SE-ResNeXt-50 CNN-LSTM, the paper": ("0.961", "", "", "", "", ""),
            "Chilamkurthy et al., Lancet 2018": ("0.94", "0.95", "0.93", "0.96", "0.95", "0.97"),
        },
        "The paper took whichever series of a study came first, which was never said; here it is the one that the node "
        "would choose.",
    ),
    "own": Protocol("AUC over scans", None, CLASSES, {}, ""),
}  # fmt: skip


def with_interval(figure: Mapping[str, float] | None, digits: int = 3) -> str:
    """Return a figure with its interval as people write it; a dash where there is none."""
    if figure is None:
        return "–"
    if "low" not in figure:
        return f"{figure['value']:.{digits}f}"
    return f"{figure['value']:.{digits}f} ({figure['low']:.{digits}f}–{figure['high']:.{digits}f})"
