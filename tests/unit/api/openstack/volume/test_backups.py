"""Backups: what a request accepts, refuses and shows."""

from __future__ import annotations

import datetime as dt

import pytest

from hostler import clock, ids
from hostler.db.models import Backup, QuotaLimit, Volume
from tests.harness.volume_core import DEMO, OTHER, Cloud
from tests.harness.volume_rest import STORE, Statements, free, offline, put_volume, without_store


def make(cloud: Cloud, volume_id: str, **more: object) -> str:
    answer = cloud.call("POST", "/backups", {"backup": {"volume_id": volume_id, **more}})
    assert answer.status_code == 202, answer.text
    return str(answer.json["backup"]["id"])


def test_create_locks_volume_and_snapshot(cloud: Cloud) -> None:
    volume_id = put_volume(cloud, size_gib=3)
    snapshot_id = cloud.snapshot(volume_id, size_gib=2)
    backup_id = make(cloud, volume_id, snapshot_id=snapshot_id, name="b", metadata={"k": "v"}, container="box",
                     availability_zone="nova")
    shown = cloud.get(f"/backups/{backup_id}")["backup"]
    assert (shown["status"], shown["size"], shown["snapshot_id"]) == ("creating", 2, snapshot_id)
    assert (shown["is_incremental"], shown["metadata"], shown["container"]) == (False, {"k": "v"}, "box")
    assert "os-backup-project-attr:project_id" not in shown
    assert cloud.get(f"/snapshots/{snapshot_id}")["snapshot"]["status"] == "backing-up"
    [operation] = cloud.operations(backup_id)
    assert (operation.kind, operation.host) == ("backup.create", "volume@node1")
    cloud.refused("POST", "/backups", {"backup": {"volume_id": volume_id}}, status=409)
    assert cloud.get("/limits")["limits"]["absolute"]["totalBackupGigabytesUsed"] == 2


def test_incremental_builds_on_the_newest_whole_one(cloud: Cloud) -> None:
    volume_id = put_volume(cloud)
    wanted = {"backup": {"volume_id": volume_id, "incremental": True}}
    assert "No backups available" in cloud.refused("POST", "/backups", wanted, status=400)
    now = clock.utcnow()
    cloud.backup(volume_id, store=STORE, data_at=now - dt.timedelta(hours=2))
    newest = cloud.backup(volume_id, store=STORE, data_at=now - dt.timedelta(hours=1))
    cloud.backup(volume_id, store=STORE, data_at=now, state="error")
    cloud.backup(volume_id, store=ids.new_id(), data_at=now)
    cloud.backup(volume_id, store=STORE, data_at=now, deleted_at=now)
    child = make(cloud, volume_id, incremental=True)
    with cloud.services.db.reading() as session:
        assert session.get_one(Backup, child).parent_id == newest
    assert cloud.get(f"/backups/{newest}")["backup"]["has_dependent_backups"] is True
    assert cloud.get(f"/backups/{child}")["backup"]["is_incremental"] is True
    message = cloud.refused("DELETE", f"/backups/{newest}", status=400)
    assert message == "Invalid backup: Incremental backups exist for this backup."
    cloud.refused("POST", f"/backups/{newest}/action", {"os-force_delete": {}}, status=400, token="admin")


def test_incremental_does_not_build_on_what_is_being_deleted(cloud: Cloud) -> None:
    volume_id = put_volume(cloud)
    only = cloud.backup(volume_id, store=STORE)
    assert cloud.call("DELETE", f"/backups/{only}").status_code == 202
    cloud.refused("POST", "/backups", {"backup": {"volume_id": volume_id, "incremental": "yes"}}, status=400)


def test_of_an_attached_volume(cloud: Cloud) -> None:
    volume_id = put_volume(cloud)
    snapshot_id = cloud.snapshot(volume_id)
    cloud.attach(volume_id)
    assert "force flag" in cloud.refused("POST", "/backups", {"backup": {"volume_id": volume_id}}, status=400)
    make(cloud, volume_id, force=True)
    free(cloud, volume_id)
    offline(cloud)
    message = cloud.refused("POST", "/backups", {"backup": {"volume_id": volume_id, "force": True}}, status=400)
    assert "detached volumes only" in message
    make(cloud, volume_id, snapshot_id=snapshot_id)


def test_refusals(cloud: Cloud) -> None:
    volume_id, strange = put_volume(cloud), put_volume(cloud, project_id=OTHER)
    other_snapshot = cloud.snapshot(put_volume(cloud))

    def refused(status: int, **backup: object) -> str:
        return cloud.refused("POST", "/backups", {"backup": {"volume_id": volume_id, **backup}}, status=status)

    refused(404, volume_id=strange)
    refused(404, snapshot_id=ids.new_id())
    refused(400, snapshot_id=other_snapshot)
    assert refused(400, availability_zone="mars") == "Availability zone 'mars' is invalid."
    refused(400, incremental="maybe")
    refused(400, what=1)
    refused(400, volume_id="x")
    refused(400, volume_id=put_volume(cloud, state="error"))
    cloud.refused("POST", "/backups", {"backup": {"volume_id": volume_id, "metadata": {}}}, status=400,
                  version="3.42")
    cloud.add(QuotaLimit(project_id=DEMO, resource="backups", hard_limit=0))
    assert "Maximum number of backups allowed (0)" in refused(413)
    without_store(cloud)
    assert "no backup store" in refused(400)


