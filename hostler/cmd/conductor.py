"""hostler-conductor: runs the conductor service."""

from __future__ import annotations

import sys

from conductor import service
from hostler.cmd import running
from hostler.cmd.waiting import BROKER
from hostler.cmd.waiting_database import DATABASE

PROG = "hostler-conductor"


def main() -> None:
    """Entry point of the console script."""
    sys.exit(running.run(running.load(PROG), PROG, service.build, (DATABASE, BROKER)))
