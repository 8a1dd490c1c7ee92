"""Healthy: does the node of these settings run on this machine? Cheap, without torch, and without calling any peer."""

from __future__ import annotations

import os
import socket

from ichnode.config import Settings
from ichnode.steps.examine import Check

ANSWER_S = 5.0
_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def healthy(settings: Settings) -> Check:
    """Tell whether the DICOM port takes connections; a remedy says that the node is not well."""
    host, port = settings.node.host, settings.node.port
    try:
        # No association: it would have to pass the allow-list, and be written down each time.
        socket.create_connection((_ANY.get(host, host), port), ANSWER_S).close()
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else "no answer"
        return Check("port", f"{host}:{port}: {why}", "The node does not run, or is still starting: see its log.")
    return Check("port", f"{host}:{port} takes connections")