def test_list_update_and_reset(cloud: Cloud) -> None:
    volume_id = put_volume(cloud)
    first = cloud.backup(volume_id, name="a", store=STORE)
    cloud.backup(volume_id, name="b", state="error", fault={"message": "no room"})
    cloud.backup(volume_id, name="c", project_id=OTHER)

    def names(query: str, **options: object) -> list[str]:
        return [row["name"] for row in cloud.get(f"/backups/detail?{query}", **options)["backups"]]

    assert names("sort=name:asc") == ["a", "b"] and names("status=error") == ["b"]
    assert names(f"volume_id={volume_id}&sort=name") == ["b", "a"] and names("name~=A", token="admin") == ["a"]
    assert names("all_tenants=1&sort=name:asc", token="admin") == ["a", "b", "c"]
    assert cloud.get("/backups/detail?name=b")["backups"][0]["fail_reason"] == "no room"
    with Statements(cloud) as statements:
        cloud.get("/backups/detail?with_count=1")
    assert statements.count == 2
    changed = cloud.call("PUT", f"/backups/{first}", {"backup": {"name": "z", "metadata": {"k": "v"}}})
    assert changed.json["backup"]["name"] == "z"
    cloud.refused("PUT", f"/backups/{first}", {"backup": {}}, status=400)
    cloud.refused("PUT", f"/backups/{first}", {"backup": {"name": "z"}}, status=404, version="3.8")
    reset = {"os-reset_status": {"status": "error"}}
    cloud.refused("POST", f"/backups/{first}/action", reset, status=403)
    assert cloud.call("POST", f"/backups/{first}/action", reset, token="admin").status_code == 202
    assert cloud.get(f"/backups/{first}")["backup"]["status"] == "error"
    cloud.refused("POST", f"/backups/{first}/action", {"os-reset_status": {"status": "x"}}, status=400, token="admin")


def test_records_do_not_travel(cloud: Cloud) -> None:
    backup_id = cloud.backup(put_volume(cloud))
    cloud.refused("GET", f"/backups/{backup_id}/export_record", status=501, token="admin")
    cloud.refused("GET", f"/backups/{ids.new_id()}/export_record", status=404, token="admin")
    cloud.refused("POST", "/backups/import_record", {"backup-record": {}}, status=501, token="admin")


def test_restore_to_an_existing_volume(cloud: Cloud) -> None:
    backup_id = cloud.backup(None, size_gib=2, store=STORE)
    small, large = put_volume(cloud), put_volume(cloud, size_gib=2)
    path = f"/backups/{backup_id}/restore"
    message = cloud.refused("POST", path, {"restore": {"volume_id": small}}, status=400)
    assert "volume size 1 is too small to restore backup of size 2" in message
    cloud.refused("POST", path, {"restore": {"volume_id": ids.new_id()}}, status=404)
    busy = put_volume(cloud, size_gib=2)
    cloud.attach(busy)
    cloud.refused("POST", path, {"restore": {"volume_id": busy}}, status=400)
    done = cloud.call("POST", path, {"restore": {"volume_id": large}})
    assert (done.status_code, done.json["restore"]["volume_id"]) == (202, large)
    [operation] = cloud.operations(backup_id)
    assert (operation.kind, operation.arguments) == ("backup.restore", {"volume_id": large})
    assert cloud.get(f"/backups/{backup_id}")["backup"]["status"] == "restoring"
    cloud.refused("POST", path, {"restore": {"volume_id": busy}}, status=409)
    cloud.refused("POST", path, {"restore": {"volume_id": 1}}, status=400)
    cloud.refused("POST", path, {}, status=400)


def test_restore_where_the_store_is_not_reached(cloud: Cloud) -> None:
    backup_id = cloud.backup(None, store=ids.new_id())
    message = cloud.refused("POST", f"/backups/{backup_id}/restore", {"restore": {"volume_id": put_volume(cloud)}},
                            status=400)
    assert "does not reach the store" in message


@pytest.mark.parametrize(("restore", "name"), [({}, None), (None, None), ({"name": "mine"}, "mine")])
def test_restore_to_a_new_volume(cloud: Cloud, restore: object, name: str | None) -> None:
    backup_id = cloud.backup(put_volume(cloud), size_gib=2, store=STORE)
    done = cloud.call("POST", f"/backups/{backup_id}/restore", {"restore": restore})
    assert done.status_code == 202, done.text
    made = done.json["restore"]
    assert made["volume_name"] == (name or f"restore_backup_{backup_id}")
    with cloud.services.db.reading() as session:
        row = session.get_one(Volume, made["volume_id"])
        assert (row.backup_id, row.size_gib, row.state) == (backup_id, 2, "creating")
    assert made["volume_id"] in cloud.refused("DELETE", f"/backups/{backup_id}", status=400)
