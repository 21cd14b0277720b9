"""The unmodified `openstack` client on what belongs to volumes: types, snapshots, backups, transfers, attachments,
quota, limits, services, pools and zones."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from openstack import connection as sdk_connection

from tests.harness import openstack_cli
from tests.harness.inprocess import ADMIN_PASSWORD, Cloud
from tests.harness.ports import wait_for

pytestmark = pytest.mark.skipif(openstack_cli.missing() is not None, reason=str(openstack_cli.missing()))

Run = Callable[..., Any]
_SILENT = ("set", "unset", "delete", "complete")


@pytest.fixture(scope="module")
def openstack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """A function that runs `openstack …` as an administrator and returns its JSON, or its complaint with `fails`."""
    home = tmp_path_factory.mktemp("cloud")
    cloud = Cloud(home, hosts=1, nodes=1)
    client = cloud.start()

    def run(line: str, *, version: str = "3.71", fails: bool = False, shown: bool = False) -> Any:
        words = shlex.split(line)
        silent = not shown and any(word in _SILENT for word in words[:4])
        environment = openstack_cli.login(cloud.url, ADMIN_PASSWORD, home, OS_VOLUME_API_VERSION=version)
        done = openstack_cli.run([*words, *([] if silent else ["-f", "json"])], environment)
        assert (done.returncode != 0) == fails, done.stderr
        return done.stderr if fails else None if silent else json.loads(done.stdout)

    run.client = client  # type: ignore[attr-defined]
    yield run
    cloud.stop()


def look(openstack: Run, nouns: str, name: str) -> list[dict[str, Any]]:
    """Return the resources called `name`, without the cost of a client's start."""
    answer = openstack.client.get(f"/volume/v3/{nouns}/detail?name={name}")  # type: ignore[attr-defined]
    found: list[dict[str, Any]] = answer.json()[nouns]
    return found


def reach(openstack: Run, nouns: str, name: str, status: str = "available") -> str:
    """Wait till a resource has a status; returns its id."""
    wait_for(lambda: [row["status"] for row in look(openstack, nouns, name)] == [status], f"{name} {status}",
             timeout_s=60)
    return str(look(openstack, nouns, name)[0]["id"])


def test_types(openstack: Run) -> None:
    openstack("volume type create --property volume_backend_name=fake --description quick fast")
    openstack("volume type set --property a=b --name faster fast")
    openstack("volume type unset --property a faster")
    shown = openstack("volume type show faster")
    assert (shown["properties"], shown["is_public"]) == ({"volume_backend_name": "fake"}, True)
    openstack("volume type create --private secret")
    openstack("volume type set --project admin secret")
    assert openstack("volume type show secret")["access_project_ids"]
    assert {row["Name"] for row in openstack("volume type list")} == {"__DEFAULT__", "faster", "secret"}
    openstack("volume type unset --project admin secret")
    openstack("volume type delete secret")


def test_snapshots(openstack: Run) -> None:
    openstack("volume create --size 1 v1")
    reach(openstack, "volumes", "v1")
    openstack("volume snapshot create --volume v1 --property k=v s1")
    reach(openstack, "snapshots", "s1")
    openstack("volume snapshot set --name s2 --description d --property a=b s1")
    openstack("volume snapshot unset --property k s2")
    [row] = openstack("volume snapshot list --long --volume v1")
    assert (row["Name"], row["Properties"], row["Status"]) == ("s2", {"a": "b"}, "available")
    openstack("volume snapshot set --state error s2")
    assert openstack("volume snapshot list --status error")[0]["Name"] == "s2"
    openstack("volume snapshot delete --force s2")
    wait_for(lambda: look(openstack, "snapshots", "s2") == [], "no snapshot", timeout_s=60)
    assert "No Snapshot found for s2" in openstack("volume snapshot show s2", fails=True)


def test_backups(openstack: Run) -> None:
    openstack("volume create --size 1 v2")
    reach(openstack, "volumes", "v2")
    openstack("volume backup create --name full v2")
    reach(openstack, "backups", "full")
    openstack("volume backup create --name more --incremental v2")
    reach(openstack, "backups", "more")
    openstack("volume backup set --name better more")
    rows = {row["Name"]: row["Incremental"] for row in openstack("volume backup list --long --volume v2")}
    assert rows == {"full": False, "better": True}
    assert "Incremental backups exist for this backup" in openstack("volume backup delete full", fails=True)
    assert openstack("volume backup restore better v3")["volume_name"] == "v3"
    reach(openstack, "volumes", "v3")
    openstack("volume backup restore --force full v3")
    reach(openstack, "backups", "full")
    openstack("volume backup set --state error better")
    openstack("volume backup delete --force better")
    wait_for(lambda: look(openstack, "backups", "better") == [], "no incremental backup", timeout_s=60)
    assert "not supported by this cloud" in openstack("volume backup record export full", fails=True)


