"""Options every process has: where it keeps things and what it is called."""

from __future__ import annotations

import socket

from oslo_config import cfg

OPTS = [
    cfg.HostAddressOpt("host", default=socket.gethostname(), sample_default="this-host",
                       help="Name of this node in the cloud. Must be unique and stay the same."),
    cfg.StrOpt("state_path", default="/var/lib/hostler",
               help="Directory for everything the services keep on this node: SQLite file, images, servers' disks."),
    cfg.IntOpt("heartbeat_interval", default=5, min=1, max=300,
               help="Seconds between two reports of a service (agents over the bus, others in the database)."),
    cfg.IntOpt("service_down_time", default=20, min=2,
               help="Seconds without a report after which a service counts as down and gets no new work."),
]
