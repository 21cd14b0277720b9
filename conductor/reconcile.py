"""What a host should do about each server it has, or should have."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from conductor import homes
from conductor.guest_reports import record_look
from conductor.run import CloudAccess
from hostler.db.models import Host, Lock, Migration, Server
from hostler.operations.kinds import server as kinds
from hostler.resources.network import peers
from hostler.resources.network.port_specs import Groups, group_members
from hostler.resources.network.security_groups import groups_admitted_on
from hostler.resources.server import states
from hostler.resources.server.fingerprints import fingerprints
from hostler.resources.server.records import server_spec

LOG = logging.getLogger(__name__)

# What an agent reports of a server that has files there and no guest.
_NO_GUEST = "nostate"

# Built once: every host asks every few minutes.
_HOST = sa.select(Host.id).where(Host.name == sa.bindparam("name"))
_HERE = sa.select(Server.id, Server.vm_state, Server.power_state).where(
    Server.host_id == sa.bindparam("host"), Server.deleted_at.is_(None))
_LOCKS = sa.select(Lock.resource_id, Lock.kind).where(Lock.resource_id.in_(sa.bindparam("ids", expanding=True)))


def plan(cloud: CloudAccess, host: str, present: list[dict[str, Any]],
         known_groups: Mapping[str, int] | None = None, asides: Collection[str] = ()) -> dict[str, Any]:
    """Return {"servers": [{"server_id", "action", "server", "fingerprint"}], "groups"} for what runs on `host` and
    what its records say should; `groups` are the members of all groups that rules of the host's ports name, and where
    the other ports of its VXLAN networks are.

    What the host has already is left out: the spec of a server whose `fingerprint` it named, the members of a group
    whose revision it knows.

    keep: as it is (plug it again); destroy: it is deleted, or is elsewhere; start: it should run and its guest is
    gone; leave: an operation works on it ("held"), or nothing is known of it; wait: as leave, and it is being evacuated
    from here. Records follow guests that stopped or started in between. Of the servers that the host set `asides` for a
    move, "discard" names those whose move is over. What may be the only copy is neither destroyed nor discarded
    (`conductor.homes`).
    """
    found = {entry["server_id"]: entry["power_state"] for entry in present}
    agreed = {entry["server_id"]: entry.get("fingerprint") for entry in present}
    with cloud.db.reading() as session:
        host_id = session.scalar(_HOST, {"name": host})
        if host_id is None:
            # A cloud that does not know the host (a fresh or wrong database) has no say over its guests.
            return {"servers": [{"server_id": server_id, "action": "leave", "server": None} for server_id in found],
                    "groups": {}}
        here = {row.id for row in session.execute(_HERE, {"host": host_id})}
        strangers = homes.servers(session, {*set(found) - here, *asides})
    # Before all else: the answers take their time, and what follows is to be as late as can be.
    left_over = homes.left_over_servers(cloud, strangers)
    with cloud.db.reading() as session:
        known = {*found, *here}  # a host without any asks for little
        held = _held(session, known)  # before the records
        states_here = {row.id: _meant(row) for row in session.execute(_HERE, {"host": host_id})} if known else {}
        # What came here since its lock was not asked for waits for the next turn.
        actions = {server_id: _action(server_id, found, states_here, held, left_over)
                   for server_id in {*found, *(here & states_here.keys())}}
        prints = fingerprints(session, host_id) if known else {}
        specs = {server_id: server_spec(session, cloud.conf, cloud.images, server_id)
                 for server_id, action in actions.items()
                 if action == "start" or (action == "keep" and agreed[server_id] != prints.get(server_id))}
        # Of all ports here, also of servers that an operation works on: it may be one that brings no members.
        groups = _members(session, host_id, known_groups or {})
        discard = [server_id for server_id in _over(session, host_id, asides) if server_id in left_over]
    record_look(cloud.db, host, [entry for entry in present if actions[entry["server_id"]] == "keep"])
    _log(host, actions)
    return {"servers": [{"server_id": server_id, "action": action, "held": server_id in held,
                         "server": specs[server_id].to_wire() if server_id in specs else None,
                         "fingerprint": prints.get(server_id)}
                        for server_id, action in sorted(actions.items())],
            "groups": groups, "discard": discard}


def _members(session: orm.Session, host_id: str, known: Mapping[str, int]) -> Groups:
    """Return the members of what the host's rules and VXLAN networks name, but for those of a revision it knows."""
    return group_members(session, [*groups_admitted_on(session, host_id), *peers.networks_on(session, host_id)], known)


def _log(host: str, actions: Mapping[str, str]) -> None:
    for server_id, action in actions.items():
        if action in ("destroy", "start"):
            LOG.warning("host %s is told to %s server %s", host, action, server_id)


def _held(session: orm.Session, server_ids: Collection[str]) -> dict[str, str]:
    """Return the kinds of the operations that work on servers; to be asked before the records are read.

    An operation that ends in between has then left its last word in them. Asked afterwards, its lock would be gone and
    its server still elsewhere: the guest that it brought here would be destroyed.
    """
    return dict(session.execute(_LOCKS, {"ids": list(server_ids)}).tuples().all()) if server_ids else {}


def _meant(row: Any) -> str:
    """Return a server's state as far as its guest goes: one that waits to be confirmed runs, or is off."""
    return states.ACTIVE if row.vm_state == states.RESIZED and row.power_state == "running" else str(row.vm_state)


def _over(session: orm.Session, host_id: str, server_ids: Collection[str]) -> list[str]:
    """Return the servers, of those that a host set aside, that nothing can bring back there."""
    going_back = sa.exists().where(Migration.server_id == Server.id, Migration.source_host_id == host_id,
                                   Migration.ended_at.is_(None))
    return sorted(session.scalars(sa.select(Server.id).where(
        Server.id.in_(list(server_ids)), Server.id.not_in(sa.select(Lock.resource_id)), ~going_back))
        if server_ids else ())


def _action(server_id: str, found: dict[str, str], states_here: dict[str, str], held: dict[str, str],
            left_over: set[str]) -> str:
    if server_id in held:
        return "wait" if held[server_id] == kinds.EVACUATE.name and server_id in states_here else "leave"
    if server_id not in states_here:
        if server_id in left_over:
            return "destroy"
        # It has no record, or its home does not have it: a database restored from a backup, rather than a leftover.
        LOG.warning("server %s is on a host where it has no record, and perhaps nowhere else: it is left alone",
                    server_id)
        return "leave"
    if found.get(server_id, _NO_GUEST) != _NO_GUEST:
        return "keep"
    return "start" if states_here[server_id] in (states.ACTIVE, states.RESCUED) else "leave"