def test_transfers(openstack: Run) -> None:
    openstack("volume create --size 1 v4")
    reach(openstack, "volumes", "v4")
    made = openstack("volume transfer request create --name gift v4")
    assert [row["Name"] for row in openstack("volume transfer request list")] == ["gift"]
    assert openstack("volume show v4")["status"] == "awaiting-transfer"
    assert openstack(f"volume transfer request accept --auth-key {made['auth_key']} {made['id']}")["name"] == "gift"
    made = openstack("volume transfer request create --no-snapshots v4")
    assert openstack(f"volume transfer request show {made['id']}")["volume_id"] == made["volume_id"]
    openstack(f"volume transfer request delete {made['id']}")


@pytest.mark.long
def test_attachments(openstack: Run) -> None:
    openstack("volume create --size 1 v5")
    volume = reach(openstack, "volumes", "v5")
    flavor = openstack("flavor list")[0]["Name"]
    image = openstack("image create --disk-format raw --container-format bare empty --file /etc/hostname")["id"]
    server = openstack(f"server create --flavor {flavor} --image {image} --nic none --wait one")["id"]
    made = openstack(f"volume attachment create --connect --host mine --ip 192.0.2.1 --mode ro v5 --server {server}")
    assert (made["Instance ID"], made["Status"], made["Attach Mode"]) == (server, "attaching", "ro")
    assert made["Properties"]["driver_volume_type"] == "fake"
    openstack(f"volume attachment complete {made['ID']}")
    [row] = openstack(f"volume attachment list --volume-id {volume}")
    assert (row["Status"], row["Server ID"]) == ("attached", server)
    assert openstack(f"volume attachment show {made['ID']}")["Status"] == "attached"
    openstack(f"volume attachment delete {made['ID']}")
    made = openstack(f"volume attachment create v5 --server {server}")
    assert made["Status"] == "reserved"
    changed = openstack(f"volume attachment set --host mine {made['ID']}", shown=True)
    assert changed["Status"] == "attaching"
    openstack(f"volume attachment delete {made['ID']}")


def test_quota_and_limits(openstack: Run) -> None:
    openstack("quota set --volumes 20 --gigabytes 2000 admin")
    openstack("quota set --volumes 7 --volume-type faster admin")
    limits = {row["Resource"]: row["Limit"] for row in openstack("quota show --volume admin")}
    assert (limits["volumes"], limits["gigabytes"], limits["volumes_faster"]) == (20, 2000, 7)
    [row] = [row for row in openstack("quota list --volume") if row["Volumes"] == 20]
    assert row["Gigabytes"] == 2000
    used = {row["Resource"]: row["In Use"] for row in openstack("quota show --volume --usage admin")}
    assert used["volumes"] >= 4
    assert {row["Name"]: row["Value"] for row in openstack("limits show --absolute")}["max_total_volumes"] == 20
    assert "must be" in openstack("quota set --volumes 1 admin", fails=True)
    openstack("quota delete --volume admin")
    assert {row["Resource"]: row["Limit"] for row in openstack("quota show --volume admin")}["volumes"] == 10


def test_services_and_pools(openstack: Run) -> None:
    openstack("volume service set --disable --disable-reason why node1@fake cinder-volume")
    [row] = openstack("volume service list --long --service cinder-volume")
    assert (row["Host"], row["Status"], row["Disabled Reason"]) == ("node1@fake", "disabled", "why")
    openstack("volume service set --enable node1@fake cinder-volume")
    binaries = {row["Binary"]: row["State"] for row in openstack("volume service list")}
    assert binaries == {"cinder-volume": "up", "cinder-scheduler": "up", "cinder-backup": "up"}
    assert [row["Name"] for row in openstack("volume backend pool list --long")] == ["node1@fake#fake"]
    keys = {row["Key"] for row in openstack("volume backend capability show node1@fake")}
    assert {"online_snapshot", "storage_protocol"} <= keys


@pytest.mark.contract("V-AZLIST")
def test_the_client_reads_the_tree_of_zones(openstack: Run) -> None:
    rows = openstack("availability zone list --compute --long")
    services = {(row["Zone Name"], row["Host Name"], row["Service Name"]): row["Service Status"] for row in rows}
    for key in (("nova", "host1", "nova-compute"), ("nova", "node1@fake", "cinder-volume")):
        enabled, alive, updated_at = services[key].split(" ")
        assert (enabled, alive) == ("enabled", ":-)") and updated_at != "None"
    assert any(zone == "internal" for zone, _, _ in services)
    assert [(row["Zone Name"], row["Zone Status"]) for row in openstack("availability zone list --volume")] == [
        ("nova", "available")]


