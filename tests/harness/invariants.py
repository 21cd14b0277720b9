"""What must hold in a cloud at rest, whatever happened to it before."""

from __future__ import annotations

import contextlib
import json
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from hostler.db.engine import Database
from hostler.db.models import (
    Allocation,
    Backend,
    Backup,
    FixedIp,
    Host,
    Lock,
    Migration,
    Operation,
    Port,
    Server,
    Snapshot,
    Volume,
    VolumeAttachment,
    VolumeNode,
)
from hostler.operations import states
from hostler.resources.volume import states as volume_states

_SETTLED = ("active", "stopped", "paused", "suspended", "rescued", "resized", "shelved", "shelved_offloaded",
            "soft-delete", "error")

def database_faults(db: Database) -> list[str]:
    """Return what is wrong with the records: unfinished operations, locks, claims, ports, addresses, volumes."""
    faults: list[str] = []
    with db.reading() as session:
        faults += [f"operation {row.id} {row.kind} is {row.state}" for row in session.execute(
            sa.select(Operation.id, Operation.kind, Operation.state)
            .where(Operation.state.in_(states.UNFINISHED)))]
        faults += [f"lock on {row.resource_id} by {row.kind}" for row in session.execute(
            sa.select(Lock.resource_id, Lock.kind))]
        servers = {row.id: row for row in session.execute(
            sa.select(Server.id, Server.vm_state, Server.host_id, Server.fault, Server.vcpus, Server.ram_mib)
            .where(Server.deleted_at.is_(None)))}
        claims = {(row.consumer_id, row.host_id): row for row in session.execute(sa.select(
            Allocation.consumer_id, Allocation.host_id, Allocation.vcpus, Allocation.ram_mib))}
        held: dict[tuple[str, str], Any] = {(row.id, row.host_id): row for row in servers.values() if row.host_id}
        migrations = session.scalars(sa.select(Migration).where(Migration.ended_at.is_(None))).all()
        faults += [f"migration {row.id} is {row.status}" for row in migrations if row.status != "finished"]
        faults += [f"migration {row.id} of {row.server_id}, which is not resized" for row in migrations
                   if row.server_id not in servers or servers[row.server_id].vm_state != "resized"]
        held |= {(row.id, row.source_host_id): types.SimpleNamespace(**row.old_flavor) for row in migrations}
        faults += [f"claim {key} without a server" for key in claims.keys() - held.keys()]
        faults += [f"server {key} without a claim" for key in held.keys() - claims.keys()]
        faults += [f"claim {key} has other amounts than its server" for key in claims.keys() & held.keys()
                   if (claims[key].vcpus, claims[key].ram_mib) != (held[key].vcpus, held[key].ram_mib)]
        for row in servers.values():
            if row.vm_state not in _SETTLED:
                faults.append(f"server {row.id} is {row.vm_state}")
            if row.vm_state == "error" and not row.fault:
                faults.append(f"server {row.id} is in error without a fault")
        faults += [f"port {row.id} of gone server {row.server_id}" for row in session.execute(
            sa.select(Port.id, Port.server_id).where(Port.server_id.is_not(None)))
            if row.server_id not in servers]
        orphans = session.scalars(sa.select(FixedIp.id).where(FixedIp.port_id.not_in(sa.select(Port.id)))).all()
        faults += [f"address {orphan} of no port" for orphan in orphans]
        faults += _volume_faults(session, set(servers), {
            row.id for row in servers.values() if row.vm_state == "shelved_offloaded"})
    return faults


