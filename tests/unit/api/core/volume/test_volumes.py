"""Volumes in answers: show and its microversions, lists with filters, order and pages, sums, changes, deletion."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from api.core.volume.rows import JOINED, STATUS, VOLUMES
from hostler import ids
from hostler.db.models import Lock, Operation, Volume, VolumeAttachment, VolumeTransfer
from hostler.resources.volume import states
from hostler.resources.volume.status import VOLUME_WHILE, volume_status
from tests.harness.volume_core import BACKEND, DEMO, IMAGE, NODE, OTHER, USER, Cloud


def _names(cloud: Cloud, query: str = "", **options: Any) -> list[str]:
    return [volume["name"] for volume in cloud.get(f"/volumes/detail?sort=name:asc&{query}", **options)["volumes"]]


def test_everything_is_shown_to_an_administrator(cloud: Cloud) -> None:
    kind = cloud.volume_type("fast")
    volume = cloud.ready(name="one", description="d", volume_type="fast", metadata={"a": "b"})
    attachment = cloud.attach(volume)
    shown = cloud.get(f"/volumes/{volume}", token="admin")["volume"]
    created, updated = shown.pop("created_at"), shown.pop("updated_at")
    assert len(created) == len(updated) == len("2026-01-31T12:00:00.000000")
    attached_at = shown["attachments"][0].pop("attached_at")
    assert attached_at is not None and shown.pop("links")[0]["href"].endswith(f"/volume/v3/volumes/{volume}")
    assert shown == {
        "id": volume, "name": "one", "description": "d", "status": "in-use", "size": 1, "availability_zone": "nova",
        "volume_type": "fast", "volume_type_id": kind, "snapshot_id": None, "source_volid": None,
        "metadata": {"a": "b", "attached_mode": "rw"}, "user_id": ids.bare(USER), "bootable": "false",
        "encrypted": False, "replication_status": None, "consistencygroup_id": None, "group_id": None,
        "multiattach": False, "migration_status": None, "os-vol-host-attr:host": "node1@local#local",
        "os-vol-tenant-attr:tenant_id": ids.bare(DEMO), "os-vol-mig-status-attr:migstat": None,
        "os-vol-mig-status-attr:name_id": None, "provider_id": None, "shared_targets": False, "service_uuid": NODE,
        "cluster_name": None, "consumes_quota": True,
        "attachments": [{"id": volume, "attachment_id": attachment, "volume_id": volume, "server_id": None,
                         "host_name": None, "device": "/dev/vdb"}]}


@pytest.mark.parametrize(("version", "present"), [
    ("3.0", set()), ("3.13", {"group_id"}), ("3.48", {"group_id", "shared_targets", "service_uuid"}),
    ("3.63", {"group_id", "shared_targets", "service_uuid", "volume_type_id"}),
    ("3.71", {"group_id", "shared_targets", "service_uuid", "volume_type_id", "consumes_quota"})])
def test_members_appear_with_their_version(cloud: Cloud, version: str, present: set[str]) -> None:
    shown = cloud.get(f"/volumes/{cloud.ready()}", version=version)["volume"]
    later = {"group_id", "provider_id", "shared_targets", "service_uuid", "cluster_name", "volume_type_id",
             "consumes_quota"}
    assert later & shown.keys() == present
    assert not {"os-vol-host-attr:host", "migration_status", "provider_id"} & shown.keys()


def test_a_project_may_stand_in_the_path(cloud: Cloud) -> None:
    volume = cloud.ready()
    for project in (DEMO, ids.bare(DEMO)):
        assert cloud.get(f"/{project}/volumes/{volume}")["volume"]["id"] == volume
        assert len(cloud.get(f"/{project}/volumes")["volumes"]) == 1
    assert cloud.refused("GET", f"/{OTHER}/volumes", status=400) == "Malformed request url"


def test_versions_and_what_is_no_version(cloud: Cloud) -> None:
    answer = cloud.client.simulate_get("/volume/v3")
    [version] = answer.json["versions"]
    assert (answer.status_code, version["version"], version["min_version"]) == (200, "3.71", "3.0")
    assert cloud.client.simulate_get("/volume").status_code == 300
    assert "maximum is 3.71" in cloud.refused("GET", "/volumes", status=406, version="3.72")
    cloud.refused("GET", "/volumes", status=400, version="3")
    assert cloud.call("GET", "/volumes", version="3.71").headers["openstack-api-version"] == "volume 3.71"


def test_others_do_not_see_it(cloud: Cloud) -> None:
    volume = cloud.ready()
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/metadata"), ("GET", "/encryption")):
        cloud.refused(method, f"/volumes/{volume}{path}", status=404, token="other")
    cloud.refused("PUT", f"/volumes/{volume}", {"volume": {"name": "mine"}}, status=404, token="other")
    assert cloud.act(volume, "os-extend", {"new_size": 2}, token="other").status_code == 404
    assert cloud.get("/volumes", token="other")["volumes"] == []
    assert cloud.get("/volumes?all_tenants=1", token="other")["volumes"] == []
    assert len(cloud.get("/volumes?all_tenants=1", token="admin")["volumes"]) == 1
    assert cloud.get(f"/volumes?all_tenants=1&project_id={ids.bare(OTHER)}", token="admin")["volumes"] == []


def test_a_list_costs_the_same_whatever_its_length(cloud: Cloud) -> None:
    seen: list[str] = []

    def cost(path: str) -> int:
        del seen[:]
        cloud.get(path)
        return len(seen)

    event.listen(cloud.services.db.engine, "before_cursor_execute",
                 lambda _connection, _cursor, statement, *_rest: seen.append(statement))
    cloud.attach(cloud.ready())
    few = [cost(path) for path in ("/volumes", "/volumes/detail", "/volumes/detail?with_count=true")]
    for _ in range(8):
        cloud.attach(cloud.ready(imageRef=IMAGE, size=3))
    assert [cost(path) for path in ("/volumes", "/volumes/detail", "/volumes/detail?with_count=true")] == few
    assert few == [1, 2, 3]


def test_filters(cloud: Cloud) -> None:
    kind = cloud.volume_type("fast")
    a = cloud.ready(name="alpha", metadata={"tier": "gold", "x y": "1"}, volume_type="fast")
    cloud.ready(name="beta", size=3, imageRef=IMAGE)
    cloud.attach(a)
    cloud.create(name="gamma")
    for query, expected in (
            ("", ["alpha", "beta", "gamma"]), ("name=alpha", ["alpha"]), ("name~=a", ["alpha", "beta", "gamma"]),
            ("name~=et", ["beta"]), ("name~=%25", []), ("status=available", ["beta"]), ("status=in-use", ["alpha"]),
            ("status=creating", ["gamma"]), ("status=nothing", []), ("size=3", ["beta"]),
            ("bootable=true", ["beta"]), ("bootable=False", ["alpha", "gamma"]),
            ("metadata=%7B'tier':%20'gold'%7D", ["alpha"]), ("metadata=%7B'tier':%20'tin'%7D", []),
            ("metadata=%7B'x y':%20'1'%7D", ["alpha"]), ("metadata=%7B'%22':%20'1'%7D", []),
            ("glance_metadata=%7B'os_type':%20'linux'%7D", ["beta"]), ("availability_zone=nova", ["alpha", "beta",
                                                                                               "gamma"]),
            ("availability_zone=x", []), ("volume_type=fast", ["alpha"]), (f"volume_type={kind}", ["alpha"]),
            ("created_at=gt:2020-01-01T00:00:00Z", ["alpha", "beta", "gamma"]),
            ("created_at=gt:2020-01-01,lt:2021-01-01", []), ("updated_at=lte:2020-01-01T00:00:00%2B01:00", []),
            ("attach_status=attached", ["alpha"]), ("host=node1@local%23local", ["alpha", "beta"]),
            ("migration_status=migrating", []), ("consumes_quota=false", []), (f"id={ids.bare(a)}", ["alpha"])):
        assert _names(cloud, query, token="admin") == expected, query
    for query in ("bootable=maybe", "size=x", "metadata=x", "metadata=[1]", "created_at=gt:yesterday",
                  "created_at=2020-01-01", "metadata=" + "[" * 3000, "sort=nothing:asc", "sort=name:sideways",
                  "with_count=maybe", "limit=-1", "offset=x", "sort=name&sort_key=name", "all_tenants=maybe",
                  "nonsense=1"):
        cloud.refused("GET", f"/volumes/detail?{query}", status=400)
        cloud.refused("GET", f"/volumes?{query}", status=400)


def test_filters_of_later_versions_are_passed_over_before(cloud: Cloud) -> None:
    cloud.ready(name="alpha")
    # Filters are refused since 3.31, and part of a name is one since 3.34 only.
    cloud.refused("GET", "/volumes/detail?name~=zzz", status=400, version="3.33")
    assert _names(cloud, "name~=zzz", version="3.30") == ["alpha"]
    assert _names(cloud, "name~=zzz", version="3.34", token="admin") == []
    assert _names(cloud, "created_at=lt:2020-01-01", version="3.59") == ["alpha"]


def test_pages_in_every_order(cloud: Cloud) -> None:
    made = {cloud.ready(name=name, size=size): name for name, size in (("a", 3), ("b", 1), ("c", 2), ("d", 2))}
    cloud.attach(next(iter(made)))
    for sort in ("name:asc", "name:desc", "size:asc,name:desc", "status:asc", "created_at", "host:asc", "bootable",
                 "volume_type:desc", "snapshot_id:asc"):
        everything = [volume["id"] for volume in cloud.get(f"/volumes?sort={sort}")["volumes"]]
        assert sorted(everything) == sorted(made)
        paged: list[str] = []
        path = f"/volumes?sort={sort}&limit=1"
        while path:
            page = cloud.get(path)
            paged += [volume["id"] for volume in page["volumes"]]
            link = page.get("volumes_links", [{"href": ""}])[0]["href"]
            path = link.partition("/volume/v3")[2]
        assert paged == everything, sort
    assert [volume["name"] for volume in cloud.get("/volumes?sort_key=name&sort_dir=asc&limit=2&offset=1")["volumes"]
            ] == ["b", "c"]
    assert cloud.get("/volumes?limit=0")["volumes"] == []
    assert cloud.get("/volumes/detail?limit=1&with_count=true")["count"] == 4
    assert "count" not in cloud.get("/volumes?limit=1&with_count=true", version="3.44")
    cloud.refused("GET", f"/volumes?marker={ids.new_id()}", status=404)


def test_the_summary(cloud: Cloud) -> None:
    cloud.ready(size=2, metadata={"tier": "gold"})
    cloud.ready(size=3, metadata={"tier": "tin", "a": "b"})
    assert cloud.get("/volumes/summary")["volume-summary"] == {
        "total_count": 2, "total_size": 5, "metadata": {"a": ["b"], "tier": ["gold", "tin"]}}
    assert cloud.get("/volumes/summary", version="3.12")["volume-summary"] == {"total_count": 2, "total_size": 5}
    cloud.refused("GET", "/volumes/summary", status=404, version="3.11")


def test_the_status_in_sql_is_the_status_of_the_rule(cloud: Cloud) -> None:
    """Every combination of stored state, holder of the lock, attachments and offer."""
    kinds = [None, *VOLUME_WHILE, "volume.migrate", "snapshot.create"]
    expected: dict[str, str] = {}
    for state, kind in itertools.product((states.CREATING, states.READY, *states.ERRORS, states.MAINTENANCE), kinds):
        for attached, reserved, offered in ((0, 0, False), (1, 0, False), (0, 1, False), (0, 0, True), (1, 1, True)):
            if state == states.READY or not (attached or reserved or offered):
                volume = ids.new_id()
                _write(cloud, volume, state, kind, attached, reserved, offered)
                words = [word for word, number in ((states.ATTACHED, attached), (states.RESERVED, reserved)) if number]
                expected[volume] = volume_status(state, kind, attachments=words, offered=offered)
    with cloud.services.db.reading() as session:
        found = dict(session.execute(sa.select(VOLUMES.c.id, STATUS).select_from(JOINED)).tuples().all())
    assert found == expected


def _write(cloud: Cloud, volume: str, state: str, kind: str | None, attached: int, reserved: int,
           offered: bool) -> None:
    operation = ids.new_id()
    cloud.add(Volume(id=volume, project_id=DEMO, user_id=USER, state=state, size_gib=1, claimed_gib=1, zone="nova",
                     backend_id=BACKEND))
    cloud.add(*[VolumeAttachment(id=ids.new_id(), volume_id=volume, state=word) for word, number in (
        (states.ATTACHED, attached), (states.RESERVED, reserved)) for _ in range(number)])
    if offered:
        cloud.add(VolumeTransfer(volume_id=volume, project_id=DEMO, salt="s", key_hash="h"))
    if kind is not None:
        cloud.add(Operation(id=operation, kind=kind, resource_type="volume", resource_id=volume, request_id="req-x"))
        cloud.add(Lock(resource_id=volume, resource_type="volume", operation_id=operation, kind=kind))


def test_progress_and_the_fault_are_shown(cloud: Cloud) -> None:
    volume = cloud.create()["id"]
    assert cloud.get(f"/volumes/{volume}/hostler") == {"hostler": {"progress": None, "fault": None}}
    [operation] = cloud.operations(volume)
    cloud.services.db.write(lambda session: session.execute(
        sa.update(Operation).where(Operation.id == operation.id).values(progress=40)))
    assert cloud.get(f"/volumes/{volume}/hostler")["hostler"]["progress"] == 40
    cloud.settle(volume, state="error", fault={"message": "No valid back end was found."})
    shown = cloud.get(f"/volumes/{volume}")["volume"]
    assert shown["status"] == "error"
    assert cloud.get(f"/volumes/{volume}/hostler")["hostler"]["fault"] == "No valid back end was found."


def test_words_are_changed(cloud: Cloud) -> None:
    volume = cloud.ready(name="one", description="d", metadata={"a": "b"})
    body = {"volume": {"name": " two ", "description": None, "metadata": {"c": "d"}}}
    shown = cloud.call("PUT", f"/volumes/{volume}", body).json["volume"]
    assert (shown["name"], shown["description"], shown["metadata"]) == ("two", None, {"c": "d"})
    shown = cloud.call("PUT", f"/volumes/{volume}", {"volume": {"display_name": "three"}}, version="3.0").json["volume"]
    assert shown["name"] == "three"
    assert cloud.call("PUT", f"/volumes/{volume}", {"volume": {}}, version="3.52").status_code == 200
    for wrong in ({}, {"name": "n" * 256}, {"size": 2}, {"metadata": None}, {"name": 1}, {"name": "\x00"}):
        cloud.refused("PUT", f"/volumes/{volume}", {"volume": wrong}, status=400)
    cloud.refused("PUT", f"/volumes/{volume}", {"volume": {"name": "x"}}, status=403, token="reader")


def test_deletion_is_accepted_once(cloud: Cloud) -> None:
    volume = cloud.ready()
    for _ in range(2):
        assert cloud.call("DELETE", f"/volumes/{volume}").status_code == 202
    last = [operation for operation in cloud.operations(volume) if operation.kind == "volume.delete"]
    assert [(operation.arguments, operation.host) for operation in last] == [({"cascade": False}, "volume@node1")]
    assert cloud.get(f"/volumes/{volume}")["volume"]["status"] == "deleting"
    assert cloud.waker.woken[-1] == last[0].id


def test_what_must_not_be_deleted(cloud: Cloud) -> None:
    volume = cloud.ready()
    cloud.attach(volume)
    message = cloud.refused("DELETE", f"/volumes/{volume}", status=400)
    assert "available or error" in message and "current status is: in-use" in message
    cloud.refused("DELETE", f"/volumes/{volume}?force=true", status=400, token="admin")
    cloud.settle(volume, state="error")  # an administrator's word on a volume that a server has
    for query in ("", "?force=true"):
        assert "attached to" in cloud.refused("DELETE", f"/volumes/{volume}{query}", status=400, token="admin")
    source = cloud.ready()
    heir = cloud.create(source_volid=source)["id"]
    assert heir in cloud.refused("DELETE", f"/volumes/{source}", status=400)
    creating = cloud.create()["id"]
    cloud.refused("DELETE", f"/volumes/{creating}", status=409)
    cloud.refused("DELETE", f"/volumes/{creating}?force=true", status=403)
    cloud.refused("DELETE", f"/volumes/{ids.new_id()}", status=404)
    cloud.refused("DELETE", "/volumes/no-id", status=404)
    cloud.refused("DELETE", f"/volumes/{volume}?cascade=maybe", status=400)


def test_force_stops_what_is_going_on(cloud: Cloud) -> None:
    volume = cloud.create()["id"]
    assert cloud.call("DELETE", f"/volumes/{volume}?force=true", token="admin").status_code == 202
    create, delete = cloud.operations(volume)
    assert create.cancel_requested and delete.waits_for_lock and delete.arguments == {"cascade": False}
    assert cloud.act(volume, "os-force_delete", {}, token="admin").status_code == 202
    assert len(cloud.operations(volume)) == 2
    cloud.refused("DELETE", f"/volumes/{cloud.create()['id']}?force=true", status=409, token="admin", version="3.22")


def test_snapshots_go_along_only_when_told(cloud: Cloud) -> None:
    volume = cloud.ready()
    snapshots = [cloud.snapshot(volume), cloud.snapshot(volume, state="error")]
    assert "2 snapshots" in cloud.refused("DELETE", f"/volumes/{volume}", status=400)
    heir = cloud.create(snapshot_id=snapshots[0])["id"]
    assert heir in cloud.refused("DELETE", f"/volumes/{volume}?cascade=true", status=400)
    cloud.settle(heir)
    assert cloud.call("DELETE", f"/volumes/{volume}?cascade=true").status_code == 202
    assert cloud.operations(volume)[-1].arguments == {"cascade": True}
    cloud.refused("POST", "/volumes", {"volume": {"snapshot_id": snapshots[0]}}, status=409)


def test_a_create_that_is_sent_again_makes_no_second_volume(cloud: Cloud) -> None:
    def send(key: str, token: str = "member") -> Any:
        return cloud.client.simulate_post("/volume/v3/volumes", json={"volume": {"size": 1}}, headers={
            "X-Auth-Token": token, "Idempotency-Key": key})

    first, again, third, foreign = send("k"), send("k"), send("l"), send("k", "other")
    assert first.json["volume"]["id"] == again.json["volume"]["id"]
    assert len({answer.json["volume"]["id"] for answer in (first, third, foreign)}) == 3
    assert cloud.count(Volume) == len(cloud.waker.woken) == 3
    assert send("k" * 201).status_code == 400


def test_nothing_begins_between_an_operation_and_the_forced_deletion_behind_it(cloud: Cloud) -> None:
    """Given a deletion that waits for an extension, when the extension ends, then the volume is as good as deleted."""
    volume = cloud.ready()
    cloud.busy(volume, "volume.extend", size_gib=2)
    assert cloud.call("DELETE", f"/volumes/{volume}?force=true", token="admin").status_code == 202
    cloud.services.db.write(lambda session: session.execute(sa.delete(Lock)))
    for action, argument in (("os-reserve", None), ("os-extend", {"new_size": 2}), ("os-detach", None),
                             ("os-update_readonly_flag", {"readonly": True})):
        assert cloud.act(volume, action, argument).status_code == 409
    cloud.refused("POST", "/volumes", {"volume": {"source_volid": volume}}, status=409)
    assert cloud.call("DELETE", f"/volumes/{volume}").status_code == 202
