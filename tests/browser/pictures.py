"""The documentation's pictures of OHIF, from what the browser tests saw: ``make pictures``. Computed heads only."""

from __future__ import annotations

from PIL import Image

from tests.browser.conftest import SCREENSHOTS
from tests.generated import ROOT

SHOWN = ("ohif-report", "ohif-picture")

if __name__ == "__main__":
    for name in SHOWN:
        seen = Image.open(SCREENSHOTS / f"{name}.png").convert("RGB")
        few_colours = seen.resize((1280, 800), Image.Resampling.LANCZOS).quantize(128, dither=Image.Dither.NONE)
        few_colours.save(ROOT / "docs" / "pictures" / f"{name}.png", optimize=True)
