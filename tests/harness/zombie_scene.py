"""Requests for the campaign of zombies: each scenario prepares, undisturbed, and returns what is to be disturbed."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import requests
import sqlalchemy as sa

from hostler.db.models import Base
from tests.harness.client import Client
from tests.harness.crash_campaign import BACKENDS, Campaign
from tests.harness.volume_scene import HERE, THERE, V3, VERSION, Request, VolumeScene

SERVERS = "/compute/v2.1/servers"
_ATTACHMENTS = {"OpenStack-API-Version": "volume 3.54"}


class ZombieScene(VolumeScene):
    """A cloud with one server, which serves all scenarios that need one."""

    def __init__(self, campaign: Campaign, client: Client) -> None:
        super().__init__(campaign, client)
        self._numbers = itertools.count(1)
        self.server = client.create_server(self.image_id, "subject")
        client.wait_server(self.server, "ACTIVE")

    def prepare(self, scenario: str) -> Request:
        """Return the request of a scenario, once all that it needs is there and at rest."""
        request = SCENARIOS[scenario](self)
        self.campaign.wait_rest()
        return request

    def records(self) -> dict[str, list[str]]:
        """Return every row that does not change by itself, as signs of life and reports of free space do."""
        with self.campaign.db.reading() as session:
            return {table.name: sorted(repr(tuple(row)) for row in session.execute(sa.select(table)))
                    for table in Base.metadata.sorted_tables
                    if "last_seen_at" not in table.columns and table.name != "backends"}

    def posting(self, path: str, body: dict[str, Any], headers: dict[str, str] | None = None) -> Request:
        """Return a POST."""
        return lambda: self.client.post(path, body, **({"headers": headers} if headers else {}))

    def deleting(self, path: str) -> Request:
        """Return a DELETE."""
        options = {"headers": _ATTACHMENTS} if path.startswith(V3) else {}
        return lambda: self.client.request("DELETE", path, **options)

    def putting(self, path: str, body: dict[str, Any]) -> Request:
        """Return a PUT."""
        return lambda: self.client.request("PUT", path, json=body)

    def acting(self, volume_id: str, action: dict[str, Any]) -> Request:
        """Return an action on a volume."""
        return lambda: self.act(volume_id, action)

    def creating(self, noun: str, **values: Any) -> Request:
        """Return a POST of a volume, snapshot or backup."""
        return self.posting(f"{V3}/{noun}s", {noun: {"name": self.name(noun), **values}}, VERSION)

    def power(self, before: str, action: dict[str, Any]) -> Request:
        """Return a change of power of the server, which is in the state `before`."""
        ways = {"SHUTOFF": {"os-stop": None}, "PAUSED": {"pause": None}}
        if (self.client.show(self.server) or {})["status"] != "ACTIVE":
            now = (self.client.show(self.server) or {})["status"]
            self._change_power({"os-start": None} if now == "SHUTOFF" else {"unpause": None}, "ACTIVE")
        if before != "ACTIVE":
            self._change_power(ways[before], before)
        return self.posting(f"{SERVERS}/{self.server}/action", action)

    def _change_power(self, action: dict[str, Any], status: str) -> None:
        self.client.post(f"{SERVERS}/{self.server}/action", action).raise_for_status()
        self.client.wait_server(self.server, status)

    def attachment(self, volume_id: str) -> Request:
        """Return the connection of a volume to a client outside."""
        return self.posting(f"{V3}/attachments", {"attachment": {
            "volume_uuid": volume_id, "instance_uuid": "8c2a8a1e-5b1d-4a4c-9df3-9ad0b7e6a0c1",
            "connector": {"host": "outside", "platform": "x86_64", "os_type": "linux"}}}, _ATTACHMENTS)

    def server_with_volumes(self) -> Request:
        """Return a boot from a new volume, with an old one beside it."""
        disks: list[dict[str, Any]] = [
            {"boot_index": 0, "uuid": self.image_id, "source_type": "image", "destination_type": "volume",
             "volume_size": 1, "volume_type": HERE, "delete_on_termination": True},
            {"boot_index": -1, "uuid": self.make("volume"), "source_type": "volume", "destination_type": "volume"}]
        return self.posting(SERVERS, self.client.server_body(
            "", self.name("zombie"), block_device_mapping_v2=disks))


def _attach(scene: ZombieScene, volume_id: str | None = None) -> Request:
    volume_id = volume_id or scene.make("volume")
    return scene.posting(f"{SERVERS}/{scene.server}/os-volume_attachments", {
        "volumeAttachment": {"volumeId": volume_id}})


def _detach(scene: ZombieScene) -> Request:
    scene.power("ACTIVE", {})
    volume_id = scene.make("volume")
    _attach(scene, volume_id)().raise_for_status()
    scene.wait("volume", volume_id, "in-use")
    return scene.deleting(f"{SERVERS}/{scene.server}/os-volume_attachments/{volume_id}")


def _delete(scene: ZombieScene) -> Request:
    server = str(scene.server_with_volumes()().json()["server"]["id"])
    scene.client.wait_server(server, "ACTIVE")
    return scene.deleting(f"{SERVERS}/{server}")


def _snapshot(scene: ZombieScene) -> str:
    return scene.make("snapshot", volume_id=scene.make("volume"))


def _revert(scene: ZombieScene) -> Request:
    volume_id = scene.make("volume")
    return scene.acting(volume_id, {"revert": {"snapshot_id": scene.make("snapshot", volume_id=volume_id)}})


def _delete_with_snapshots(scene: ZombieScene) -> Request:
    volume_id = scene.make("volume")
    scene.make("snapshot", volume_id=volume_id)
    return scene.deleting(f"{V3}/volumes/{volume_id}?cascade=true")


def _migrate(scene: ZombieScene) -> Request:
    # No type, so that it may go to either; to the node that fails when the scenario says so.
    places = [f"{node}@{backend}#{backend}" for node, backend in BACKENDS.items()]
    volume_id = scene.make("volume", volume_type=None)
    if (scene.show("volume", volume_id) or {})["os-vol-host-attr:host"] != places[0]:
        scene.act(volume_id, {"os-migrate_volume": {"host": places[0]}}).raise_for_status()
        scene.campaign.wait_rest()
    return scene.acting(volume_id, {"os-migrate_volume": {"host": places[1]}})


def _restore(scene: ZombieScene) -> Request:
    volume_id = scene.make("volume")
    backup = scene.make("backup", volume_id=volume_id)
    return scene.posting(f"{V3}/backups/{backup}/restore", {"restore": {"volume_id": volume_id}})


def _upload(scene: ZombieScene) -> Request:
    return scene.acting(scene.make("volume"), {"os-volume_upload_image": {
        "image_name": scene.name("image"), "disk_format": "qcow2", "container_format": "bare"}})


def _disconnect(scene: ZombieScene) -> Request:
    answer = scene.attachment(scene.make("volume"))()
    answer.raise_for_status()
    return scene.deleting(f"{V3}/attachments/{answer.json()['attachment']['id']}")


def _rules(scene: ZombieScene) -> Request:
    [group] = scene.client.get(f"/network/v2.0/security-groups?name=default&project_id={scene.client.project_id}"
                               ).json()["security_groups"]
    port = 2000 + next(scene._numbers)
    return scene.posting("/network/v2.0/security-group-rules", {"security_group_rule": {
        "security_group_id": group["id"], "direction": "ingress", "ethertype": "IPv4", "protocol": "tcp",
        "port_range_min": port, "port_range_max": port}})


def _network(scene: ZombieScene) -> Request:
    subnet = scene.client.get("/network/v2.0/subnets").json()["subnets"][0]["id"]
    return scene.putting(f"/network/v2.0/subnets/{subnet}", {
        "subnet": {"dns_nameservers": [f"10.9.0.{next(scene._numbers)}"]}})


SCENARIOS: dict[str, Callable[[ZombieScene], Callable[[], requests.Response]]] = {
    "boot_from_image": lambda scene: scene.posting(
        SERVERS, scene.client.server_body(scene.image_id, scene.name("zombie"))),
    "boot": ZombieScene.server_with_volumes,
    "attach": lambda scene: (scene.power("ACTIVE", {}), _attach(scene))[1],
    "detach": _detach,
    "delete": _delete,
    "stop": lambda scene: scene.power("ACTIVE", {"os-stop": None}),
    "start": lambda scene: scene.power("SHUTOFF", {"os-start": None}),
    "pause": lambda scene: scene.power("ACTIVE", {"pause": None}),
    "rename": lambda scene: scene.putting(f"{SERVERS}/{scene.server}", {"server": {"name": scene.name("renamed")}}),
    "rules": _rules,
    "network": _network,
    "create": lambda scene: scene.creating("volume", size=1, imageRef=scene.image_id, volume_type=HERE),
    "create_from_volume": lambda scene: scene.creating("volume", size=1, source_volid=scene.make("volume")),
    "create_from_snapshot": lambda scene: scene.creating("volume", size=1, snapshot_id=_snapshot(scene)),
    "create_from_backup": lambda scene: scene.creating(
        "volume", size=1, backup_id=scene.make("backup", volume_id=scene.make("volume")), volume_type=HERE),
    "delete_volume": lambda scene: scene.deleting(f"{V3}/volumes/{scene.make('volume')}"),
    "delete_with_snapshots": _delete_with_snapshots,
    "extend": lambda scene: scene.acting(scene.make("volume"), {"os-extend": {"new_size": 3}}),
    "upload": _upload,
    "retype_with_move": lambda scene: scene.acting(scene.make("volume"), {"os-retype": {
        "new_type": THERE, "migration_policy": "on-demand"}}),
    "migrate": _migrate,
    "revert": _revert,
    "reimage": lambda scene: scene.acting(scene.make("volume"), {"os-reimage": {"image_id": scene.image_id}}),
    "create_snapshot": lambda scene: scene.creating("snapshot", volume_id=scene.make("volume")),
    "delete_snapshot": lambda scene: scene.deleting(f"{V3}/snapshots/{_snapshot(scene)}"),
    "create_backup": lambda scene: scene.creating("backup", volume_id=scene.make("volume")),
    "delete_backup": lambda scene: scene.deleting(
        f"{V3}/backups/{scene.make('backup', volume_id=scene.make('volume'))}"),
    "restore_backup": _restore,
    "connect": lambda scene: scene.attachment(scene.make("volume")),
    "disconnect": _disconnect,
}
