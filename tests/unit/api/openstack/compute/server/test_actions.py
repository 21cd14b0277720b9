"""Actions, console, parts of servers, and the list of what was done."""

from __future__ import annotations

import pytest

from api.openstack.compute.server.actions import ACTIONS
from hostler import clock
from hostler.db.models import OperationStep
from hostler.resources.server import states
from hostler.resources.server.status import status_of
from tests.harness.compute_rest import IMAGE, NETWORK, Cloud


@pytest.mark.parametrize(("action", "argument", "state", "kind", "task"), [
    ("os-start", None, "stopped", "server.start", "powering-on"),
    ("os-stop", None, "active", "server.stop", "powering-off"),
    ("reboot", {"type": "SOFT"}, "active", "server.reboot", "rebooting"),
    ("reboot", {"type": "HARD"}, "stopped", "server.reboot", "rebooting_hard"),
    ("pause", None, "active", "server.pause", "pausing"),
    ("unpause", None, "paused", "server.unpause", "unpausing"),
    ("suspend", None, "active", "server.suspend", "suspending"),
    ("resume", None, "suspended", "server.resume", "resuming"),
])
def test_power_actions_are_accepted_as_operations(cloud: Cloud, action: str, argument: object, state: str, kind: str,
                                                  task: str) -> None:
    server_id = cloud.running()
    cloud.settle(server_id, vm_state=state)
    assert cloud.act(server_id, action, argument).status_code == 202
    assert cloud.operations(server_id)[-1].kind == kind
    shown = cloud.get(f"/servers/{server_id}")["server"]
    assert shown["OS-EXT-STS:task_state"] == task
    second = cloud.act(server_id, action, argument)
    assert second.status_code == 409 and "task_state" in second.json["conflictingRequest"]["message"]


def test_hard_reboot_shows_its_status(cloud: Cloud) -> None:
    server_id = cloud.running()
    cloud.act(server_id, "reboot", {"type": "HARD"})
    assert cloud.get(f"/servers/{server_id}")["server"]["status"] == "HARD_REBOOT"
    assert cloud.get("/servers?status=ACTIVE")["servers"] == []


def test_wrong_state_is_told_in_the_published_words(cloud: Cloud) -> None:
    server_id = cloud.running()
    answer = cloud.act(server_id, "os-start")
    assert answer.status_code == 409
    assert answer.json["conflictingRequest"]["message"] == (
        f"Cannot 'os-start' instance {server_id} while it is in vm_state active")


def test_unknown_malformed_and_unbuilt_actions(cloud: Cloud) -> None:
    server_id = cloud.running()
    assert cloud.act(server_id, "dance").status_code == 400
    assert cloud.act(server_id, "reboot", {"type": "TWICE"}).status_code == 400
    assert cloud.call("POST", f"/servers/{server_id}/action", {"pause": None, "lock": None}).status_code == 400
    files = [{"path": "/etc/motd", "contents": "aGk="}]
    answer = cloud.act(server_id, "rebuild", {"imageRef": IMAGE, "personality": files}, version="2.1")
    assert answer.status_code == 501 and "notImplemented" in answer.json
    assert cloud.act(server_id, "os-getVNCConsole", {"type": "novnc"}).status_code == 400
    assert cloud.act(server_id, "os-getVNCConsole", {"type": "novnc"}, version="2.5").status_code == 200
    for action in ACTIONS:
        argument = {"name": "default", "type": "SOFT", "state": "error"}
        assert cloud.act("77777777-7777-4777-8777-777777777770", action, argument).status_code in (400, 404), action


