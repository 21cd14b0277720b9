"""The unmodified `openstack` client on servers and what belongs to them, against a whole cloud with fake hosts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.harness import openstack_cli
from tests.harness.client import Client
from tests.harness.inprocess import ADMIN_PASSWORD, Cloud

pytestmark = pytest.mark.skipif(openstack_cli.missing() is not None, reason=str(openstack_cli.missing()))

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def openstack(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A function that runs `openstack …` as an administrator; returns its JSON, its text, or its complaint."""
    home = tmp_path_factory.mktemp("home")

    def run(line: str, *, version: str = "2.96", fails: bool = False, text: bool = False) -> Any:
        environment = openstack_cli.login(cloud.url, ADMIN_PASSWORD, home, OS_COMPUTE_API_VERSION=version)
        words = [*line.split(), *([] if text or fails else ["-f", "json"])]
        done = openstack_cli.run([*words], environment)
        assert (done.returncode != 0) == fails, done.stderr
        return done.stderr if fails else done.stdout if text else json.loads(done.stdout)

    return run


@pytest.mark.contract("N-CLI")
@pytest.mark.long
def test_a_server_by_command_line(openstack: Run, client: Client, image: str, tmp_path: Path) -> None:
    openstack(f"keypair create --private-key {tmp_path / 'key'} mine")
    made = openstack(f"server create --image {image} --flavor m1.nano --key-name mine --property role=web "
                     "--tag blue --wait first")
    assert made["status"] == "ACTIVE" and made["key_name"] == "mine" and "default" in made["addresses"]
    assert [row["Name"] for row in openstack("server list --tags blue")] == ["first"]
    assert openstack("server show first", version="2.1")["status"] == "ACTIVE"
    openstack("server stop first", text=True)
    openstack("server set --name second --description words --property k=v first", text=True)
    shown = openstack("server show second")
    assert shown["description"] == "words" and shown["properties"] == {"role": "web", "k": "v"}
    actions = openstack("server event list second")
    assert {row["Action"] for row in actions} >= {"create", "stop"}
    created = next(row["Request ID"] for row in actions if row["Action"] == "create")
    events = openstack(f"server event show second {created}")["events"]
    assert {"compute_spawn_server"} <= {event["event"] for event in events}
    client.wait_server(made["id"], "SHUTOFF")
    openstack("server start second", text=True)
    client.wait_server(made["id"], "ACTIVE")
    openstack("server lock --reason because second", text=True)
    openstack("server unlock second", text=True)
    assert "is not supported by this cloud" in openstack(
        "--os-compute-api-version 2.63 server rebuild --trusted-image-cert 5f4e second", fails=True)
    openstack("server delete --wait second", text=True)
    assert openstack("server list") == []


def test_what_belongs_to_servers_by_command_line(openstack: Run) -> None:
    openstack("flavor create --ram 128 --disk 1 --vcpus 1 --id f9 --property a=b small")
    assert openstack("flavor show small")["properties"] == {"a": "b"}
    openstack("flavor delete small", text=True)
    group = openstack("server group create --policy soft-anti-affinity apart")
    assert group["policy"] == "soft-anti-affinity"
    openstack("server group delete apart", text=True)
    assert openstack("limits show --absolute")[0]["Name"]
    openstack("quota set --instances 77 admin", text=True)
    found = {row["Resource"]: row["Limit"] for row in openstack("quota show --compute admin")}
    assert found["instances"] == 77
    assert "Servers" in openstack("usage show")


def test_console_security_groups_and_a_second_look(openstack: Run, client: Client, image: str) -> None:
    server_id = client.create_server(image, "talker")
    client.wait_server(server_id, "ACTIVE")
    assert isinstance(openstack(f"console log show --lines 5 {server_id}", text=True), str)
    for kind, page in (("novnc", "http://127.0.0.1:6080/vnc_auto.html"), ("serial", "ws://127.0.0.1:6080/")):
        shown = openstack(f"console url show --{kind} {server_id}")
        assert shown["type"] == kind and shown["url"].startswith(f"{page}?token=")
    assert "Unavailable console type spice-html5" in openstack(f"console url show --spice {server_id}", fails=True)
    openstack(f"server remove security group {server_id} default", text=True)
    openstack(f"server add security group {server_id} default", text=True)
    assert openstack(f"server show {server_id}")["security_groups"] == [{"name": "default"}]
    answer = client.get("/compute/v2.1/servers/does-not-exist")
    assert answer.status_code == 404 and answer.json()["itemNotFound"]["code"] == 404
    diagnostics = client.get(f"/compute/v2.1/servers/{server_id}/diagnostics").json()
    assert diagnostics["state"] == "running"
    client.delete(f"/compute/v2.1/servers/{server_id}")
    client.wait_gone(server_id)
