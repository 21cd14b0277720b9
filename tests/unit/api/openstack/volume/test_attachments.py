"""Attachments made by hand: reserve, connect, complete, end; and what servers have shows."""

from __future__ import annotations

from typing import Any

import pytest

from hostler import clock, ids
from hostler.db.models import Operation, Server, VolumeAttachment
from tests.harness.volume_core import DEMO, IMAGE, OTHER, USER, Cloud
from tests.harness.volume_rest import Statements, put_volume

CONNECTOR = {"host": "mine", "ip": "192.0.2.1", "initiator": None, "platform": "x86_64", "os_type": "linux",
             "multipath": False, "mountpoint": "/dev/sdx"}
CONNECTION = {"protocol": "nbd", "format": "raw", "data": {"host": "192.0.2.9", "port": 10809, "export": "x"}}
INSTANCE = "abababab-abab-4bab-8bab-abababababab"


def connects(session: Any, operation: Operation) -> None:
    """Do what a conductor does with attachment.connect and attachment.delete."""
    row = session.get(VolumeAttachment, operation.arguments["attachment_id"])
    if operation.kind == "attachment.connect":
        row.connection = CONNECTION
    else:
        session.delete(row)


def fails(_session: Any, operation: Operation) -> None:
    """End an operation with a cause."""
    operation.state, operation.message = "failed", "The storage node refuses this host."


def reserve(cloud: Cloud, volume_id: str, **more: object) -> dict[str, Any]:
    answer = cloud.call("POST", "/attachments", {"attachment": {"volume_uuid": volume_id, **more}})
    assert answer.status_code == 200, answer.text
    return answer.json["attachment"]


def put_server(cloud: Cloud) -> str:
    server_id = ids.new_id()
    cloud.add(Server(id=server_id, name="one", project_id=DEMO, user_id=USER, vm_state="active", flavor_id="1",
                     image_id=IMAGE, vcpus=1, ram_mib=1, root_gib=1))
    return server_id


def test_reserve_and_give_back(cloud: Cloud) -> None:
    volume_id = put_volume(cloud)
    made = reserve(cloud, volume_id, instance_uuid=INSTANCE, connector={})
    assert (made["status"], made["instance"], made["attach_mode"]) == ("reserved", INSTANCE, "rw")
    assert made["connection_info"] == {}
    assert cloud.get(f"/volumes/{volume_id}")["volume"]["status"] == "reserved"
    cloud.refused("POST", "/attachments", {"attachment": {"volume_uuid": volume_id}}, status=400)
    # The reference takes the caller's word that it is attached.
    assert cloud.call("POST", f"/attachments/{made['id']}/action", {"os-complete": made["id"]}).status_code == 204
    assert cloud.get(f"/volumes/{volume_id}")["volume"]["status"] == "in-use"
    assert cloud.call("DELETE", f"/attachments/{made['id']}").json == {"attachments": []}
    assert cloud.get(f"/volumes/{volume_id}")["volume"]["status"] == "available"
    assert cloud.count(Operation) == 0
    cloud.refused("GET", f"/attachments/{made['id']}", status=404)


def test_connect_complete_and_end(cloud: Cloud) -> None:
    cloud.waker.outcome = connects
    volume_id = put_volume(cloud)
    made = reserve(cloud, volume_id, instance_uuid=INSTANCE, connector=CONNECTOR, mode="ro")
    info = made["connection_info"]
    assert (made["status"], made["attach_mode"], info["driver_volume_type"]) == ("attaching", "ro", "nbd")
    assert (info["port"], info["access_mode"], info["attachment_id"]) == (10809, "ro", made["id"])
    with cloud.services.db.reading() as session:
        row = session.get_one(VolumeAttachment, made["id"])
    assert (row.connector["host"], row.connector["ip"], row.device, row.server_id) == (
        "mine", "192.0.2.1", "/dev/sdx", None)
    assert cloud.call("POST", f"/attachments/{made['id']}/action", {"os-complete": None}).status_code == 204
    shown = cloud.get(f"/attachments/{made['id']}")["attachment"]
    assert shown["status"] == "attached" and shown["attached_at"]
    assert cloud.get(f"/volumes/{volume_id}")["volume"]["status"] == "in-use"
    assert cloud.call("DELETE", f"/attachments/{made['id']}").status_code == 200
    assert [row.kind for row in cloud.operations(volume_id)] == ["attachment.connect", "attachment.delete"]
    assert cloud.count(VolumeAttachment) == 0


