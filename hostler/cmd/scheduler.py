"""hostler-scheduler: runs the scheduler service."""

from __future__ import annotations

import sys

from hostler.cmd import running, waiting
from scheduler import service

PROG = "hostler-scheduler"


def main() -> None:
    """Entry point of the console script."""
    sys.exit(running.run(running.load(PROG), PROG, service.build, (waiting.DATABASE, waiting.BROKER)))
