"""hostler-scheduler: runs the scheduler service."""

from __future__ import annotations

import sys

from hostler.cmd import running
from hostler.cmd.waiting import BROKER
from hostler.cmd.waiting_database import DATABASE
from scheduler import service

PROG = "hostler-scheduler"


def main() -> None:
    """Entry point of the console script."""
    sys.exit(running.run(running.load(PROG), PROG, service.build, (DATABASE, BROKER)))