def test_keys_of_the_storage_are_for_administrators(cloud: Cloud) -> None:
    rbd = {"protocol": "rbd", "format": "raw", "data": {"pool": "p", "image": "i", "user": "u", "key": "secret"}}
    attachment_id = cloud.attach(put_volume(cloud), connection=rbd)

    def info(token: str) -> dict[str, object]:
        return cloud.get(f"/attachments/{attachment_id}", token=token)["attachment"]["connection_info"]

    assert info("reader") == {}
    assert info("member")["pool"] == "p" and "key" not in info("member")
    assert info("admin")["key"] == "secret"
    assert "secret" not in cloud.call("GET", "/attachments/detail").text


def test_connect_later(cloud: Cloud) -> None:
    cloud.waker.outcome = connects
    made = reserve(cloud, put_volume(cloud), instance_uuid=INSTANCE)
    path = f"/attachments/{made['id']}"
    answer = cloud.call("PUT", path, {"attachment": {"connector": CONNECTOR}})
    assert answer.json["attachment"]["connection_info"]["export"] == "x"
    assert answer.json["attachment"]["instance"] == INSTANCE
    cloud.refused("PUT", path, {"attachment": {"connector": CONNECTOR}}, status=400)
    for bad in ({"connector": {}}, {}, {"connector": {"host": ""}}, {"connector": {"host": "h", "ip": 1}},
                {"connector": "x"}):
        cloud.refused("PUT", path, {"attachment": bad}, status=400)


def test_a_failed_connection_leaves_nothing(cloud: Cloud) -> None:
    cloud.waker.outcome = fails
    volume_id = put_volume(cloud)
    message = cloud.refused("POST", "/attachments", {
        "attachment": {"volume_uuid": volume_id, "connector": CONNECTOR}}, status=409)
    assert message == "The storage node refuses this host."
    assert cloud.get(f"/volumes/{volume_id}")["volume"]["status"] == "available"


def test_what_a_server_has(cloud: Cloud) -> None:
    server_id, volume_id = put_server(cloud), put_volume(cloud)
    attachment_id = cloud.attach(volume_id, server_id=server_id, connection=CONNECTION)
    shown = cloud.get(f"/attachments/{attachment_id}")["attachment"]
    assert (shown["instance"], shown["connection_info"]) == (server_id, {})
    for method, path, body in (("DELETE", "", None), ("PUT", "", {"attachment": {"connector": CONNECTOR}}),
                               ("POST", "/action", {"os-complete": None})):
        message = cloud.refused(method, f"/attachments/{attachment_id}{path}", body, status=409)
        assert f"detach it through the server (DELETE /servers/{server_id}" in message
    cloud.services.db.write(lambda session: setattr(session.get(Server, server_id), "deleted_at", clock.utcnow()))
    cloud.waker.outcome = connects
    assert cloud.call("DELETE", f"/attachments/{attachment_id}").status_code == 200


def test_multiattach(cloud: Cloud) -> None:
    volume_id = put_volume(cloud, multiattach=True)
    first, second = reserve(cloud, volume_id), reserve(cloud, volume_id)
    left = cloud.call("DELETE", f"/attachments/{first['id']}").json["attachments"]
    assert [row["id"] for row in left] == [second["id"]]


def test_list(cloud: Cloud) -> None:
    one, two = put_volume(cloud), put_volume(cloud)
    reserve(cloud, one, instance_uuid=INSTANCE)
    cloud.attach(two)
    cloud.attach(put_volume(cloud, project_id=OTHER))
    assert len(cloud.get("/attachments")["attachments"]) == 2
    assert len(cloud.get("/attachments?all_tenants=1", token="admin")["attachments"]) == 3
    assert [row["volume_id"] for row in cloud.get("/attachments?status=reserved")["attachments"]] == [one]
    assert [row["volume_id"] for row in cloud.get(f"/attachments?instance_id={INSTANCE}")["attachments"]] == [one]
    assert [row["volume_id"] for row in cloud.get(f"/attachments/detail?volume_id={two}")["attachments"]] == [two]
    cloud.refused("GET", "/attachments", status=404, version="3.26")
    with Statements(cloud) as statements:
        cloud.get("/attachments/detail")
    assert statements.count == 1


@pytest.mark.parametrize("attachment", [
    {}, {"volume_uuid": "x"}, {"volume_uuid": ids.new_id(), "mode": "x"}, {"volume_uuid": ids.new_id(), "what": 1},
    {"volume_uuid": ids.new_id(), "connector": "x"}, {"volume_uuid": ids.new_id(), "instance_uuid": "x"}])
def test_bad_bodies(cloud: Cloud, attachment: object) -> None:
    cloud.refused("POST", "/attachments", {"attachment": attachment}, status=400)
    cloud.refused("POST", "/attachments", {"attachment": {"volume_uuid": ids.new_id()}}, status=404)
