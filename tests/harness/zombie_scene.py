"""Requests for the campaign of zombies: each scenario prepares, undisturbed, and returns what is to be disturbed."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import Any

import requests
import sqlalchemy as sa

from hostler.db.models import Base
from tests.harness.client import Client
from tests.harness.crash_campaign import BACKENDS, Campaign
from tests.harness.ports import wait_for
from tests.harness.volume_scene import HERE, THERE, V3, VERSION, Request, VolumeScene

SERVERS = "/compute/v2.1/servers"
_ATTACHMENTS = {"OpenStack-API-Version": "volume 3.54"}
_REIMAGES = {"OpenStack-API-Version": "volume 3.68"}
_V53 = {"OpenStack-API-Version": "compute 2.53"}
_V93 = {"OpenStack-API-Version": "compute 2.93"}
_V80 = {"OpenStack-API-Version": "compute 2.80"}
_LIVE: dict[str, Any] = {"os-migrateLive": {"host": None, "block_migration": "auto"}}
# Status → the action that leads from it to ACTIVE; the one that leads to it (None: a deletion).
_BACK: dict[str, dict[str, Any]] = {
    "SHUTOFF": {"os-start": None}, "PAUSED": {"unpause": None}, "RESCUE": {"unrescue": None},
    "SHELVED_OFFLOADED": {"unshelve": None}, "SOFT_DELETED": {"restore": None},
    "VERIFY_RESIZE": {"confirmResize": None}, "ERROR": {"reboot": {"type": "HARD"}}}
_INTO: dict[str, dict[str, Any] | None] = {
    "SHUTOFF": {"os-stop": None}, "PAUSED": {"pause": None}, "RESCUE": {"rescue": {}},
    "SHELVED_OFFLOADED": {"shelve": None}, "SOFT_DELETED": None}


class ZombieScene(VolumeScene):
    """A cloud with one server, which serves all scenarios that need one, and with another that goes from host to host.

    Both are on the first host; the second takes servers in scenarios of `_MOVES` alone.
    """

    def __init__(self, campaign: Campaign, client: Client) -> None:
        super().__init__(campaign, client)
        self._numbers = itertools.count(1)
        client.request("PATCH", f"/image/v2/images/{self.image_id}", json=[
            {"op": "add", "path": "/hw_qemu_guest_agent", "value": "yes"}],
            headers={"Content-Type": "application/openstack-images-v2.1-json-patch"}).raise_for_status()
        self.set_service("host2", status="disabled")
        self.server = client.create_server(self.image_id, "subject")
        client.wait_server(self.server, "ACTIVE")
        self.servers = [self.server]
        self._scenario = ""

    @functools.cached_property
    def mover(self) -> str:
        """A server with a volume."""
        made = self.client.create_server(self.image_id, "mover", availability_zone="nova:host1")
        self.client.wait_server(made, "ACTIVE")
        self.servers.append(made)
        volume_id = self.make("volume")
        self.client.post(f"{SERVERS}/{made}/os-volume_attachments", {
            "volumeAttachment": {"volumeId": volume_id}}).raise_for_status()
        self.wait("volume", volume_id, "in-use")
        return made

    def set_service(self, host: str, **values: Any) -> None:
        """Change the record of a host's service."""
        [service] = self.client.get(f"/compute/v2.1/os-services?binary=nova-compute&host={host}",
                                    headers=_V53).json()["services"]
        self.client.request("PUT", f"/compute/v2.1/os-services/{service['id']}", json=values,
                            headers=_V53).raise_for_status()

    @functools.cached_property
    def on_volume(self) -> str:
        """A server that boots from a volume."""
        made = str(self.server_with_volumes()().json()["server"]["id"])
        self.client.wait_server(made, "ACTIVE")
        self.servers.append(made)
        return made

    @functools.cached_property
    def _aggregate(self) -> str:
        """The path of actions on an aggregate of the first host."""
        made = self.client.post("/compute/v2.1/os-aggregates", {"aggregate": {"name": "maintained"}})
        act = f"/compute/v2.1/os-aggregates/{made.json()['aggregate']['id']}/action"
        self.client.post(act, {"add_host": {"host": "host1"}}).raise_for_status()
        return act

    def maintain(self, *, wanted: bool) -> requests.Response:
        """Start or end the maintenance of the first host."""
        return self.client.post(self._aggregate, {
            "set_metadata": {"metadata": {"hostler:maintenance": "true" if wanted else None}}})

    def prepare(self, scenario: str) -> Request:
        """Return the request of a scenario, once all that it needs is there and at rest."""
        if self._scenario == "drain":
            self.maintain(wanted=False).raise_for_status()
        self._scenario = scenario
        self.set_service("host1", forced_down=False)
        self.set_service("host1", status="enabled")
        wait_for(lambda: self.campaign.fleet._hosts_up(self.client) == 2, "both hosts up", 60)
        for server in self.servers:
            self._bring_home(server)
        self.set_service("host2", status="enabled" if scenario in _MOVES else "disabled")
        request = SCENARIOS[scenario](self)
        self.campaign.wait_rest()
        return request

    def records(self) -> dict[str, list[str]]:
        """Return every row that does not change by itself, as signs of life and reports of free space do."""
        with self.campaign.db.reading() as session:
            return {table.name: sorted(repr(tuple(row)) for row in session.execute(sa.select(table)))
                    for table in Base.metadata.sorted_tables
                    if "last_seen_at" not in table.columns and table.name != "backends"}

    def _bring_home(self, server: str) -> None:
        if self._host_of(server) == "host1" and (self.client.show(server) or {})["status"] != "ERROR":
            return
        self.bring("ACTIVE", server)
        self.campaign.wait_rest()
        if self._host_of(server) != "host1":
            self.client.post(f"{SERVERS}/{server}/action", _LIVE, headers=_V80).raise_for_status()
            self.campaign.wait_rest()

    def _host_of(self, server: str) -> str | None:
        host: str | None = (self.client.show(server) or {})["OS-EXT-SRV-ATTR:host"]
        return host

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
        self.bring(before, self.server)
        return self.posting(f"{SERVERS}/{self.server}/action", action, _V80)

    def bring(self, status: str, server: str) -> None:
        """Undisturbed, bring a server into a status, by way of ACTIVE."""
        for step in ("ACTIVE", status):
            now = (self.client.show(server) or {})["status"]
            if now != step:
                path, action = f"{SERVERS}/{server}", _BACK[now] if step == "ACTIVE" else _INTO[step]
                answer = (self.client.delete(path) if action is None
                          else self.client.post(f"{path}/action", action, headers=_V80))
                answer.raise_for_status()
                self.client.wait_server(server, step)

    def moving(self, before: str, action: dict[str, Any]) -> Request:
        """Return an action on the server that moves, which is in the state `before`."""
        if before == "VERIFY_RESIZE":
            self.client.post(f"{SERVERS}/{self.mover}/action", {"migrate": None}).raise_for_status()
            self.client.wait_server(self.mover, before)
        return self.posting(f"{SERVERS}/{self.mover}/action", action, _V80)

    def of_volumes(self, action: dict[str, Any]) -> Request:
        """Return an action on the server that boots from a volume, which is ACTIVE."""
        self.bring("ACTIVE", self.on_volume)
        return self.posting(f"{SERVERS}/{self.on_volume}/action", action, _V93)

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


