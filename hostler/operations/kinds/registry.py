"""All rows by name, and what is derived from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hostler.operations.kinds import cloud, network, server, volume
from hostler.operations.kinds.kind import Immediate, Kind

KINDS: Final[Mapping[str, Kind[Any]]] = {
    row.name: row for row in (*server.KINDS, *volume.KINDS, *network.KINDS, *cloud.KINDS)}
IMMEDIATE: Final[Mapping[str, Immediate]] = {row.name: row for row in server.IMMEDIATE}


def shown(resource_type: str) -> dict[str, str]:
    """Return kind → what a resource of this type shows while an operation of that kind holds it."""
    return {name: row.shows[resource_type] for name, row in KINDS.items() if resource_type in row.shows}


def action_name(kind: str) -> str:
    """Return how a server's action list calls operations of `kind`."""
    row = KINDS.get(kind) or IMMEDIATE.get(kind)
    return row.action if row is not None and row.action else kind.partition(".")[2] or kind
