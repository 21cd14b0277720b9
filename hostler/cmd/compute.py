"""hostler-compute: runs the compute service."""

from __future__ import annotations

import sys

from oslo_config import cfg

from compute import service
from hostler.cmd import running, waiting

PROG = "hostler-compute"


def build(conf: cfg.ConfigOpts) -> running.Runnable:
    """Return the agent, on a bus of its own."""
    return service.build(conf)


def main() -> None:
    """Entry point of the console script."""
    sys.exit(running.run(running.load(PROG), PROG, build, (waiting.BROKER,)))
