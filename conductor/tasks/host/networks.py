"""Tasks that bring changed rules and networks to the hosts concerned."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable

import sqlalchemy as sa

from conductor.run import Run
from conductor.tasks.base import OperationTask
from hostler import errors
from hostler.db.models import Host, Port
from hostler.resources.network import kinds, peers
from hostler.resources.network.port_specs import Groups, group_members, members_for, port_specs
from hostler.resources.network.security_groups import affected_port_ids, hosts_admitting
from hostler.resources.server.specs import PortSpec

LOG = logging.getLogger(__name__)
_RECENT_S = 1.0


class _Members:
    """What was read for one host and is sent to the next ones, too, as long as each answers at once.

    Naively it is read again for each host, which is most of the work where there are many. But one that is asked after
    a slow or silent one is to learn the latest; a host itself takes nothing older than what it has.
    """

    def __init__(self, read: Callable[[], Groups]) -> None:
        self._read = read
        self._groups: Groups | None = None
        self._read_at = 0.0

    def send(self, call: Callable[[Groups], None]) -> None:
        """Make a call with it."""
        groups, self._groups = self._groups, None
        if groups is None:
            self._read_at = time.monotonic()
            groups = self._read()
        call(groups)
        if time.monotonic() - self._read_at < _RECENT_S:
            self._groups = groups


class NotifyHosts(OperationTask):
    """Tells hosts one by one, each at most once in a run.

    A silent host holds nobody up: the others are told first, then the operation waits to ask it again. Past the
    operator's patience it gets what it missed when it reconciles.
    """

    def _tell(self, hosts: Iterable[str], call: Callable[[str], None]) -> None:
        """Make the call to each host, then wait for those that were silent."""
        self.run.wait_for_silent([host for host in hosts if not self.answers(host, call)])

    def answers(self, host: str, call: Callable[[str], None]) -> bool:
        """Make the call to a host; return whether it took it."""
        if self.run.cloud.silences.holds(host):
            # A hung host must not take a worker for each change.
            return False
        try:
            call(host)
        except (errors.Silent, errors.DatabaseUnavailable) as error:  # the latter: it asked a conductor in turn
            LOG.warning("host %s did not take network changes of operation %s: %s", host, self.run.held.id, error)
            self.run.cloud.silences.note(host)
            return False
        return True

    def _tell_members(self, name: str, hosts: Iterable[str]) -> None:
        """Tell hosts the members of a group or a network (`kinds.key`)."""
        run = self.run
        members = _Members(lambda: self._read_members(name))
        self._tell(hosts, lambda host: members.send(
            lambda groups: run.cloud.compute.update_groups(run.context, host, groups)))

    def _read_members(self, name: str) -> Groups:
        with self.run.reading() as session:
            return group_members(session, [name])

    def members(self, ports: list[PortSpec]) -> Groups:
        """Return the members that go with ports."""
        with self.run.reading() as session:
            return members_for(session, ports)


class ApplyRules(NotifyHosts):
    """Have every host concerned enforce the rules as they stand now. Revert: nothing to undo."""

    def execute(self, port_ids: tuple[str, ...], security_group_id: str | None, members_only: bool) -> None:
        """Tell the ports' rules, or the group's members alone."""
        if members_only and security_group_id is not None:
            with self.run.reading() as session:
                hosts = hosts_admitting(session, security_group_id)
            self._tell_members(security_group_id, hosts)
            return
        run = self.run
        ports = ports_by_host(run, self._concerned(port_ids, security_group_id))
        self._tell(ports, lambda host: run.cloud.compute.apply_port_rules(
            run.context, host, ports[host], self.members(ports[host])))

    def _concerned(self, port_ids: tuple[str, ...], group_id: str | None) -> list[str]:
        with self.run.reading() as session:
            return sorted({*port_ids, *(affected_port_ids(session, [group_id]) if group_id else ())})


class UpdateNetwork(NotifyHosts):
    """Have every host with ports on a network serve its changed subnets. Revert: nothing to undo."""

    def execute(self, network_id: str) -> None:
        """Tell the network with its ports."""
        run = self.run
        with run.reading() as session:
            ids = session.scalars(sa.select(Port.id).where(
                Port.network_id == network_id, Port.host_id.is_not(None))).all()
        ports = ports_by_host(run, list(ids))
        self._tell(ports, lambda host: run.cloud.compute.update_network(
            run.context, host, ports[host][0].network, ports[host], self.members(ports[host])))


class UpdatePeers(NotifyHosts):
    """Have every host with ports of a VXLAN network send to the others where they now are. Revert: nothing to undo."""

    def execute(self, network_id: str) -> None:
        """Tell where the ports are."""
        with self.run.reading() as session:
            hosts = peers.hosts_on(session, network_id)
        self._tell_members(kinds.key(network_id), hosts)


def ports_by_host(run: Run, port_ids: list[str]) -> dict[str, list[PortSpec]]:
    """Return those of some ports that are on hosts, by the host's name."""
    if not port_ids:
        return {}
    with run.reading() as session:
        hosts = dict(session.execute(sa.select(Port.id, Host.name).join(Host, Host.id == Port.host_id)
                                     .where(Port.id.in_(port_ids))).tuples().all())
        specs = port_specs(session, port_ids=list(hosts)) if hosts else {}
    found: dict[str, list[PortSpec]] = defaultdict(list)
    for ports in specs.values():
        for port in ports:
            if port.id in hosts:
                found[hosts[port.id]].append(port)
    return found
