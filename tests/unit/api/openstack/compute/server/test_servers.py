"""Servers: create, list, show, update, delete."""

from __future__ import annotations

import base64

import pytest

from hostler.db.models import Flavor, Image, Port, QuotaLimit, Server
from tests.harness.compute_rest import DEMO, IMAGE, NETWORK, Cloud


def test_create_writes_everything_at_once(cloud: Cloud) -> None:
    answer = cloud.call("POST", "/servers", {"server": {
        "name": "My Server", "flavorRef": "1", "imageRef": IMAGE, "networks": [{"uuid": NETWORK}],
        "metadata": {"a": "b"}, "tags": ["x", "y"], "user_data": base64.b64encode(b"hello").decode(),
        "block_device_mapping_v2": [{"uuid": IMAGE, "source_type": "image", "destination_type": "local",
                                     "boot_index": 0, "delete_on_termination": True}]}})
    assert answer.status_code == 202, answer.text
    made = answer.json["server"]
    assert answer.headers["location"].endswith(f"/compute/v2.1/servers/{made['id']}")
    assert len(made["adminPass"]) == 12
    shown = cloud.get(f"/servers/{made['id']}")["server"]
    assert (shown["status"], shown["OS-EXT-STS:task_state"]) == ("BUILD", "scheduling")
    assert shown["metadata"] == {"a": "b"} and shown["tags"] == ["x", "y"]
    assert shown["OS-EXT-SRV-ATTR:hostname"] == "my-server"
    assert shown["tenant_id"] == DEMO.replace("-", "")
    assert shown["addresses"]["net"][0]["addr"].startswith("10.0.0.")
    assert shown["security_groups"] == [{"name": "default"}]
    assert "OS-EXT-SRV-ATTR:host" not in shown
    (operation,) = cloud.operations(made["id"])
    assert operation.kind == "server.create" and cloud.waker.woken == [operation.id]


def test_active_server_as_its_owner_and_an_administrator_see_it(cloud: Cloud) -> None:
    server_id = cloud.running()
    mine = cloud.get(f"/servers/{server_id}")["server"]
    assert mine["status"] == "ACTIVE" and mine["OS-EXT-STS:power_state"] == 1
    assert mine["OS-EXT-AZ:availability_zone"] == "nova" and len(mine["hostId"]) == 56
    theirs = cloud.get(f"/servers/{server_id}", token="admin")["server"]
    assert theirs["OS-EXT-SRV-ATTR:host"] == "host-1" and theirs["host_status"] == "UP"
    assert cloud.call("GET", f"/servers/{server_id}", token="other").status_code == 404
    assert cloud.call("GET", f"/servers/{server_id}", token="nobody").status_code == 401


@pytest.mark.parametrize(("change", "status", "words"), [
    ({"flavorRef": "nope"}, 400, "Flavor nope could not be found"),
    ({"imageRef": "66666666-6666-4666-8666-666666666667"}, 400, "Can not find requested image"),
    ({"key_name": "nope"}, 400, "Invalid key_name provided"),
    ({"networks": [{"uuid": "66666666-6666-4666-8666-666666666667"}]}, 400, "could not be found"),
    ({"availability_zone": "mars"}, 400, "availability zone is not available"),
    ({"availability_zone": "nova:host-1"}, 403, "forced_host"),
    ({"user_data": "***"}, 400, "base64"),
    ({"name": ""}, 400, "name"),
    ({"name": "x" * 256}, 400, "name"),
    ({"unknown": 1}, 400, "unknown"),
    ({"imageRef": ""}, 400, "Boot sequence"),
    ({"block_device_mapping_v2": [{"source_type": "volume", "uuid": "x", "boot_index": 0}]}, 400, "not a UUID"),
    ({"min_count": 3, "max_count": 2}, 400, "min_count"),
    ({"metadata": {"k": "v" * 256}}, 400, "metadata"),
    ({"tags": ["a,b"]}, 400, "tags"),
])
def test_bad_creates_write_nothing(cloud: Cloud, change: dict, status: int, words: str) -> None:
    body = {"server": {"name": "n", "flavorRef": "1", "imageRef": IMAGE, "networks": "auto", **change}}
    answer = cloud.call("POST", "/servers", body)
    assert answer.status_code == status, answer.text
    (fault,) = answer.json.values()
    assert fault["code"] == status and words in fault["message"]
    with cloud.services.db.reading() as session:
        assert session.query(Server).count() == 0 and session.query(Port).count() == 0


def test_image_that_does_not_fit_is_refused(cloud: Cloud) -> None:
    def shrink(session):
        session.get(Image, IMAGE).virtual_size_bytes = 5 * 1024 ** 3
    cloud.services.db.write(shrink)
    answer = cloud.call("POST", "/servers", {"server": {"name": "n", "flavorRef": "1", "imageRef": IMAGE,
                                                        "networks": "none"}})
    assert answer.status_code == 400 and "disk is too small" in answer.text


def test_quota_names_its_numbers(cloud: Cloud) -> None:
    cloud.services.db.write(lambda session: session.add(
        QuotaLimit(project_id=DEMO, resource="instances", hard_limit=1)))
    cloud.boot("one")
    answer = cloud.call("POST", "/servers", {"server": {"name": "two", "flavorRef": "1", "imageRef": IMAGE,
                                                        "networks": "auto"}})
    assert answer.status_code == 403
    assert answer.json["forbidden"]["message"] == (
        "Quota exceeded for instances: Requested 1, but already used 1 of 1 instances")


