"""Real processes: every service its own, on RabbitMQ + PostgreSQL, started, killed and restarted by tests.

Agents use the fake drivers by default; a fake agent keeps its domains or volumes in its state directory,
so a killed and restarted one finds them again.
"""

from __future__ import annotations

import datetime as dt
import os
import signal
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from hostler import conf as hostler_conf
from hostler.db import schema
from hostler.db.engine import Database
from hostler.db.models import Host
from tests.harness.at_once import at_once
from tests.harness.backends import Postgres, RabbitMQ, VirtualHost
from tests.harness.client import Client
from tests.harness.inprocess import FAKE_BACKEND, nodes_up
from tests.harness.ports import free_port, wait_for

ADMIN_PASSWORD = "secret"
# Without limits, so that tests and trials of scale meet those only where they set them.
QUOTA = dict.fromkeys(("instances", "cores", "ram", "ports", "volumes", "gigabytes", "snapshots", "backups",
                       "backup_gigabytes"), -1)


class Process:
    """One service process."""

    def __init__(self, fleet: Fleet, name: str, service: str, config: Path, launcher: list[str] | None = None,
                 environment: dict[str, str] | None = None) -> None:
        self.name = name
        self.service = service
        self._fleet = fleet
        self._config = config
        self._launcher = launcher
        self._environment = environment or {}
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._popen is not None
        return self._popen.pid

    @property
    def log(self) -> Path:
        """Where its output goes."""
        return self._fleet.directory / f"{self.name}.log"

    def start(self) -> None:
        """Start it, without waiting."""
        command = self._launcher or [sys.executable, "-c", MAIN.format(module=self.service)]
        with self.log.open("ab") as log:
            self._popen = subprocess.Popen(
                [*command, "--config-file", str(self._config)], stdout=log, stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL, start_new_session=True, env={**os.environ, **self._environment})

    def is_running(self) -> bool:
        """Return whether it lives."""
        return self._popen is not None and self._popen.poll() is None

    def wait(self, timeout_s: float = 60) -> int:
        """Wait for its end; returns the exit status."""
        assert self._popen is not None
        return self._popen.wait(timeout_s)

    def kill(self) -> None:
        """kill -9."""
        self.signal(signal.SIGKILL)
        self.wait()

    def signal(self, number: int) -> None:
        """Send a signal, if it lives."""
        if self.is_running():
            os.kill(self.pid, number)

    def ask_to_stop(self) -> None:
        """Let it stop in order, without waiting."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)

    def stop(self) -> None:
        """Stop it in order, by force after a while."""
        if not self.is_running():
            return
        self.ask_to_stop()
        try:
            self.wait(40)
        except subprocess.TimeoutExpired:
            self.kill()


MAIN = "from hostler.cmd import {module}; import sys; sys.argv[0] = 'hostler-{module}'; {module}.main()"


class Fleet:
    """A cloud of processes; broker and api listen at `address`, where hosts with a network of their own reach them.

    `overrides` by "all", service ("compute", "volume") or process ("host1", "node1"): group → option → value. With
    `scheduler` a process of its own chooses hosts, which conductors ask over the bus.
    """

    def __init__(self, directory: Path, *, hosts: int = 2, nodes: int = 0, scheduler: bool = False,
                 overrides: dict[str, dict[str, Any]] | None = None, broker: RabbitMQ | VirtualHost | None = None,
                 database_url: str | None = None, address: str = "127.0.0.1") -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self.overrides = overrides or {}
        self.address = address
        self._own_broker = RabbitMQ(directory / "rabbitmq", address) if broker is None else None
        self.broker: Any = broker or self._own_broker
        self.postgres = None if database_url else Postgres()
        self._database_url = database_url
        self.api_port = free_port()
        self.hosts = [f"host{number}" for number in range(1, hosts + 1)]
        self.nodes = [f"node{number}" for number in range(1, nodes + 1)]
        self.control = (*(["scheduler"] if scheduler else []), "conductor", "api")  # in the order of their start
        self.processes: dict[str, Process] = {}

    @property
    def database_url(self) -> str:
        """SQLAlchemy URL."""
        return self._database_url or self.postgres.url  # type: ignore[union-attr]

    @property
    def url(self) -> str:
        """The api's base URL."""
        return f"http://{self.address}:{self.api_port}"

    def conf(self, name: str = "conductor") -> Any:
        """Return the configuration of one process, to open the database in a test."""
        return hostler_conf.load([], config_files=[str(self.directory / f"{name}.conf")])

    def database(self) -> Database:
        """Return the database."""
        return Database(self.database_url)

    def prepare(self) -> None:
        """Start broker and database, write configurations, make schema and administrator."""
        at_once(*([self.broker.start] if self._own_broker else []), *([self.postgres.start] if self.postgres else []))
        for service in self.control:
            self.write_config(service, service, host="control")
        for host in self.hosts:
            self.write_config(host, "compute", host=host)
        for node in self.nodes:
            self.write_config(node, "volume", host=node)
        database = self.database()
        schema.upgrade(database)
        database.dispose()
        command = [sys.executable, "-c", MAIN.format(module="manage"), "--config-file",
                   str(self.directory / "conductor.conf"), "bootstrap", "--admin-password", ADMIN_PASSWORD,
                   "--public-url", self.url, "--out-dir", str(self.directory)]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stdout)

    def write_config(self, name: str, service: str, *, host: str) -> Path:
        """Write one process's configuration file."""
        state_path = self.directory / ("shared" if host == "control" else host)
        groups: dict[str, dict[str, Any]] = {
            "DEFAULT": {"host": host, "transport_url": self.broker.url, "heartbeat_interval": 1,
                        "service_down_time": 6, "state_path": state_path},
            "oslo_messaging_rabbit": {"rabbit_quorum_queue": False, "heartbeat_timeout_threshold": 10},
            "bus": {"silence_timeout": 3},
            "conductor": {"lease_seconds": 3, "poll_interval": 0.3, "retry_delay": 0.5,
                          **({"scheduler": "bus"} if "scheduler" in self.control else {})},
            "quota": dict(QUOTA),
        }
        if service == "compute":
            groups["compute"] = {"driver": "fake"}
        elif service == "volume":
            groups.update({group: dict(values) for group, values in FAKE_BACKEND.items()})
        else:
            groups["database"] = {"connection": self.database_url}
            groups["api"] = {"bind_host": self.address, "bind_port": self.api_port, "public_url": self.url}
        for key in ("all", service, name):
            for group, values in self.overrides.get(key, {}).items():
                groups.setdefault(group, {}).update(values)
        path = self.directory / f"{name}.conf"
        path.write_text("".join(f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in values.items()) + "\n"
                                for group, values in groups.items()))
        return path

    def add(self, name: str, service: str, launcher: list[str] | None = None,
            environment: dict[str, str] | None = None) -> Process:
        """Declare one process; its configuration file has its name."""
        process = Process(self, name, service, self.directory / f"{name}.conf", launcher, environment)
        self.processes[name] = process
        return process

    def add_all(self) -> None:
        """Declare one of each service and an agent a host and node."""
        for service in self.control:
            self.add(service, service)
        for host in self.hosts:
            self.add(host, "compute")
        for node in self.nodes:
            self.add(node, "volume")

    def start(self) -> Client:
        """Start every process and wait until the cloud can take a server; returns an administrator's client."""
        if not self.processes:
            self.add_all()
        for process in self.processes.values():
            process.start()
        client = self.client()
        wait_for(lambda: self._hosts_up(client) >= len(self.hosts), "all hosts up", timeout_s=60, every_s=0.2)
        if self.nodes:
            database = self.database()
            wait_for(lambda: nodes_up(database) >= len(self.nodes), "all nodes up", timeout_s=60, every_s=0.2)
            database.dispose()
        return client

    def wait_reports(self, hosts: Collection[str], since: dt.datetime) -> None:
        """Wait until each of these hosts has reported after a moment."""
        database = self.database()

        def count() -> int:
            with database.reading() as session:
                return session.scalar(sa.select(sa.func.count()).where(
                    Host.name.in_(hosts), Host.last_seen_at > since)) or 0

        wait_for(lambda: count() == len(hosts), f"reports of {hosts}", timeout_s=60)
        database.dispose()

    def client(self) -> Client:
        """Return an administrator's client, once the api answers."""
        client = Client(self.url, "admin", ADMIN_PASSWORD, "admin")
        wait_for(self._check_api(client), "the api", timeout_s=60, every_s=0.1)
        return client

    def _check_api(self, client: Client) -> Any:
        def check() -> bool:
            api = self.processes.get("api")
            if api is not None and not api.is_running():
                raise RuntimeError(f"the api ended: {api.log.read_text()[-3000:]}")
            return client.try_login()

        return check

    @staticmethod
    def _hosts_up(client: Client) -> int:
        services = client.get("/compute/v2.1/os-services?binary=nova-compute").json().get("services", [])
        return sum(1 for service in services if service["state"] == "up")

    def stop(self) -> None:
        """Stop everything."""
        for process in reversed(self.processes.values()):
            process.ask_to_stop()
        for process in self.processes.values():
            process.stop()
        self._stop_servers()

    def kill(self) -> None:
        """End everything at once; for agents with fake drivers, since real ones would leave what they run."""
        for process in self.processes.values():
            if process.is_running():
                process.kill()
        self._stop_servers()

    def _stop_servers(self) -> None:
        if self._own_broker:
            self.broker.stop()
        if self.postgres is not None:
            self.postgres.stop()
