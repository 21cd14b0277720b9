"""hostler-scheduler: runs the scheduler service."""

from __future__ import annotations

import sys

from scheduler import service
from hostler.cmd import running

PROG = "hostler-scheduler"


def main() -> None:
    """Entry point of the console script."""
    sys.exit(running.run(running.load(PROG), PROG, service.build))
