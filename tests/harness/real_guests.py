"""Servers of a real fleet: made by the client, watched from their host, spoken to by ssh."""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path
from typing import Protocol

from tests.harness import real_parts
from tests.harness.client import Client
from tests.harness.ports import wait_for
from tests.harness.realfleet import RealFleet
from tests.harness.realhost import Host

BOOT_S = 150  # an emulated guest on a busy machine
_NETWORK = ("ip -br link", "bridge link", "bridge fdb show", "ip neigh", "nft list ruleset")
_CONNECT_S = 15  # with the exchange of keys, which takes an emulated guest on a busy machine seconds
SSH_OPTIONS = [word for option in ("BatchMode=yes", f"ConnectTimeout={_CONNECT_S}", "StrictHostKeyChecking=no",
                                   "UserKnownHostsFile=/dev/null", "LogLevel=ERROR") for word in ("-o", option)]


class Cloud(Protocol):
    """Where guests live: the fleet, an administrator's client, and the directory with `key` and `user-data`."""

    client: Client
    directory: Path

    @property
    def cloud(self) -> RealFleet:
        """The fleet."""


def upload_basics(world: Cloud, *image_options: str, user_data: str = "#!/bin/sh\ntrue\n") -> None:
    """Have the client make what every guest needs: image and flavor `tiny`, key pair `demo`; and write `user-data`."""
    key, run = world.directory / "key", world.cloud.openstack
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    (world.directory / "user-data").write_text(user_data)
    run("image", "create", "tiny", "--disk-format", "qcow2", "--container-format", "bare", *image_options, "--file",
        str(real_parts.tiny_image().path))
    run("keypair", "create", "--public-key", f"{key}.pub", "demo")
    run("flavor", "create", "tiny", "--vcpus", "1", "--ram", "128", "--disk", "1")


