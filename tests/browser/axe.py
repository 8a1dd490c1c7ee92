"""axe-core (MPL-2.0, used by tests alone): finds what keeps people from using a page."""

from __future__ import annotations

from playwright.sync_api import Page

from tests.published import Package

AXE = Package(
    "axe-core",
    "4.14.1",
    "sha512-FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==",
)


def serious_findings(page: Page) -> list[str]:
    """Return what axe-core finds of impact serious or critical: rule, and the elements it concerns."""
    page.evaluate((AXE.folder() / "axe.min.js").read_text())  # past the page's content security policy
    found = page.evaluate("() => axe.run(document, { resultTypes: ['violations'] })")
    return [
        f"{one['id']}: {one['help']}: {[node['target'] for node in one['nodes']][:5]}"
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
    ]
