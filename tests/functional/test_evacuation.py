"""Servers of a host that is down are made to run on another, as an administrator sees it, on fake hosts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from conductor import host_failures
from hostler.agent.faults import Order
from hostler.db.models import Allocation, Host, Operation, Server, ServerGroup
from hostler.resources.server import host_failure
from tests.harness import invariants
from tests.harness.client import Client
from tests.harness.inprocess import Cloud
from tests.harness.ports import wait_for

SERVERS = "/compute/v2.1/servers"


class Scene:
    """A cloud of three hosts, of which a test takes one down; it comes back afterwards."""

    def __init__(self, cloud: Cloud, client: Client, image: str) -> None:
        self.cloud, self.client, self.image = cloud, client, image
        self.made: list[str] = []

    def create(self, host: str | None = None, group: str | None = None, **more: Any) -> str:
        """Return an active server, on `host` and in a group if given."""
        if host is not None:
            more["availability_zone"] = f"nova:{host}"
        body = self.client.server_body(self.image, f"evacuee-{len(self.made)}", **more)
        answer = self.client.post(SERVERS, body | ({"os:scheduler_hints": {"group": group}} if group else {}))
        assert answer.status_code == 202, answer.text
        server_id = str(answer.json()["server"]["id"])
        self.made.append(server_id)
        self.client.wait_server(server_id, "ACTIVE")
        return server_id

    def down(self, host: str, *, by_hand: bool = True) -> None:
        """End a host's agent; `by_hand`: and vouch for it."""
        self.cloud.agents[host].stop()
        if by_hand:
            self.force(host, True)

    def up(self, host: str) -> None:
        """Bring a host's agent back."""
        self.cloud.agents[host] = self.cloud.make_agent(host)
        self.cloud.agents[host].start()
        self.force(host, False)
        wait_for(lambda: self.cloud._hosts_up(self.client) == 3, "all hosts up", 30)

    def force(self, host: str, down: bool) -> None:
        """Force a host's service down, or no longer."""
        [service] = self.client.get(f"/compute/v2.1/os-services?binary=nova-compute&host={host}",
                                    headers={"OpenStack-API-Version": "compute 2.53"}).json()["services"]
        answer = self.client.request("PUT", f"/compute/v2.1/os-services/{service['id']}", json={"forced_down": down},
                                     headers={"OpenStack-API-Version": "compute 2.53"})
        assert answer.status_code == 200, answer.text

    def evacuate(self, server_id: str, version: str = "2.68", **argument: Any) -> Any:
        """Ask for an evacuation."""
        return self.client.post(f"{SERVERS}/{server_id}/action", {"evacuate": argument},
                                headers={"OpenStack-API-Version": f"compute {version}"})

    def host_of(self, server_id: str) -> str:
        """Return where a server is."""
        return str((self.client.show(server_id) or {})["OS-EXT-SRV-ATTR:host"])

    def domains(self, host: str) -> set[str]:
        """Return the servers whose guests a host's hypervisor knows."""
        return {path.stem for path in (self.cloud.directory / host / "compute" / "fake" / "domains").glob("*.json")}

    def rest(self) -> None:
        """Wait until records and hosts agree."""
        def faults() -> list[str]:
            found = invariants.database_faults(self.cloud.db)
            for name in self.cloud.agents:
                found += invariants.host_faults(self.cloud.db, name, Path(self.cloud.directory / name))
            return found

        wait_for(lambda: not faults(), f"rest; still: {faults()}", timeout_s=30)


@pytest.fixture
def scene(cloud: Cloud, client: Client, image: str) -> Iterator[Scene]:
    """The scene; what a test made is deleted."""
    made = Scene(cloud, client, image)
    yield made
    for server_id in made.made:
        client.delete(f"{SERVERS}/{server_id}")
    for server_id in made.made:
        client.wait_gone(server_id)


@pytest.mark.contract("N-EVACUATE")
def test_a_server_runs_on_another_host_and_the_old_one_removes_its_copy(scene: Scene, cloud: Cloud) -> None:
    server_id = scene.create("host1")
    addresses = (scene.client.show(server_id) or {})["addresses"]
    scene.down("host1")
    try:
        answer = scene.evacuate(server_id)
        assert (answer.status_code, answer.text) == (200, "")
        server = scene.client.wait_server(server_id, "ACTIVE")
        assert server["OS-EXT-SRV-ATTR:host"] in ("host2", "host3")
        assert server["addresses"] == addresses
        assert server_id in scene.domains(scene.host_of(server_id))
        with cloud.db.reading() as session:
            held = session.scalars(sa.select(Host.name).join(Allocation, Allocation.host_id == Host.id).where(
                Allocation.consumer_id == server_id)).all()
        assert held == [scene.host_of(server_id)]
        assert server_id in scene.domains("host1"), "nobody could tell it yet"
    finally:
        scene.up("host1")
    wait_for(lambda: server_id not in scene.domains("host1"), "the copy's end", 30)
    assert scene.client.show(server_id)["status"] == "ACTIVE"  # type: ignore[index]
    actions = scene.client.get(f"{SERVERS}/{server_id}/os-instance-actions").json()["instanceActions"]
    assert actions[0]["action"] == "evacuate"
    scene.rest()


