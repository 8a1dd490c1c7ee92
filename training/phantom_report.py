"""The phantom suite as a picture and as curves: how sensitivity grows with the volume of a bleed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from .lesions import SUBTYPES
from .phantom_suite import Judged


def psychometric(volumes_ml: NDArray[np.float64], found: NDArray[np.bool_]) -> tuple[float, float]:
    """Fit a logistic curve of log volume to what was found.

    A weak prior (one pseudo-observation in all) keeps the curve finite where everything or nothing was found.

    Returns
    -------
    half_ml : float
        Volume at which half are found.
    slope : float
        Per e-fold of volume.
    """
    x = np.log(volumes_ml)
    middle = float(x.mean())

    def cost(at: NDArray[np.float64]) -> float:
        logit = at[1] * (x - at[0])
        likelihood = np.where(found, np.logaddexp(0, -logit), np.logaddexp(0, logit)).sum()
        return float(likelihood + 0.05 * (at[0] - middle) ** 2 + 0.05 * (at[1] - 1) ** 2)

    best = minimize(cost, np.array([middle, 1.0]), method="L-BFGS-B", bounds=[(-6.0, 8.0), (0.0, 10.0)]).x
    return float(np.exp(best[0])), float(best[1])


def curves(judged: Judged) -> dict[str, dict[str, float]]:
    """Return the psychometric curve of every subtype that was read: `half_ml` and `slope`."""
    drawn = {}
    for kind in SUBTYPES:
        cases = [case for case in judged.cases if case.kind == kind]
        volumes = np.array([case.volume_ml for case in cases])
        half_ml, slope = psychometric(volumes, np.array([_found(judged, case.peak) for case in cases]))
        drawn[kind] = {"half_ml": round(half_ml, 3), "slope": round(slope, 3)}
    return drawn


def _found(judged: Judged, peak: NDArray[np.float32]) -> bool:
    return bool(peak[0] >= judged.thresholds["any"])


def plot(judged: Judged, path: Path) -> None:
    """Draw one panel a subtype: the score of `any` of every head, and the share found by volume as a curve."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15, 3.4), layout="constrained")
    fitted = curves(judged)
    blank = [float(case.peak[0]) for case in judged.cases if case.kind == "none"]
    for axes, kind in zip(figure.subplots(1, len(SUBTYPES), sharey=True), SUBTYPES, strict=True):
        cases = [case for case in judged.cases if case.kind == kind]
        volumes = np.array([case.volume_ml for case in cases])
        shades = axes.scatter(volumes, [case.peak[0] for case in cases], c=[case.hu for case in cases], cmap="copper",
                              vmin=35, vmax=70, s=18, zorder=3)  # fmt: skip
        at = np.geomspace(volumes.min() / 2, volumes.max() * 2, 200)
        fit = fitted[kind]
        axes.plot(at, 1 / (1 + np.exp(-fit["slope"] * np.log(at / fit["half_ml"]))), color="tab:blue")
        axes.axhline(judged.thresholds["any"], color="grey", linewidth=0.8, linestyle="--")
        axes.plot(np.full(len(blank), at[0]), blank, "_", color="tab:green")
        axes.set(xscale="log", title=kind, xlabel="volume (mL)", ylim=(-0.03, 1.03))
    figure.axes[0].set_ylabel("score of any; share found")
    figure.colorbar(shades, ax=figure.axes, label="HU")
    figure.suptitle(
        f"Phantoms, not patients. Bundle {judged.bundle[:12]}: AUC of any by scan {judged.auc_scan['any']:.3f}, "
        f"by slice {judged.auc_slice['any']:.3f}. Dots: heads with blood; green: without; line: threshold; "
        "curve: share found", fontsize=9,
    )  # fmt: skip
    figure.savefig(path)