def test_many_at_once_share_a_reservation_and_shrink_to_the_quota(cloud: Cloud) -> None:
    answer = cloud.call("POST", "/servers", {"server": {
        "name": "web", "flavorRef": "1", "imageRef": IMAGE, "networks": "auto", "min_count": 2, "max_count": 50,
        "return_reservation_id": True}})
    assert answer.status_code == 202, answer.text
    found = cloud.get(f"/servers/detail?reservation_id={answer.json['reservation_id']}")["servers"]
    assert sorted(server["name"] for server in found)[:2] == ["web-1", "web-10"] and len(found) == 10


def test_idempotency_key_returns_the_first_server(cloud: Cloud) -> None:
    body = {"server": {"name": "n", "flavorRef": "1", "imageRef": IMAGE, "networks": "auto"}}
    first, second = (cloud.call("POST", "/servers", body, headers={"Idempotency-Key": "k1"}) for _ in range(2))
    assert first.json == second.json and len(cloud.get("/servers")["servers"]) == 1


def test_list_pages_through_everything_once(cloud: Cloud) -> None:
    for number in range(7):
        cloud.boot(f"s{number}")
    seen, path = [], "/servers/detail?limit=3"
    while path:
        body = cloud.get(path)
        seen += [server["name"] for server in body["servers"]]
        links = body.get("servers_links")
        path = links[0]["href"].partition("/compute/v2.1")[2] if links else None
    assert seen == [f"s{number}" for number in reversed(range(7))]
    assert cloud.call("GET", "/servers?marker=nope").status_code == 400
    assert cloud.call("GET", "/servers?limit=-1").status_code == 400
    names = [server["name"] for server in cloud.get("/servers?sort_key=display_name&sort_dir=asc&limit=2")["servers"]]
    assert names == ["s0", "s1"]


def test_filters(cloud: Cloud) -> None:
    web, db = cloud.running("web-1", tags=["blue"]), cloud.boot("db_1", metadata={})["id"]

    def found(query: str, **options: str) -> set[str]:
        return {server["id"] for server in cloud.get(f"/servers/detail?{query}", **options)["servers"]}
    assert found("name=web") == {web} == found("name=^web-1$") == found("name=w.*1")
    assert found("name=db_1") == {db} and found("name=%25") == set()
    assert cloud.call("GET", "/servers?name=(a%2B)%2B").status_code == 400
    assert found("status=ACTIVE") == {web} and found("status=build") == {db}
    assert cloud.call("GET", "/servers?status=garbage").status_code == 400
    assert found("tags=blue") == {web} and found("not-tags=blue") == {db}
    assert found(f"image={IMAGE}&flavor=1") == {web, db}
    assert found("host=host-1", token="admin") == {web} and found("host=nope") == {web, db}
    assert found("ip=10.0.0") == {web, db} and found("ip6=10") == set()
    assert found("task_state=scheduling") == {db} and found("vm_state=active") == {web}
    assert found("all_tenants=1&project_id=" + DEMO.replace("-", ""), token="admin") == {web, db}
    assert found("availability_zone=nova") == {web} and found("power_state=1") == {web}
    assert found("changes-since=2000-01-01T00:00:00Z") == {web, db}
    assert found("changes-before=2000-01-01T00:00:00Z") == set()
    assert found(f"uuid={web}") == {web} and found("deleted=False") == {web, db}
    assert cloud.call("GET", "/servers?bogus=1").status_code == 400
    assert cloud.call("GET", "/servers?bogus=1", version="2.74").status_code == 200
    assert cloud.call("GET", "/servers?all_tenants=1").status_code == 403
    assert cloud.call("GET", "/servers?changes-since=yesterday").status_code == 400
    assert cloud.call("GET", "/servers?sort_key=nope").status_code == 400


def test_update(cloud: Cloud) -> None:
    server_id = cloud.running()
    body = {"server": {"name": "new", "description": "words", "hostname": "h", "accessIPv4": "192.0.2.1"}}
    shown = cloud.call("PUT", f"/servers/{server_id}", body).json["server"]
    assert (shown["name"], shown["description"], shown["OS-EXT-SRV-ATTR:hostname"]) == ("new", "words", "h")
    assert shown["accessIPv4"] == "192.0.2.1"
    old = cloud.call("PUT", f"/servers/{server_id}", {"server": {"description": "x"}}, version="2.18")
    assert old.status_code == 400
    assert cloud.call("PUT", f"/servers/{server_id}", {"server": {"name": "x"}}, token="reader").status_code == 403


def test_delete_waits_behind_the_create_and_is_idempotent(cloud: Cloud) -> None:
    server_id = cloud.boot()["id"]
    assert cloud.call("DELETE", f"/servers/{server_id}").status_code == 204
    assert cloud.call("DELETE", f"/servers/{server_id}").status_code == 204
    create, delete = cloud.operations(server_id)
    assert create.cancel_requested and delete.waits_for_lock
    assert cloud.get(f"/servers/{server_id}")["server"]["OS-EXT-STS:task_state"] == "deleting"


def test_delete_of_an_active_server(cloud: Cloud) -> None:
    server_id = cloud.running()
    assert cloud.call("DELETE", f"/servers/{server_id}").status_code == 204
    assert cloud.operations(server_id)[-1].kind == "server.delete"
    assert cloud.call("DELETE", "/servers/nope").status_code == 404


def test_flavor_may_change_without_its_servers(cloud: Cloud) -> None:
    server_id = cloud.running()
    cloud.services.db.write(lambda session: session.query(Flavor).delete())
    assert cloud.get(f"/servers/{server_id}")["server"]["flavor"]["original_name"] == "m1.tiny"
    assert cloud.get(f"/servers/{server_id}", version="2.46")["server"]["flavor"]["id"] == "1"