@pytest.mark.contract("N-EVACUATE")
def test_what_its_group_or_flavor_says_restarts_a_server_elsewhere(scene: Scene, cloud: Cloud) -> None:
    client = scene.client
    group = client.post("/compute/v2.1/os-server-groups", {"server_group": {
        "name": "web", "policy": "anti-affinity"}}).json()["server_group"]["id"]
    flavor = client.post("/compute/v2.1/flavors", {"flavor": {
        "name": "restarted", "vcpus": 1, "ram": 64, "disk": 1}}).json()["flavor"]["id"]
    client.post(f"/compute/v2.1/flavors/{flavor}/os-extra_specs", {
        "extra_specs": {host_failure.POLICY: host_failure.RESTART}}).raise_for_status()
    cloud.db.write(lambda session: setattr(
        session.get_one(ServerGroup, group), "on_host_failure", host_failure.RESTART))
    restarted = [scene.create("host1", group=group), scene.create("host1", flavor=flavor)]
    left = scene.create("host1")
    scene.down("host1")
    host_failures.sweep(cloud.db, cloud.conf)  # as conductors do every few seconds
    try:
        for server_id in restarted:
            wait_for(lambda server_id=server_id: scene.host_of(server_id) != "host1", "the move", 30)
            client.wait_server(server_id, "ACTIVE")
        assert scene.host_of(left) == "host1"
    finally:
        scene.up("host1")
    scene.rest()


@pytest.mark.contract("N-EVACUATE")
def test_what_is_refused(scene: Scene) -> None:
    server_id = scene.create("host1")
    answer = scene.evacuate(server_id)
    assert answer.status_code == 400
    assert answer.json()["badRequest"]["message"] == "Compute service of host1 is still in use."
    answer = scene.evacuate(server_id, host="host1")
    assert answer.json()["badRequest"]["message"] == "The target host can't be the same one."
    answer = scene.evacuate(server_id, host="atlantis")
    assert (answer.status_code, answer.json()["itemNotFound"]["message"]) == (404, "Compute host atlantis not found.")
    assert scene.evacuate("11111111-2222-4333-8444-555555555555").status_code == 404
    scene.client.post(f"{SERVERS}/{server_id}/action", {"pause": None})
    scene.client.wait_server(server_id, "PAUSED")
    answer = scene.evacuate(server_id)
    assert answer.status_code == 409
    assert "in vm_state paused" in answer.text


@pytest.mark.parametrize(("version", "argument", "told"), [
    ("2.13", {}, "onSharedStorage"), ("2.13", {"onSharedStorage": "maybe"}, "onSharedStorage"),
    ("2.13", {"onSharedStorage": True, "adminPass": "x"}, "admin password can't be changed on existing disk"),
    ("2.14", {"onSharedStorage": False}, "onSharedStorage"), ("2.28", {"force": True}, "force"),
    ("2.29", {"force": True}, "Can't force to a non-provided destination"), ("2.68", {"force": True}, "force"),
    ("2.95", {"host": ""}, "host"), ("2.95", {"host": "a b"}, "host"), ("2.95", {"adminPass": 7}, "adminPass"),
    ("2.95", {"colour": "red"}, "colour")])
def test_bad_bodies(scene: Scene, version: str, argument: dict[str, Any], told: str) -> None:
    answer = scene.evacuate("11111111-2222-4333-8444-555555555555", version, **argument)
    assert answer.status_code == 400
    assert told in answer.text


def test_bodies_that_are_no_objects(scene: Scene) -> None:
    for argument in (None, [], "x", 1):
        answer = scene.client.post(f"{SERVERS}/11111111-2222-4333-8444-555555555555/action", {"evacuate": argument})
        assert answer.status_code == 400, argument


def test_old_callers_get_the_password(scene: Scene) -> None:
    server_id = scene.create("host1")
    scene.down("host1")
    try:
        answer = scene.evacuate(server_id, "2.1", onSharedStorage=False, adminPass="s3cret")
        assert (answer.status_code, answer.json()) == (200, {"adminPass": "s3cret"})
        scene.client.wait_server(server_id, "ACTIVE")
    finally:
        scene.up("host1")


def test_a_named_target_is_taken_or_refused(scene: Scene) -> None:
    server_id = scene.create("host1")
    scene.down("host1")
    try:
        assert scene.evacuate(server_id, host="host3").status_code == 200
        scene.client.wait_server(server_id, "ACTIVE")
        assert scene.host_of(server_id) == "host3"
    finally:
        scene.up("host1")


