"""How ichnode names itself on the wire and in files (PS3.7 D.3.3.2, PS3.10 7.1)."""

from __future__ import annotations

from ichnode import __version__
from ichnode.core.identity import IMPLEMENTATION_CLASS_UID

__all__ = ["IMPLEMENTATION_CLASS_UID", "IMPLEMENTATION_VERSION_NAME"]

IMPLEMENTATION_VERSION_NAME = f"ICHNODE_{__version__}"[:16]
"""At most 16 characters."""