@pytest.mark.contract("N-LOCK")
def test_locked_server_refuses_its_owner_but_not_an_administrator(cloud: Cloud) -> None:
    server_id = cloud.running()
    assert cloud.act(server_id, "lock", {"locked_reason": "mine"}).status_code == 202
    shown = cloud.get(f"/servers/{server_id}")["server"]
    assert shown["locked"] is True and shown["locked_reason"] == "mine"
    assert cloud.act(server_id, "os-stop").status_code == 409
    assert cloud.call("DELETE", f"/servers/{server_id}").status_code == 409
    assert cloud.act(server_id, "os-stop", token="admin").status_code == 202
    cloud.settle(server_id)
    assert cloud.act(server_id, "unlock").status_code == 202
    assert cloud.act(server_id, "os-stop").status_code == 202
    assert cloud.act(server_id, "lock", {"locked_reason": "x"}, version="2.72").status_code == 202


@pytest.mark.contract("N-RESETSTATE")
def test_reset_state_is_the_administrators(cloud: Cloud) -> None:
    server_id = cloud.running()
    assert cloud.act(server_id, "os-resetState", {"state": "error"}).status_code == 403
    assert cloud.act(server_id, "os-resetState", {"state": "error"}, token="admin").status_code == 202
    assert cloud.get(f"/servers/{server_id}")["server"]["status"] == "ERROR"


def test_console_output(cloud: Cloud) -> None:
    server_id = cloud.running()
    assert cloud.act(server_id, "os-getConsoleOutput", {"length": 1}).json == {"output": server_id}
    assert cloud.act(server_id, "os-getConsoleOutput", {}).json["output"].startswith("one")
    assert cloud.act(server_id, "os-getConsoleOutput", {"length": "x"}).status_code == 400
    assert cloud.act(cloud.boot()["id"], "os-getConsoleOutput", {}).status_code == 409
    cloud.compute.silent = True
    assert cloud.act(server_id, "os-getConsoleOutput", {}).status_code == 503


@pytest.mark.contract("N-SECGROUP")
def test_security_groups_come_and_go(cloud: Cloud) -> None:
    server_id = cloud.running()
    assert cloud.act(server_id, "addSecurityGroup", {"name": "nope"}).status_code == 404
    assert cloud.act(server_id, "addSecurityGroup", {"name": "default"}).status_code == 202
    assert cloud.operations(server_id)[-1].kind == "network.apply_rules"
    groups = cloud.get(f"/servers/{server_id}/os-security-groups")["security_groups"]
    assert [group["name"] for group in groups] == ["default"] and groups[0]["rules"]
    assert cloud.act(server_id, "removeSecurityGroup", {"name": "default"}).status_code == 202
    assert cloud.get(f"/servers/{server_id}/os-security-groups")["security_groups"] == []
    assert cloud.act(server_id, "removeSecurityGroup", {"name": "default"}).status_code == 404


def test_force_delete_and_restore(cloud: Cloud) -> None:
    server_id = cloud.running()
    assert cloud.act(server_id, "restore").status_code == 409
    assert cloud.act(server_id, "forceDelete").status_code == 202
    assert cloud.operations(server_id)[-1].kind == "server.delete"


def test_metadata(cloud: Cloud) -> None:
    server_id = cloud.running()
    path = f"/servers/{server_id}/metadata"
    assert cloud.call("POST", path, {"metadata": {"a": "1"}}).json == {"metadata": {"a": "1"}}
    assert cloud.call("PUT", path + "/b", {"meta": {"b": "2"}}).json == {"meta": {"b": "2"}}
    assert cloud.get(path) == {"metadata": {"a": "1", "b": "2"}}
    assert cloud.call("PUT", path + "/b", {"meta": {"c": "2"}}).status_code == 400
    assert cloud.call("DELETE", path + "/a").status_code == 204
    assert cloud.call("GET", path + "/a").status_code == 404
    assert cloud.call("PUT", path, {"metadata": {"z": "9"}}).json == {"metadata": {"z": "9"}}
    assert cloud.call("POST", path, {"metadata": {"a": 1}}).status_code == 400
    too_many = {f"k{number}": "v" for number in range(129)}
    assert cloud.call("POST", path, {"metadata": too_many}).status_code == 403


