"""The table of the configuration for retraining; `ichnode.config` puts it beside the others."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from ichnode.cron import cron_trigger
from ichnode.sections import Seconds, Section


class RetrainSection(Section):
    """Learning from this hospital's own labels: `ichnode retrain`, by hand or by schedule."""

    schedule: str = Field(
        "", description='Cron expression in UTC, such as "0 2 * * sat" (or days as 0-7, Sunday is 0 and 7); empty: '
        "only by hand. A candidate is never promoted by itself.",
    )  # fmt: skip
    outcomes: str = Field(
        "", description="CSV of report outcomes, study level; empty: only what readers say in the worklist."
    )
    recipe: Literal["auto", "head", "cnn"] = Field(
        "auto",
        description="What learns: head (on cached features, minutes on a CPU), cnn (all of it, slow without a GPU), "
        "auto (cnn where there is a GPU).",
    )
    target_sensitivity: float = Field(
        0.95, gt=0, lt=1, description="Share of the scans with haemorrhage that the candidate's operating point finds."
    )
    test_share: float = Field(
        0.3, gt=0, lt=1, description="Share of the labelled patients that judge models and never teach one."
    )
    least_positives: int = Field(30, ge=1, description="Patients with haemorrhage below which nothing is retrained.")
    least_negatives: int = Field(30, ge=1, description="Patients without haemorrhage below which nothing is retrained.")
    least_judges: int = Field(
        8, ge=1, description="Patients with, and patients without haemorrhage in the test set that the gate asks for."
    )
    margin: float = Field(
        0.01, ge=0, lt=1, description="AUC by which a candidate may be worse at most (lower end of the 95 % interval)."
    )
    phantoms: Literal["none", "small", "full"] = Field(
        "small",
        description="Phantoms that the gate lets both models read: small takes some minutes, full half an hour.",
    )
    timeout_s: Seconds = Field(6 * 3600, description="Seconds after which a run is ended.")
    threads: int = Field(1, ge=1, description="CPU threads of a run.")

    @field_validator("schedule")
    @classmethod
    def _is_cron(cls, given: str) -> str:
        if given:
            try:
                cron_trigger(given)
            except ValueError as error:
                raise ValueError(f'{given!r} is no cron expression such as "0 2 * * sat" ({error})') from None
        return given

    @property
    def outcomes_file(self) -> Path | None:
        """The CSV, if one is named."""
        return Path(self.outcomes) if self.outcomes else None
