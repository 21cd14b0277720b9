"""Options of the conductor."""

from __future__ import annotations

from typing import Final

from oslo_config import cfg

GROUP = "conductor"
IN_PROCESS: Final = "in-process"  # of the option `scheduler`

OPTS = [
    cfg.IntOpt("workers", default=32, min=1, max=512, help="Operations one conductor runs at the same time."),
    cfg.IntOpt("per_host_limit", default=8, min=1,
               help="Operations of one conductor that may wait for the same host, so that a hung agent does not "
                    "take the workers that others need."),
    cfg.IntOpt("lease_seconds", default=15, min=2,
               help="Seconds after which an operation whose conductor fell silent is taken over by another."),
    cfg.FloatOpt("poll_interval", default=1.0, min=0.05,
                 help="Seconds between two looks for operations whose wake-up message was lost."),
    cfg.IntOpt("max_attempts", default=3, min=1,
               help="Times an operation may be interrupted by the end of its conductor, without finishing a step in "
                    "between, before it is suspected to be the cause. A suspect runs alone, and is reverted when it "
                    "is interrupted twice more."),
    cfg.IntOpt("agent_patience", default=300, min=1,
               help="Seconds an operation waits for a silent host or storage node before it gives up and is reverted. "
                    "Some kinds of operation wait a multiple of it: a deletion of a volume 4 times, a crash dump a "
                    "fifth."),
    cfg.IntOpt("restart_after", default=60, min=5,
               help="Seconds a host must be silent before its servers that ask for it (metadata, server group, or "
                    "extra spec of the flavor: hostler:on_host_failure=restart) are evacuated. A host that is forced "
                    "down is not waited for."),
    cfg.FloatOpt("restart_interval", default=5.0, min=0.1,
                 help="Seconds between two looks for hosts whose servers are to be restarted elsewhere."),
    cfg.IntOpt("restart_limit_percent", default=50, min=1, max=100,
               help="Share of all hosts, per cent, that may be down at once for their servers to be restarted: beyond "
                    "it the control plane is rather cut off itself. One host may always be down."),
    cfg.FloatOpt("election_interval", default=1.0, min=0.05,
                 help="Seconds between two looks for routers whose elected host is down, or has no guest of theirs any "
                      "more, so that another host must lead outside."),
    cfg.FloatOpt("retry_delay", default=2.0, min=0.05,
                 help="Seconds before an operation that waits for a silent host is tried again."),
    cfg.StrOpt("scheduler", default=IN_PROCESS, choices=[(IN_PROCESS, "by the conductor itself; no other service is "
                                                                      "needed, and the options of [scheduler] are "
                                                                      "read by conductors, which all need the same"),
                                                         ("bus", "by any hostler-scheduler, which the conductor asks "
                                                                 "over the bus")],
               help="Who chooses hosts and back ends."),
    cfg.FloatOpt("sweep_interval", default=60.0, min=0.05,
                 help="Seconds between two looks for what is due by time alone: servers to be deleted for good or to "
                      "leave their hosts."),
]