def _resize(scene: ZombieScene) -> Request:
    """Return a resize in place, to and fro between two flavors."""
    scene.bring("ACTIVE", scene.server)
    now = (scene.client.show(scene.server) or {})["flavor"]["original_name"]
    return scene.power("ACTIVE", {"resize": {"flavorRef": "1" if now == "m1.nano" else "42"}})


def _resized(scene: ZombieScene, action: str) -> Request:
    _resize(scene)().raise_for_status()
    scene.client.wait_server(scene.server, "VERIFY_RESIZE")
    return scene.posting(f"{SERVERS}/{scene.server}/action", {action: None})


def _soft_delete(scene: ZombieScene) -> Request:
    scene.bring("ACTIVE", scene.server)
    return scene.deleting(f"{SERVERS}/{scene.server}")


def _attach_interface(scene: ZombieScene) -> Request:
    scene.bring("ACTIVE", scene.server)
    network = scene.client.get("/network/v2.0/networks?name=default").json()["networks"][0]["id"]
    return scene.posting(f"{SERVERS}/{scene.server}/os-interface", {"interfaceAttachment": {"net_id": network}})


def _detach_interface(scene: ZombieScene) -> Request:
    answer = _attach_interface(scene)()
    answer.raise_for_status()
    scene.campaign.wait_rest()
    return scene.deleting(f"{SERVERS}/{scene.server}/os-interface/{answer.json()['interfaceAttachment']['port_id']}")


