"""Images and backups of servers, as a user sees them, on fake hosts."""

from __future__ import annotations

from typing import Any

import pytest

from hostler.agent.faults import Order
from tests.harness.client import Client
from tests.harness.inprocess import Cloud
from tests.harness.ports import wait_for

SERVERS = "/compute/v2.1/servers"
BACKUP = {"name": "b", "backup_type": "daily", "rotation": 2}


@pytest.fixture(scope="module", autouse=True)
def reachable(cloud: Cloud, client: Client) -> None:
    """Agents send images to where the api really is."""
    cloud.conf.set_override("public_url", cloud.url, "api")


@pytest.fixture(scope="module")
def server(client: Client, image: str) -> str:
    """A server that all tests leave as it is."""
    server_id = client.create_server(image, "one")
    client.wait_server(server_id, "ACTIVE")
    return server_id


def _wait_image(client: Client, image_id: str, status: str = "active") -> dict[str, Any]:
    wait_for(lambda: client.show_image(image_id)["status"] == status, f"image {status}", 20)
    _wait_idle(client)
    return client.show_image(image_id)


def _wait_idle(client: Client) -> None:
    def idle() -> bool:
        servers = client.get(f"{SERVERS}/detail").json()["servers"]
        return all(server["OS-EXT-STS:task_state"] is None for server in servers)

    wait_for(idle, "no server is busy", 20)


def _fail(cloud: Cloud, client: Client, server: str, step: str) -> None:
    host = (client.show(server) or {})["OS-EXT-SRV-ATTR:host"]
    cloud.agents[host].tools.driver.faults.order(Order(step, "fail", server, reason="The disk is broken."))


@pytest.mark.contract("N-SNAPSHOT")
def test_an_image_says_where_it_comes_from(client: Client, server: str, image: str) -> None:
    answer = client.act(server, "createImage", name="mine", metadata={"team": "a", "os_distro": "tiny"})
    assert answer.status_code == 202 and "Location" not in answer.headers, answer.text
    made = _wait_image(client, answer.json()["image_id"])
    user = (client.show(server) or {})["user_id"]
    expected = {
        "name": "mine", "visibility": "private", "owner": client.project_id, "disk_format": "qcow2",
        "container_format": "bare", "min_disk": 1, "base_image_ref": image, "instance_uuid": server, "user_id": user,
        "image_type": "snapshot", "image_location": "snapshot", "image_state": "available",
        "owner_id": client.project_id, "team": "a", "os_distro": "tiny"}
    assert made | expected == made
    shown = client.show(server) or {}
    assert (shown["status"], shown["OS-EXT-STS:task_state"]) == ("ACTIVE", None)
    actions = client.get(f"{SERVERS}/{server}/os-instance-actions").json()["instanceActions"]
    assert actions[0]["action"] == "createImage"
    again = client.create_server(made["id"], "two")
    assert client.wait_server(again, "ACTIVE")["image"]["id"] == made["id"]
    of_a_copy = client.act(again, "createImage", name="copy of a copy").json()["image_id"]
    copy = _wait_image(client, of_a_copy)
    assert (copy["base_image_ref"], copy["instance_uuid"], copy["team"]) == (image, again, "a")
    client.delete(f"{SERVERS}/{again}")
    client.wait_gone(again)


@pytest.mark.contract("N-SNAPSHOT")
def test_until_2_44_the_location_names_the_image(client: Client, server: str) -> None:
    answer = client.act(server, "createImage", "2.44", name="mine")
    assert answer.status_code == 202 and answer.text == ""
    location = answer.headers["Location"]
    assert location.startswith("http://127.0.0.1:") and "/image/v2/images/" in location
    _wait_image(client, location.rpartition("/")[2])


@pytest.mark.parametrize(("verb", "status", "back"), [
    ("os-stop", "SHUTOFF", "os-start"), ("pause", "PAUSED", "unpause"), ("suspend", "SUSPENDED", "resume")])
def test_a_server_that_does_not_run_is_copied_too(client: Client, server: str, verb: str, status: str,
                                                  back: str) -> None:
    client.post(f"{SERVERS}/{server}/action", {verb: None}).raise_for_status()
    client.wait_server(server, status)
    _wait_image(client, client.act(server, "createImage", name="off").json()["image_id"])
    assert (client.show(server) or {})["status"] == status
    client.post(f"{SERVERS}/{server}/action", {back: None}).raise_for_status()
    client.wait_server(server, "ACTIVE")


@pytest.mark.parametrize("step", ["driver.copy_disk:before", "snapshot.send", "snapshot.end"])
def test_an_image_that_fails_is_removed(cloud: Cloud, client: Client, server: str, step: str) -> None:
    _fail(cloud, client, server, step)
    image_id = client.act(server, "createImage", name="broken").json()["image_id"]
    # The content was stored before the last step failed: what is whole stays, as when the answer is lost.
    _wait_image(client, image_id, "active" if step == "snapshot.end" else "gone")
    assert (client.show(server) or {})["status"] == "ACTIVE"
    action = client.get(f"{SERVERS}/{server}/os-instance-actions").json()["instanceActions"][0]
    assert action["action"] == "createImage"


def test_an_image_deleted_on_its_way_ends_the_operation(cloud: Cloud, client: Client, server: str) -> None:
    host = (client.show(server) or {})["OS-EXT-SRV-ATTR:host"]
    cloud.agents[host].tools.driver.faults.order(Order("snapshot.send", "slow", server, seconds=0.5))
    image_id = client.act(server, "createImage", name="unwanted").json()["image_id"]
    assert client.delete(f"/image/v2/images/{image_id}").status_code == 204
    _wait_idle(client)
    assert client.show_image(image_id)["status"] == "gone"


