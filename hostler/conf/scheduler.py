"""Options of the scheduler."""

from __future__ import annotations

from oslo_config import cfg

GROUP = "scheduler"

OPTS = [
    cfg.ListOpt("filters", default=["service_up", "availability_zone", "requested_host", "capacity",
                                    "aggregate_extra_specs", "image_properties", "server_group"],
                help="Filters, in order (stevedore names of hostler.scheduler.filters)."),
    cfg.DictOpt("weighers", default={"ram": "1.0", "cpu": "1.0", "disk": "1.0", "io_ops": "1.0",
                                     "build_failures": "1.0"},
                help="Weighers and their multipliers (stevedore names of hostler.scheduler.weighers)."),
    cfg.IntOpt("host_subset_size", default=1, min=1,
               help="The host is drawn from this many best ones; more spreads the load of several schedulers."),
    cfg.FloatOpt("refresh_interval", default=1.0, min=0.05, help="Seconds after which host states are read again."),
    cfg.IntOpt("max_claim_attempts", default=10, min=1, help="Hosts tried before a lost race counts as no valid host."),
    cfg.StrOpt("default_availability_zone", default="nova", help="Zone of hosts in no zone."),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    """Register this module's options on `conf`."""
    conf.register_opts(OPTS, group=GROUP)
