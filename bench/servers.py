"""Create to ACTIVE, delete, show, list, memory: `python bench/servers.py [--cloud NAME] [--count N]`."""

from __future__ import annotations

from datetime import timedelta

import measure

measure.use_checkout()

import clouds  # noqa: E402
import sqlalchemy as sa  # noqa: E402

from hostler import clock, ids  # noqa: E402
from hostler.db.models import Allocation, FixedIp, Host, Network, Port, Project, Server, Subnet  # noqa: E402

_AT_ONCE = 1000


def create_and_delete(cloud: clouds.Measured, image: str, count: int, clients: int) -> None:
    """Measure `count` servers from request to ACTIVE, then from request to gone."""
    made: list[str] = []

    def create(number: int) -> None:
        client = cloud.own_client()
        made.append(client.create_server(image, f"bench-{number}"))
        if clients == 1:
            client.wait_server(made[-1], "ACTIVE")

    with cloud.meter.spending() as spent:
        latencies = measure.in_parallel(create, count, clients)
        cloud.settle()
    measure.rate(f"create_to_active/{cloud.name}/{clients}_clients", count, spent, latencies)

    def delete(number: int) -> None:
        client = cloud.own_client()
        client.delete(f"/compute/v2.1/servers/{made[number]}")
        if clients == 1:
            client.wait_gone(made[number])

    with cloud.meter.spending() as spent:
        latencies = measure.in_parallel(delete, count, clients)
        cloud.settle()
    measure.rate(f"delete/{cloud.name}/{clients}_clients", count, spent, latencies)


def show(cloud: clouds.Measured, image: str, count: int) -> None:
    """Measure GET /servers/{id} with 16 clients."""
    server = cloud.client.create_server(image, "shown")
    cloud.client.wait_server(server, "ACTIVE")
    measure.in_parallel(lambda _: cloud.own_client().show(server), 64, 16)
    with cloud.meter.spending() as spent:
        latencies = measure.in_parallel(lambda _: cloud.own_client().show(server), count, 16)
    measure.rate(f"show/{cloud.name}/16_clients", count, spent, latencies)


def store_servers(cloud: clouds.Measured, count: int) -> None:
    """Write `count` servers with a port each straight into the database."""
    # In parts: one transaction for all takes longer than the database lets one idle on a busy machine.
    for first in range(0, count, _AT_ONCE):
        _store(cloud, range(first, min(first + _AT_ONCE, count)))


def _store(cloud: clouds.Measured, numbers: range) -> None:
    def work(session: sa.orm.Session) -> None:
        project = session.scalars(sa.select(Project.id).where(Project.name == "admin")).one()
        host = session.scalars(sa.select(Host.id).limit(1)).one()
        subnet = session.scalars(sa.select(Subnet)).first()
        network = session.get(Network, subnet.network_id) if subnet else None
        assert subnet is not None
        assert network is not None
        flavor = {"flavorid": "42", "name": "m1.nano", "extra_specs": {}, "disabled": False, "is_public": True}
        start, servers, ports, addresses, claims = clock.utcnow() - timedelta(days=1), [], [], [], []
        for number in numbers:
            server, port = ids.new_id(), ids.new_id()
            moment = start + timedelta(milliseconds=number)
            servers.append({"id": server, "name": f"stored-{number}", "project_id": project, "user_id": project,
                            "vm_state": "active", "power_state": "running", "host_id": host, "flavor_id": project,
                            "flavor": flavor, "vcpus": 1, "ram_mib": 64, "root_gib": 1, "launched_at": moment,
                            "created_at": moment, "updated_at": moment, "hostname": f"stored-{number}"})
            ports.append({"id": port, "name": "", "project_id": project, "network_id": network.id,
                          "server_id": server, "device_id": server, "device_owner": "compute:nova",
                          "mac_address": f"fa:16:3e:{number >> 16 & 255:02x}:{number >> 8 & 255:02x}:"
                                         f"{number & 255:02x}", "status": "ACTIVE", "owned_by_server": True})
            addresses.append({"id": ids.new_id(), "port_id": port, "subnet_id": subnet.id,
                              "ip_address": f"10.88.{128 + (number >> 8)}.{number & 255}"})
            claims.append({"consumer_id": server, "host_id": host, "vcpus": 1, "ram_mib": 64, "disk_gib": 1})
        for model, rows in ((Server, servers), (Port, ports), (FixedIp, addresses), (Allocation, claims)):
            session.execute(sa.insert(model), rows)

    cloud.database.write(work)


def list_detail(cloud: clouds.Measured, stored: int, repeats: int = 10) -> None:
    """Measure a page of 1,000 servers in detail."""
    path = "/compute/v2.1/servers/detail?limit=1000"
    assert len(cloud.client.get(path).json()["servers"]) == 1000
    with cloud.meter.spending() as spent:
        latencies = [measure.in_parallel(lambda _: cloud.client.get(path), 1, 1)[0] for _ in range(repeats)]
    measure.rate(f"list_1000_detail/{cloud.name}/{stored}_stored", repeats, spent, latencies)


def memory(cloud: clouds.Measured) -> None:
    """Print each process's proportional set size at rest."""
    total = 0.0
    for name, pids in cloud.processes().items():
        size = sum(measure.pss_mib(pid) for pid in pids)
        total += size
        measure.figure(f"memory/{cloud.name}/{name}", size, "MiB")
    measure.figure(f"memory/{cloud.name}/all", total, "MiB")


def run(name: str, count: int) -> None:
    """Measure one cloud."""
    with clouds.CLOUDS[name]() as cloud:
        memory(cloud)
        image = cloud.client.make_image()
        create_and_delete(cloud, image, 5, 1)  # warms caches; its figures are printed, too, the next ones count
        create_and_delete(cloud, image, max(count // 4, 10), 1)
        create_and_delete(cloud, image, count, 16)
        show(cloud, image, 10 * count)
        store_servers(cloud, 1000)
        list_detail(cloud, 1000)
        if not measure.beside_another_commit():
            _store_offset(cloud, 19000)
            list_detail(cloud, 20000)
        cloud.database.dispose()


def _store_offset(cloud: clouds.Measured, count: int) -> None:
    cloud.database.write(lambda session: session.execute(sa.delete(FixedIp)))
    cloud.database.write(lambda session: session.execute(
        sa.update(Port).values(mac_address=sa.func.replace(Port.mac_address, "fa:16:3e", "fa:16:3f"))))
    store_servers(cloud, count)


if __name__ == "__main__":
    clouds.measure_each(__doc__, run)
