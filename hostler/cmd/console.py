"""hostler-console: runs the console proxy."""

from __future__ import annotations

import sys

from console import service
from hostler.cmd import running
from hostler.cmd.waiting_database import DATABASE

PROG = "hostler-console"


def main() -> None:
    """Entry point of the console script."""
    sys.exit(running.run(running.load(PROG), PROG, service.build, (DATABASE,)))
