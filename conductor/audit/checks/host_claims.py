"""Claims on hosts without a server, and servers on hosts without their claim."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import orm

from conductor.audit.evidence import Inventory
from conductor.audit.finding import Finding
from conductor.audit.repair import Repairs
from conductor.tasks.scheduler.hosts import local_disk_gib
from hostler.db.models import Allocation, Host, Server
from hostler.operations.accept import Target
from hostler.resources.server import allocations


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
        found = []
        for pairs, problem, remedy in ((claims - servers, "has a claim on this host and is not there", "release it"),
                                       (servers - claims, "is on this host and claims nothing of it", "claim it")):
            for server_id, host_id in sorted((str(server_id), str(host_id)) for server_id, host_id in pairs):
                if server_id not in inventory.locked:
                    target = Target("server", server_id)
                    found.append(Finding(self.name, target, problem, remedy, place=hosts.get(host_id, host_id),
                                         hold=(target,), details={"of": host_id, "claim": remedy == "claim it"}))
        return found

    def repair(self, repairs: Repairs, finding: Finding) -> str:
        """Release or claim."""
        server_id, host_id = finding.target.id, finding.details["of"]

        def release(session: orm.Session) -> None:
            allocations.release(session, server_id, host_id)

        def claim(session: orm.Session) -> None:
            server = session.get_one(Server, server_id)
            session.add(Allocation(
                consumer_id=server_id, host_id=host_id, vcpus=server.vcpus, ram_mib=server.ram_mib,
                disk_gib=local_disk_gib(session, server)))
            allocations.touch(session, [host_id], generation=True)

        repairs.write(claim if finding.details["claim"] else release)
        return "claimed it" if finding.details["claim"] else "released it"
