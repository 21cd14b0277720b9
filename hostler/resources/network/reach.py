"""What a server's networks need of its host, as traits (`hostler.resources.network.kinds`)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from hostler.db.models import Network, Port, Server
from hostler.resources.network import kinds

_LIMITS = sa.or_(Network.network_type != kinds.FLAT, Network.physical_network.is_not(None))
_OF_SERVER: Any = sa.select(Network.network_type, Network.physical_network).distinct().join(
    Port, Port.network_id == Network.id).where(Port.server_id == sa.bindparam("server"), _LIMITS)
# In a SELECT of servers: whether `needed` returns anything.
IS_LIMITED: Any = sa.exists().where(Port.server_id == Server.id, Network.id == Port.network_id, _LIMITS)


def needed(session: orm.Session, server_id: str) -> tuple[str, ...]:
    """Return the traits that a host of the server must have."""
    return tuple(sorted(of_networks(session.execute(_OF_SERVER, {"server": server_id}).tuples())))


def of_networks(networks: Iterable[tuple[str, str | None]]) -> set[str]:
    """Return the traits that a host of networks, each with its kind and its physical network, must have."""
    found = set()
    for kind, physical in networks:
        found |= {kinds.KIND + kind} - {kinds.REPORTED}
        found |= {kinds.PHYSICAL + physical} if physical else set()
    return found
