"""The documentation's pictures of OHIF, from what the browser tests saw: ``make pictures``. Computed heads only."""

from __future__ import annotations

from PIL import Image

from tests.browser.conftest import SCREENSHOTS
from tests.generated import ROOT

SHOWN = ("ohif-report", "ohif-picture", "ohif-heat-map")

if __name__ == "__main__":
    for name in SHOWN:
        seen = Image.open(SCREENSHOTS / f"{name}.png").convert("RGB")
        smaller = seen.resize((1280, 800), Image.Resampling.LANCZOS)
        # By coverage: the median cut, Pillow's default, spends its palette on greys and makes heat maps grey.
        palette = smaller.quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=4, dither=Image.Dither.NONE)
        palette.save(ROOT / "docs" / "pictures" / f"{name}.png", optimize=True)
