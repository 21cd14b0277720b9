"""What a root disk builds on once the image store has it no more: the host that the server leaves offers it from its
cache, the host that it goes to adopts it into its own (`compute.moving`, `compute.migration`).

An offer is what another host says. What it offers is kept under no other name than its checksum, or it would be taken
for another server's image.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from compute import diskheader
from compute.layout import Layout
from compute.toolbox import Toolbox
from hostler import errors

Offer = dict[str, Any]  # {"host", "ip", "port", "files": [{"name", "size", "sha256"}], "base": one of these, or None}
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


def base_of(layout: Layout, disk: Path) -> dict[str, Any] | None:
    """Return what a root disk builds on, as a file that may be fetched; the cache names it by its checksum."""
    name = diskheader.base_of(disk)
    path = layout.images / (name or "")
    return {"name": name, "size": path.stat().st_size, "sha256": name} if path.is_file() else None


def adopt(tools: Toolbox, offer: Offer, server_id: str, check: Callable[[], None]) -> Path:
    """Return this host's copy of what is offered, fetching it when there is none; what `check` raises ends that. Raises
    AgentError."""
    base = offer["base"]
    sha256 = str(base["sha256"])
    if _SHA256.fullmatch(sha256) is None:
        raise errors.AgentError(reason=f"Host {offer['host']} offers something that is no image.")
    file = {"name": sha256, "size": base["size"], "sha256": sha256}
    return tools.images.adopt(sha256, lambda path: tools.transfer.fetch(offer, server_id, file, path, check))