@pytest.mark.parametrize(("stopped", "version", "status"), [
    (False, "2.94", "ACTIVE"), (True, "2.94", "SHUTOFF"), (False, "2.95", "SHUTOFF"), (True, "2.95", "SHUTOFF")])
def test_the_power_state_afterwards(scene: Scene, stopped: bool, version: str, status: str) -> None:
    server_id = scene.create("host1")
    if stopped:
        scene.client.post(f"{SERVERS}/{server_id}/action", {"os-stop": None})
        scene.client.wait_server(server_id, "SHUTOFF")
    scene.down("host1")
    try:
        assert scene.evacuate(server_id, version).status_code == 200
        wait_for(lambda: scene.host_of(server_id) != "host1", "the move", 30)
        assert scene.client.wait_server(server_id, status)["OS-EXT-STS:power_state"] == (
            1 if status == "ACTIVE" else 4)
        if status == "SHUTOFF":
            scene.client.post(f"{SERVERS}/{server_id}/action", {"os-start": None})
            scene.client.wait_server(server_id, "ACTIVE")
    finally:
        scene.up("host1")


def test_a_server_in_error_is_evacuated(scene: Scene) -> None:
    server_id = scene.create("host1")
    scene.client.post(f"{SERVERS}/{server_id}/action", {"os-resetState": {"state": "error"}})
    scene.down("host1")
    try:
        assert scene.evacuate(server_id).status_code == 200
        scene.client.wait_server(server_id, "ACTIVE")
    finally:
        scene.up("host1")


def test_one_evacuation_at_a_time(scene: Scene, cloud: Cloud) -> None:
    server_id = scene.create("host1")
    scene.down("host1")
    faults = [cloud.agents[name].tools.driver.faults for name in ("host2", "host3")]
    for fault in faults:
        fault.order(Order(step="driver.create:before", action="slow", seconds=1.5))
    try:
        assert scene.evacuate(server_id).status_code == 200
        answer = scene.evacuate(server_id)
        assert answer.status_code == 409
        assert "task_state rebuilding" in answer.text
        assert scene.client.show(server_id)["status"] == "REBUILD"  # type: ignore[index]
        scene.client.wait_server(server_id, "ACTIVE")
    finally:
        for fault in faults:
            fault.clear()
        scene.up("host1")


def test_what_waits_for_the_dead_host_is_stopped(scene: Scene, cloud: Cloud) -> None:
    server_id = scene.create("host1")
    scene.down("host1")
    try:
        assert scene.client.post(f"{SERVERS}/{server_id}/action", {"reboot": {"type": "HARD"}}).status_code == 202
        wait_for(lambda: _waits(cloud, server_id), "the reboot waits", 30)
        assert scene.evacuate(server_id).status_code == 200
        wait_for(lambda: scene.host_of(server_id) != "host1", "the move", 30)
        scene.client.wait_server(server_id, "ACTIVE")
    finally:
        scene.up("host1")


def _waits(cloud: Cloud, server_id: str) -> bool:
    with cloud.db.reading() as session:
        return session.scalar(sa.select(Operation.waiting_for).where(
            Operation.resource_id == server_id, Operation.kind == "server.reboot")) == "host1"


def test_a_target_that_fails_is_replaced(scene: Scene, cloud: Cloud) -> None:
    server_id = scene.create("host1")
    scene.down("host1")
    faults = {name: cloud.agents[name].tools.driver.faults for name in ("host2", "host3")}
    faults["host2"].order(Order(step="driver.create:before", action="fail", times=0))
    try:
        scene.evacuate(server_id)
        scene.client.wait_server(server_id, "ACTIVE")
        assert scene.host_of(server_id) == "host3"
    finally:
        faults["host2"].clear()
        scene.up("host1")
    scene.rest()


def test_a_failed_evacuation_may_be_asked_for_again(scene: Scene, cloud: Cloud) -> None:
    server_id = scene.create("host1")
    scene.down("host1")
    faults = [cloud.agents[name].tools.driver.faults for name in ("host2", "host3")]
    for fault in faults:
        fault.order(Order(step="driver.create:before", action="fail", times=0, reason="The disk is full."))
    try:
        scene.evacuate(server_id)
        server = scene.client.wait_server(server_id, "ERROR")
        assert server["OS-EXT-SRV-ATTR:host"] == "host1"
        with cloud.db.reading() as session:
            row = session.get_one(Server, server_id)
            assert "The disk is full." in json.dumps(row.fault)
        for fault in faults:
            fault.clear()
        scene.evacuate(server_id)
        scene.client.wait_server(server_id, "ACTIVE")
        assert scene.host_of(server_id) != "host1"
    finally:
        for fault in faults:
            fault.clear()
        scene.up("host1")
    scene.rest()
