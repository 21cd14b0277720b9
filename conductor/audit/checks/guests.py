"""Guests without a server, and servers without their guest."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from conductor import homes
from conductor.audit.evidence import Inventory, rows_of
from conductor.audit.finding import Finding, NotRepaired
from conductor.audit.repair import Repairs
from hostler.db.models import Host, Server
from hostler.operations.accept import Target, accept
from hostler.operations.kinds import server as kinds
from hostler.operations.kinds.arguments import Arguments
from hostler.resources.network.port_specs import port_specs
from hostler.resources.server import states
from hostler.resources.server.moves import SERVER

_NO_GUEST = "nostate"
# States in which a server has something on its host.
_PLACED = (states.ACTIVE, states.STOPPED, states.PAUSED, states.SUSPENDED, states.RESCUED, states.RESIZED)


class Guests:
    """Starts, removes, or puts into error."""

    name = "guests"
    about = "guests without a server, servers without a guest"

    def find(self, session: orm.Session, inventory: Inventory) -> list[Finding]:
        """Compare what hosts have with the servers."""
        return [*self._too_many(session, inventory), *self._too_few(session, inventory)]

    def _too_many(self, session: orm.Session, inventory: Inventory) -> list[Finding]:
        servers = rows_of(session, {server_id for _, server_id, _ in inventory.guests()}, Server.id, Server.host_id,
                          Server.deleted_at)
        hosts = dict(session.execute(sa.select(Host.id, Host.name)).tuples().all())
        found = []
        for host, server_id, _ in inventory.guests():
            row, target = servers.get(server_id), Target("server", server_id)
            if server_id in inventory.locked or (row is not None and hosts.get(row.host_id) == host):
                continue
            said = "no record tells of it" if row is None else (
                "it is deleted" if row.deleted_at is not None else f"its host is {hosts.get(row.host_id)}")
            found.append(Finding(self.name, target, f"is on this host, but {said}", "remove it from this host",
                                 place=host, host=host, unknown=row is None, hold=(target,), details={"of": "guest"}))
        return found

    def _too_few(self, session: orm.Session, inventory: Inventory) -> list[Finding]:
        rows = session.execute(
            sa.select(Server.id, Server.vm_state, Host.name.label("host")).join(Host, Host.id == Server.host_id)
            .where(Server.deleted_at.is_(None), Server.vm_state.in_(_PLACED), Host.name.in_(list(inventory.hosts)))
            .order_by(Server.id))
        found = []
        for row in rows:
            guest = inventory.hosts[row.host]["servers"].get(row.id)
            if row.id in inventory.locked or not _is_missing(row, guest):
                continue
            active, target = row.vm_state == states.ACTIVE, Target("server", row.id)
            found.append(Finding(
                self.name, target, f"is {row.vm_state} and has {'no guest' if guest else 'nothing'} on its host",
                "start it" if active and guest else "put it into error, with that as its fault",
                place=row.host, host=row.host, hold=() if active and guest else (target,), details={"of": "server"}))
        return found

    def repair(self, repairs: Repairs, finding: Finding) -> str:
        """Do what was said."""
        if finding.details["of"] == "guest":
            return _remove(repairs, finding)
        if not finding.hold:
            return _start(repairs, finding)
        said = f"Nothing of it is on its host ({finding.place})."
        return repairs.put_into_error(SERVER, finding, said, only_from=_PLACED)


def _is_missing(row: Any, guest: dict[str, Any] | None) -> bool:
    if guest is None:
        return True
    # A stopped server needs its files alone; a fake or real host may have forgotten the guest.
    return bool(guest["power_state"] == _NO_GUEST and row.vm_state == states.ACTIVE)


def _remove(repairs: Repairs, finding: Finding) -> str:
    with repairs.run.reading() as session:
        records = homes.servers(session, [finding.target.id])
        server = session.get(Server, finding.target.id)
        # Ports of a server that lives elsewhere must not be let go here by name; the host knows its own.
        gone = server is None or server.deleted_at is not None
        ports = port_specs(session, server_ids=[finding.target.id]).get(finding.target.id, ()) if gone else ()
    if records and not homes.left_over_servers(repairs.cloud, records):
        raise NotRepaired("it may be the only copy: the host that its record names does not say that it has it")
    repairs.ask(str(finding.host), repairs.cloud.compute.destroy_server, finding.target.id, ports)
    return "removed it from this host"


def _start(repairs: Repairs, finding: Finding) -> str:
    def work(session: orm.Session) -> str:
        server = session.get_one(Server, finding.target.id)
        if server.vm_state != states.ACTIVE or server.host_id is None:
            raise NotRepaired("its record has changed")
        started = accept(session, repairs.context, kinds.START, finding.target, Arguments(),
                         project_id=server.project_id, host_id=server.host_id).id
        repairs.run.follow([started])
        return started

    return f"asked for its start (operation {repairs.write(work)})"