@pytest.mark.parametrize("line", [
    "volume group list", "volume group type list", "volume group snapshot list", "volume qos list",
    "consistency group list", "consistency group snapshot list", "block storage cluster list", "volume message list"])
def test_what_there_is_not(openstack: Run, line: str) -> None:
    assert openstack(line) == []


def test_extensions_and_filters(openstack: Run) -> None:
    assert "os-volume-transfer" in {row["Alias"] for row in openstack("extension list --volume")}
    assert "status" in openstack("block storage resource filter show snapshot")["Filters"]


@pytest.fixture(scope="module")
def sdk(openstack: Run) -> Iterator[Any]:
    """An openstacksdk connection of the administrator."""
    url = openstack.client.url  # type: ignore[attr-defined]
    connection = sdk_connection.Connection(
        auth={"auth_url": f"{url}/identity/v3", "username": "admin", "password": ADMIN_PASSWORD,
              "project_name": "admin", "user_domain_id": "default", "project_domain_id": "default"})
    yield connection
    connection.close()


@pytest.mark.long
def test_sdk_snapshots_and_backups(sdk: Any) -> None:
    volume = sdk.create_volume(size=1, name="sdk", wait=True, timeout=60)
    snapshot = sdk.create_volume_snapshot(volume.id, name="snap", wait=True, timeout=60)
    sdk.block_storage.set_snapshot_metadata(snapshot, a="b")
    assert sdk.block_storage.fetch_snapshot_metadata(snapshot).metadata == {"a": "b"}
    assert sdk.get_volume_snapshot("snap").id == snapshot.id
    sdk.block_storage.reset_snapshot_status(snapshot, "available")
    backup = sdk.create_volume_backup(volume.id, name="back", wait=True, timeout=60)
    assert [row.id for row in sdk.list_volume_backups(filters={"volume_id": volume.id})] == [backup.id]
    sdk.block_storage.update_backup(backup, name="renamed")
    assert sdk.block_storage.find_backup("renamed").id == backup.id
    more = sdk.create_volume_backup(volume.id, incremental=True, wait=True, timeout=60)
    restored = sdk.block_storage.restore_backup(more, name="restored")
    again = sdk.block_storage.get_volume(restored.volume_id)
    sdk.block_storage.wait_for_status(again, status="available", failures=["error"], interval=0.1, wait=60)
    for one in (more, backup):
        sdk.delete_volume_backup(one.id, wait=True, timeout=60)
    sdk.delete_volume_snapshot(snapshot.id, wait=True, timeout=60)
    for one in (volume, again):
        sdk.delete_volume(one.id, wait=True, timeout=60)


def test_sdk_types_quota_and_cloud(sdk: Any) -> None:
    made = sdk.block_storage.create_type(name="sdk-type", is_public=False)
    sdk.block_storage.update_type_extra_specs(made, volume_backend_name="fake")
    sdk.block_storage.delete_type_extra_specs(made, ["volume_backend_name"])
    sdk.add_volume_type_access(made.id, sdk.current_project_id)
    assert [row["project_id"] for row in sdk.get_volume_type_access(made.id)] == [sdk.current_project_id]
    sdk.remove_volume_type_access(made.id, sdk.current_project_id)
    assert sdk.block_storage.find_type("sdk-type").id == made.id
    sdk.block_storage.update_type(made, name="sdk-kind")
    sdk.block_storage.delete_type(made, ignore_missing=False)
    sdk.set_volume_quotas("admin", snapshots=33)
    assert sdk.get_volume_quotas("admin").snapshots == 33
    assert sdk.block_storage.get_quota_set(sdk.current_project_id, usage=True).usage["volumes"] >= 0
    sdk.delete_volume_quotas("admin")
    assert sdk.block_storage.get_quota_set_defaults(sdk.current_project_id).snapshots == 10
    assert sdk.block_storage.get_quota_class_set().volumes == 10
    assert sdk.block_storage.get_limits().absolute.max_total_volumes == 10
    assert sdk.get_volume_limits("admin").absolute.max_total_snapshots == 10
    assert {row.host for row in sdk.block_storage.services(binary="cinder-volume")} == {"node1@fake"}
    assert [row.name for row in sdk.block_storage.backend_pools()] == ["node1@fake#fake"]
    assert [row.name for row in sdk.block_storage.availability_zones()] == ["nova"]
    assert "volume" in {row.resource for row in sdk.block_storage.resource_filters()}
    assert list(sdk.block_storage.groups()) == [] and list(sdk.block_storage.group_types()) == []