class Guest:
    """One server: where it is and how to talk to it from its host."""

    def __init__(self, world: Cloud, name: str, host: Host, zone: str = "") -> None:
        self.world, self.name, self.host, self.zone = world, name, host, zone
        self.id = self.address = ""

    def create(self, *more: str) -> None:
        """Create it with the unmodified client, from the tiny image unless `more` says otherwise; wait until active.

        One with a zone may not leave it later.
        """
        source = () if {"--volume", "--snapshot"} & set(more) else ("--image", "tiny")
        where = ("--availability-zone", f"{self.zone}:{self.host.name}") if self.zone else ("--host", self.host.name)
        made = self.world.cloud.openstack_json(
            "--os-compute-api-version", "2.74", "server", "create", self.name, *source, "--flavor", "tiny",
            "--key-name", "demo", "--user-data", str(self.world.directory / "user-data"), *where, *more)
        self.take(made["id"])

    def take(self, server_id: str) -> None:
        """Be the server with this id, once it is active."""
        self.id = server_id
        server = self.world.client.wait_server(self.id, "ACTIVE", timeout_s=90)
        [self.address] = [address["addr"] for address in server["addresses"]["default"]]
        assert server["OS-EXT-SRV-ATTR:host"] == self.host.name

    def is_well(self) -> bool:
        """Tell whether it runs on its host, rests, and answers."""
        server = self.world.client.show(self.id) or {}
        found = server.get("status"), server.get("OS-EXT-STS:task_state"), server.get("OS-EXT-SRV-ATTR:host")
        return found == ("ACTIVE", None, self.host.name) and self._answers()

    def remove(self) -> None:
        """Delete it, if it is there."""
        if self.world.client.show(self.id) is not None:
            answer = self.world.client.post(f"/compute/v2.1/servers/{self.id}/action", {"forceDelete": None})
            assert answer.status_code == 202, answer.text
            self.world.client.wait_gone(self.id)

    def act(self, body: dict[str, object], status: str, timeout_s: float = 90) -> None:
        """Do an action and wait for the status that it leads to."""
        answer = self.world.client.post(f"/compute/v2.1/servers/{self.id}/action", body)
        assert answer.status_code == 202, answer.text
        wait_for(lambda: (self.world.client.show(self.id) or {}).get("OS-EXT-STS:task_state") is None
                 or fail_on_error(self.world.client, self.id), f"{body}", timeout_s, every_s=0.2)
        self.world.client.wait_server(self.id, status, timeout_s=5)

    def ssh(self, command: str, connect_s: int = _CONNECT_S) -> subprocess.CompletedProcess[str]:
        """Run a command in the guest, with openssh on its host."""
        return self.host.run(self._ssh(command, connect_s), timeout_s=60)

    def copy(self, path: Path, to: str) -> subprocess.CompletedProcess[str]:
        """Write a file of the test's into the guest."""
        return self.host.run(f"{self._ssh(f'cat > {to}')} < {path}", timeout_s=60)

    def _ssh(self, command: str, connect_s: int = _CONNECT_S) -> str:
        options = " ".join(["-o", f"ConnectTimeout={connect_s}", *SSH_OPTIONS])  # the first one counts
        return f"ssh -i {self.world.directory / 'key'} {options} root@{self.address} '{command}'"

    def wait_ssh(self) -> None:
        """Wait until the guest answers with its name; raises TimeoutError with what its host shows of a silent one."""
        try:
            wait_for(self._answers, f"ssh to {self.name}", BOOT_S, every_s=0.5)
        except TimeoutError as error:
            raise TimeoutError(f"{error}\n{self.describe_silence()}") from None

    def _answers(self) -> bool:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.ssh("hostname").stdout.strip() == self.name
        return False

    def describe_silence(self) -> str:
        """Return what may explain why the guest does not answer: state, registers (twice), network, console."""
        hostname = self._ssh("hostname")
        parts = [f"ssh: {self.host.run(f'timeout 20 {hostname}')}"]
        for command, *arguments in (("domstate", "--reason"), ("domblkerror",), ("domjobinfo",),
                                    *[("qemu-monitor-command", "--hmp", "'info registers'")] * 2):
            with contextlib.suppress(RuntimeError, ValueError):  # it is not there, or off
                parts.append(f"{command}: {self.virsh(command, *arguments)[:1000]}")
        for command in _NETWORK:
            done = self.host.run(command)
            parts.append(f"{command}: {done.stdout}{done.stderr}")
        return "\n".join([*parts, f"console: {self.console()[-3000:]}"])

    def pings(self) -> bool:
        """Tell whether it answers a ping from its host."""
        return self.host.run(f"ping -c 1 -W 2 {self.address}").returncode == 0

    def boots(self) -> int:
        """Return how often it came up, as its console tells."""
        return self.console().count(f"ready host={self.name}")

    def console(self) -> str:
        """Return its console log."""
        answer = self.world.client.post(f"/compute/v2.1/servers/{self.id}/action", {"os-getConsoleOutput": {}})
        return str(answer.json()["output"]) if answer.ok else f"(no console log: {answer.text})"

    def wait_boots(self, count: int) -> None:
        """Wait until it came up that often."""
        try:
            wait_for(lambda: self.boots() >= count, f"boot {count} of {self.name}", BOOT_S, every_s=0.3)
        except TimeoutError as error:
            raise TimeoutError(f"{error}\n{self.describe_silence()}") from None

    def domain_state(self) -> str:
        """Return what virsh says."""
        return self.virsh("domstate").strip()

    def virsh(self, command: str, *arguments: str) -> str:
        """Run a command of virsh on the server's domain; returns what it prints."""
        [domain] = [name for name in self.host.domains() if self.id in name]
        return self.host.check(f"virsh -q -c '{self.host.uri}' {command} {domain} {' '.join(arguments)}")


def fail_on_error(client: Client, server_id: str) -> bool:
    server = client.show(server_id)
    assert server is not None
    assert server["status"] != "ERROR", server.get("fault")
    return False


def hosts_up(client: Client) -> int:
    answer = client.get("/compute/v2.1/os-services?binary=nova-compute")
    return sum(service["state"] == "up" for service in answer.json().get("services", []))
