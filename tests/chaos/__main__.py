"""`tools/chaos`: see `--help`."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos import faults
from tests.chaos.campaign import Campaign, Plan
from tests.chaos.cloud import ChaosCloud
from tests.harness import backends, databases


def main(arguments: list[str] | None = None) -> int:
    """Run one campaign; returns 0 when nothing was violated."""
    asked = _parser().parse_args(arguments)
    if reason := backends.missing() or databases.missing(asked.database):
        print(f"chaos: {reason}", file=sys.stderr)
        return 2
    directory = Path(asked.directory or tempfile.mkdtemp(prefix="hostler-chaos-"))
    directory.mkdir(parents=True, exist_ok=True)
    print(f"seed {asked.seed}, {asked.faults} faults, {asked.database}; logs under {directory}", flush=True)
    cloud = ChaosCloud(directory, asked.database)
    faults.mount_state(cloud)
    begun = time.monotonic()
    try:
        cloud.start()
        campaign = Campaign(cloud, Plan(asked.seed, asked.faults, asked.per_round, asked.lanes, asked.clients,
                                        _chosen(asked.only, cloud)))
        campaign.run()
    finally:
        cloud.stop()
        faults.unmount_state(cloud)
    print(campaign.table())
    print(f"took {time.monotonic() - begun:.0f} s; repeat with --seed {asked.seed}")
    return 1 if campaign.violations else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="chaos", description="Starts a cloud of its own on this machine (fake hosts, real broker, real database), "
        "changes it at random while faults strike, and audits records, hosts, storage nodes, exports, rules and quotas "
        "after each round.")
    parser.add_argument("--database", choices=("postgresql", "mariadb"), default="postgresql")
    parser.add_argument("--faults", type=int, default=50, help="how many faults in all (default %(default)s)")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000),
                        help="repeats the choices of a campaign")
    parser.add_argument("--per-round", type=int, default=12, help="faults between two audits (default %(default)s)")
    parser.add_argument("--lanes", type=int, default=2, help="faults at the same time (default %(default)s)")
    parser.add_argument("--clients", type=int, default=4, help="clients at work (default %(default)s)")
    parser.add_argument("--only", action="append", metavar="WORDS", default=[],
                        help="only faults whose name contains this; may be repeated. All: "
                             + "; ".join(fault.name for fault in faults.FAULTS))
    parser.add_argument("--directory", help="where logs and state go (default: a new directory below /tmp)")
    return parser


def _chosen(only: list[str], cloud: ChaosCloud) -> tuple[faults.Fault, ...]:
    chosen = []
    for fault in faults.FAULTS:
        if only and not any(words in fault.name for words in only):
            continue
        if reason := faults.missing(fault, cloud):
            print(f"left out: {fault.name}: {reason}")
        else:
            chosen.append(fault)
    if not chosen:
        raise SystemExit("chaos: no fault is left")
    return tuple(chosen)


if __name__ == "__main__":
    sys.exit(main())
