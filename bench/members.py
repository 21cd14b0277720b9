"""What a security group's size costs a boot: one port joins, the message is read, a host takes it.

`python bench/members.py [--members 10 1000 10000] [--boots 50] [--url postgresql://…]`: for each size CPU ms of this
process a boot and bytes of the message, `changes` as it is and `whole` as it would be with all members in each message,
turn by turn. A database that is named must be empty; without one a SQLite file in a temporary directory is used.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from typing import Any

import measure
import orjson
import sqlalchemy as sa
from sqlalchemy import orm

from compute.groups import Groups, Members
from compute.virt.fake.network import FakeNetworkPlumbing
from hostler import ids
from hostler.db import schema
from hostler.db.engine import Database
from hostler.db.models import Domain, FixedIp, Network, Port, PortSecurityGroup, Project, SecurityGroup, Subnet
from hostler.resources import revisions
from hostler.resources.network.port_specs import group_members, missed_members


class Cloud:
    """One network, and a group in it."""

    def __init__(self, db: Database) -> None:
        self.db, self._number, self.group = db, 0, ids.new_id()
        self._project, self._network, self._subnet = ids.new_id(), ids.new_id(), ids.new_id()
        db.write(self._fill)

    def _fill(self, session: orm.Session) -> None:
        for row in (Domain(id="d", name="d"), Project(id=self._project, name="p", domain_id="d"),
                    Network(id=self._network, name="n", project_id=self._project),
                    Subnet(id=self._subnet, name="s", project_id=self._project, network_id=self._network,
                           cidr="10.0.0.0/8", ip_version=4, allocation_pools=[]),
                    SecurityGroup(id=self.group, name="g", project_id=self._project)):
            session.add(row)
            session.flush()

    def join(self, count: int = 1) -> None:
        """Add ports to the group in one transaction."""
        numbers = range(self._number, self._number + count)
        self._number += count
        ports = [{"id": ids.new_id(), "name": "", "project_id": self._project, "network_id": self._network,
                  "mac_address": f"fa:16:3e:{number >> 16:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"}
                 for number in numbers]

        def work(session: orm.Session) -> None:
            session.execute(sa.insert(Port), ports)
            if count == 1:
                revisions.members_changed(session, [self.group], [ports[0]["id"]])
            session.execute(sa.insert(FixedIp), [
                {"port_id": port["id"], "subnet_id": self._subnet,
                 "ip_address": f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"}
                for number, port in zip(numbers, ports, strict=True)])
            session.execute(sa.insert(PortSecurityGroup), [
                {"port_id": port["id"], "group_id": self.group} for port in ports])

        self.db.write(work)

    def changes(self) -> Groups:
        """Return the message's part about the group."""
        with self.db.reading() as session:
            return group_members(session, [self.group])

    def whole(self) -> Groups:
        """Return it with all members."""
        with self.db.reading() as session:
            [group] = missed_members(session, {self.group: None}).values()
        ports = group.pop("ports", None)
        group.pop("since", None)
        if ports is not None:
            group["members"] = sorted(member for members in ports.values() for member in members)
        return {self.group: group}

    def missed(self, known: dict[str, int | None]) -> Groups:
        """Answer a host."""
        with self.db.reading() as session:
            return missed_members(session, known)


def boot(cloud: Cloud, host: Members, read: Callable[[], Groups]) -> tuple[float, int]:
    """Return the CPU milliseconds and the bytes of one boot."""
    cloud.join()
    started = time.process_time()
    message: Any = orjson.dumps(read())
    host.take(orjson.loads(message))
    return (time.process_time() - started) * 1000, len(message)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--members", type=int, nargs="+", default=[10, 1000, 10000])
    parser.add_argument("--boots", type=int, default=50)
    parser.add_argument("--url")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hostler-bench-") as directory:
        db = Database(options.url or f"sqlite:///{directory}/members.db")
        schema.upgrade(db)
        cloud, size = Cloud(db), 0
        for members in options.members:
            cloud.join(members - size)
            size = members
            ways = {"changes": cloud.changes, "whole": cloud.whole}
            hosts = {way: Members(FakeNetworkPlumbing(), cloud.missed) for way in ways}
            for way, host in hosts.items():
                boot(cloud, host, ways[way])  # what it knows from earlier boots
            spent: dict[str, list[tuple[float, int]]] = {way: [] for way in ways}
            for _ in range(options.boots):
                for way, host in hosts.items():
                    spent[way].append(boot(cloud, host, ways[way]))
            size += 2 * (options.boots + 1)
            for way, figures in spent.items():
                cpu_ms = sorted(each for each, _ in figures)[len(figures) // 2]
                measure.figure(f"boot/{members}_members/{way}", cpu_ms, "cpu_ms", message_bytes=figures[-1][1],
                               count=len(figures))


if __name__ == "__main__":
    main()
