"""Options of the fake hypervisor driver (tests and scale trials)."""

from __future__ import annotations

from oslo_config import cfg

GROUP = "fake"

OPTS = [
    cfg.IntOpt("vcpus", default=64, min=1, help="Processors the fake host claims to have."),
    cfg.IntOpt("ram_mib", default=262144, min=1, help="Memory the fake host claims to have, MiB."),
    cfg.IntOpt("disk_gib", default=4096, min=1, help="Disk the fake host claims to have, GiB."),
    cfg.IntOpt("max_volumes", default=25, min=0, help="Volumes that one server on the fake host can have."),
    cfg.FloatOpt("migration_seconds", default=0.0, min=0,
                 help="Seconds that a live migration from the fake host takes."),
    cfg.BoolOpt("persistent", default=True,
                help="Keep the fake guests in files, so that they outlive a killed agent as real guests do."),
]