def test_tags(cloud: Cloud) -> None:
    server_id = cloud.running()
    path = f"/servers/{server_id}/tags"
    assert cloud.call("PUT", path + "/x").status_code == 201 and cloud.call("PUT", path + "/x").status_code == 204
    assert cloud.call("PUT", path, {"tags": ["a", "b"]}).json == {"tags": ["a", "b"]}
    assert cloud.call("GET", path + "/a").status_code == 204 and cloud.call("GET", path + "/x").status_code == 404
    assert cloud.call("DELETE", path + "/a").status_code == 204
    assert cloud.get(path) == {"tags": ["b"]}
    assert cloud.call("PUT", path + "/" + "t" * 61).status_code == 400
    assert cloud.call("PUT", path, {"tags": [str(number) for number in range(51)]}).status_code == 400
    assert cloud.call("DELETE", path).status_code == 204 and cloud.get(path) == {"tags": []}
    assert cloud.call("GET", path, version="2.25").status_code == 404


def test_addresses_and_interfaces(cloud: Cloud) -> None:
    server_id = cloud.running()
    addresses = cloud.get(f"/servers/{server_id}/ips")["addresses"]
    assert cloud.get(f"/servers/{server_id}/ips/net") == addresses
    assert cloud.call("GET", f"/servers/{server_id}/ips/nope").status_code == 404
    (interface,) = cloud.get(f"/servers/{server_id}/os-interface")["interfaceAttachments"]
    assert interface["net_id"] == NETWORK
    assert cloud.get(f"/servers/{server_id}/os-interface/{interface['port_id']}")["interfaceAttachment"] == interface
    assert cloud.call("GET", f"/servers/{server_id}/os-interface/{server_id}").status_code == 404
    assert cloud.get(f"/servers/{server_id}/os-volume_attachments") == {"volumeAttachments": []}


def test_diagnostics(cloud: Cloud) -> None:
    server_id = cloud.running()
    assert cloud.call("GET", f"/servers/{server_id}/diagnostics").status_code == 403
    assert cloud.get(f"/servers/{server_id}/diagnostics", token="admin")["state"] == "running"


def test_instance_actions(cloud: Cloud) -> None:
    server_id = cloud.running()
    cloud.act(server_id, "lock")
    cloud.act(server_id, "unlock")
    operation = cloud.operations(server_id)[0]
    cloud.services.db.write(lambda session: session.add(OperationStep(
        operation_id=operation.id, name="SpawnServer", uuid=operation.id, state="FAILURE", host="host-1",
        detail={"kind": "task", "atom": {"failure": {"exception_str": "boom", "traceback_str": "trace"}}},
        started_at=clock.utcnow(), finished_at=clock.utcnow())))
    listed = cloud.get(f"/servers/{server_id}/os-instance-actions")["instanceActions"]
    assert [action["action"] for action in listed] == ["unlock", "lock", "create"]
    page = cloud.get(f"/servers/{server_id}/os-instance-actions?limit=1")
    assert len(page["instanceActions"]) == 1 and "marker=" in page["links"][0]["href"]
    path = f"/servers/{server_id}/os-instance-actions/{operation.request_id}"
    (event,) = cloud.get(path)["instanceAction"]["events"]
    assert event["event"] == "compute_spawn_server" and event["result"] == "Error" and "traceback" not in event
    (event,) = cloud.get(path, token="admin")["instanceAction"]["events"]
    assert (event["traceback"], event["host"], event["details"]) == ("trace", "host-1", "boom")
    assert "events" not in cloud.get(path, version="2.50")["instanceAction"]
    assert cloud.call("GET", path + "x").status_code == 404


def test_every_transition_is_between_known_states() -> None:
    for old, new in states.TRANSITIONS:
        assert old in states.VM_STATES and new in states.VM_STATES and states.may_become(old, new)
    assert not states.may_become(states.DELETED, states.ACTIVE)
    assert {status_of(state, None) for state in states.VM_STATES} == set(states.STATUS.values())
