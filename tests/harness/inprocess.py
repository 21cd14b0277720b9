"""A whole cloud in one process: SQLite unless told otherwise, the in-memory bus, fake hosts, HTTP on loopback."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from api import service as api_service
from compute import service as compute_service
from conductor import service as conductor_service
from hostler import bootstrap
from hostler import conf as hostler_conf
from hostler.bus import Bus
from hostler.db import schema
from hostler.db.engine import Database
from scheduler import service as scheduler_service
from tests.harness.client import Client
from tests.harness.ports import wait_for

ADMIN_PASSWORD = "secret"
QUICK: dict[str, Any] = {
    "heartbeat_interval": 1, "service_down_time": 5, "transport_url": "kombu+memory://",
    "api.bind_host": "127.0.0.1", "api.bind_port": 0, "compute.driver": "fake", "identity.password_rounds": 4,
    "conductor.poll_interval": 0.2, "conductor.retry_delay": 0.2, "conductor.lease_seconds": 3,
    "bus.silence_timeout": 3, "bus.call_timeout": 10,
}


class Cloud:
    """All services and `hosts` fake hosts. Parts can be stopped and started one by one."""

    def __init__(self, directory: Path, *, hosts: int = 2, overrides: dict[str, Any] | None = None) -> None:
        self.directory = directory
        self.overrides = {**QUICK, **(overrides or {})}
        self.conf = self._conf("control", directory)
        self.db = Database.from_conf(self.conf)
        schema.upgrade(self.db)
        bootstrap.bootstrap(self.db, self.conf, admin_password=ADMIN_PASSWORD, public_url="http://127.0.0.1",
                            out_dir=directory)
        self.bus = Bus(self.conf)
        self.scheduler = scheduler_service.build(self.conf, db=self.db, bus=self.bus)
        self.conductor = conductor_service.build(self.conf, db=self.db, bus=self.bus)
        self.api = api_service.build(self.conf, db=self.db, bus=self.bus)
        self.agents = {name: self.make_agent(name) for name in (f"host{number}" for number in range(1, hosts + 1))}

    def _conf(self, host: str, directory: Path) -> Any:
        return hostler_conf.load([], config_files=[], overrides={
            "database.connection": f"sqlite:///{self.directory / 'cloud.db'}", **self.overrides, "host": host,
            "state_path": str(directory)})

    def make_agent(self, name: str) -> Any:
        """Return a compute agent on a fake host, not started."""
        return compute_service.build(self._conf(name, self.directory / name), bus=self.bus)

    @property
    def url(self) -> str:
        """The api's base URL."""
        return f"http://127.0.0.1:{self.api.port}"

    def start(self) -> Client:
        """Start everything; returns an administrator's client once all hosts are up."""
        self.scheduler.start()
        self.conductor.start()
        for agent in self.agents.values():
            agent.start()
        self.api.start()
        client = Client(self.url, "admin", ADMIN_PASSWORD, "admin")
        client.login()
        wait_for(lambda: self._hosts_up(client) == len(self.agents), "all hosts up", timeout_s=30)
        return client

    @staticmethod
    def _hosts_up(client: Client) -> int:
        services = client.get("/compute/v2.1/os-services?binary=nova-compute").json()["services"]
        return sum(1 for service in services if service["state"] == "up")

    def stop(self) -> None:
        """Stop everything."""
        self.api.stop()
        for agent in self.agents.values():
            agent.stop()
        self.conductor.stop()
        self.scheduler.stop()
        self.bus.close()
        self.db.dispose()
