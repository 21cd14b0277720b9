"""oslo-config-generator, run with our choice of oslo.service's backend made first (see `hostler`)."""

from __future__ import annotations

import sys

from oslo_config import generator


def main() -> None:
    """Write the sample that the given generator configuration describes."""
    generator.main(sys.argv[1:])


if __name__ == "__main__":
    main()
