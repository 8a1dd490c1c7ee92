"""Register: bundles come into the data folder and into the registry; and which one is active.

What decides, strongest first: the configuration (`engine.bundle`), promotion, the bundle that ships. A bundle that
ships with a newer ichnode takes the place of an older one that shipped, and of nothing else.
"""

from __future__ import annotations

from pathlib import Path

from ichnode.config import Settings
from ichnode.errors import BundleError
from ichnode.inference.bundle import CARD, WEIGHTS, Bundle, default_bundle_path, load_bundle
from ichnode.log import get_logger
from ichnode.steps.node import Node, has_run, open_node
from ichnode.worklist import audit, models

SHIPPED, CONFIGURATION, IMPORT, RETRAIN = "shipped", "configuration", "import", "retrain"
log = get_logger(__name__)


def settle_active(node: Node) -> str:
    """Make sure that there is an active model, the right one, and return its digest.

    Raises
    ------
    BundleError
        The bundle that the configuration names, or the one that ships, cannot be used.
    """
    pinned = node.settings.engine.bundle
    with node.worklist.read() as tx:
        active = models.active(tx)
    if pinned:
        bundle = _keep(node, load_bundle(Path(pinned)))
        if active is None or active.digest != bundle.digest or not active.pinned:
            _install(node, bundle, CONFIGURATION, pinned=True)
        return bundle.digest
    if active is not None and active.pinned:
        with node.worklist.write() as tx:
            models.unpin(tx, node.now())
    if active is None or active.origin == SHIPPED:
        shipped = load_bundle(default_bundle_path())
        if active is None or active.digest != shipped.digest:
            _install(node, _keep(node, shipped), SHIPPED, pinned=False)
            return shipped.digest
    return active.digest


def active_digest(node: Node) -> str:
    """Return the digest of the active model.

    Raises
    ------
    BundleError
        There is none: `settle_active` comes first.
    """
    with node.worklist.read() as tx:
        active = models.active(tx)
    if active is None:
        raise BundleError("No model is active.", "NO_MODEL")
    return active.digest


def take_in(
    node: Node, folder: Path, origin: str, *, tried: bool = False, by: audit.Actor = audit.NODE
) -> tuple[Bundle, bool]:
    """Try a bundle, keep a copy of it and enter it as a candidate.

    Parameters
    ----------
    tried : bool
        It was tried in another process: torch has no place in that of the node.

    Returns
    -------
    (bundle as it lies in the data folder, whether it is new)

    Raises
    ------
    BundleError
        It is no bundle, was altered, or its network cannot be run here.
    """
    bundle = load_bundle(folder)
    if not tried:
        from ichnode.inference.trial import try_bundle

        try_bundle(folder)
    kept = _keep(node, bundle)
    with node.worklist.write() as tx:
        new = models.register(tx, node.now(), kept.digest, kept.name, kept.version, origin)
        if new:
            audit.record(tx, node.now(), by.name, "model.imported", address=by.address, model=kept.digest)
    return kept, new


def bundle_in_use(settings: Settings) -> Path:
    """Return the folder of the bundle that a node with these settings uses, or would use if it were started."""
    if settings.engine.bundle:
        return Path(settings.engine.bundle)
    if not has_run(settings):
        return default_bundle_path()
    node = open_node(settings)
    with node.worklist.read() as tx:
        active = models.active(tx)
    node.worklist.dispose()
    return default_bundle_path() if active is None else node.models.path(active.digest)


def _install(node: Node, bundle: Bundle, origin: str, *, pinned: bool) -> None:
    with node.worklist.write() as tx:
        models.register(tx, node.now(), bundle.digest, bundle.name, bundle.version, origin)
        models.install(tx, node.now(), bundle.digest, pinned=pinned)
    log.info("model.installed", model=bundle.name, digest=bundle.digest[:12], origin=origin)


def _keep(node: Node, bundle: Bundle) -> Bundle:
    """Return the copy of a bundle in the data folder; what was written is read back and held against the digest."""
    folder = node.models.path(bundle.digest)
    if folder.exists():
        try:
            return load_bundle(folder)
        except BundleError as error:
            log.warning("model.copied_again", digest=bundle.digest[:12], code=error.code, remedy=error.sentence)
    files = {name: (bundle.folder / name).read_bytes() for name in (WEIGHTS, CARD)}
    kept = load_bundle(node.models.put(bundle.digest, files))
    if kept.digest != bundle.digest:
        raise BundleError(f"The model bundle {bundle.folder} changed while it was copied. Try again.")
    return kept
