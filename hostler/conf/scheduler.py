"""Options of the scheduler."""

from __future__ import annotations

from oslo_config import cfg

GROUP = "scheduler"

OPTS = [
    cfg.ListOpt("filters", default=["service_up", "availability_zone", "requested_host", "excluded_hosts", "capacity",
                                    "traits", "aggregate_extra_specs", "image_properties", "server_group", "same_host",
                                    "different_host"],
                help="Filters, in order (stevedore names of hostler.scheduler.filters)."),
    cfg.DictOpt("weighers", default={"ram": "1.0", "cpu": "1.0", "disk": "1.0", "io_ops": "1.0",
                                     "build_failures": "1.0", "server_group_soft": "2.0"},
                help="Weighers and their multipliers (stevedore names of hostler.scheduler.weighers). Each weigher's "
                     "values are stretched to 0..1 over the hosts that passed; a negative multiplier turns it round."),
    cfg.ListOpt("backend_filters",
                default=["service_up", "availability_zone", "requested_backend", "excluded_backends", "other_storage",
                         "backup_store", "multiattach", "capabilities", "capacity", "same_backend",
                         "different_backend"],
                help="Filters of the back ends of volumes, in order (stevedore names of "
                     "hostler.scheduler.backend_filters)."),
    cfg.DictOpt("backend_weighers", default={"free_capacity": "1.0"},
                help="Weighers of back ends and their multipliers (stevedore names of "
                     "hostler.scheduler.backend_weighers)."),
    cfg.IntOpt("host_subset_size", default=1, min=1,
               help="The host is drawn from this many best ones; more spreads the load of several conductors."),
    cfg.FloatOpt("refresh_interval", default=1.0, min=0.05, help="Seconds after which host states are read again."),
    cfg.FloatOpt("full_refresh_interval", default=60.0, min=1.0,
                 help="Seconds after which every host is read again, not only the changed ones."),
    cfg.IntOpt("build_failure_window", default=3600, min=1,
               help="Seconds for which a failed boot counts against its host in the build_failures weigher."),
    cfg.IntOpt("max_claim_attempts", default=10, min=1, help="Hosts tried before a lost race counts as no valid host."),
    cfg.StrOpt("default_availability_zone", default="nova", help="Zone of hosts in no zone."),
]
