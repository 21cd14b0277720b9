"""hostler-scheduler: runs the scheduler service, for conductors that are told to ask over the bus."""

from __future__ import annotations

import logging
import sys

from oslo_config import cfg

from hostler.cmd import running
from hostler.cmd.waiting import BROKER
from hostler.cmd.waiting_database import DATABASE
from hostler.conf.conductor import IN_PROCESS
from scheduler import service

PROG = "hostler-scheduler"
LOG = logging.getLogger(__name__)


def build(conf: cfg.ConfigOpts) -> running.Runnable:
    """Return the scheduler; says so when conductors with the same configuration would not ask it."""
    if conf.conductor.scheduler == IN_PROCESS:
        LOG.warning("Conductors choose hosts themselves ([conductor] scheduler = %s): only those with `bus` ask this "
                    "service.", IN_PROCESS)
    return service.build(conf)


def main() -> None:
    """Entry point of the console script."""
    sys.exit(running.run(running.load(PROG), PROG, build, (DATABASE, BROKER)))
