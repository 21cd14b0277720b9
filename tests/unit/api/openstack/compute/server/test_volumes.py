"""Volumes of servers that exist: /servers/{id}/os-volume_attachments in every microversion, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from hostler import ids
from hostler.db.models import Lock, Operation, Volume, VolumeAttachment
from hostler.operations.accept import Target, accept
from hostler.operations.kinds import volume as kinds
from hostler.resources.volume import states as volume_states
from tests.harness.compute_rest import OTHER, Cloud, make_volume, rows


def path(server_id: str, volume_id: str = "") -> str:
    return f"/servers/{server_id}/os-volume_attachments" + (f"/{volume_id}" if volume_id else "")


def attach(cloud: Cloud, server_id: str, volume_id: str, *, version: str = "2.96", token: str = "member",
           **more: Any) -> Any:
    """POST an attachment."""
    return cloud.call("POST", path(server_id), {"volumeAttachment": {"volumeId": volume_id, **more}}, version=version,
                      token=token)


def end(cloud: Cloud, server_id: str, **values: Any) -> None:
    """Let the operation on a server succeed: its attachments are there."""
    def work(session: Any) -> None:
        session.execute(sa.update(Operation).where(Operation.state == "pending").values(state="succeeded"))
        session.execute(sa.delete(Lock))
        session.execute(sa.update(VolumeAttachment).where(VolumeAttachment.server_id == server_id).values(
            state=volume_states.ATTACHED, **values))

    cloud.services.db.write(work)


def attached(cloud: Cloud, **values: Any) -> tuple[str, str]:
    """Return a running server and the volume it has."""
    server_id, volume_id = cloud.running(), make_volume(cloud)
    assert attach(cloud, server_id, volume_id).status_code == 200
    end(cloud, server_id, **values)
    return server_id, volume_id


def test_an_attach_locks_both_and_promises_a_name(cloud: Cloud) -> None:
    server_id, volume_id = cloud.running(), make_volume(cloud)
    answer = attach(cloud, server_id, volume_id, tag="t", delete_on_termination=True)
    assert answer.status_code == 200, answer.text
    assert answer.json == {"volumeAttachment": {"id": volume_id, "volumeId": volume_id, "serverId": server_id,
                                                "device": "/dev/vdb", "tag": "t", "delete_on_termination": True}}
    [row] = rows(cloud, VolumeAttachment)
    operation = cloud.operations(server_id)[-1]
    assert operation.kind == "server.attach_volume" and operation.arguments == {
        "attachment_id": row.id, "volume_id": volume_id}
    assert {lock.resource_id for lock in rows(cloud, Lock)} == {server_id, volume_id}
    assert operation.id in cloud.waker.woken
    again = attach(cloud, server_id, make_volume(cloud))
    assert again.status_code == 409 and "server.attach_volume" in again.text
    assert cloud.get(f"/servers/{server_id}")["server"]["OS-EXT-STS:task_state"] is None


@pytest.mark.parametrize(("version", "members"), [
    ("2.1", {"id", "volumeId", "serverId", "device"}), ("2.70", {"id", "volumeId", "serverId", "device", "tag"}),
    ("2.79", {"id", "volumeId", "serverId", "device", "tag", "delete_on_termination"}),
    ("2.89", {"volumeId", "serverId", "device", "tag", "delete_on_termination", "attachment_id", "bdm_uuid"})])
def test_what_versions_show(cloud: Cloud, version: str, members: set[str]) -> None:
    server_id, volume_id = attached(cloud)
    shown = cloud.get(path(server_id, volume_id), version=version)["volumeAttachment"]
    assert set(shown) == members
    assert cloud.get(path(server_id), version=version) == {"volumeAttachments": [shown]}
    created = attach(cloud, server_id, make_volume(cloud), version=version).json["volumeAttachment"]
    assert set(created) == (members - {"attachment_id", "bdm_uuid"} | {"id"})


def test_lists_are_paged(cloud: Cloud) -> None:
    server_id, first = attached(cloud)
    second = make_volume(cloud)
    attach(cloud, server_id, second)
    assert [one["volumeId"] for one in cloud.get(path(server_id))["volumeAttachments"]] == [first, second]
    for query, expected in (("limit=1", [first]), ("limit=1&offset=1", [second]), ("offset=5", [])):
        assert [one["volumeId"] for one in cloud.get(f"{path(server_id)}?{query}")["volumeAttachments"]] == expected
    assert cloud.call("GET", path(server_id) + "?x=1").status_code == 400
    assert cloud.call("GET", path(server_id) + "?x=1", version="2.74").status_code == 200


@pytest.mark.parametrize(("body", "version", "status"), [
    ({}, "2.96", 400), ({"volumeId": "x"}, "2.96", 400), ({"volumeId": "V", "device": "sda"}, "2.96", 400),
    ({"volumeId": "V", "tag": "t"}, "2.48", 400), ({"volumeId": "V", "tag": "a,b"}, "2.96", 400),
    ({"volumeId": "V", "delete_on_termination": True}, "2.78", 400), ({"volumeId": "V", "x": 1}, "2.96", 400),
    ({"volumeId": "V", "device": "/dev/vda"}, "2.96", 409), ({"volumeId": "V", "device": None}, "2.96", 200)])
def test_bodies(cloud: Cloud, body: dict[str, Any], version: str, status: int) -> None:
    server_id, volume_id = cloud.running(), make_volume(cloud)
    sent = {key: volume_id if value == "V" else value for key, value in body.items()}
    answer = cloud.call("POST", path(server_id), {"volumeAttachment": sent}, version=version)
    assert answer.status_code == status, answer.text
    assert len(rows(cloud, VolumeAttachment)) == (status == 200)


@pytest.mark.parametrize(("values", "status", "words"), [
    ({"state": volume_states.ERROR}, 400, "current status is: error"),
    ({"state": volume_states.MAINTENANCE}, 400, "maintenance"), ({"project_id": OTHER}, 404, "could not be found"),
    ({"state": volume_states.DELETED, "deleted_at": sa.func.now()}, 404, "could not be found")])
def test_volumes_that_cannot_be_attached(cloud: Cloud, values: dict[str, Any], status: int, words: str) -> None:
    answer = attach(cloud, cloud.running(), make_volume(cloud, **values))
    assert answer.status_code == status and words in answer.text
    assert rows(cloud, VolumeAttachment) == [] and rows(cloud, Lock) == []


def test_a_volume_in_somebodys_hands(cloud: Cloud) -> None:
    server_id, volume_id = cloud.running(), make_volume(cloud)
    with cloud.services.db.reading() as session:
        context = cloud.services.identity.authenticate_token("member", request_id="r")
        del session
    cloud.services.db.write(lambda session: accept(session, context, kinds.EXTEND, Target("volume", volume_id),
                                                   kinds.ExtendVolume(size_gib=9)).id)
    assert attach(cloud, server_id, volume_id).status_code == 409
    server_id, used = attached(cloud)
    refused = attach(cloud, cloud.running("two"), used)
    assert refused.status_code == 400 and "in-use" in refused.text
    source = make_volume(cloud)
    make_volume(cloud, state=volume_states.CREATING, source_volume_id=source)
    assert attach(cloud, server_id, source).status_code == 409


def test_a_shared_volume_is_for_several_servers_and_for_clients_that_know_of_it(cloud: Cloud) -> None:
    first, second, volume_id = cloud.running(), cloud.running("two"), make_volume(cloud, multiattach=True)
    assert attach(cloud, first, volume_id, version="2.59").status_code == 400
    assert attach(cloud, first, volume_id).status_code == 200
    end(cloud, first)
    twice = attach(cloud, first, volume_id)
    assert twice.status_code == 400 and "already attached" in twice.text
    assert attach(cloud, second, volume_id).status_code == 200


@pytest.mark.parametrize(("state", "status"), [("active", 200), ("stopped", 200), ("paused", 200), ("suspended", 409),
                                               ("soft-delete", 200), ("shelved", 200), ("rescued", 409),
                                               ("error", 409), ("building", 409)])
def test_states_of_servers(cloud: Cloud, state: str, status: int) -> None:
    server_id = cloud.boot()["id"]
    cloud.settle(server_id, vm_state=state)
    assert attach(cloud, server_id, make_volume(cloud)).status_code == status


def test_who_may(cloud: Cloud) -> None:
    server_id, volume_id = attached(cloud)
    assert attach(cloud, server_id, make_volume(cloud), token="reader").status_code == 403
    assert cloud.call("GET", path(server_id), token="reader").status_code == 200
    for method in ("GET", "DELETE"):
        assert cloud.call(method, path(server_id, volume_id), token="other").status_code == 404
    assert cloud.call("DELETE", path(server_id, volume_id), token="reader").status_code == 403
    cloud.act(server_id, "lock")
    assert cloud.call("DELETE", path(server_id, volume_id)).status_code == 409
    assert cloud.call("DELETE", path(server_id, volume_id), token="admin").status_code == 202


def test_a_detach_locks_both(cloud: Cloud) -> None:
    server_id, volume_id = attached(cloud)
    assert cloud.call("DELETE", path(server_id, ids.new_id())).status_code == 404
    assert cloud.call("DELETE", path(server_id, volume_id.replace("-", ""))).status_code == 202
    operation = cloud.operations(server_id)[-1]
    assert (operation.kind, operation.host) == ("server.detach_volume", "host-1")
    assert {lock.resource_id for lock in rows(cloud, Lock)} == {server_id, volume_id}
    assert cloud.call("DELETE", path(server_id, volume_id)).status_code == 409


def test_a_root_volume_stays(cloud: Cloud) -> None:
    server_id, volume_id = attached(cloud, boot_index=0)
    refused = cloud.call("DELETE", path(server_id, volume_id))
    assert refused.status_code == 400 and "Cannot detach a root device volume" in refused.text


def test_updates(cloud: Cloud) -> None:
    server_id, volume_id = attached(cloud)

    def put(body: dict[str, Any], version: str = "2.96") -> int:
        return int(cloud.call("PUT", path(server_id, volume_id), {"volumeAttachment": body},
                              version=version).status_code)

    assert put({"volumeId": volume_id, "delete_on_termination": True}) == 202
    shown = cloud.get(path(server_id, volume_id), version="2.88")["volumeAttachment"]
    assert shown["delete_on_termination"] is True
    assert put({**{key: value for key, value in shown.items() if key != "tag"}, "delete_on_termination": False,
                "id": rows(cloud, VolumeAttachment)[0].id}) == 202
    assert put({"volumeId": volume_id, "device": "/dev/vdx"}) == 400
    assert put({"volumeId": make_volume(cloud)}) == 501
    assert put({"volumeId": volume_id}, version="2.84") == 501
    assert put({"volumeId": volume_id, "delete_on_termination": True}, version="2.84") == 400
    assert rows(cloud, VolumeAttachment)[0].delete_on_termination is False


def test_zones_of_both(cloud: Cloud) -> None:
    cloud.services.conf.set_override("cross_az_attach", False, group="volume")
    server_id, far = cloud.running(), make_volume(cloud, zone="far")
    refused = attach(cloud, server_id, far)
    assert refused.status_code == 400 and "nova" in refused.text and "far" in refused.text
    assert attach(cloud, server_id, make_volume(cloud)).status_code == 200
    end(cloud, server_id)
    cloud.services.conf.set_override("cross_az_attach", True, group="volume")
    assert attach(cloud, server_id, far).status_code == 200


def test_all_names_in_use(cloud: Cloud) -> None:
    server_id = cloud.running()
    for _ in range(24):
        assert attach(cloud, server_id, make_volume(cloud)).status_code == 200
        end(cloud, server_id)
    over = attach(cloud, server_id, make_volume(cloud))
    assert over.status_code == 403 and "maximum allowed number of disk devices" in over.text
    assert len(rows(cloud, Volume)) == 25
