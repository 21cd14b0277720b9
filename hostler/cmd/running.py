"""Running a service as a process: configuration, logging, systemd's notifications, and an orderly stop."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from oslo_config import cfg
from oslo_log import log as oslo_log

from hostler import conf as hostler_conf
from hostler import errors

LOG = logging.getLogger(__name__)


class Runnable(Protocol):
    """A service that can be started and stopped."""

    def start(self) -> None:
        """Begin; returns once it serves."""

    def stop(self) -> object:
        """End in order; returns when nothing is held."""


def load(prog: str, argv: Sequence[str] | None = None, *,
         cli_opts: Sequence[cfg.Opt] = ()) -> cfg.ConfigOpts:
    """Return the configuration for a command line; ends the process with a clear line when it does not fit."""
    try:
        return hostler_conf.load(sys.argv[1:] if argv is None else argv, prog=prog, cli_opts=cli_opts)
    except (cfg.Error, ValueError) as error:
        sys.exit(f"{prog}: {error}")


def set_up_logging(conf: cfg.ConfigOpts, prog: str) -> None:
    """Send log lines, each with its request id, where the configuration says."""
    oslo_log.set_defaults(default_log_levels=[
        "amqp=WARN", "kombu=WARN", "oslo.messaging=WARN", "oslo_messaging=WARN",
        # Says 'there could be a leak' whenever more than ten calls are under way.
        "oslo_messaging._drivers.amqpdriver=ERROR", "taskflow=WARN", "sqlalchemy=WARN",
        "urllib3=WARN", "stevedore=WARN", "pyroute2=WARN", "alembic=WARN", "oslo_policy=WARN", "cheroot=WARN"])
    oslo_log.setup(conf, prog)


def run(conf: cfg.ConfigOpts, prog: str, build: Callable[[cfg.ConfigOpts], Runnable]) -> int:
    """Build a service, run it until SIGTERM or SIGINT, stop it in order; returns the exit status."""
    set_up_logging(conf, prog)
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    try:
        service = build(conf)
        service.start()
    except errors.HostlerError as error:
        # What the operator must mend (a library, a daemon, a broker), in one line.
        LOG.error("%s cannot start: %s", prog, error)
        return 1
    notify("READY=1")
    LOG.info("%s serves", prog)
    watchdog_s = float(os.environ.get("WATCHDOG_USEC", "0")) / 2_000_000
    while not stopped.wait(watchdog_s or None):
        notify("WATCHDOG=1")
    notify("STOPPING=1")
    LOG.info("%s stops", prog)
    service.stop()
    return 0


def notify(state: str) -> None:
    """Tell systemd, where it is listening (sd_notify(3))."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        client.sendto(state.encode(), address)