@pytest.mark.contract("N-BACKUP")
def test_backups_rotate_by_type(client: Client, server: str) -> None:
    made = []
    for number in range(3):
        answer = client.act(server, "createBackup", name=f"daily{number}", backup_type="daily", rotation=2)
        assert answer.status_code == 202, answer.text
        made.append(answer.json()["image_id"])
        shown = _wait_image(client, made[-1])
        assert (shown["image_type"], shown["backup_type"]) == ("backup", "daily")
    weekly = client.act(server, "createBackup", name="w", backup_type="weekly", rotation=1).json()["image_id"]
    _wait_image(client, weekly)
    assert [client.show_image(image_id)["status"] for image_id in (*made, weekly)] == ["gone", *["active"] * 3]
    answer = client.act(server, "createBackup", "2.1", name="none", backup_type="daily", rotation=0)
    assert answer.status_code == 202 and "Location" not in answer.headers
    _wait_idle(client)
    assert [client.show_image(image_id)["status"] for image_id in (*made, weekly)] == [*["gone"] * 3, "active"]
    actions = client.get(f"{SERVERS}/{server}/os-instance-actions").json()["instanceActions"]
    assert actions[0]["action"] == "createBackup"


@pytest.mark.contract("N-BACKUP")
def test_of_two_backups_at_once_one_is_told_to_wait(cloud: Cloud, client: Client, server: str) -> None:
    host = (client.show(server) or {})["OS-EXT-SRV-ATTR:host"]
    cloud.agents[host].tools.driver.faults.order(Order("snapshot.copy", "slow", server, seconds=0.5))
    first = client.act(server, "createBackup", name="a", backup_type="hourly", rotation=1)
    assert (client.show(server) or {})["OS-EXT-STS:task_state"] == "image_backup"
    second = client.act(server, "createBackup", name="b", backup_type="hourly", rotation=1)
    assert second.status_code == 409 and "image_backup" in second.text
    _wait_image(client, first.json()["image_id"])


@pytest.mark.contract("N-SNAPSHOT")
def test_file_systems_that_must_be_frozen_need_an_agent(cloud: Cloud, client: Client) -> None:
    image = client.make_image("quiet", b"\3" * 4096)
    path, headers = f"/image/v2/images/{image}", {"Content-Type": "application/openstack-images-v2.1-json-patch"}
    changes = [{"op": "add", "path": "/os_require_quiesce", "value": "yes"},
               {"op": "add", "path": "/hw_qemu_guest_agent", "value": "no"}]
    client.request("PATCH", path, json=changes, headers=headers).raise_for_status()
    deaf = client.create_server(image, "deaf")
    client.wait_server(deaf, "ACTIVE")
    for action, argument in (("createImage", {"name": "x"}), ("createBackup", BACKUP)):
        answer = client.act(deaf, action, **argument)
        assert answer.status_code == 409 and "guest agent is not enabled" in answer.text
    client.request("PATCH", path, json=[{"op": "replace", "path": "/hw_qemu_guest_agent", "value": "yes"}],
                   headers=headers).raise_for_status()
    server = client.create_server(image, "frozen")
    client.wait_server(server, "ACTIVE")
    _fail(cloud, client, server, "driver.freeze")
    _wait_image(client, client.act(server, "createImage", name="x").json()["image_id"], "gone")
    _wait_image(client, client.act(server, "createImage", name="x").json()["image_id"])
    for gone in (deaf, server):
        client.delete(f"{SERVERS}/{gone}")
        client.wait_gone(gone)


def test_a_locked_server_may_be_copied(client: Client, server: str) -> None:
    client.post(f"{SERVERS}/{server}/action", {"lock": None}).raise_for_status()
    _wait_image(client, client.act(server, "createImage", name="of a locked one").json()["image_id"])
    client.post(f"{SERVERS}/{server}/action", {"unlock": None}).raise_for_status()


@pytest.mark.parametrize(("action", "argument", "status", "said"), [
    ("createImage", {}, 400, "name"), ("createImage", {"name": ""}, 400, "name"),
    ("createImage", {"name": "x" * 256}, 400, "name"), ("createImage", {"name": "x", "more": 1}, 400, "more"),
    ("createImage", {"name": "x", "metadata": {"a": 1}}, 400, "metadata"),
    ("createImage", {"name": "x", "metadata": {"status": "active"}}, 400, "status"),
    ("createImage", {"name": "x", "metadata": {f"k{number}": "v" for number in range(129)}}, 400, "128"),
    ("createBackup", {"name": "x", "backup_type": "daily"}, 400, "rotation"),
    ("createBackup", {**BACKUP, "rotation": -1}, 400, "rotation"), ("createBackup", {**BACKUP, "rotation": "-1"}, 400,
                                                                     "rotation"),
    ("createBackup", {**BACKUP, "rotation": "many"}, 400, "rotation"),
    ("createBackup", {**BACKUP, "backup_type": 7}, 400, "backup_type")])
def test_bad_input_is_refused_with_the_field(client: Client, server: str, action: str, argument: dict[str, Any],
                                             status: int, said: str) -> None:
    answer = client.act(server, action, **argument)
    assert answer.status_code == status and said in answer.text, answer.text


def test_a_server_in_error_has_no_disk_to_copy(client: Client, server: str) -> None:
    client.post(f"{SERVERS}/{server}/action", {"os-resetState": {"state": "error"}}).raise_for_status()
    for action, argument in (("createImage", {"name": "x"}), ("createBackup", BACKUP)):
        answer = client.act(server, action, **argument)
        assert answer.status_code == 409 and "vm_state error" in answer.text
    client.post(f"{SERVERS}/{server}/action", {"os-resetState": {"state": "active"}}).raise_for_status()
