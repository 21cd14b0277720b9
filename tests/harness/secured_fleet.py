"""A fleet as the operator's guide wants it: a broker user a service and host, TLS to broker and database.

It has a scheduler apart, which needs a broker user, too.
"""

from __future__ import annotations

import re
import shlex
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import kombu

from hostler import clock, pki
from hostler.bus.senders import Sender
from tests.harness.backends import Postgres, RabbitMQ
from tests.harness.client import Client
from tests.harness.fleet import MAIN, Fleet

VHOST = "hostler"


class SecuredFleet:
    """Two fake hosts, one storage node, and what a thief has who took `host1`'s configuration."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._certificates = directory / "machine"
        pki.init_authority(directory / "authority", clock.utcnow())
        pki.issue(directory / "authority", "control", ["127.0.0.1"], self._certificates, clock.utcnow())
        self.broker = RabbitMQ(directory / "rabbitmq", certificates=self._certificates)
        users = {"conductor": "conductor", "scheduler": "scheduler", "api": "api", "host1": "compute.host1",
                 "host2": "compute.host2", "node1": "volume.node1"}
        self._users = {name: Sender.of_user(user) for name, user in users.items()}
        self.fleet = Fleet(directory / "fleet", hosts=2, nodes=1, scheduler=True, broker=self.broker)
        self.fleet.postgres = Postgres(certificates=self._certificates)

    @property
    def authority(self) -> Path:
        """The certificate that all trust."""
        return self._certificates / "ca-cert.pem"

    def start(self) -> Client:
        """Start all of it, the users made as an operator does; returns an administrator's client."""
        self.broker.start()
        self.rabbitmqctl("add_vhost", VHOST)
        self.fleet.overrides["all"] = {
            "bus": {"verify_senders": True},
            "oslo_messaging_rabbit": {"ssl": True, "ssl_ca_file": self.authority}}
        for name, sender in self._users.items():
            said = self.bus_user("add", sender)
            self.fleet.overrides[name] = {"DEFAULT": {"transport_url": self._url_in(said)}}
        self.rabbitmqctl("delete_user", "guest")
        self.fleet.prepare()
        return self.fleet.start()

    def stop(self) -> None:
        """Stop all of it."""
        self.fleet.stop()
        self.broker.stop()

    def rabbitmqctl(self, *arguments: str) -> None:
        """Administer the broker."""
        subprocess.run([*shlex.split(self.broker.rabbitmqctl), *arguments], check=True, stdout=subprocess.DEVNULL)

    def bus_user(self, verb: str, sender: Sender | None = None) -> str:
        """Run `hostler-manage bus-user`; returns what it says."""
        config = self.directory / "manage.conf"
        config.write_text(f"[DEFAULT]\nstate_path = {self.directory}\n"
                          f"transport_url = rabbit://{self.broker.address}:{self.broker.port}/{VHOST}\n")
        words = [] if sender is None else [sender.kind, *([sender.host] if sender.host else [])]
        command = [sys.executable, "-W", "ignore", "-c", MAIN.format(module="manage"), "--config-file", str(config),
                   "bus-user", verb, *words, "--rabbitmqctl", self.broker.rabbitmqctl]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout

    @staticmethod
    def _url_in(said: str) -> str:
        return re.findall(r"transport_url = (\S+)", said)[0]

    def connect(self, name: str = "host1", **more: Any) -> kombu.Connection:
        """Return a connection of the broker's plain protocol, with the user of one of the fleet's processes."""
        url = str(self.fleet.overrides[name]["DEFAULT"]["transport_url"]).replace("rabbit:", "amqp:")
        options = {"ssl": {"ca_certs": str(self.authority), "cert_reqs": ssl.CERT_REQUIRED}, **more}
        return kombu.Connection(url, connect_timeout=10, transport_options={"confirm_publish": True}, **options)

    def log_of(self, name: str) -> str:
        """Return what a process has logged."""
        return self.fleet.processes[name].log.read_text()
