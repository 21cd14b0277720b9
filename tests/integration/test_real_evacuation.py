"""A server with a volume survives its host on real parts, and at no time do two guests write its disk.

Both hosts see the volumes' directory, so that no export can be closed: nothing but the fence keeps a lost host from the
disk. The host's agent hangs (SIGSTOP), then the other host is cut off from the network; both return late.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from compute.watchdog import processes_of
from tests.harness import real_parts, realfleet
from tests.harness.client import Client
from tests.harness.fleet import MAIN
from tests.harness.ports import wait_for
from tests.harness.real_guests import Guest
from tests.harness.realhost import Host
from tests.harness.volume_fleet import VolumeFleet

# Each record says who wrote it, and when, by the clock that all guests of this machine share.
_WRITE = ("n={first}; while true; do echo {who} $n $(date +%s) | dd of=/dev/vdb bs=512 seek=$n count=1 "
          "conv=notrunc,sync,fsync 2>/dev/null; n=$((n+1)); sleep 0.1; done")


class EvacuationFleet(VolumeFleet):
    """Two hosts in one zone that see the volumes as files, each with a watchdog."""

    def overrides(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Return the options."""
        found = super().overrides()
        for host in self.hosts:
            found[host.name]["compute"].update(availability_zone="az1", volume_shares=self.back_end("node1"),
                                               self_fence_after=5, nbd_tls=False)
        return found

    def _issue(self, name: str, out: Path) -> None:
        if not name.startswith("host"):  # hosts see the volumes as files
            super()._issue(name, out)

    def _boot(self, host: Host) -> None:
        host.start()
        self.fleet.add(host.name, "compute", self._agent(host), {"NO_PROXY": self.fabric.address})

    def _agent(self, host: Host) -> list[str]:
        return [*host.launcher, sys.executable, "-c", MAIN.format(module="compute")]


class World:
    """The cloud and its server."""

    def __init__(self, cloud: EvacuationFleet, client: Client, directory: Path) -> None:
        self.cloud, self.client, self.directory = cloud, client, directory
        self.guest = Guest(self, "evacuee", cloud.hosts[0], "az1")
        self.most_at_once = 0
        self._watching = True

    def prepare(self) -> None:
        """Boot the server with its volume."""
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.directory / "key"], check=True)
        (self.directory / "user-data").write_text("#!/bin/sh\ntrue\n")
        run = self.cloud.openstack
        run("image", "create", "tiny", "--disk-format", "qcow2", "--container-format", "bare", "--file",
            str(real_parts.tiny_image().path))
        run("keypair", "create", "--public-key", str(self.directory / "key.pub"), "demo")
        run("flavor", "create", "tiny", "--vcpus", "1", "--ram", "128", "--disk", "1")
        run("security", "group", "rule", "create", "--protocol", "tcp", "--dst-port", "22", "default")
        run("volume", "create", "--size", "1", "--availability-zone", "az1", "data")
        self.guest.create()
        self.guest.wait_ssh()
        run("server", "add", "volume", "evacuee", "data")
        wait_for(lambda: "vdb" in self.guest.ssh("ls /sys/block").stdout, "the volume", 60, every_s=0.5)
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        """Count the guests that run, on all hosts of this machine, many times a second."""
        while self._watching:
            self.most_at_once = max(self.most_at_once, len(processes_of(frozenset({self.guest.id}))))
            time.sleep(0.02)

    def write_from(self, first: int, who: str) -> None:
        """Have the guest write records for ever."""
        self.guest.ssh(f"({_WRITE.format(first=first, who=who)}) </dev/null >/dev/null 2>&1 &")
        wait_for(lambda: self.records(who), f"records of {who}", 60, every_s=0.5)

    def records(self, who: str) -> list[tuple[int, int]]:
        """Return (number, second) of the records on the volume's file that `who` wrote."""
        [name] = [name for name in self.cloud.volume_files("node1") if name.startswith("volume-")]
        path = self.cloud.back_end("node1") / name
        raw = subprocess.run(["qemu-img", "dd", "-U", "-O", "raw", "bs=1M", "count=8", f"if={path}",
                              f"of={self.directory / 'seen.raw'}"], capture_output=True, text=True, check=False)
        assert raw.returncode == 0, raw.stderr
        content = (self.directory / "seen.raw").read_bytes()
        found = re.findall(rb"%s (\d+) (\d+)" % who.encode(), content)
        return [(int(number), int(second)) for number, second in found]

    def evacuate_to(self, host: Host) -> None:
        """Evacuate with the unmodified client, once the api says that the host is down."""
        def accepted() -> bool:
            answer = self.client.post(f"/compute/v2.1/servers/{self.guest.id}/action", {"evacuate": {}},
                                      headers={"OpenStack-API-Version": "compute 2.68"})
            assert answer.status_code in (200, 400), answer.text
            return bool(answer.status_code == 200)

        wait_for(accepted, "the host is down", 60, every_s=1)
        self.guest.host = host
        wait_for(lambda: (self.client.show(self.guest.id) or {})["OS-EXT-SRV-ATTR:host"] == host.name, "the evacuation",
                 120, every_s=0.5)
        self.client.wait_server(self.guest.id, "ACTIVE")
        self.guest.wait_ssh()

    def check_one_writer(self, before: str, after: str) -> None:
        """Check by what is on the disk that one stopped before the other began."""
        last, first = max(second for _, second in self.records(before)), min(s for _, s in self.records(after))
        assert last <= first
        assert self.most_at_once == 1

    def end(self) -> None:
        """Count no more."""
        self._watching = False


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Start the cloud with its server."""
    missing = realfleet.missing()
    if missing:
        pytest.skip(missing)
    real_parts.tiny_image()
    directory = tmp_path_factory.mktemp("evacuation")
    cloud = EvacuationFleet(directory, nodes=2)
    try:
        made = World(cloud, cloud.start(), directory)
        made.prepare()
        yield made
        made.end()
    finally:
        print(cloud.logs())
        cloud.stop()


@pytest.mark.contract("N-EVACUATE")
def test_a_host_whose_agent_hangs_is_fenced_and_removes_its_copy_when_it_returns(world: World) -> None:
    one, two = world.cloud.hosts
    world.write_from(0, "first")
    launcher = world.cloud.fleet.processes[one.name].pid
    [agent] = map(int, Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split())
    os.kill(agent, signal.SIGSTOP)
    try:
        world.evacuate_to(two)
        world.write_from(4000, "second")
        world.check_one_writer("first", "second")
        assert len(one.domains()) == 1, "nobody could tell it yet"
    finally:
        os.kill(agent, signal.SIGCONT)
    wait_for(lambda: one.domains() == [], "the copy's end", 60, every_s=0.5)
    assert world.guest.domain_state() == "running"
    count = len(world.records("first"))
    wait_for(lambda: len(world.records("second")) > 5, "the other one writes on", 30, every_s=0.5)
    assert len(world.records("first")) == count


@pytest.mark.contract("N-EVACUATE")
def test_a_host_that_is_cut_off_is_fenced_and_removes_its_copy_when_it_returns(world: World) -> None:
    one, two = world.cloud.hosts
    two.check("ip link set eth0 down")
    try:
        world.evacuate_to(one)
        world.write_from(8000, "third")
        world.check_one_writer("second", "third")
    finally:
        two.check("ip link set eth0 up")
    wait_for(lambda: two.domains() == [], "the copy's end", 90, every_s=0.5)
    assert world.guest.domain_state() == "running"
