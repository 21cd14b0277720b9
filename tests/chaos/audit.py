"""The audit of a cloud at rest: promises, records, hosts, storage nodes, exports, rules and quotas compared."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from hostler.db.models import Backup, Host, Image, Lock, Operation, Server, Snapshot, Volume
from hostler.operations import states
from hostler.resources.network.port_specs import port_specs
from hostler.resources.server import states as server_states
from tests.chaos.cloud import QUOTA, ChaosCloud
from tests.chaos.ledger import GONE, Ledger, Thing
from tests.chaos.verbs import COMPUTE, NETWORK, VOLUME
from tests.harness import invariants
from tests.harness.client import Client

# noun → (path of its list, key of the list, key of its state)
_LISTS = {
    "server": (f"{COMPUTE}/servers/detail?limit=1000&soft_deleted=true", "servers", "status"),
    "image": ("/image/v2/images?limit=1000", "images", "status"),
    "volume": (f"{VOLUME}/volumes/detail?limit=1000", "volumes", "status"),
    "snapshot": (f"{VOLUME}/snapshots/detail?limit=1000", "snapshots", "status"),
    "backup": (f"{VOLUME}/backups/detail?limit=1000", "backups", "status"),
    "rule": (f"{NETWORK}/security-group-rules", "security_group_rules", None),
    "network": (f"{NETWORK}/networks", "networks", "status"),
}
# States that a server leaves for the one it had before.
_COME_BACK = ("VERIFY_RESIZE", "SOFT_DELETED")
Seen = dict[str, list[dict[str, Any]]]


def wait_rest(cloud: ChaosCloud, timeout_s: float) -> list[str]:
    """Wait until no operation is unfinished; returns those that still are when the time is over."""
    def unfinished() -> list[str]:
        with cloud.db.reading() as session:
            rows = session.execute(sa.select(Operation.id, Operation.kind, Operation.state, Operation.waiting_for)
                                   .where(Operation.state.in_(states.UNFINISHED))).all()
            locks = session.scalars(sa.select(Lock.resource_id)).all()
        return [f"operation {row.id} {row.kind} stays {row.state}, waits for {row.waiting_for}" for row in rows] or [
            f"lock on {lock} without an operation" for lock in locks]

    return _until_none(unfinished, timeout_s)


def _until_none(find: Callable[[], list[str]], timeout_s: float) -> list[str]:
    end = time.monotonic() + timeout_s
    while True:
        found = find()
        if not found or time.monotonic() > end:
            return found
        time.sleep(0.3)


def look(client: Client) -> Seen:
    """Return every list of the cloud."""
    seen: Seen = {}
    for noun, (path, key, _) in _LISTS.items():
        answer = client.get(path)
        answer.raise_for_status()
        seen[noun] = answer.json()[key]
    return seen


def check_promises(ledger: Ledger, number: int, seen: Seen, *, excuse_errors: bool) -> list[str]:
    """Compare what a client was promised with what is there, which it expects from now on; returns broken promises.

    With `excuse_errors` operations may have failed for a good reason: only what must never be is reported.
    """
    broken: list[str] = []
    for noun, (_, _, state_key) in _LISTS.items():
        rows = [row for row in seen[noun] if _name(row).startswith(f"{noun}-{number}-")]
        by_name = Counter(_name(row) for row in rows)
        broken += [f"{noun} {name} is there {count} times" for name, count in by_name.items() if count > 1]
        found = {_name(row): row for row in rows}
        mine = [thing for thing in ledger.things if thing.noun == noun]
        for name in found.keys() - {thing.name for thing in mine}:
            broken.append(f"{noun} {name} is there though its creation was refused")
            ledger.things.append(Thing(noun, name, set(), found[name]["id"]))
        for thing in mine:
            row = found.get(thing.name)
            state = GONE if row is None else str(row[state_key]) if state_key else "there"
            if state not in thing.allowed and thing.allowed and not excuse_errors:
                broken.append(f"{noun} {thing.name} ({thing.id}) is {state}, promised {sorted(thing.allowed)}: "
                              f"{(row or {}).get('fault')}")
            # An evacuation cancels a start: a migration asked for after both comes back to a server that is off.
            thing.maybe_off = (excuse_errors or thing.maybe_off) and state in _COME_BACK
            thing.allowed, thing.id = {state}, None if row is None else row["id"]
            if noun == "server" and row is not None:
                thing.volumes = {volume["id"] for volume in row.get("os-extended-volumes:volumes_attached", ())}
        ledger.things = [thing for thing in ledger.things if thing.allowed != {GONE}]
    return broken


def _name(row: dict[str, Any]) -> str:
    return str(row.get("name") or row.get("description") or "")


def remove_errors(ledger: Ledger, client: Client) -> None:
    """Delete what ended in error, as a user would, and forget it."""
    paths = {"volume": f"{VOLUME}/volumes/{{}}",
             "snapshot": f"{VOLUME}/snapshots/{{}}", "backup": f"{VOLUME}/backups/{{}}"}
    for thing in ledger.things:
        if not any(state.lower().startswith("error") for state in thing.allowed):
            continue
        if thing.noun == "server":
            remove_server(ledger, client, thing)
        elif thing.noun in paths:
            client.delete(paths[thing.noun].format(thing.id))
            thing.allowed |= {GONE}


def remove_server(ledger: Ledger, client: Client, thing: Thing) -> None:
    """Delete a server for good; its volumes come back."""
    client.post(f"{COMPUTE}/servers/{thing.id}/action", {"forceDelete": None})
    thing.allowed |= {GONE}
    ledger.let_go(thing.volumes, certainly=False)


def failed_operations(cloud: ChaosCloud, judged: set[str]) -> list[str]:
    """Return the operations that failed beside those `judged`, but for creations that a deletion cancelled, and add
    them. When they failed does not tell: the clock that says so may be one that a fault shifted."""
    with cloud.db.reading() as session:
        rows = session.execute(sa.select(Operation.id, Operation.kind, Operation.message).where(
            Operation.state == states.FAILED, Operation.cancel_requested.is_(False))).all()
    new = [row for row in rows if row.id not in judged]
    judged.update(row.id for row in new)
    return [f"operation {row.id} {row.kind} failed: {row.message}" for row in new]


def check_parts(cloud: ChaosCloud, timeout_s: float) -> list[str]:
    """Compare records, hosts, nodes, rules and quotas; reconciliation has until `timeout_s`."""
    return _until_none(lambda: _differences(cloud), timeout_s)


def _differences(cloud: ChaosCloud) -> list[str]:
    found = [*invariants.database_faults(cloud.db), *quota_faults(cloud), *image_faults(cloud)]
    for host in cloud.fleet.hosts:
        found += invariants.host_faults(cloud.db, host, cloud.state_path(host))
        found += rule_faults(cloud, host)
    for node in cloud.fleet.nodes:
        found += invariants.node_faults(cloud.db, node, cloud.state_path(node))
    return found


def rule_faults(cloud: ChaosCloud, host: str) -> list[str]:
    """Return the ports whose rules on their host are not those of the records."""
    with cloud.db.reading() as session:
        servers = session.scalars(sa.select(Server.id).join(Host, Host.id == Server.host_id)
                                  .where(Host.name == host, Server.deleted_at.is_(None))).all()
        wanted = port_specs(session, server_ids=servers)
    found = []
    for server_id in servers:
        directory = cloud.state_path(host) / "compute" / "servers" / server_id
        kept = {port["id"]: port for _, spec in invariants.documents(directory, "spec.json") for port in spec["ports"]}
        for port in wanted[server_id]:
            there = kept.get(port.id)
            if there is None:
                found.append(f"{host}: port {port.id} of {server_id} is not there")
            elif _rules(there) != _rules(port.to_wire()):
                found.append(f"{host}: port {port.id} has {len(there['rules'])} rules, its records {len(port.rules)}, "
                             f"{_rules(there) ^ _rules(port.to_wire())}")
    return found


def _rules(port: dict[str, Any]) -> set[str]:
    return {json.dumps(rule, sort_keys=True) for rule in port["rules"]}


def image_faults(cloud: ChaosCloud) -> list[str]:
    """Return the images that nobody fills any more, and those of shelved servers that are needed no more, or gone."""
    with cloud.db.reading() as session:
        images = {row.id: row for row in session.execute(sa.select(Image.id, Image.name, Image.status).where(
            Image.deleted_at.is_(None)))}
        kept = set(session.scalars(sa.select(Server.shelved_image_id).where(Server.deleted_at.is_(None),
                                                                            Server.shelved_image_id.is_not(None))))
    found = [f"image {row.id} {row.name} is {row.status}" for row in images.values() if row.status != "active"]
    found += [f"image {row.id} {row.name} of no shelved server" for row in images.values()
              if row.name.endswith("-shelved") and row.id not in kept]
    return found + [f"image {image_id} of a shelved server is not there" for image_id in kept - images.keys()]


def quota_faults(cloud: ChaosCloud) -> list[str]:
    """Return the limits that are exceeded."""
    counted = Server.deleted_at.is_(None), Server.vm_state != server_states.SOFT_DELETED
    live: dict[str, Any] = {
        "instances": sa.select(sa.func.count()).where(*counted),
        "cores": sa.select(sa.func.sum(Server.vcpus)).where(*counted),
        "volumes": sa.select(sa.func.count()).where(Volume.deleted_at.is_(None)),
        "snapshots": sa.select(sa.func.count()).where(Snapshot.deleted_at.is_(None)),
        "backups": sa.select(sa.func.count()).where(Backup.deleted_at.is_(None)),
    }
    with cloud.db.reading() as session:
        used = {name: session.scalar(statement) or 0 for name, statement in live.items()}
    return [f"{name}: {count} used of {QUOTA[name]}" for name, count in used.items() if count > QUOTA[name]]
