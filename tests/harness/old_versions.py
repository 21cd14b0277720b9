"""Routes that only old microversions have, and the newest version in which a path is there."""

from __future__ import annotations

from typing import Final

# The views of other services, which the Compute API ended.
OLD: Final = tuple(f"/compute/v2.1/{noun}" for noun in (
    "images", "os-volumes", "os-snapshots", "os-security-group", "os-hosts", "os-networks",
    "os-tenant-networks", "os-floating-ip"))


def newest(path: str) -> dict[str, str]:
    """Return the header that asks for the newest microversions in which `path` is there."""
    return {"OpenStack-API-Version": f"compute {'2.1' if path.startswith(OLD) else '2.96'}, volume 3.71"}
