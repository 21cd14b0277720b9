"""A cloud to break by hand: its parts, whole ones and broken ones, straight in its records and on its back end."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from hostler import clock, ids
from hostler.db.models import Backend, Backup, Project, Snapshot, Volume, VolumeAttachment, VolumeNode
from hostler.resources.volume import states as volume_states
from hostler.resources.volume.specs import ConnectorSpec, SnapshotSpec, VolumeSpec
from tests.harness.client import Client
from tests.harness.inprocess import Cloud
from tests.harness.two_projects import external_network

HOST, NODE, BACKEND = "host1", "node1", "fake"


class Scene:
    """A cloud with a running server, a whole volume, a snapshot of it, a backup, and ways to break them."""

    def __init__(self, cloud: Cloud, client: Client) -> None:
        self.cloud = cloud
        self.client = client
        self.driver: Any = cloud.volume_agents[NODE].backends.driver(BACKEND)
        self.compute: Any = cloud.agents[HOST].tools.driver
        self.server = client.create_server(client.make_image(), "healthy")
        client.wait_server(self.server, "ACTIVE")
        with cloud.db.reading() as session:
            self.project: str = session.scalars(sa.select(Project.id).where(Project.name == "admin")).one()
            self.backend: str = session.scalars(sa.select(Backend.id)).one()
            self.store: str = str(session.scalars(sa.select(VolumeNode.backup_store)).one())
        self.volume = self.make_volume()
        self.router = self.make_router()

    def write(self, statement: Any) -> None:
        """Change the records by hand."""
        self.cloud.db.write(lambda session: session.execute(statement))

    def add(self, row: Any) -> None:
        """Add a record by hand."""
        self.cloud.db.write(lambda session: session.add(row))

    def make_volume(self, *, data: bool = True, **values: Any) -> str:
        """Make a volume as it should be, but for `values`."""
        volume = ids.new_id()
        if data:
            self.driver.create_volume(VolumeSpec(id=volume, backend=BACKEND, size_gib=1), None, lambda _: None)
        self.add(Volume(**{"id": volume, "project_id": self.project, "user_id": self.project, "size_gib": 1,
                           "state": volume_states.READY, "claimed_gib": 1, "zone": "nova", "backend_id": self.backend,
                           **values}))
        return volume

    def make_snapshot(self, *, data: bool = True, **values: Any) -> str:
        """Make a snapshot as it should be, but for `values`."""
        snapshot = SnapshotSpec(id=ids.new_id(), volume_id=self.volume, size_gib=1)
        if data:
            self.driver.create_snapshot(snapshot, VolumeSpec(id=self.volume, backend=BACKEND, size_gib=1),
                                        lambda _: None)
        self.add(Snapshot(**{"id": snapshot.id, "project_id": self.project, "user_id": self.project,
                             "volume_id": self.volume, "state": volume_states.READY, "size_gib": 1, **values}))
        return snapshot.id

    def make_backup(self, **values: Any) -> str:
        """Make the record of a backup."""
        backup = ids.new_id()
        self.add(Backup(**{"id": backup, "project_id": self.project, "user_id": self.project, "size_gib": 1,
                           "volume_id": self.volume, "state": volume_states.READY, "store": self.store, **values}))
        return backup

    def attach(self, volume: str, server: str | None = None) -> str:
        """Attach a volume to the server as it should be: record, connection, guest."""
        attachment, connector = ids.new_id(), ConnectorSpec(host=HOST)
        connection = self.driver.connect(VolumeSpec(id=volume, backend=BACKEND, size_gib=1), attachment, connector,
                                         False)
        self.add(VolumeAttachment(
            id=attachment, volume_id=volume, server_id=server or self.server, state=volume_states.ATTACHED,
            device="vdz", connector=connector.to_wire(), connection=connection.to_wire(), attached_at=clock.utcnow()))
        if server is None:
            self.compute.domains[self.server].volumes.append(volume)
        return attachment

    def row(self, model: Any, key: str) -> Any:
        """Return a record as it is."""
        with self.cloud.db.reading() as session:
            return session.get(model, key)

    def make_router(self) -> dict[str, str]:
        """Make a router with a guest behind it, a floating IP to that and a port forwarding; returns their ids."""
        post = self.client.post
        outside = external_network(self.client)
        network = post("/network/v2.0/networks", {"network": {"name": "inside"}}).json()["network"]["id"]
        subnet = post("/network/v2.0/subnets", {"subnet": {
            "network_id": network, "ip_version": 4, "cidr": "10.60.0.0/24"}}).json()["subnet"]["id"]
        port, other = (post("/network/v2.0/ports", {"port": {"network_id": network}}).json()["port"] for _ in range(2))
        router = post("/network/v2.0/routers", {"router": {"external_gateway_info": {
            "network_id": outside}}}).json()["router"]["id"]
        self.client.request("PUT", f"/network/v2.0/routers/{router}/add_router_interface",
                            json={"subnet_id": subnet}).raise_for_status()
        floating, forwarder = (post("/network/v2.0/floatingips", {"floatingip": {
            "floating_network_id": outside, **more}}).json()["floatingip"]["id"]
            for more in ({"port_id": port["id"]}, {}))
        forwarding = post(f"/network/v2.0/floatingips/{forwarder}/port_forwardings", {"port_forwarding": {
            "internal_port_id": other["id"], "internal_ip_address": other["fixed_ips"][0]["ip_address"],
            "protocol": "tcp", "internal_port": 22, "external_port": 2222}}).json()["port_forwarding"]["id"]
        return {"network": network, "outside": outside, "port": port["id"], "router": router, "floating": floating,
                "forwarding": forwarding}
