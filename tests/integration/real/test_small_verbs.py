"""Verbs of running servers on a real guest: NICs and addresses, passwords, interrupts, filters made again.

The tests run in their order and share one server.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.harness.ports import wait_for
from tests.harness.real_world import World

# A guest agent in a few lines of shell: it answers libvirt's greetings and keeps what it was asked to set.
_AGENT = r"""#!/bin/sh
echo $$ > /tmp/agent.pid
for port in /sys/class/virtio-ports/*; do
  [ "$(cat $port/name)" = org.qemu.guest_agent.0 ] && exec 3<>/dev/${port##*/}
done
while :; do
  # Until the host has opened its end, there is nothing to read.
  read -r line <&3 || { sleep 0.2; continue; }
  id=${line##*\"id\":}; id=${id%%[!0-9]*}
  case $line in
    *guest-sync-delimited*) printf "\377{\"return\": $id}\n" >&3;;
    *guest-sync*) printf "{\"return\": $id}\n" >&3;;
    *guest-set-user-password*) printf "%s\n" "$line" > /tmp/asked; printf "{\"return\": {}}\n" >&3;;
    *) printf "{\"return\": {}}\n" >&3;;
  esac
done
"""
_METADATA = "http://169.254.169.254/openstack/latest"


class Subject:
    """The server, and shorthand for it."""

    def __init__(self, world: World) -> None:
        self.world, self.cloud, self.client = world, world.cloud, world.client
        self.guest = world.running("one")

    def act(self, **body: Any) -> Any:
        """Do an action on the server."""
        return self.client.post(f"/compute/v2.1/servers/{self.guest.id}/action", body)

    def interfaces(self) -> list[dict[str, Any]]:
        """Return the server's NICs."""
        answer = self.client.get(f"/compute/v2.1/servers/{self.guest.id}/os-interface")
        return list(answer.json()["interfaceAttachments"])

    def inside(self) -> dict[str, str]:
        """Return the guest's addresses by hardware address, '' where it has none."""
        cards = self.guest.ssh("cd /sys/class/net; for card in eth*; do echo $(cat $card/address) $(ip -4 -o addr show "
                               "$card | head -n 1 | sed \"s/.*inet //; s/[/].*//\"); done")
        return {words[0]: words[1] if len(words) > 1 else ""
                for words in map(str.split, cards.stdout.splitlines()) if words}

    def table(self) -> str:
        """Return the host's packet filters of the server's first network."""
        return self.guest.host.check("nft list ruleset")


@pytest.fixture(scope="module")
def subject(world: World) -> Subject:
    """Take the server."""
    return Subject(world)


def _wait_inside(subject: Subject, wanted: dict[str, str]) -> None:
    wait_for(lambda: subject.inside() == wanted, f"{wanted} in the guest", 60, every_s=0.5)


@pytest.mark.contract("N-FIXEDIP", "N-CLI")
def test_a_second_nic_comes_with_its_address_and_goes(subject: Subject) -> None:
    run = subject.cloud.openstack
    [first] = subject.interfaces()
    before = {first["mac_addr"]: first["fixed_ips"][0]["ip_address"]}
    _wait_inside(subject, before)
    run("network", "create", "second")
    run("subnet", "create", "--network", "second", "--subnet-range", "10.99.0.0/24", "second")
    run("server", "add", "network", "one", "second")
    [_, second] = subject.interfaces()
    assert second["port_state"] == "ACTIVE"
    _wait_inside(subject, {**before, second["mac_addr"]: second["fixed_ips"][0]["ip_address"]})
    run("port", "create", "--network", "second", "--mac-address", "fa:16:3e:aa:bb:cc", "mine")
    run("server", "add", "port", "one", "mine")
    [_, _, third] = subject.interfaces()
    assert third["mac_addr"] == "fa:16:3e:aa:bb:cc"
    wait_for(lambda: subject.inside().get(third["mac_addr"]) == third["fixed_ips"][0]["ip_address"], "the third", 60)
    run("server", "remove", "port", "one", "mine")
    run("server", "remove", "network", "one", "second")
    assert subject.interfaces() == [first]
    _wait_inside(subject, before)
    assert subject.cloud.openstack_json("port", "show", "mine")["status"] == "DOWN"
    run("port", "delete", "mine")
    run("network", "delete", "second")


