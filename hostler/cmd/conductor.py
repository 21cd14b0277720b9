"""hostler-conductor: runs the conductor service."""

from __future__ import annotations

import sys

from oslo_config import cfg

from conductor import service
from hostler.cmd import running
from hostler.cmd.waiting import BROKER
from hostler.cmd.waiting_database import DATABASE
from hostler.db import version
from scheduler.service import build_local

PROG = "hostler-conductor"


def build(conf: cfg.ConfigOpts) -> running.Runnable:
    """Return the conductor, with a scheduler of its own when the configuration says so."""
    db = version.open_database(conf)
    return service.build(conf, db=db, scheduler=build_local(conf, db))


def main() -> None:
    """Entry point of the console script."""
    sys.exit(running.run(running.load(PROG), PROG, build, (DATABASE, BROKER)))
