"""hostler-simulate: its agents are hosts and storage nodes like others to a control plane."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostler import conf as hostler_conf
from hostler.cmd.simulate import OPTIONS, Simulation
from tests.harness.backends import children_of
from tests.harness.client import Client
from tests.harness.fleet import MAIN
from tests.harness.inprocess import QUICK, Cloud, nodes_up
from tests.harness.ports import wait_for

HOSTS, NODES, PROCESSES = 18, 2, 2


@pytest.fixture(scope="module")
def control(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cloud, Client]]:
    """A control plane without a host."""
    cloud = Cloud(tmp_path_factory.mktemp("control"), hosts=0, nodes=0)
    yield cloud, cloud.start()
    cloud.stop()


def simulation(directory: Path, share: int, **options: object) -> Simulation:
    return Simulation(hostler_conf.load([], config_files=[], cli_opts=OPTIONS, overrides={
        "transport_url": QUICK["transport_url"], "heartbeat_interval": 1, "service_down_time": 5,
        "state_path": str(directory), **options}), share)


def hosts_up(client: Client, prefix: str) -> int:
    services = client.get("/compute/v2.1/os-services?binary=nova-compute").json()["services"]
    return sum(service["state"] == "up" and service["host"].startswith(prefix) for service in services)


def test_its_agents_take_servers_and_volumes(control: tuple[Cloud, Client], tmp_path: Path) -> None:
    cloud, client = control
    shares = [simulation(tmp_path, share, hosts=HOSTS, nodes=NODES, processes=PROCESSES) for share in range(PROCESSES)]
    assert [len(share.agents) for share in shares] == [10, 10]
    for share in shares:
        share.start()
    try:
        wait_for(lambda: hosts_up(client, "sim-host") == HOSTS, "all hosts up", timeout_s=30)
        wait_for(lambda: nodes_up(cloud.db) == NODES, "all nodes up", timeout_s=30)
        image = client.make_image()
        # One after the other: two choices at the same time may meet at one host, as long as both fit there.
        hosts = {client.wait_server(client.create_server(image, f"s{number}"), "ACTIVE")["OS-EXT-SRV-ATTR:host"]
                 for number in range(3)}
        assert len(hosts) == 3, "each is a host of its own"
        volume = client.post("/volume/v3/volumes", {"volume": {"size": 1}}).json()["volume"]["id"]
        client.wait_volume(volume, "available")
    finally:
        for share in shares:
            share.stop()


def test_faults_strike_at_their_rate(control: tuple[Cloud, Client], tmp_path: Path) -> None:
    _, client = control
    failing = simulation(tmp_path, 0, hosts=1, prefix="bad-", fault_rate=1.0)
    failing.start()
    try:
        wait_for(lambda: hosts_up(client, "bad-host1") == 1, "the host up", timeout_s=30)
        server = client.create_server(client.make_image(), "doomed", availability_zone="nova:bad-host1")
        assert "told to fail" in client.wait_server(server, "ERROR")["fault"]["message"]
    finally:
        failing.stop()


def test_its_processes_end_with_it(tmp_path: Path) -> None:
    """They wait for a broker then."""
    file = tmp_path / "hostler.conf"
    file.write_text(f"[DEFAULT]\ntransport_url = rabbit://nobody@127.0.0.1:1\nstate_path = {tmp_path}\n")
    parent = subprocess.Popen([sys.executable, "-c", MAIN.format(module="simulate"), "--config-file", str(file),
                               "--hosts", "2", "--processes", "2"])
    try:
        wait_for(lambda: len(shares_of(parent.pid)) == 2, "its processes", timeout_s=60)
        shares = shares_of(parent.pid)
    finally:
        parent.kill()
        parent.wait(30)
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in shares), "their end", timeout_s=30)


def shares_of(pid: int) -> list[int]:
    """Return the processes with a share of the agents that a simulation has started."""
    return [child for child in children_of(pid) if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]
