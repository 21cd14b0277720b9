"""hostler-simulate: many fake hosts and storage nodes in few processes, to try how far a control plane carries.

Each is an agent of its own, as `hostler-compute` and `hostler-volume` run it, with a name, heartbeats, reconciliations
and a state directory, on the fake drivers. To the control plane nothing tells them from real ones: the broker and the
database that are tried are those of the configuration file. Their servers and volumes hold no data.

    hostler-simulate --config-file /etc/hostler/hostler.conf --hosts 1000 --nodes 10 --processes 4 --build-seconds 2
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Sequence
from concurrent import futures
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Final

from oslo_config import cfg

from compute import service as compute_service
from hostler import conf as hostler_conf
from hostler.agent.faults import Faults, Order
from hostler.bus import Bus
from hostler.cmd import running
from hostler.cmd.waiting import BROKER
from volume import service as volume_service

PROG = "hostler-simulate"
LOG = logging.getLogger(__name__)

OPTIONS: Final = (
    cfg.IntOpt("hosts", default=10, min=0, help="Fake hosts."),
    cfg.IntOpt("nodes", default=0, min=0, help="Fake storage nodes, each with one back end."),
    cfg.IntOpt("processes", default=1, min=1, max=256, help="Processes that share the agents."),
    cfg.StrOpt("prefix", default="sim-", regex="[A-Za-z0-9.-]*",
               help="What names begin with: sim-host1, sim-node1. Two simulations of one cloud need two prefixes."),
    cfg.FloatOpt("build-seconds", default=0.0, min=0, help="Seconds that a guest or a volume takes to be made."),
    cfg.FloatOpt("fault-rate", default=0.0, min=0, max=1, help="Share of guests and volumes whose making fails."),
)

_STOPPED_TOGETHER: Final = 32
# The steps that delays and faults strike.
_MAKING: Final = ("spawn.disk", "volume.create_volume:before")
# By a file: overrides reach no option of a driver, since those are registered when its back end is built.
_BACKEND: Final = "[volume]\nenabled_backends = fake\n[backend:fake]\ndriver = fake\n"

Agent = compute_service.ComputeService | volume_service.VolumeService


class Simulation:
    """The agents of one process: every `processes`-th, from `share` on."""

    def __init__(self, conf: cfg.ConfigOpts, share: int = 0) -> None:
        self._conf = conf
        self._directory = Path(conf.state_path).absolute() / "simulate"
        self._directory.mkdir(parents=True, exist_ok=True)
        self._bus = Bus(conf)
        self.agents: list[Agent] = []
        kinds = [("host", number) for number in range(1, conf.hosts + 1)]
        kinds += [("node", number) for number in range(1, conf.nodes + 1)]
        for kind, number in kinds[share::conf.processes]:
            self.agents.append(self._build(kind, f"{conf.prefix}{kind}{number}"))

    def _build(self, kind: str, name: str) -> Agent:
        home = self._directory / name
        home.mkdir(exist_ok=True)
        backend = home / "backend.conf"
        backend.write_text(_BACKEND)
        conf = hostler_conf.load([], config_files=[*self._conf.config_file, str(backend)], overrides={
            **self._shared, "host": name, "state_path": str(home), "compute.driver": "fake", "volume.tls_dir": "",
            "console.relay_host": "127.0.0.1", "console.relay_port": 0, "console.tls_dir": "",
            "compute.watchdog_device": "", "compute.self_fence_after": 0})
        if kind == "host":
            host = compute_service.build(conf, bus=self._bus)
            self._disturb(host.tools.driver.faults)  # type: ignore[attr-defined]
            return host
        node = volume_service.build(conf, bus=self._bus)
        self._disturb(node.faults)
        return node

    @property
    def _shared(self) -> dict[str, Any]:
        """What may be set otherwise than by a file."""
        return {name: self._conf[name] for name in ("transport_url", "heartbeat_interval", "service_down_time")}

    def _disturb(self, faults: Faults) -> None:
        for step in _MAKING:
            if self._conf.build_seconds:
                faults.order(Order(step, "slow", times=0, seconds=self._conf.build_seconds))
            if self._conf.fault_rate:
                faults.order(Order(step, "fail", times=0, rate=self._conf.fault_rate,
                                   reason="The simulated host was told to fail."))

    def start(self) -> None:
        """Start the agents one after the other, so that their heartbeats are spread."""
        for agent in self.agents:
            agent.start()
        LOG.info("%d simulated agents serve", len(self.agents))

    def stop(self) -> None:
        """Stop them, many at a time: each waits for what it does."""
        with futures.ThreadPoolExecutor(_STOPPED_TOGETHER, "stop") as pool:
            list(pool.map(lambda agent: agent.stop(), self.agents))
        self._bus.close()


def run_share(argv: Sequence[str], share: int) -> None:
    """Run one process's agents until it is told to stop, or its parent has ended; entry point of the processes."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()
    conf = _load(argv)
    sys.exit(running.run(conf, PROG, lambda conf: Simulation(conf, share), (BROKER,)))


def _end_with(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)


def _load(argv: Sequence[str]) -> cfg.ConfigOpts:
    return running.load(PROG, argv, cli_opts=OPTIONS)


def main() -> None:
    """Entry point of the console script."""
    argv = sys.argv[1:]
    processes = _load(argv).processes
    if processes == 1:
        run_share(argv, 0)
    context = multiprocessing.get_context("spawn")
    children: list[BaseProcess] = [context.Process(target=run_share, args=(argv, share))
                                   for share in range(processes)]

    def stop(*_: object) -> None:
        for child in children:
            child.terminate()

    for child in children:
        child.start()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    for child in children:
        child.join()
    sys.exit(max((child.exitcode or 0) != 0 for child in children))
