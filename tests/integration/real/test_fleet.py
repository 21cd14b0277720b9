"""The whole product on real parts: separate processes, RabbitMQ, PostgreSQL, two hosts with libvirt, real guests.

The tests run in their order and share two servers, one a host: an emulated guest takes its time to boot.
"""

from __future__ import annotations

import time

import pytest

from tests.harness import invariants
from tests.harness.at_once import at_once
from tests.harness.ports import wait_for
from tests.harness.real_guests import Guest, hosts_up
from tests.harness.real_world import World


@pytest.fixture(scope="module")
def one(world: World) -> Guest:
    """The server on host1, which shares the image store."""
    return Guest(world, "one", world.cloud.hosts[0])


@pytest.fixture(scope="module")
def two(world: World) -> Guest:
    """The server on host2, which downloads images."""
    return Guest(world, "two", world.cloud.hosts[1])


@pytest.mark.contract("N-BOOT", "N-CLI", "N-CONSOLELOG", "Z-USERDATA", "Z-TINYIMAGE", "Z-FLATNET")
def test_the_client_boots_a_server_on_each_host(world: World, one: Guest, two: Guest) -> None:
    at_once(one.create, two.create)
    listed = {server["Name"]: server for server in world.cloud.openstack_json("server", "list")}
    assert {name: server["Status"] for name, server in listed.items()} == {"one": "ACTIVE", "two": "ACTIVE"}
    shown = world.cloud.openstack_json("server", "show", "two")
    assert (shown["id"], shown["OS-EXT-SRV-ATTR:host"], shown["key_name"]) == (two.id, "host2", "demo")
    for guest in (one, two):
        guest.wait_boots(1)
        assert len(guest.host.domains()) == 1
        wait_for(lambda guest=guest: f"user-data-of-{guest.name}" in guest.console(), "user data", 30, every_s=0.5)
    log = world.cloud.openstack("console", "log", "show", "one", "--lines", "400")
    assert f"={one.address}/24" in log, "the address came by DHCP"
    assert "ready host=one" in log


def test_an_image_reaches_a_host_by_either_way(world: World, one: Guest, two: Guest) -> None:
    [blob] = [path for path in (world.cloud.fleet.directory / "shared" / "images").rglob("*") if path.is_file()
              and path.stat().st_size > 1_000_000]
    assert two.host.run(f"test -e {blob}").returncode, "host2 cannot see the store"
    for guest in (one, two):
        cached = [path for path in (world.cloud.state(guest.host) / "images").iterdir() if len(path.name) == 64]
        assert [path.stat().st_size for path in cached] == [blob.stat().st_size]


@pytest.mark.contract("N-SECGROUP", "N-CLI", "Z-SSHKEY")
def test_rules_are_closed_until_opened_and_change_under_a_running_guest(world: World, one: Guest, two: Guest) -> None:
    run = world.cloud.openstack
    assert not one.pings()
    assert one.ssh("hostname", connect_s=3).returncode == 255
    run("security", "group", "create", "pingable")
    run("security", "group", "rule", "create", "--protocol", "icmp", "pingable")
    run("server", "add", "security", "group", "one", "pingable")
    wait_for(one.pings, "ping in the new group", 10)
    assert not two.pings(), "which is not in it"
    assert one.ssh("hostname", connect_s=3).returncode == 255, "ssh has no rule yet"
    run("security", "group", "rule", "create", "--protocol", "tcp", "--dst-port", "22", "default")
    for guest in (one, two):
        guest.wait_ssh()
    run("server", "remove", "security", "group", "one", "pingable")
    wait_for(lambda: not one.pings(), "silence out of the group", 10)
    run("security", "group", "delete", "pingable")
    assert one.ssh("cat /persist/user-data-ran").stdout == "ran\n"


@pytest.mark.contract("N-REBOOT")
def test_reboots_keep_address_and_disk(one: Guest, two: Guest) -> None:
    for guest in (one, two):
        assert guest.ssh("echo kept > /persist/mine && sync").returncode == 0
    at_once(lambda: one.act({"reboot": {"type": "SOFT"}}, "ACTIVE", 150),
            lambda: two.act({"reboot": {"type": "HARD"}}, "ACTIVE"))
    for guest in (one, two):
        guest.wait_boots(2)
        guest.wait_ssh()
        assert guest.ssh("cat /persist/mine /persist/user-data-ran").stdout == "kept\nran\n"


