"""The documentation's pictures of the pages, from what the browser tests saw: ``make pictures``. Invented people."""

from __future__ import annotations

from PIL import Image

from tests.generated import ROOT
from tests.web.window import SCREENSHOTS

NAMES = ("worklist", "node", "rules", "api", "audit", "agreement", "sign-in")
SHOWN = [*(f"{name}-{theme}" for name in NAMES for theme in ("dark", "light")), "worklist-narrow"]
TALLEST = {"worklist": 930, "audit": 930, "sign-in": 440}

if __name__ == "__main__":
    for name in SHOWN:
        seen = Image.open(SCREENSHOTS / f"{name}.png").convert("RGB")
        shown = seen.crop((0, 0, seen.width, min(seen.height, TALLEST.get(name.rpartition("-")[0], 1600))))
        palette = shown.quantize(128, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
        palette.save(ROOT / "docs" / "pictures" / f"{name}.png", optimize=True)
