"""Volumes that a guest has and its records deny, or the other way round."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import orm

from conductor.audit.evidence import Inventory
from conductor.audit.finding import Finding, NotRepaired
from conductor.audit.repair import Repairs
from hostler.db.models import Host, Server, Volume, VolumeAttachment
from hostler.operations.accept import Target
from hostler.resources.server import states
from hostler.resources.server.records import server_spec
from hostler.resources.volume import states as volume_states


class GuestVolumes:
    """Takes them out, or plugs them in again."""

    name = "guest-volumes"
    about = "volumes in guests that are not attached by the records, and the other way round"

    def find(self, session: orm.Session, inventory: Inventory) -> list[Finding]:
        """Compare guests with attachments, of servers whose guest is on their host."""
        rows = session.execute(
            sa.select(VolumeAttachment.server_id, VolumeAttachment.volume_id, VolumeAttachment.state)
            .where(VolumeAttachment.server_id.is_not(None)))
        recorded: dict[str, dict[str, str]] = {}
        for row in rows:
            recorded.setdefault(row.server_id, {})[row.volume_id] = row.state
        homes = dict(session.execute(
            sa.select(Server.id, Host.name).join(Host, Host.id == Server.host_id)
            # A rescued guest has its root disk alone.
            .where(Server.deleted_at.is_(None), Server.vm_state != states.RESCUED)).tuples().all())
        found = []
        for host, server_id, guest in inventory.guests():
            # Where there is no guest at all, its start brings the volumes.
            if homes.get(server_id) != host or server_id in inventory.locked or guest["power_state"] == "nostate":
                continue
            wanted, has = recorded.get(server_id, {}), set(guest["volumes"])
            missing = {volume_id for volume_id, state in wanted.items() if state == volume_states.ATTACHED} - has
            found += [self._finding(host, server_id, volume_id, plugged=True)
                      for volume_id in sorted(has - wanted.keys()) if volume_id not in inventory.locked]
            found += [self._finding(host, server_id, volume_id, plugged=False)
                      for volume_id in sorted(missing) if volume_id not in inventory.locked]
        return found

    def _finding(self, host: str, server_id: str, volume_id: str, *, plugged: bool) -> Finding:
        server, volume = Target("server", server_id), Target("volume", volume_id)
        if plugged:
            problem, remedy = f"has volume {volume_id}, which no record says is attached", "take it out of the guest"
        else:
            problem, remedy = f"has not got volume {volume_id}, which is attached by its record", "give it to the guest"
        return Finding(self.name, server, problem, remedy, place=host, host=host, hold=(server, volume),
                       details={"of": volume_id, "plugged": plugged})

    def repair(self, repairs: Repairs, finding: Finding) -> str:
        """Detach or attach on the host."""
        server_id, volume_id, host = finding.target.id, finding.details["of"], str(finding.host)
        run, compute = repairs.run, repairs.cloud.compute
        if finding.details["plugged"]:
            timeout_s = run.conf.volume.detach_timeout
            repairs.ask(host, compute.detach_volume, server_id, volume_id, timeout_s)
            return "took it out of the guest"
        with run.reading() as session:
            spec = server_spec(session, run.conf, repairs.cloud.images, server_id)
            known = session.get(Volume, volume_id)
        volume = next((volume for volume in spec.volumes if volume.volume_id == volume_id), None)
        if volume is None or known is None or known.deleted_at is not None:
            raise NotRepaired("it has no connection; detach and attach it again")
        repairs.ask(host, compute.attach_volume, server_id, volume)
        return "gave it to the guest"
