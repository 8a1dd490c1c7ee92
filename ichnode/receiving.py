"""The receiving end: the C-STORE SCP of a node, with what it does for each association and slice."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ichnode.config import Settings
from ichnode.dicom.access import PROVIDER_BUSY, Peer, Refusal, Reporter, allowed_peer
from ichnode.dicom.port import alone, first_of_several, join
from ichnode.dicom.scp import Received, ScpLimits, StoreScp
from ichnode.dicom.secure import Identity, SecurePort
from ichnode.dicom.syntaxes import STORAGE_CLASSES, decodable_syntaxes
from ichnode.steps.commit import take_report
from ichnode.steps.node import Node
from ichnode.steps.receive import receive_slice
from ichnode.worklist import associations


def receiver(node: Node, ended_with_slices: Callable[[], None], number: int | None = None, **ports: int) -> StoreScp:
    """Return the SCP of a node; it is not listening yet.

    Parameters
    ----------
    ended_with_slices : callable
        Called when an association has ended through which slices came.
    number : int or None
        Which process of the node this is; None is the first.
    plain, secure : int
        Ports of the first one, where this is another.
    """
    settings = node.settings
    receive, tls = settings.receive, settings.tls
    committing = [d for d in settings.destinations if d.commitment]

    def opened(peer: Peer) -> int:
        with node.worklist.write() as tx:
            return associations.open_association(tx, node.now(), node.boot_id, peer.address, peer.calling_aet, number)

    def ended(association_id: int, how: str) -> None:
        with node.worklist.write() as tx:
            touched = associations.end_association(tx, node.now(), association_id, how)
        if touched:
            ended_with_slices()

    def store(received: Received) -> int:
        return receive_slice(node, received)

    def accepting() -> Refusal | None:
        if node.spool.below(receive.disk_floor_bytes):
            return Refusal(
                *PROVIDER_BUSY, "DISK_FULL", "The spool's disk is below receive.disk_floor_bytes: free space there."
            )
        return None

    return StoreScp(
        settings.node.aet,
        settings.node.host,
        ports.get("plain", settings.node.port) if tls.plain_port else None,
        limits=ScpLimits(
            max_associations=receive.max_associations,
            per_peer_associations=receive.associations_per_peer,
            max_pdu_bytes=receive.max_pdu_bytes,
            max_dataset_bytes=receive.max_dataset_bytes,
            acse_timeout_s=receive.request_timeout_s,
            network_timeout_s=receive.idle_timeout_s,
            dimse_timeout_s=receive.idle_timeout_s,
            socket_timeout_s=receive.stall_timeout_s,
        ),
        allowed=[allowed_peer(p) for p in settings.peers],
        storage_classes=STORAGE_CLASSES,
        syntaxes=decodable_syntaxes(),
        store=store,
        opened=opened,
        ended=ended,
        accepting=accepting,
        reporters=[Reporter(d.aet, d.host) for d in committing],
        reported=partial(take_report, node) if committing else None,
        tls_port=ports.get("secure", tls.port),
        secure=_secure_port(settings),
        open_port=alone if receive.processes == 1 else first_of_several if number is None else join,
    )


def _secure_port(settings: Settings) -> SecurePort | None:
    tls = settings.tls
    if not tls.certificate:
        return None
    return SecurePort(Identity(tls.certificate, tls.key, tls.ca_file), tls.require_certificate)
