"""Claims on hosts without a server, and servers on hosts without their claim."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import orm

from conductor.audit.evidence import Inventory
from conductor.audit.finding import Finding
from conductor.audit.repair import Repairs
from conductor.tasks.scheduler.hosts import local_disk_gib
from hostler.db.models import Allocation, Host, Migration, Server
from hostler.operations.accept import Target
from hostler.resources.server import allocations
from hostler.resources.server.migrations import flavor_of


class HostClaims:
    """Makes claims what servers take; a host may then be over-committed, as it is in truth."""

    name = "host-claims"
    about = "claims on hosts without a server, servers without a claim"

    def find(self, session: orm.Session, inventory: Inventory) -> list[Finding]:
        """Compare claims with the hosts of servers."""
        hosts = dict(session.execute(sa.select(Host.id, Host.name)).tuples().all())
        claims = set(session.execute(sa.select(Allocation.consumer_id, Allocation.host_id)).tuples())
        servers = set(session.execute(sa.select(Server.id, Server.host_id).where(
            Server.deleted_at.is_(None), Server.host_id.is_not(None))).tuples())
        moving = {row.id: row for row in session.execute(
            sa.select(Migration.id, Migration.server_id, Migration.source_host_id).where(Migration.ended_at.is_(None)))}
        # Resized and not confirmed: its migration holds the host that it came from.
        servers |= {(row.id, row.source_host_id) for row in moving.values()}
        found = []
        for pairs, problem, remedy in ((claims - servers, "has a claim on this host and is not there", "release it"),
                                       (servers - claims, "is on this host and claims nothing of it", "claim it")):
            for consumer_id, host_id in sorted((str(consumer_id), str(host_id)) for consumer_id, host_id in pairs):
                target = Target("server", moving[consumer_id].server_id if consumer_id in moving else consumer_id)
                if target.id not in inventory.locked:
                    found.append(Finding(self.name, target, problem, remedy, place=hosts.get(host_id, host_id),
                                         hold=(target,), details={"of": host_id, "claim": remedy == "claim it",
                                                                  "consumer": consumer_id}))
        return found

    def repair(self, repairs: Repairs, finding: Finding) -> str:
        """Release or claim."""
        consumer_id, host_id = finding.details["consumer"], finding.details["of"]

        def release(session: orm.Session) -> None:
            allocations.release(session, consumer_id, host_id)

        def claim(session: orm.Session) -> None:
            server = session.get_one(Server, finding.target.id)
            moving = session.scalar(sa.select(Migration.old_flavor).where(Migration.id == consumer_id))
            flavor = moving or flavor_of(server)
            session.add(Allocation(
                consumer_id=consumer_id, host_id=host_id, vcpus=flavor["vcpus"], ram_mib=flavor["ram_mib"],
                disk_gib=local_disk_gib(session, server.id, flavor)))
            allocations.touch(session, [host_id], generation=True)

        repairs.write(claim if finding.details["claim"] else release)
        return "claimed it" if finding.details["claim"] else "released it"
