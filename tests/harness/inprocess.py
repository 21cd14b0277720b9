"""A whole cloud in one process: SQLite by default, the in-memory bus, fake hosts and storage nodes, HTTP
on loopback. It has a scheduler apart only with `conductor.scheduler` = bus, as an installation does."""

from __future__ import annotations

import datetime as dt
from concurrent import futures
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from api import service as api_service
from compute import service as compute_service
from conductor import service as conductor_service
from hostler import bootstrap, clock
from hostler import conf as hostler_conf
from hostler.bus import Bus
from hostler.db import schema
from hostler.db.engine import Database
from hostler.db.models.volume import VolumeNode
from scheduler import service as scheduler_service
from tests.harness import chosen_database, databases
from tests.harness.client import Client
from tests.harness.ports import wait_for
from volume import service as volume_service

ADMIN_PASSWORD = "secret"
QUICK: dict[str, Any] = {
    "heartbeat_interval": 1, "service_down_time": 5, "transport_url": "kombu+memory://",
    "api.bind_host": "127.0.0.1", "api.bind_port": 0, "compute.driver": "fake", "identity.password_rounds": 4,
    "conductor.poll_interval": 0.2, "conductor.retry_delay": 0.2, "conductor.lease_seconds": 3,
    "bus.silence_timeout": 3, "bus.call_timeout": 10, "database.sqlite_synchronous": "OFF",
}
Groups = dict[str, dict[str, Any]]  # configuration group → option → value
FAKE_BACKEND: Groups = {"volume": {"enabled_backends": "fake"}, "backend:fake": {"driver": "fake"}}


class Cloud:
    """All services, `hosts` fake hosts (host1, …) and `nodes` storage nodes (node1, …), each with one fake back end
    unless `node_options` (by node) say something else. Parts can be stopped and started one by one."""

    def __init__(self, directory: Path, *, hosts: int = 2, nodes: int = 1, overrides: dict[str, Any] | None = None,
                 node_options: dict[str, Groups] | None = None) -> None:
        self.directory = directory
        self.node_options = node_options or {}
        self.overrides = {**QUICK, **(overrides or {})}
        self.conf = self._conf("control", directory)
        self.db = databases.prepare(Database.from_conf(self.conf), schema.upgrade)
        bootstrap.bootstrap(self.db, self.conf, admin_password=ADMIN_PASSWORD, public_url="http://127.0.0.1",
                            out_dir=directory)
        self.bus = Bus(self.conf)
        conductor_db = self.database_of("conductor")
        local = scheduler_service.build_local(self.conf, conductor_db)
        self.schedulers = [] if local else [
            scheduler_service.build(self.conf, db=self.database_of("scheduler"), bus=self.bus)]
        self.conductor = conductor_service.build(self.conf, db=conductor_db, bus=self.bus, scheduler=local)
        self.api = api_service.build(self.conf, db=self.database_of("api"), bus=self.bus)
        self.agents = {name: self.make_agent(name) for name in (f"host{number}" for number in range(1, hosts + 1))}
        self.volume_agents = {name: self.make_volume_agent(name)
                              for name in (f"node{number}" for number in range(1, nodes + 1))}

    def _conf(self, host: str, directory: Path, *files: Path) -> Any:
        return hostler_conf.load([], config_files=[str(path) for path in files], overrides={
            "database.connection": chosen_database.url_of(self.directory / "cloud.db"), **self.overrides, "host": host,
            "state_path": str(directory)})

    def database_of(self, service: str) -> Database:
        """Return the database that `service` works with: all share one."""
        return self.db

    def make_agent(self, name: str) -> Any:
        """Return a compute agent on a fake host, not started."""
        conf = self._conf(name, self.directory / name)
        conf.set_override("tunnel_ip", f"192.0.2.{name.removeprefix('host')}", "compute")
        return compute_service.build(conf, bus=self.bus)

    def make_volume_agent(self, name: str) -> volume_service.VolumeService:
        """Return a volume agent, not started; a node of the same name finds its former volumes."""
        home = self.directory / name
        home.mkdir(exist_ok=True)
        # By a file: overrides reach no option of a driver, since those are registered when its back end is built.
        file = home / "volume.conf"
        groups = {**FAKE_BACKEND, **self.node_options.get(name, {})}
        groups["volume"] = {**FAKE_BACKEND["volume"], **groups["volume"]}
        file.write_text("".join(f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in values.items())
                                for group, values in groups.items()))
        return volume_service.build(self._conf(name, home, file), bus=self.bus)

    @property
    def url(self) -> str:
        """The api's base URL."""
        return f"http://127.0.0.1:{self.api.port}"

    def start(self) -> Client:
        """Start everything; returns an administrator's client once all hosts and nodes are up."""
        for control in (*self.schedulers, self.conductor):
            control.start()
        for agent in (*self.agents.values(), *self.volume_agents.values()):
            agent.start()
        self.api.start()
        client = Client(self.url, "admin", ADMIN_PASSWORD, "admin")
        client.login()
        wait_for(lambda: self._hosts_up(client) == len(self.agents), "all hosts up", timeout_s=30)
        wait_for(lambda: nodes_up(self.db) == len(self.volume_agents), "all storage nodes up", timeout_s=30)
        return client

    @staticmethod
    def _hosts_up(client: Client) -> int:
        services = client.get("/compute/v2.1/os-services?binary=nova-compute").json()["services"]
        return sum(1 for service in services if service["state"] == "up")

    def stop(self) -> None:
        """Stop everything."""
        self.api.stop()
        for together in ((*self.agents.values(), *self.volume_agents.values()), (self.conductor, *self.schedulers)):
            # Each waits a moment for its consumer to look up from the broker.
            with futures.ThreadPoolExecutor() as pool:
                for ended in [pool.submit(service.stop) for service in together]:
                    ended.result()
        self.bus.close()
        self.db.dispose()


def nodes_up(db: Database, within_s: float = 5) -> int:
    """Return how many storage nodes have reported lately."""
    since = clock.utcnow() - dt.timedelta(seconds=within_s)
    with db.reading() as session:
        return session.scalar(sa.select(sa.func.count()).where(VolumeNode.last_seen_at > since)) or 0