def _volume_faults(session: orm.Session, servers: set[str], offloaded: set[str]) -> list[str]:
    """Return what is wrong with the records of volumes: half states, claims that are none, loose attachments.

    Volumes of `offloaded` servers, which are on no host, are connected to none.
    """
    faults: list[str] = []
    volumes = {row.id: row for row in session.scalars(sa.select(Volume).where(Volume.deleted_at.is_(None)))}
    for volume in volumes.values():
        if volume.state == volume_states.CREATING:
            faults.append(f"volume {volume.id} is creating")
        if volume.state in volume_states.ERRORS and not volume.fault:
            faults.append(f"volume {volume.id} is in error without a fault")
        if volume.state == volume_states.READY and volume.backend_id is None:
            faults.append(f"volume {volume.id} is on no back end")
        if volume.claimed_gib != volume.size_gib or volume.target_backend_id is not None:
            faults.append(f"volume {volume.id} claims {volume.claimed_gib} of {volume.size_gib} GiB, "
                          f"and back end {volume.target_backend_id}")
    for model in (Snapshot, Backup):
        faults += [f"{model.__tablename__} {row.id} is creating" for row in session.execute(
            sa.select(model.id).where(model.state == volume_states.CREATING, model.deleted_at.is_(None)))]
    faults += [f"snapshot {row.id} of gone volume {row.volume_id}" for row in session.execute(
        sa.select(Snapshot.id, Snapshot.volume_id).where(Snapshot.deleted_at.is_(None)))
        if row.volume_id not in volumes]
    for attachment in session.scalars(sa.select(VolumeAttachment)):
        if attachment.volume_id not in volumes or attachment.server_id not in (None, *servers):
            faults.append(f"attachment {attachment.id} of a volume or server that is gone")
        if attachment.server_id in offloaded:
            # Reserved since the server left its host, or attached since then: the reference shows "in-use" for that.
            if attachment.connection or attachment.state not in (volume_states.RESERVED, volume_states.ATTACHED):
                faults.append(f"attachment {attachment.id} of an offloaded server is {attachment.state}, connected by "
                              f"{attachment.connection}")
            continue
        if attachment.server_id is not None and attachment.state != volume_states.ATTACHED:
            faults.append(f"attachment {attachment.id} is {attachment.state}")
        if attachment.state == volume_states.ATTACHED and not attachment.connection:
            faults.append(f"attachment {attachment.id} has no connection")
    return faults


def node_faults(db: Database, node: str, state_path: Path) -> list[str]:
    """Return where the fake back ends of a storage node, and its backups, differ from the records."""
    with db.reading() as session:
        volumes = session.execute(
            sa.select(Volume.id, Volume.size_gib, Volume.state, Backend.name.label("backend"))
            .join(Backend, Backend.id == Volume.backend_id).join(VolumeNode, VolumeNode.id == Backend.node_id)
            .where(VolumeNode.name == node, Volume.deleted_at.is_(None))).all()
        snapshots = session.execute(sa.select(Snapshot.id, Snapshot.volume_id, Snapshot.state)
                                    .where(Snapshot.deleted_at.is_(None))).all()
        attachments = session.execute(
            sa.select(VolumeAttachment.connected_as, VolumeAttachment.volume_id, VolumeAttachment.connection)).all()
        backups = {row.id: row.state for row in session.execute(
            sa.select(Backup.id, Backup.state).join(VolumeNode, VolumeNode.backup_store == Backup.store)
            .where(VolumeNode.name == node, Backup.deleted_at.is_(None)))}
    faults = []
    for directory in sorted(path for path in (state_path / "volume" / "fake").iterdir() if path.is_dir()):
        here = {row.id: row for row in volumes if row.backend == directory.name}
        sizes = {path.stem: kept["size_gib"] for path, kept in documents(directory / "volumes", "*.json")}
        faults += _compare("volume", {key for key, row in here.items() if row.state != volume_states.ERROR},
                           set(here), {path.stem for path in (directory / "volumes").iterdir()})
        faults += [f"volume {key} has {here[key].size_gib} GiB and {size} on its back end"
                   for key, size in sizes.items() if key in here and here[key].size_gib != size]
        kept = {row.id: row for row in snapshots if row.volume_id in here}
        faults += _compare("snapshot", {key for key, row in kept.items() if row.state != volume_states.ERROR},
                           set(kept), {path.stem for path in (directory / "snapshots").glob("*.json")})
        wanted = {row.connected_as for row in attachments if row.volume_id in here and row.connection}
        faults += _compare("export", wanted, wanted, {path.stem for path in (directory / "connections").glob("*.json")})
    stored = {path.name.partition(".")[0] for path in (state_path / "backups").glob("[!.]*")}
    faults += _compare("backup", {key for key, state in backups.items() if state != volume_states.ERROR}, set(backups),
                       stored)
    return [f"{node}: {fault}" for fault in faults]


