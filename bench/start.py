"""From starting an installed all-in-one to its first ACTIVE server: `python bench/start.py [--repeats N]`."""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import measure

measure.use_checkout()

from tests.harness.allinone import AllInOne  # noqa: E402


def once() -> float:
    """Return the seconds of one start; the image is there already, as on an installed node."""
    with tempfile.TemporaryDirectory(prefix="hostler-bench-") as directory:
        cloud = AllInOne(Path(directory))
        cloud.prepare()
        image = cloud.start().make_image()
        cloud.stop()
        started = time.monotonic()
        client = cloud.start()
        client.wait_server(client.create_server(image), "ACTIVE")
        seconds = time.monotonic() - started
        cloud.stop()
        return seconds


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    seconds = [once() for _ in range(parser.parse_args().repeats)]
    measure.figure("start_to_first_active/all-in-one", statistics.median(seconds), "s", runs=len(seconds))


if __name__ == "__main__":
    main()
