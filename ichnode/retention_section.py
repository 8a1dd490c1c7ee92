"""The table of the configuration for retention; `ichnode.config` puts it beside the others."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from ichnode.sections import Section

Days = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class RetentionSection(Section):
    """What is removed, and when. Undelivered and unfinished work never is; answers stay when their images go."""

    images_days: Days = Field(
        0,
        description="Days after the last slice and answer of a series after which its images, heat maps and files of "
        "reports are removed; 0: never because of their age.",
    )
    free_bytes: int = Field(
        4 << 30,
        ge=0,
        description="Bytes free below which the oldest of them are removed, whatever images_days says; counts as a "
        "quarter above receive.low_disk_bytes at least. 0: never, and a full disk refuses slices.",
    )
    least_days: Days = Field(1, description="Days for which they stay however full the disk is.")
    keep_labelled: bool = Field(
        True,
        description="Whether series that readers labelled, and those of patients that teach models, stay. Those of "
        "patients that judge models always do.",
    )
    records_days: Days = Field(
        0,
        description="Days after which everything that is known of a study whose images are gone is removed, results "
        "and names of patients included; 0: never. The journals stay. At least 15 where source.retrieve is set.",
    )

    @model_validator(mode="after")
    def _images_go_first(self) -> Self:
        if self.images_days and self.images_days < self.least_days:
            raise ValueError("images_days is less than least_days: correct one of them")
        if self.records_days and not 0 < self.images_days <= self.records_days:
            raise ValueError("records_days needs images_days, which has to be the same or less: give it")
        return self
