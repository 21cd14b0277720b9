"""Running a service as a process: configuration, logging, systemd's notifications, and an orderly stop."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from oslo_config import cfg
from oslo_log import log as oslo_log

from hostler import conf as hostler_conf
from hostler import errors
from hostler.cmd import log_lines, waiting
from hostler.cmd.systemd import notify

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
        "urllib3=WARN", "stevedore=WARN", "pyroute2=WARN", "alembic=WARN", "oslo_policy=WARN", "uvicorn=ERROR"])
    oslo_log.setup(conf, prog)
    log_lines.install()


def run(conf: cfg.ConfigOpts, prog: str, build: Callable[[cfg.ConfigOpts], Runnable],
        needs: Sequence[waiting.Need] = ()) -> int:
    """Build a service once what it `needs` (`hostler.cmd.waiting`) answers, run it until SIGTERM or SIGINT, stop it in
    order; returns the exit status."""
    set_up_logging(conf, prog)
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    if not waiting.wait(conf, prog, needs, stopped):
        return 0
    try:
        service = build(conf)
        service.start()
    except errors.HostlerError as error:
        # What the operator must put right (a library, a daemon, a schema), in one line.
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