def _compare(kind: str, needed: set[str], allowed: set[str], found: set[str]) -> list[str]:
    return [*(f"{kind} {key} without a record" for key in sorted(found - allowed)),
            *(f"{kind} {key} is not there" for key in sorted(needed - found))]


def documents(directory: Path, pattern: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Read the JSON files that an agent at work keeps; one that it deletes during the reading is left out."""
    for path in directory.glob(pattern):
        with contextlib.suppress(FileNotFoundError):
            yield path, json.loads(path.read_text())


def host_faults(db: Database, host: str, state_path: Path) -> list[str]:
    """Return what is wrong on one fake host: guests and files without a record, and records without a guest."""
    with db.reading() as session:
        rows = session.execute(sa.select(Server.id, Server.vm_state, Server.iso_image_id)
                               .join(Host, Host.id == Server.host_id)
                               .where(Host.name == host, Server.deleted_at.is_(None))).all()
        attached = {(row.server_id, row.volume_id) for row in session.execute(
            sa.select(VolumeAttachment.server_id, VolumeAttachment.volume_id)
            .where(VolumeAttachment.server_id.in_([row.id for row in rows])))}
        ports = {(row.server_id, row.id) for row in session.execute(
            sa.select(Port.server_id, Port.id).where(Port.server_id.in_([row.id for row in rows])))}
        asides = {f"{server_id}.old" for server_id in session.scalars(sa.select(Migration.server_id).where(
            Migration.source_host == host, Migration.ended_at.is_(None)))}
    wanted = {row.id for row in rows}
    running = {row.id for row in rows if row.vm_state == "active"}
    domains = {path.stem: domain for path, domain in documents(state_path / "compute" / "fake" / "domains", "*.json")}
    guests = {server_id: domain["state"] for server_id, domain in domains.items()}
    rescued = {row.id for row in rows if row.vm_state == "rescued"}  # their guests have the root volume alone
    plugged = {(server_id, volume_id) for server_id, domain in domains.items()
               for volume_id in domain.get("volumes", ())}
    folders = {path.name for path in (state_path / "compute" / "servers").iterdir() if path.name != ".hosts"
               } if (state_path / "compute" / "servers").exists() else set()
    faults = [f"{host}: guest {guest} of no server" for guest in guests.keys() - wanted]
    faults += [f"{host}: files of {folder}, which is no server here" for folder in folders - wanted - asides]
    faults += [f"{host}: {folder} is gone, and its server may go back" for folder in asides - folders]
    faults += [f"{host}: server {server} is active without a running guest"
               for server in running if guests.get(server) != "running"]
    specs = {path.parent.name: spec for path, spec in documents(state_path / "compute" / "servers", "*/spec.json")
             if path.parent.name not in asides}
    kept = {(server_id, volume["volume_id"]) for server_id, spec in specs.items() for volume in spec.get("volumes", ())}
    nics = {(server_id, port_id) for server_id, domain in domains.items() for port_id in domain["nics"]}
    named = {(server_id, port["id"]) for server_id, spec in specs.items() for port in spec["ports"]}
    for where, known, present in (("guest", guests, nics), ("spec", specs, named)):
        faults += [f"{host}: only one side knows of port {port_id} in the {where} of {server_id}"
                   for server_id, port_id in present ^ {pair for pair in ports if pair[0] in known}]
    for where, known, present in (("guest", guests.keys() - rescued, plugged), ("spec", specs.keys(), kept)):
        faults += [f"{host}: only one side knows of volume {volume_id} in the {where} of {server_id}"
                   for server_id, volume_id in {pair for pair in present if pair[0] not in rescued or where == "spec"}
                   ^ {pair for pair in attached if pair[0] in known}]
    for row in rows:
        held = {(spec["iso"] or {}).get("id") for spec in (specs.get(row.id),) if spec is not None}
        drives = {bool(domain["iso"]) for domain in (domains.get(row.id),) if domain is not None and domain["drive"]}
        if held - {row.iso_image_id} or drives - {row.iso_image_id is not None}:
            faults.append(f"{host}: server {row.id} does not hold ISO {row.iso_image_id}")
    return faults
