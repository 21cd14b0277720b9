"""One whole compute agent on real parts: libvirt, image cache, disks and host network; the conductor is a double."""

from __future__ import annotations

import dataclasses
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from compute import service
from compute.network import names
from compute.rpcapi import ComputeAPI
from compute.service import ComputeService
from compute.virt import driver as virt
from conductor import rpcapi as conductor_rpcapi
from hostler import conf as hostler_conf
from hostler import ids
from hostler.bus import Bus
from hostler.context import RequestContext
from hostler.resources.server.specs import FixedIpSpec, NetworkSpec, PortSpec, RuleSpec, ServerSpec, SubnetSpec
from tests.harness import real_parts
from tests.harness.compute_agents import Endpoint
from tests.harness.contexts import attempt_of

BOOT_S = 150
CTX = RequestContext.system()
HOST = "agenttest"


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    real_parts.require_libvirt()
    for program in ("dnsmasq", "nft"):
        if shutil.which(program) is None and not Path("/usr/sbin", program).exists():
            pytest.skip(f"the program {program} is missing")
    return tmp_path_factory.mktemp("agent")


@pytest.fixture(scope="module")
def make_agent(directory: Path) -> Iterator[Callable[[], ComputeService]]:
    with real_parts.libvirtd(directory / "d") as uri:
        config = hostler_conf.load(config_files=[], overrides={
            "host": HOST, "state_path": str(directory / "state"), "compute.driver": "libvirt", "libvirt.uri": uri,
            "libvirt.virt_type": "qemu", "transport_url": "kombu+memory:////", "heartbeat_interval": 1,
            "bus.worker_threads": 8})
        yield lambda: service.build(config)


@pytest.fixture(scope="module")
def bus(directory: Path) -> Iterator[Bus]:
    made = Bus(hostler_conf.load(config_files=[], overrides={"transport_url": "kombu+memory:////",
                                                             "bus.worker_threads": 8}))
    yield made
    made.close()


@pytest.fixture(scope="module")
def conductor(bus: Bus) -> Iterator[Endpoint]:
    endpoint = Endpoint()
    server = bus.server(conductor_rpcapi.TOPIC, "c1", endpoint, conductor_rpcapi.RPC_VERSION)
    server.start()
    yield endpoint
    server.stop()
    server.wait()


@pytest.fixture(scope="module")
def server() -> ServerSpec:
    subnet = SubnetSpec(id=ids.new_id(), cidr="10.117.3.0/24", gateway_ip="10.117.3.1", dhcp_ip="10.117.3.2")
    network = NetworkSpec(id=ids.new_id(), name="agenttest", host_gateway=True, subnets=(subnet,))
    server_id = ids.new_id()
    rules = (RuleSpec(direction="ingress", ethertype="IPv4", protocol="tcp", port_min=22, port_max=22),
             RuleSpec(direction="egress", ethertype="IPv4"))
    port = PortSpec(id=ids.new_id(), mac_address="fa:16:3e:77:03:07", network=network, server_id=server_id,
                    fixed_ips=(FixedIpSpec(ip_address="10.117.3.7", subnet_id=subnet.id),), hostname="web7",
                    rules=rules)
    return ServerSpec(id=server_id, name="web 7", hostname="web7", project_id="p", user_id="u", vcpus=1, ram_mib=128,
                      root_gib=1, image=real_parts.tiny_image(), ports=(port,))


def wait_for(condition: Callable[[], bool], timeout_s: float, what: Callable[[], str]) -> float:
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < timeout_s, f"not in {timeout_s} s: {what()}"
        time.sleep(0.2)
    return time.monotonic() - started


def answers_ssh(address: str) -> bool:
    try:
        with socket.create_connection((address, 22), timeout=1) as connection:
            connection.settimeout(2)
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


@pytest.mark.timeout(900)
@pytest.mark.contract("N-BOOT", "N-REBOOT", "N-POWER")
def test_a_servers_life(make_agent: Callable[[], ComputeService], bus: Bus, conductor: Endpoint,
                        server: ServerSpec, directory: Path) -> None:
    api, address, network_id = ComputeAPI(bus), "10.117.3.7", server.ports[0].network.id
    agent = make_agent()
    agent.start()
    try:
        started = time.monotonic()
        api.spawn_server(attempt_of("boot"), HOST, server)
        print(f"spawn took {time.monotonic() - started:.2f} s")

        def console() -> str:
            return api.get_console_output(CTX, HOST, server.id, None)

        took_s = wait_for(lambda: answers_ssh(address), BOOT_S, lambda: console()[-1500:])
        print(f"ssh answers {took_s:.1f} s after")
        wait_for(lambda: "web7" in console(), 30, console)
        assert (directory / "state/compute/servers" / server.id / "disk").exists()

        _restart_keeps_the_guest(agent, make_agent, conductor, server)
        agent = make_agent()
        agent.start()
        assert answers_ssh(address)

        assert api.stop_server(attempt_of("stop"), HOST, server, 60) == {"power_state": "shutdown"}
        assert api.start_server(attempt_of("start"), HOST, server) == {"power_state": "running"}
        wait_for(lambda: answers_ssh(address), BOOT_S, lambda: console()[-1500:])
        started = time.monotonic()
        assert api.reboot_server(attempt_of("reboot"), HOST, server, False, 60) == {"power_state": "running"}
        print(f"soft reboot took {time.monotonic() - started:.1f} s")
        wait_for(lambda: answers_ssh(address), BOOT_S, lambda: console()[-1500:])

        closed = dataclasses.replace(server.ports[0], rules=server.ports[0].rules[1:])
        api.apply_port_rules(CTX, HOST, [closed])
        assert not answers_ssh(address)
        api.apply_port_rules(CTX, HOST, server.ports)
        assert answers_ssh(address)
    finally:
        api.destroy_server(attempt_of("delete"), HOST, server.id, server.ports)
        assert agent.stop()
    assert agent.tools.driver.list_servers() == {}
    assert not (directory / "state/compute/servers" / server.id).exists()
    assert not Path("/sys/class/net", names.bridge_name(network_id)).exists()
    assert not Path("/run/netns", names.namespace_name(network_id)).exists()


def _restart_keeps_the_guest(agent: ComputeService, make_agent: Callable[[], ComputeService], conductor: Endpoint,
                             server: ServerSpec) -> None:
    assert agent.stop()
    again = make_agent()
    conductor.present.clear()
    again.start()
    wait_for(lambda: bool(conductor.present), 20, lambda: "no reconciliation")
    [entry] = conductor.present
    assert entry.pop("number") > 0
    assert entry == {"server_id": server.id, "power_state": virt.RUNNING, "revision": 0,
                     "fingerprint": None}
    assert again.stop()
