"""A server with a volume survives its host on real parts, and at no time do two guests write its disk.

Both hosts see the volumes' directory, so that no export can be closed: nothing but the fence keeps a lost host from the
disk. The host's agent hangs (SIGSTOP), then the other host is cut off from the network; both return late.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from compute.watchdog import processes_of
from tests.harness.ports import wait_for
from tests.harness.real_world import World
from tests.harness.realhost import Host

# Each record says who wrote it, and when, by the clock that all guests of this machine share.
_WRITE = ("n={first}; while true; do echo {who} $n $(date +%s) | dd of=/dev/vdb bs=512 seek=$n count=1 "
          "conv=notrunc,sync,fsync 2>/dev/null; n=$((n+1)); sleep 0.1; done")


class Evacuee:
    """The server with its volume, and who wrote what on it."""

    def __init__(self, world: World) -> None:
        self.world, self.cloud, self.client = world, world.cloud, world.client
        self.guest = world.running("evacuee", world.cloud.hosts[0])
        run = self.cloud.openstack
        run("volume", "create", "--size", "1", "--availability-zone", "az1", "shared")
        run("server", "add", "volume", "evacuee", "shared")
        wait_for(lambda: "vdb" in self.guest.ssh("ls /sys/block").stdout, "the volume", 60, every_s=0.3)
        self.most_at_once = 0
        self._watching = True
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
                              f"of={self.world.directory / 'seen.raw'}"], capture_output=True, text=True, check=False)
        assert raw.returncode == 0, raw.stderr
        content = (self.world.directory / "seen.raw").read_bytes()
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
        """Remove server and volume, and count no more."""
        self._watching = False
        self.guest.remove()
        self.cloud.openstack("volume", "delete", "shared")


@pytest.fixture(scope="module")
def evacuee(world: World) -> Iterator[Evacuee]:
    """Boot the server, on hosts that both see the volumes as files and have a watchdog each."""
    _, second = world.cloud.hosts
    second.check(f"umount {world.cloud.directory / 'storage'}")
    fenced = {"compute": {"volume_shares": world.cloud.back_end("node1"), "self_fence_after": 5}}
    with world.cloud.reconfigured({host.name: fenced for host in world.cloud.hosts}):
        made = Evacuee(world)
        yield made
        made.end()
    second.hide(world.cloud.directory / "storage")


@pytest.mark.contract("N-EVACUATE")
def test_a_host_whose_agent_hangs_is_fenced_and_removes_its_copy_when_it_returns(evacuee: Evacuee) -> None:
    one, two = evacuee.cloud.hosts
    evacuee.write_from(0, "first")
    launcher = evacuee.cloud.fleet.processes[one.name].pid
    [agent] = map(int, Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split())
    os.kill(agent, signal.SIGSTOP)
    try:
        evacuee.evacuate_to(two)
        evacuee.write_from(4000, "second")
        evacuee.check_one_writer("first", "second")
        assert len(one.domains()) == 1, "nobody could tell it yet"
    finally:
        os.kill(agent, signal.SIGCONT)
    wait_for(lambda: one.domains() == [], "the copy's end", 60, every_s=0.5)
    assert evacuee.guest.domain_state() == "running"
    count = len(evacuee.records("first"))
    wait_for(lambda: len(evacuee.records("second")) > 5, "the other one writes on", 30, every_s=0.5)
    assert len(evacuee.records("first")) == count


@pytest.mark.contract("N-EVACUATE")
def test_a_host_that_is_cut_off_is_fenced_and_removes_its_copy_when_it_returns(evacuee: Evacuee) -> None:
    one, two = evacuee.cloud.hosts
    two.check("ip link set eth0 down")
    try:
        evacuee.evacuate_to(one)
        evacuee.write_from(8000, "third")
        evacuee.check_one_writer("second", "third")
    finally:
        two.check("ip link set eth0 up")
    wait_for(lambda: two.domains() == [], "the copy's end", 90, every_s=0.5)
    assert evacuee.guest.domain_state() == "running"
