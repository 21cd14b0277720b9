"""Asks the home that the records name for a server or volume whether it is there, before a copy elsewhere is removed.

The naive rule is: its record names another place, so what is found here is left over. But the database may have been
restored from a backup that is older than the last move, and then the copy "left over" is the only one. So a copy goes
only when the home has the data; a home that does not answer, or does not have it, keeps the copy for another turn. The
price is one call to each home, for as long as there are leftovers.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from concurrent import futures
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from conductor.run import CloudAccess
from hostler import errors
from hostler.context import RequestContext
from hostler.db.models import Backend, Host, Image, Server, Volume, VolumeNode
from hostler.resources.server import states

LOG = logging.getLogger(__name__)

# Agents asked at the same time: a dead one takes its time to be known as dead.
_AT_ONCE = 16


def ask_all(kind: str, names: Collection[str], ask: Callable[[str], dict[str, Any]]
            ) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Return the answers of agents by name, and a text for each that gave none; `kind` is what they are called."""
    found: dict[str, dict[str, Any]] = {}
    unseen: list[str] = []
    if not names:
        return found, unseen
    with futures.ThreadPoolExecutor(min(_AT_ONCE, len(names)), thread_name_prefix="inventories") as pool:
        pending = {name: pool.submit(ask, name) for name in sorted(names)}
        for name, answer in pending.items():
            try:
                found[name] = answer.result()
            except errors.HostlerError as error:
                LOG.warning("%s %s could not be looked at: %s", kind, name, error)
                unseen.append(f"{kind} {name}: {error}")
    return found, unseen


def servers(session: orm.Session, server_ids: Collection[str]) -> list[Any]:
    """Return the records of servers as far as `left_over_servers` needs them."""
    return list(session.execute(
        sa.select(Server.id, Server.deleted_at, Server.vm_state, Server.shelved_image_id, Host.name.label("host"),
                  Image.sha256.label("shelved_as"))
        .outerjoin(Host, Host.id == Server.host_id).outerjoin(Image, Image.id == Server.shelved_image_id)
        .where(Server.id.in_(list(server_ids)))) if server_ids else ())


def left_over_servers(cloud: CloudAccess, records: Collection[Any]) -> set[str]:
    """Return which servers are deleted, or are surely where their records say: what others have of them may go."""
    placed = {row.id: row.host for row in records if row.deleted_at is None and row.host is not None}
    there, _ = ask_all("host", set(placed.values()),
                       lambda host: cloud.compute.get_inventory(RequestContext.system(), host))
    return {row.id for row in records if row.deleted_at is not None or (
        row.id in there.get(row.host, {}).get("servers", ()) if row.host is not None else _is_nowhere(cloud, row))}


def _is_nowhere(cloud: CloudAccess, row: Any) -> bool:
    """Return whether a server without a host has nothing on any: it was never built, or is an image or volumes."""
    if row.vm_state == states.SHELVED_OFFLOADED:
        return row.shelved_image_id is None or (row.shelved_as is not None and cloud.images.has(row.shelved_as))
    return bool(row.vm_state == states.ERROR)


def volumes(session: orm.Session, volume_ids: Collection[str]) -> dict[str, tuple[str, str] | None]:
    """Return volume → (node, back end) that its record names; None: it names none, or is deleted."""
    rows = session.execute(
        sa.select(Volume.id, Volume.deleted_at, Backend.name, VolumeNode.name)
        .outerjoin(Backend, Backend.id == Volume.backend_id).outerjoin(VolumeNode, VolumeNode.id == Backend.node_id)
        .where(Volume.id.in_(list(volume_ids)))) if volume_ids else ()
    return {volume_id: (node, backend) if deleted is None and backend is not None else None
            for volume_id, deleted, backend, node in rows}


def left_over_volumes(cloud: CloudAccess, places: Mapping[str, tuple[str, str] | None]) -> set[str]:
    """Return which volumes have no home, or are surely there: what others have of them may go."""
    there, _ = ask_all("storage node", {place[0] for place in places.values() if place is not None},
                       lambda node: cloud.volumes.get_inventory(RequestContext.system(), node))
    return {volume_id for volume_id, place in places.items() if place is None
            or volume_id in there.get(place[0], {}).get("backends", {}).get(place[1], {}).get("volumes", ())}
