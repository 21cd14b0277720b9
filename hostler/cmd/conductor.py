"""hostler-conductor: runs the conductor service."""

from __future__ import annotations

import sys

from conductor import service
from hostler.cmd import running, waiting

PROG = "hostler-conductor"


def main() -> None:
    """Entry point of the console script."""
    sys.exit(running.run(running.load(PROG), PROG, service.build, (waiting.DATABASE, waiting.BROKER)))
