"""hostler-volume: runs the volume service of one storage node."""

from __future__ import annotations

import sys

from oslo_config import cfg

from hostler.cmd import running
from hostler.cmd.waiting import BROKER
from volume import service

PROG = "hostler-volume"


def build(conf: cfg.ConfigOpts) -> running.Runnable:
    """Return the agent, on a bus of its own."""
    return service.build(conf)


def main() -> None:
    """Entry point of the console script."""
    sys.exit(running.run(running.load(PROG), PROG, build, (BROKER,)))
