"""hostler-compute: runs the compute service."""

from __future__ import annotations

import sys

from oslo_config import cfg

from compute import service
from hostler.cmd import running
from hostler.cmd.waiting import BROKER

PROG = "hostler-compute"


def build(conf: cfg.ConfigOpts) -> running.Runnable:
    """Return the agent, on a bus of its own."""
    return service.build(conf)


def main() -> None:
    """Entry point of the console script."""
    sys.exit(running.run(running.load(PROG), PROG, build, (BROKER,)))
