"""The order in which people and machines should look: what may be bleeding first, then what waits longest."""

from __future__ import annotations

URGENCY = {"positive": 0, "failed": 1, "not_analysed": 3, "negative": 4}
PENDING_URGENCY = 2
