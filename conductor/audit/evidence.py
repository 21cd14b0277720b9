"""What hosts and storage nodes say is there, and what operations hold at that moment."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator
from typing import Any

import sqlalchemy as sa
from oslo_config import cfg

from conductor.homes import ask_all
from conductor.run import Run
from hostler.db.models import Host, Lock, Operation, VolumeNode
from hostler.operations import states

# SQLite and PostgreSQL bound the parameters of one statement.
_CHUNK = 500


@dataclasses.dataclass(frozen=True)
class Inventory:
    """One look. `nodes` and `hosts` hold what their agents' get_inventory returned, and in "network" of a host what
    inspect_network did; `unseen` says what could not be looked at; `locked` are the resources that other operations
    than `own_operation` hold."""

    conf: cfg.ConfigOpts

    nodes: dict[str, dict[str, Any]]
    hosts: dict[str, dict[str, Any]]
    unseen: tuple[str, ...]
    locked: frozenset[str]
    own_operation: str

    def backends(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Yield (node, back end's name, what is there) of all back ends that could be looked at."""
        for node, found in sorted(self.nodes.items()):
            for name, content in sorted(found.get("backends", {}).items()):
                if not content.get("error"):
                    yield node, name, content

    def guests(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Yield (host, server id, {"power_state", "volumes"}) of everything on hosts that could be looked at."""
        for host, found in sorted(self.hosts.items()):
            for server_id, guest in sorted(found.get("servers", {}).items()):
                yield host, server_id, guest


def gather(run: Run, *, nodes: Collection[str] | None = None, hosts: Collection[str] | None = None) -> Inventory:
    """Ask the agents of `nodes` and `hosts` (None: of all) what is there, then note what is held."""
    if nodes is None or hosts is None:
        with run.reading() as session:
            nodes = session.scalars(sa.select(VolumeNode.name)).all() if nodes is None else nodes
            hosts = session.scalars(sa.select(Host.name)).all() if hosts is None else hosts
    cloud = run.cloud
    found_nodes, silent_nodes = ask_all("storage node", nodes,
                                        lambda node: cloud.volumes.get_inventory(run.context, node))
    found_hosts, silent_hosts = ask_all("host", hosts, lambda host: {
        **cloud.compute.get_inventory(run.context, host),
        "network": cloud.compute.inspect_network(run.context, host, {})})
    ailing = [f"back end {node}@{name}: {content['error']}" for node, found in sorted(found_nodes.items())
              for name, content in sorted(found.get("backends", {}).items()) if content.get("error")]
    ailing += [f"backup store of storage node {node}" for node, found in sorted(found_nodes.items())
               if not found.get("backup_store")]
    return Inventory(run.conf, found_nodes, found_hosts, (*silent_nodes, *ailing, *silent_hosts), _locked(run),
                     run.held.id)


def _locked(run: Run) -> frozenset[str]:
    """Return what is held by operations that live; a lock whose operation has ended holds nothing."""
    with run.reading() as session:
        return frozenset(session.scalars(
            sa.select(Lock.resource_id).join(Operation, Operation.id == Lock.operation_id)
            .where(Operation.state.in_(states.UNFINISHED), Operation.id != run.held.id)))


def rows_of(session: Any, ids: Collection[str], key: Any, *columns: Any) -> dict[str, Any]:
    """Return id → row (`key` and `columns`) of those of `ids` that have one."""
    ordered = sorted(ids)
    return {row[0]: row for start in range(0, len(ordered), _CHUNK) for row in session.execute(
        sa.select(key, *columns).where(key.in_(ordered[start:start + _CHUNK])))}
