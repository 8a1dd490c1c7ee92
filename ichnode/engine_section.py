"""``[engine]``: where and how the network runs."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ichnode.sections import Seconds, Section


class EngineSection(Section):
    """Where and how the network runs."""

    kind: Literal["local", "ray"] = Field(
        "local", description="local: a process of this machine; ray: the pool of machines in [pool]."
    )
    bundle: str = Field(
        "",
        description="Folder of a model bundle, which then is the active model whatever was promoted; "
        "empty: the active one of `ichnode model list`, at first the one that ships.",
    )
    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:[0-9]+)?)$", description="auto, cpu, cuda or cuda:N.")
    threads: int = Field(0, ge=0, description="CPU threads of a worker; 0: as many as cores.")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto",
        description="What the CNN computes in. auto: bf16 where the processor has it. It is used only where the scores "
        "stay within 0.01 of fp32's, which is tried whenever a model is loaded; else fp32 is.",
    )
    runtime: Literal["auto", "torch", "openvino", "compiled"] = Field(
        "auto",
        description="What computes the CNN. auto: OpenVINO on a CPU where it is installed (pip install "
        "ichnode[openvino]), else torch. compiled: torch's compiler, which needs a C compiler on this machine.",
    )
    ahead_bytes: int = Field(
        256 << 20, ge=0,
        description="Bytes of Hounsfield units (two a pixel) up to which the next series is decoded while another one "
        "is computed; 0: never. One series at a time.",
    )  # fmt: skip
    max_attempts: int = Field(3, ge=1, description="Attempts before a series is reported as not analysed.")
    patience_s: Seconds = Field(
        600,
        description="Seconds after which a series that is not urgent gets every second turn, if urgent ones leave it "
        "no other.",
    )
    lease_s: Seconds = Field(
        600, description="Seconds one analysis may take; then its worker is ended and the series tried again."
    )