@pytest.mark.contract("N-FIXEDIP", "N-CLI")
def test_an_address_may_be_used_while_the_server_has_it(subject: Subject) -> None:
    def reaches(address: str) -> bool:
        return subject.guest.ssh(f"arping -c 1 -w 2 -I eth0 -s {address} {gateway}").returncode == 0

    routes = subject.guest.ssh("ip route").stdout.splitlines()
    [gateway] = [words[2] for words in map(str.split, routes) if words[0] == "default"]
    network = subject.client.get("/network/v2.0/networks?name=default").json()["networks"][0]["id"]
    answer = subject.client.post(f"/compute/v2.1/servers/{subject.guest.id}/action",
                                 {"addFixedIp": {"networkId": network}},
                                 headers={"OpenStack-API-Version": "compute 2.43"})
    assert answer.status_code == 202, answer.text
    [interface] = subject.interfaces()
    [added] = {row["ip_address"] for row in interface["fixed_ips"]} - {subject.guest.address}
    assert subject.guest.ssh(f"ip addr add {added}/24 dev eth0").returncode == 0
    wait_for(lambda: reaches(added), "the address passes the filters", 90)
    subject.cloud.openstack("--os-compute-api-version", "2.43", "server", "remove", "fixed", "ip", "one", added)
    wait_for(lambda: not reaches(added), "the address is filtered", 90)
    subject.guest.ssh(f"ip addr del {added}/24 dev eth0")


@pytest.mark.contract("N-PASSWORD")
def test_a_password_is_set_by_the_guests_agent(subject: Subject) -> None:
    refused = subject.act(changePassword={"adminPass": "s3cret"})
    assert (refused.status_code, "guest agent does not run" in refused.text) == (409, True), refused.text
    (subject.world.directory / "agent").write_text(_AGENT)
    assert subject.guest.copy(subject.world.directory / "agent", "/tmp/agent").returncode == 0
    subject.guest.ssh("setsid sh /tmp/agent </dev/null >/dev/null 2>&1 &")
    wait_for(lambda: subject.act(changePassword={"adminPass": "s3cret"}).status_code == 202, "the agent", 90, every_s=1)
    asked = subject.guest.ssh("cat /tmp/asked").stdout
    assert "guest-set-user-password" in asked and '"root"' in asked
    subject.guest.ssh("kill $(cat /tmp/agent.pid)")


@pytest.mark.contract("N-PASSWORD")
def test_the_guest_posts_its_own_password(subject: Subject) -> None:
    path = f"/compute/v2.1/servers/{subject.guest.id}/os-server-password"
    post = f"wget -q -O - --post-data c2VjcmV0 {_METADATA}/password"
    assert subject.guest.ssh(post).returncode == 0
    assert subject.client.get(path).json() == {"password": "c2VjcmV0"}
    assert subject.guest.ssh(post).returncode != 0, "once only"
    wait_for(lambda: subject.guest.ssh(f"wget -q -O - {_METADATA}/password").stdout == "c2VjcmV0", "it reads it", 60)
    assert subject.client.delete(path).status_code == 204


def test_a_guest_is_interrupted(subject: Subject) -> None:
    assert subject.act(trigger_crash_dump=None).status_code == 202
    wait_for(lambda: "NMI" in subject.guest.ssh("dmesg | tail -n 20").stdout, "the interrupt in the guest's log", 60)


@pytest.mark.contract("N-NETRESET")
def test_filters_that_were_flushed_are_made_again(subject: Subject) -> None:
    before = subject.table().count("hostler_")
    assert before > 0
    subject.guest.host.check("nft flush ruleset")
    assert subject.act(injectNetworkInfo=None).status_code == 202
    wait_for(lambda: subject.table().count("hostler_") == before, "the filters", 60)
    subject.guest.wait_ssh()
