"""A whole agent as a process builds it, on the in-memory broker."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from oslo_config import cfg

from compute import service
from compute.rpcapi import ComputeAPI
from conductor import rpcapi as conductor_rpcapi
from hostler import conf as hostler_conf
from hostler import errors
from hostler.bus import Bus
from tests.harness.compute_agents import CTX, Endpoint, make_server
from tests.harness.contexts import attempt_of


def load(state: Path, **overrides: object) -> cfg.ConfigOpts:
    return hostler_conf.load(config_files=[], overrides={
        "host": "host1", "state_path": str(state), "compute.driver": "fake", "transport_url": "kombu+memory:////",
        "heartbeat_interval": 1, "compute.graceful_stop_timeout": 5, "bus.worker_threads": 8, **overrides})


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[Bus]:
    made = Bus(load(tmp_path))
    yield made
    made.close()


@pytest.fixture
def conductor(bus: Bus) -> Iterator[Endpoint]:
    endpoint = Endpoint()
    server = bus.server(conductor_rpcapi.TOPIC, "c1", endpoint, conductor_rpcapi.RPC_VERSION)
    server.start()
    yield endpoint
    server.stop()
    server.wait()


def wait_for(condition: object, timeout_s: float = 10) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition() and time.monotonic() < deadline:  # type: ignore[operator]
        time.sleep(0.02)
    assert condition()  # type: ignore[operator]


def test_an_agent_serves_reports_and_tells(tmp_path: Path, bus: Bus, conductor: Endpoint) -> None:
    agent = service.build(load(tmp_path), bus)
    agent.start()
    api = ComputeAPI(bus)
    server = make_server()
    try:
        wait_for(lambda: conductor.reports)
        assert api.spawn_server(attempt_of("boot"), "host1", server) == {"power_state": "running"}
        api.update_server(CTX, "host1", server)
        api.apply_port_rules(CTX, "host1", server.ports, {"g": {"revision": 1, "members": ["10.0.0.7/32"]}})
        api.update_groups(CTX, "host1", {"g": {"revision": 2, "members": ["10.0.0.8/32"]}})
        api.update_network(CTX, "host1", server.ports[0].network, server.ports)
        # What follows the last newline counts as a line.
        assert "ready" in api.get_console_output(CTX, "host1", server.id, 2)
        assert api.get_diagnostics(CTX, "host1", server.id)["state"] == "running"
        assert api.get_host_report(CTX, "host1")["running_servers"] == 1
        assert api.stop_server(attempt_of("stop"), "host1", server, 5) == {"power_state": "shutdown"}
        assert api.start_server(attempt_of("start"), "host1", server) == {"power_state": "running"}
        assert api.reboot_server(attempt_of("reboot"), "host1", server, True, None) == {"power_state": "running"}
        for verb, state in (("pause", "paused"), ("unpause", "running"), ("suspend", "suspended"),
                            ("resume", "running")):
            assert getattr(api, f"{verb}_server")(attempt_of(verb), "host1", server) == {"power_state": state}
        agent.tools.driver.happen(server.id, "crashed")  # type: ignore[attr-defined]
        wait_for(lambda: [event["event"] for event in conductor.events] == ["crashed"])
        with pytest.raises(errors.StaleAttempt):
            api.destroy_server(attempt_of("boot", 0), "host1", server.id, ())
        api.destroy_server(attempt_of("delete"), "host1", server.id, server.ports)
        with pytest.raises(errors.NotFound):
            api.get_console_output(CTX, "host1", server.id, None)
    finally:
        assert agent.stop()


def test_an_agent_on_its_own_bus_can_build_it_anew(tmp_path: Path, bus: Bus, conductor: Endpoint) -> None:
    agent = service.build(load(tmp_path))
    agent.start()
    try:
        wait_for(lambda: conductor.reports)
        agent._link.renew()
        seen = len(conductor.reports)
        assert agent._link.hears_itself()
        wait_for(lambda: len(conductor.reports) > seen)
    finally:
        assert agent.stop()


def test_a_missing_library_is_told_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> None:
        raise ImportError("No module named 'libvirt'")

    monkeypatch.setattr(importlib, "import_module", broken)
    with pytest.raises(errors.AgentError, match="libvirt-python"):
        service.build(load(tmp_path, **{"compute.driver": "libvirt"}))


def test_the_fake_agent_loads_neither_libvirt_nor_a_database(tmp_path: Path) -> None:
    program = ("import sys, json\nfrom pathlib import Path\nfrom compute import service\nfrom hostler import conf\n"
               "c = conf.load(config_files=[], overrides={'state_path': sys.argv[1], 'compute.driver': 'fake',"
               " 'transport_url': 'kombu+memory:////'})\nservice.build(c)\nprint(json.dumps(sorted(sys.modules)))")
    out = subprocess.run([sys.executable, "-W", "ignore", "-c", program, str(tmp_path)], capture_output=True,
                         text=True, check=True, env={"PYTHONPATH": ":".join(filter(None, sys.path))})
    loaded = set(json.loads(out.stdout))
    assert not {"libvirt", "sqlalchemy", "hostler.db", "pyroute2"} & loaded