@pytest.mark.contract("N-POWER", "N-CLI")
def test_stop_and_start(world: World, one: Guest) -> None:
    world.cloud.openstack("server", "stop", "one")
    world.client.wait_server(one.id, "SHUTOFF", timeout_s=120)
    assert one.domain_state() == "shut off"
    world.cloud.openstack("server", "start", "one")
    world.client.wait_server(one.id, "ACTIVE")
    one.wait_ssh()


@pytest.mark.contract("Z-STATE")
def test_what_happens_to_a_guest_is_seen_at_once(world: World, two: Guest) -> None:
    two.ssh("poweroff")
    wait_for(lambda: two.domain_state() == "shut off", "the guest's end", 60, every_s=0.2)
    world.client.wait_server(two.id, "SHUTOFF", timeout_s=3)
    [domain] = two.host.domains()
    two.host.check(f"virsh -q -c '{two.host.uri}' start {domain}")
    world.client.wait_server(two.id, "ACTIVE", timeout_s=3)
    two.host.check("pkill -9 qemu-system")
    world.client.wait_server(two.id, "SHUTOFF", timeout_s=3)


@pytest.mark.contract("N-BOOT")
def test_an_agent_killed_while_it_builds_finishes_after_its_restart(world: World, two: Guest) -> None:
    agent = world.cloud.fleet.processes["host2"]
    image = world.cloud.openstack_json("image", "show", "tiny")["id"]
    made = [world.client.create_server(image, f"spare-{number}", availability_zone="az2:host2")
            for number in range(3)]
    wait_for(lambda: len(two.host.domains()) > 1, "the first domain", 30, every_s=0.1)
    agent.kill()
    agent.start()
    for server_id in made:
        world.client.wait_server(server_id, "ACTIVE", timeout_s=60)
    names = two.host.domains()
    assert len(names) == 4
    assert all(any(server_id in name for name in names) for server_id in made)
    for server_id in made:
        assert world.client.delete(f"/compute/v2.1/servers/{server_id}").status_code == 204
        world.client.wait_gone(server_id)
    assert len(two.host.domains()) == 1


@pytest.mark.contract("N-POWER", "Z-STATE")
def test_servers_come_back_after_their_host_lost_power(world: World, two: Guest) -> None:
    two.act({"os-start": None}, "ACTIVE")
    world.cloud.power_cycle(two.host)
    world.client.wait_server(two.id, "SHUTOFF", timeout_s=60)
    wait_for(lambda: hosts_up(world.client) == 2, "host2 up", 60, every_s=0.3)
    two.act({"os-start": None}, "ACTIVE")
    two.wait_ssh()
    assert two.ssh("cat /persist/mine /persist/user-data-ran").stdout == "kept\nran\n"


@pytest.mark.contract("N-BOOT")
def test_guests_do_not_notice_that_agents_and_controllers_restart(world: World, one: Guest) -> None:
    before = one.ssh("cat /proc/sys/kernel/random/boot_id").stdout
    for name in ("host1", "conductor", "api"):
        world.cloud.fleet.processes[name].kill()
        world.cloud.fleet.processes[name].start()
    world.cloud.fleet.client()
    assert before and one.ssh("cat /proc/sys/kernel/random/boot_id").stdout == before
    wait_for(lambda: hosts_up(world.client) == 2, "hosts after the restart", 60, every_s=0.3)
    assert one.ssh("hostname").stdout.strip() == "one"


@pytest.mark.contract("N-DELETE")
def test_nothing_is_left_of_deleted_servers(world: World, one: Guest, two: Guest) -> None:
    started = time.monotonic()
    world.cloud.openstack("server", "delete", "--wait", "one", "two")
    print(f"deleted in {time.monotonic() - started:.1f} s")
    assert world.cloud.openstack_json("server", "list") == []
    for guest in (one, two):
        assert guest.host.domains() == []
        assert guest.host.links() == []
        wait_for(lambda guest=guest: not {"dnsmasq", "qemu-system-x86"} & set(guest.host.programs()), "their ends", 10)
        assert [path.name for path in (world.cloud.state(guest.host) / "servers").iterdir()] == [".hosts"]
        assert list((world.cloud.state(guest.host) / "networks").iterdir()) == []
        assert "hostler" not in guest.host.check("nft list ruleset")
    assert world.client.get("/network/v2.0/ports").json()["ports"] == []
    db = world.cloud.fleet.database()
    assert invariants.database_faults(db) == []
    db.dispose()
