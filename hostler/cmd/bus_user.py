"""hostler-manage bus-user: one user a service and host on RabbitMQ, with the permissions that service needs.

The work is done by rabbitmqctl, which must reach the broker (`--rabbitmqctl 'ssh mq1 sudo rabbitmqctl'`); `--print`
prints its commands instead.
"""

from __future__ import annotations

import json
import secrets
import shlex
import subprocess
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from typing import Any

import oslo_messaging
from oslo_config import cfg
from oslo_messaging._drivers.impl_rabbit import rabbit_opts

from hostler import errors
from hostler.bus.named import EXCHANGE
from hostler.bus.permissions import permissions_of
from hostler.bus.senders import KINDS, Sender

Command = Callable[[cfg.ConfigOpts], None]
_TIMEOUT_S = 120.0


class Rabbitmqctl:
    """Runs rabbitmqctl for one virtual host, or prints what would be run."""

    def __init__(self, program: str, vhost: str, *, prints: bool) -> None:
        self._program = shlex.split(program)
        self.vhost = vhost
        self.prints = prints

    @classmethod
    def from_conf(cls, conf: cfg.ConfigOpts) -> Rabbitmqctl:
        """Return the one that a command line asks for."""
        vhost = conf.command.vhost or oslo_messaging.TransportURL.parse(conf).virtual_host or "/"
        return cls(conf.command.rabbitmqctl, vhost, prints=conf.command.print)

    def run(self, *arguments: str, password: str | None = None) -> str:
        """Run one command, its `password` on standard input; raises Unavailable with what rabbitmqctl says."""
        if self.prints:
            print(shlex.join([*self._program, *arguments, *([password] if password else [])]))
            return ""
        try:
            done = subprocess.run([*self._program, *arguments], input=f"{password}\n" if password else "", text=True,
                                  capture_output=True, timeout=_TIMEOUT_S, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise errors.Unavailable(f"rabbitmqctl cannot be run: {error}", part="rabbitmqctl") from error
        if done.returncode:
            said = " ".join((done.stderr or done.stdout).split())
            raise errors.Unavailable(f"rabbitmqctl {arguments[0]}: {said}", part="rabbitmqctl")
        return done.stdout

    def read(self, *arguments: str) -> list[dict[str, Any]]:
        """Return the rows a listing command shows."""
        rows: list[dict[str, Any]] = json.loads(self.run(*arguments, "--quiet", "--formatter", "json") or "[]")
        return rows


def add_commands(add: Callable[[str, Command, str], ArgumentParser]) -> None:
    """Add the commands `bus-user-add`, `-list`, `-remove` and `-rotate`."""
    for name, run, text in (
            ("add", _add, "Make the broker user of a service, or set its permissions right; may be repeated."),
            ("remove", _remove, "Remove the broker user of a service; its connections are closed."),
            ("rotate", _rotate, "Give the broker user of a service a new password; its connections are closed.")):
        parser = add(f"bus-user-{name}", run, text)
        parser.add_argument("kind", choices=KINDS, help="the kind of service")
        parser.add_argument("node", nargs="?", metavar="HOST", help="[DEFAULT] host of a compute or volume agent")
        _add_broker_options(parser)
    _add_broker_options(add("bus-user-list", _list, "Show the virtual host's users and whether their permissions fit."))


def _add_broker_options(parser: ArgumentParser) -> None:
    parser.add_argument("--vhost", help="virtual host; default: that of [DEFAULT] transport_url")
    parser.add_argument("--rabbitmqctl", default="rabbitmqctl", metavar="COMMAND",
                        help="how rabbitmqctl is run, e.g. 'ssh mq1 sudo rabbitmqctl'; default: %(default)s")
    parser.add_argument("--print", action="store_true", help="print the rabbitmqctl commands, run none")


def _add(conf: cfg.ConfigOpts) -> None:
    broker, sender = Rabbitmqctl.from_conf(conf), _sender(conf)
    password: str | None = secrets.token_urlsafe(32)
    try:
        broker.run("add_user", sender.user, password=password)
    except errors.Unavailable as error:
        if "already exists" not in str(error):
            raise
        password = None
    for command in permission_commands(sender, broker.vhost):
        broker.run(*command)
    if password is None:
        print(f"kept: {sender.user} and its password; its permissions are set")
    else:
        print(f"{'' if broker.prints else 'made: '}{sender.user}: put this into its configuration, readable by the "
              f"service only:\n\n{_block(conf, sender, broker.vhost, password)}")


def _rotate(conf: cfg.ConfigOpts) -> None:
    broker, sender, password = Rabbitmqctl.from_conf(conf), _sender(conf), secrets.token_urlsafe(32)
    broker.run("change_password", sender.user, password=password)
    broker.run("close_all_user_connections", sender.user, "new password")
    print(f"{sender.user}: put this into its configuration and restart it:\n\n"
          f"{_block(conf, sender, broker.vhost, password)}")


def _remove(conf: cfg.ConfigOpts) -> None:
    broker, sender = Rabbitmqctl.from_conf(conf), _sender(conf)
    broker.run("delete_user", sender.user)
    if not broker.prints:
        print(f"removed: {sender.user}")


def _list(conf: cfg.ConfigOpts) -> None:
    broker = Rabbitmqctl.from_conf(conf)
    if broker.prints:
        raise errors.Invalid(reason="There is nothing to print: bus-user list changes nothing.")
    topics = {(row["user"], row["exchange"]): row for row in broker.read("list_topic_permissions", "-p", broker.vhost)}
    for row in sorted(broker.read("list_permissions", "-p", broker.vhost), key=lambda row: str(row["user"])):
        print(f"{row['user']}: {_judge(row, topics.get((row['user'], EXCHANGE), {}))}")


def _judge(row: dict[str, Any], topic: dict[str, Any]) -> str:
    try:
        sender = Sender.of_user(row["user"])
    except errors.Invalid:
        return "not a user of one service: may be anything its permissions allow"
    wanted = permissions_of(sender)
    fits = [row.get(name) for name in ("configure", "write", "read")] == [wanted.configure, wanted.write, wanted.read] \
        and (topic.get("write"), topic.get("read")) == (wanted.topic_write, wanted.topic_read)
    return "as it should be" if fits else f"other permissions: bus-user add {sender.kind} {sender.host or ''}".rstrip()


def permission_commands(sender: Sender, vhost: str) -> Sequence[Sequence[str]]:
    """Return the rabbitmqctl commands that set a user's permissions."""
    wanted = permissions_of(sender)
    return (("set_permissions", "-p", vhost, sender.user, wanted.configure, wanted.write, wanted.read),
            ("set_topic_permissions", "-p", vhost, sender.user, EXCHANGE, wanted.topic_write, wanted.topic_read))


def _sender(conf: cfg.ConfigOpts) -> Sender:
    return Sender(conf.command.kind, conf.command.node)


def _block(conf: cfg.ConfigOpts, sender: Sender, vhost: str, password: str) -> str:
    """Return the lines of a service's configuration; the brokers' addresses are those of this one's."""
    url = oslo_messaging.TransportURL.parse(conf)
    hosts = [(host.hostname, host.port) for host in url.hosts if host.hostname] or [("BROKER", None)]
    own = oslo_messaging.TransportURL(conf, "rabbit", vhost, [
        oslo_messaging.TransportHost(name, port, sender.user, password) for name, port in hosts])
    return f"[DEFAULT]\ntransport_url = {own}\n\n[bus]\nverify_senders = true{_tls_lines(conf)}"


def _tls_lines(conf: cfg.ConfigOpts) -> str:
    conf.register_opts(rabbit_opts, group="oslo_messaging_rabbit")
    rabbit = conf.oslo_messaging_rabbit
    if not rabbit.ssl:
        return ""
    authority = f"\nssl_ca_file = {rabbit.ssl_ca_file}" if rabbit.ssl_ca_file else ""
    return f"\n\n[oslo_messaging_rabbit]\nssl = true{authority}"
