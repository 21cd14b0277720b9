"""hostler-compute: runs the compute service."""

from __future__ import annotations

import sys

from compute import service
from hostler.cmd import running

PROG = "hostler-compute"


def main() -> None:
    """Entry point of the console script."""
    sys.exit(running.run(running.load(PROG), PROG, service.build))
