"""The documentation's pictures, from what the browser tests sent and saw: ``make pictures``. Computed heads only."""

from __future__ import annotations

from PIL import Image

from tests.browser.conftest import SCREENSHOTS
from tests.generated import ROOT

SHOWN = {
    "ohif-report": (1280, 800),
    "ohif-picture": (1280, 800),
    "ohif-heat-map": (1280, 800),
    "secondary-capture-phantom": (1024, 1024),
    "study-dark": (1280, 800),
    "study-light": (1280, 800),
}
"""With width and height in pixels."""

if __name__ == "__main__":
    for name, size in SHOWN.items():
        seen = Image.open(SCREENSHOTS / f"{name}.png").convert("RGB").resize(size, Image.Resampling.LANCZOS)
        # By coverage: the median cut, Pillow's default, spends its palette on greys and makes heat maps grey.
        palette = seen.quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=4, dither=Image.Dither.NONE)
        palette.save(ROOT / "docs" / "pictures" / f"{name}.png", optimize=True)
