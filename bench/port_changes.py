"""What a port's change costs a conductor in a large network, by the number of hosts that the network is on.

`python bench/port_changes.py [--ports 2000] [--hosts 20 200] [--changes 20] [--url postgresql://…]`: CPU ms of this
process a change, from its transaction to the end of its operation, messages to hosts and their bytes. `rules` is a
change that its own host must know, `place` one that every host with a port of the network must: where it is. As many
hosts more have nothing of the network. Messages are written, but sent nowhere (a call on the bus costs 3.4 to 5 ms
more). A database that is named must be empty; without one a SQLite file in a temporary directory is used.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import measure
import orjson
import sqlalchemy as sa
from sqlalchemy import orm

from conductor.engine.runner import Runner
from conductor.engine.slots import Slots
from conductor.run import CloudAccess
from hostler import conf as hostler_conf
from hostler import ids
from hostler.context import RequestContext
from hostler.db import schema
from hostler.db.engine import Database
from hostler.db.models import Domain, FixedIp, Host, Network, Port, Project, Server, Subnet, Zone
from hostler.operations import lease
from hostler.resources.network import peers
from hostler.resources.network.host_updates import notify_of_peers, notify_of_port
from hostler.resources.server.specs import PortSpec

CONTEXT = RequestContext.system()


class Hosts:
    """All agents: takes what they would be sent, and notes to whom and how much."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, int]] = []

    def apply_port_rules(self, _context: Any, host: str, ports: Sequence[PortSpec], groups: Any) -> None:
        """Note it."""
        self.messages.append((host, len(orjson.dumps([[port.to_wire() for port in ports], groups]))))

    def update_groups(self, _context: Any, host: str, groups: Any) -> None:
        """Note it."""
        self.messages.append((host, len(orjson.dumps(groups))))


class Cloud:
    """A VXLAN network with its ports spread over hosts, and a conductor."""

    def __init__(self, directory: Path, url: str | None, ports: int, hosts: int) -> None:
        url = url or f"sqlite:///{directory}/{hosts}.db"
        conf = hostler_conf.load([], config_files=[], overrides={
            "database.connection": url, "state_path": str(directory)})
        self.db = Database(url)
        schema.upgrade(self.db)
        self.hosts, self.network, self.on_it = Hosts(), ids.new_id(), hosts
        self.ports = self.db.write(lambda session: self._fill(session, ports, hosts))
        access = CloudAccess(conf, self.db, mock.Mock(), self.hosts, mock.Mock(), mock.Mock())  # type: ignore[arg-type]
        self._runner = Runner(access, Slots(limit=2), lambda: False)

    def _fill(self, session: orm.Session, ports: int, hosts: int) -> list[str]:
        project, subnet, zone = ids.new_id(), ids.new_id(), ids.new_id()
        for row in (Domain(id="d", name="d"), Project(id=project, name="p", domain_id="d"), Zone(id=zone, name="nova"),
                    Network(id=self.network, name="n", project_id=project, network_type="vxlan", segmentation_id=7),
                    Subnet(id=subnet, name="s", project_id=project, network_id=self.network, cidr="10.0.0.0/16",
                           ip_version=4, allocation_pools=[])):
            session.add(row)
            session.flush()
        places = [ids.new_id() for _ in range(2 * hosts)]
        session.execute(sa.insert(Host), [
            {"id": place, "name": f"host{number}", "number": number, "zone_id": zone,
             "tunnel_ip": f"192.0.{number >> 8}.{number & 255}"} for number, place in enumerate(places)])
        made = [(ids.new_id(), ids.new_id()) for _ in range(ports)]
        session.execute(sa.insert(Server), [
            {"id": server, "name": "s", "project_id": project, "user_id": project, "vm_state": "active",
             "flavor_id": ids.new_id(), "vcpus": 1, "ram_mib": 64, "root_gib": 1, "host_id": places[number % hosts]}
            for number, (server, _) in enumerate(made)])
        session.execute(sa.insert(Port), [
            {"id": port, "name": "", "project_id": project, "network_id": self.network, "server_id": server,
             "mac_address": f"fa:16:3e:00:{number >> 8:02x}:{number & 255:02x}", "host_id": places[number % hosts]}
            for number, (server, port) in enumerate(made)])
        session.execute(sa.insert(FixedIp), [
            {"port_id": port, "subnet_id": subnet, "ip_address": f"10.0.{number >> 8}.{number & 255}"}
            for number, (_, port) in enumerate(made)])
        return [port for _, port in made]

    def rules(self, session: orm.Session, port_id: str) -> list[str]:
        """Have the port's host enforce its rules again."""
        return notify_of_port(session, CONTEXT, session.get_one(Port, port_id))

    def place(self, session: orm.Session, port_id: str) -> list[str]:
        """Have every host learn where the port is."""
        return notify_of_peers(session, CONTEXT, peers.ports_changed(session, [port_id]))

    def change(self, way: Callable[[orm.Session, str], list[str]], port_id: str) -> tuple[float, list[tuple[str, int]]]:
        """Change a port; returns the CPU milliseconds and the messages."""
        self.hosts.messages = []
        started = time.process_time()
        [operation] = self.db.write(lambda session: way(session, port_id))
        held = lease.claim(self.db, operation, "bench", 30)
        assert held is not None
        self._runner.run(held)
        return (time.process_time() - started) * 1000, self.hosts.messages


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ports", type=int, default=2000)
    parser.add_argument("--hosts", type=int, nargs="+", default=[20, 200])
    parser.add_argument("--changes", type=int, default=20)
    parser.add_argument("--url")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hostler-bench-") as directory:
        for hosts in options.hosts:
            cloud = Cloud(Path(directory), options.url, options.ports, hosts)
            for name, way in (("rules", cloud.rules), ("place", cloud.place)):
                spent = [cloud.change(way, port) for port in cloud.ports[:options.changes + 1]][1:]
                cpu_ms = sorted(each for each, _ in spent)[len(spent) // 2]
                told = {host for _, messages in spent for host, _ in messages}
                measure.figure(f"port_change/{options.ports}_ports/{hosts}_hosts/{name}", cpu_ms, "cpu_ms",
                               messages=len(spent[-1][1]), message_bytes=spent[-1][1][0][1], count=len(spent),
                               strangers_told=sum(int(host.removeprefix("host")) >= hosts for host in told))


if __name__ == "__main__":
    main()
