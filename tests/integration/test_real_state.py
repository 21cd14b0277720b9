"""States of one real guest: what is done to it behind the cloud's back shows within a second, and each change of power,
state and lock through the unmodified client.

The tests run in their order and share one server on one host.
"""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import real_parts, realfleet
from tests.harness.client import Client
from tests.harness.ports import wait_for
from tests.harness.real_guests import Guest, hosts_up, upload_basics
from tests.harness.realfleet import RealFleet

SEEN_S = 1.0  # from the moment the hypervisor has it until the API says it


class World:
    """The cloud and its server."""

    def __init__(self, cloud: RealFleet, client: Client, directory: Path) -> None:
        self.cloud, self.client, self.directory = cloud, client, directory
        self.guest = Guest(self, "one", cloud.hosts[0])
        self.measured: dict[str, float] = {}

    def prepare(self) -> None:
        """Upload image and key, open ssh, boot the server with the client."""
        upload_basics(self)
        run = self.cloud.openstack
        run("security", "group", "rule", "create", "--protocol", "tcp", "--dst-port", "22", "default")
        self.guest.create()
        self.guest.wait_ssh()

    def virsh(self, command: str) -> None:
        """Do something to the domain behind the agent's back."""
        host = self.guest.host
        [domain] = host.domains()
        host.check(f"virsh -q -c '{host.uri}' {command} {domain}")

    def seen(self, what: str, status: str) -> None:
        """Check that the API shows a status within a second from now; keeps how long it took."""
        started = time.monotonic()
        self.client.wait_server(self.guest.id, status, timeout_s=10)
        self.measured[what] = time.monotonic() - started
        assert self.measured[what] < SEEN_S, self.measured

    def status(self) -> str:
        """Return what the client shows."""
        return str(self.cloud.openstack_json("server", "show", "one")["status"])

    def refused(self, *command: str) -> str:
        """Run a command that the cloud must refuse; returns the client's words."""
        with pytest.raises(RuntimeError) as refusal:
            self.cloud.openstack(*command)
        return str(refusal.value)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Start the cloud with its server."""
    if missing := realfleet.missing():
        pytest.skip(missing)
    real_parts.tiny_image()
    directory = tmp_path_factory.mktemp("states")
    cloud = RealFleet(directory, hosts=1)
    try:
        made = World(cloud, cloud.start(), directory)
        made.prepare()
        yield made
        print("seen after seconds:", {what: round(took, 2) for what, took in made.measured.items()})
    finally:
        print(cloud.logs())
        cloud.stop()


@pytest.fixture(scope="module")
def guest(world: World) -> Guest:
    """The server."""
    return world.guest


@pytest.mark.contract("Z-STATE")
def test_what_virsh_does_shows_within_a_second(world: World) -> None:
    for command, status in (("suspend", "PAUSED"), ("resume", "ACTIVE"), ("destroy", "SHUTOFF"), ("start", "ACTIVE")):
        world.virsh(command)
        world.seen(f"virsh {command}", status)


@pytest.mark.contract("Z-STATE")
def test_a_killed_hypervisor_process_shows_within_a_second(world: World, guest: Guest) -> None:
    guest.host.check("pkill -9 qemu-system")
    world.seen("kill -9 of qemu", "SHUTOFF")
    shown = world.cloud.openstack_json("server", "show", "one")
    assert shown["OS-EXT-STS:power_state"] in ("Shutdown", "Crashed", 4, 6)


@pytest.mark.contract("N-POWER", "N-CLI")
def test_the_client_starts_what_was_killed(world: World, guest: Guest) -> None:
    world.cloud.openstack("server", "start", "one")
    world.client.wait_server(guest.id, "ACTIVE")
    guest.wait_ssh()
    assert "while it is in vm_state active" in world.refused("server", "start", "one")


@pytest.mark.contract("N-PAUSE", "N-CLI")
def test_a_paused_guest_stands_still_and_goes_on(world: World, guest: Guest) -> None:
    before = guest.ssh("cat /proc/sys/kernel/random/boot_id").stdout
    world.cloud.openstack("server", "pause", "one")
    world.client.wait_server(guest.id, "PAUSED")
    assert guest.domain_state() == "paused"
    assert "vm_state paused" in world.refused("server", "suspend", "one")
    world.cloud.openstack("server", "unpause", "one")
    world.client.wait_server(guest.id, "ACTIVE")
    assert before and guest.ssh("cat /proc/sys/kernel/random/boot_id").stdout == before


@pytest.mark.contract("N-SUSPEND", "N-CLI")
def test_a_suspended_guest_keeps_its_memory_without_a_process(world: World, guest: Guest) -> None:
    before = guest.ssh("echo remembered > /tmp/mine; cat /proc/sys/kernel/random/boot_id").stdout
    world.cloud.openstack("server", "suspend", "one")
    world.client.wait_server(guest.id, "SUSPENDED")
    assert not any(name.startswith("qemu-system") for name in guest.host.programs())
    world.cloud.openstack("server", "resume", "one")
    world.client.wait_server(guest.id, "ACTIVE")
    assert guest.ssh("cat /proc/sys/kernel/random/boot_id /tmp/mine").stdout == f"{before}remembered\n"


@pytest.mark.contract("N-LOCK", "N-CLI")
def test_a_locked_server_refuses_its_owner_not_an_administrator(world: World, guest: Guest) -> None:
    run = world.cloud.openstack
    run("user", "create", "--password", "secret", "owner")
    run("role", "add", "--user", "owner", "--project", "admin", "member")
    owner = Client(world.client.url, "owner", "secret", "admin")
    owner.login()
    run("--os-compute-api-version", "2.73", "server", "lock", "--reason", "held for the audit", "one")
    shown = world.cloud.openstack_json("--os-compute-api-version", "2.73", "server", "show", "one")
    assert (shown["locked"], shown["locked_reason"]) == (True, "held for the audit")
    for body in ({"os-stop": None}, {"reboot": {"type": "HARD"}}, {"pause": None}):
        answer = owner.post(f"/compute/v2.1/servers/{guest.id}/action", body)
        assert answer.status_code == 409 and "locked" in answer.text
    assert owner.delete(f"/compute/v2.1/servers/{guest.id}").status_code == 409
    run("server", "pause", "one")
    world.client.wait_server(guest.id, "PAUSED")
    run("server", "unpause", "one")
    world.client.wait_server(guest.id, "ACTIVE")
    run("server", "unlock", "one")
    answer = owner.post(f"/compute/v2.1/servers/{guest.id}/action", {"pause": None})
    assert answer.status_code == 202
    world.client.wait_server(guest.id, "PAUSED")
    run("server", "unpause", "one")
    world.client.wait_server(guest.id, "ACTIVE")


@pytest.mark.contract("N-RESETSTATE", "N-CLI")
def test_an_administrator_says_the_state_and_the_guest_runs_on(world: World, guest: Guest) -> None:
    before = guest.ssh("cat /proc/sys/kernel/random/boot_id").stdout
    world.cloud.openstack("server", "set", "--state", "error", "--auto-approve", "one")
    assert world.status() == "ERROR"
    assert "vm_state error" in world.refused("server", "pause", "one")
    world.cloud.openstack("server", "set", "--state", "active", "--auto-approve", "one")
    assert world.status() == "ACTIVE"
    assert before and guest.ssh("cat /proc/sys/kernel/random/boot_id").stdout == before


@pytest.mark.contract("N-REBOOT", "N-CLI", "N-CONSOLELOG")
def test_the_console_log_outlives_reboots(world: World, guest: Guest) -> None:
    booted = guest.boots()
    world.cloud.openstack("server", "reboot", "--hard", "one")
    world.client.wait_server(guest.id, "ACTIVE")
    guest.wait_boots(booted + 1)
    log = world.cloud.openstack("console", "log", "show", "one")
    assert log.count("ready host=one") == booted + 1
    last = world.cloud.openstack("console", "log", "show", "--lines", "2", "one").rstrip("\n")
    assert last and len(last.split("\n")) <= 2 and log.rstrip("\n").endswith(last.split("\n")[-1])


@pytest.mark.contract("Z-STATE")
def test_a_poweroff_inside_the_guest_shows_within_a_second(world: World, guest: Guest) -> None:
    guest.wait_ssh()
    with contextlib.suppress(subprocess.TimeoutExpired):
        guest.ssh("poweroff")
    wait_for(lambda: not any(name.startswith("qemu-system") for name in guest.host.programs()), "its end", 60,
             every_s=0.02)
    world.seen("poweroff in the guest", "SHUTOFF")


@pytest.mark.contract("Z-STATE")
def test_what_happened_while_the_agent_was_dead_shows_when_it_is_back(world: World, guest: Guest) -> None:
    agent = world.cloud.fleet.processes["host1"]
    agent.kill()
    world.virsh("start")
    agent.start()
    wait_for(lambda: hosts_up(world.client) == 1, "host1 up", 60, every_s=0.2)
    world.client.wait_server(guest.id, "ACTIVE", timeout_s=30)


@pytest.mark.contract("Z-STATE", "N-POWER")
def test_a_stop_whose_conductor_died_is_finished(world: World, guest: Guest) -> None:
    conductor = world.cloud.fleet.processes["conductor"]
    world.cloud.openstack("server", "stop", "one")
    conductor.kill()
    conductor.start()
    world.client.wait_server(guest.id, "SHUTOFF", timeout_s=120)
    assert guest.domain_state() == "shut off"
    server = world.client.show(guest.id)
    assert server is not None and server["OS-EXT-STS:task_state"] is None


@pytest.mark.contract("N-DELETE", "N-CLI")
def test_nothing_is_left_of_the_deleted_server(world: World, guest: Guest) -> None:
    world.cloud.openstack("server", "delete", "--wait", "one")
    assert world.cloud.openstack_json("server", "list") == []
    assert guest.host.domains() == [] and not any(name.startswith("qemu-system") for name in guest.host.programs())
    assert not (world.cloud.state(guest.host) / "servers" / guest.id).exists()
    assert not [port for port in world.cloud.openstack_json("port", "list") if guest.address in str(port)]