def _evacuate(scene: ZombieScene) -> Request:
    request = scene.moving("ACTIVE", {"evacuate": {}})
    scene.campaign.wait_rest()
    scene.set_service("host1", forced_down=True)
    return request


def _drain(scene: ZombieScene) -> Request:
    """Drain the first host, with all its servers."""
    scene.bring("ACTIVE", scene.server)
    return lambda: scene.maintain(wanted=True)


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
    return scene.posting(f"{SERVERS}/{server}/action", {"forceDelete": None})  # past the trash


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
    "rebuild": lambda scene: scene.power("ACTIVE", {"rebuild": {"imageRef": scene.image_id}}),
    "create_image": lambda scene: scene.power("ACTIVE", {"createImage": {"name": scene.name("image")}}),
    "rebuild_of_a_volume": lambda scene: scene.of_volumes({"rebuild": {"imageRef": scene.image_id}}),
    "image_of_volumes": lambda scene: scene.of_volumes({"createImage": {"name": scene.name("image")}}),
    "create_server_backup": lambda scene: scene.power("ACTIVE", {
        "createBackup": {"name": scene.name("backup"), "backup_type": "daily", "rotation": 1}}),
    "rescue": lambda scene: scene.power("ACTIVE", {"rescue": {}}),
    "unrescue": lambda scene: scene.power("RESCUE", {"unrescue": None}),
    "shelve": lambda scene: scene.power("ACTIVE", {"shelve": None}),
    "unshelve": lambda scene: scene.power("SHELVED_OFFLOADED", {"unshelve": None}),
    "soft_delete": _soft_delete,
    "restore": lambda scene: scene.power("SOFT_DELETED", {"restore": None}),
    "attach_interface": _attach_interface,
    "detach_interface": _detach_interface,
    "change_password": lambda scene: scene.power("ACTIVE", {"changePassword": {"adminPass": "secret"}}),
    "crash_dump": lambda scene: scene.power("ACTIVE", {"trigger_crash_dump": None}),
    "resize": _resize,
    "confirm": lambda scene: _resized(scene, "confirmResize"),
    "revert_resize": lambda scene: _resized(scene, "revertResize"),
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
    "reimage": lambda scene: scene.posting(f"{V3}/volumes/{scene.make('volume')}/action",
                                           {"os-reimage": {"image_id": scene.image_id}}, _REIMAGES),
    "create_snapshot": lambda scene: scene.creating("snapshot", volume_id=scene.make("volume")),
    "delete_snapshot": lambda scene: scene.deleting(f"{V3}/snapshots/{_snapshot(scene)}"),
    "create_backup": lambda scene: scene.creating("backup", volume_id=scene.make("volume")),
    "delete_backup": lambda scene: scene.deleting(
        f"{V3}/backups/{scene.make('backup', volume_id=scene.make('volume'))}"),
    "restore_backup": _restore,
    "connect": lambda scene: scene.attachment(scene.make("volume")),
    "disconnect": _disconnect,
}
# Those that take the other server to the second host.
_MOVES: dict[str, Callable[[ZombieScene], Request]] = {
    "migrate_server": lambda scene: scene.moving("ACTIVE", {"migrate": None}),
    "confirm_migration": lambda scene: scene.moving("VERIFY_RESIZE", {"confirmResize": None}),
    "revert_migration": lambda scene: scene.moving("VERIFY_RESIZE", {"revertResize": None}),
    "live_migrate": lambda scene: scene.moving("ACTIVE", _LIVE),
    "evacuate": _evacuate,
    "drain": _drain,
}
SCENARIOS |= _MOVES
