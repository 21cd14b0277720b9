"""Options of volumes: the agent's back ends, and which zone a volume goes to."""

from __future__ import annotations

from oslo_config import cfg

GROUP = "volume"
DEFAULT_TYPE = "__DEFAULT__"  # every cloud has a volume type of this name; clients know it

AGENT_OPTS = [
    cfg.ListOpt("enabled_backends", default=["local"],
                help="Names of this node's back ends; each is configured in a group backend:<name> (see there)."),
    cfg.StrOpt("availability_zone", default="nova", help="Zone this node joins when it registers for the first time."),
    cfg.HostAddressOpt("my_ip", default="127.0.0.1",
                       help="Address at which this node exports volumes over NBD; hosts must reach it."),
    cfg.StrOpt("backup_dir", default="",
               help="Directory of the backup store; nodes that share it can restore each other's backups. "
                    "Empty: <state_path>/backups. A mount must be there when the agent first sees it; later a missing "
                    "one is noticed."),
    cfg.StrOpt("tls_dir", default="",
               help="Directory with ca-cert.pem, server-cert.pem and server-key.pem. Exports over NBD are encrypted "
                    "then, and each admits only the host it is for, known by the common name of its certificate. "
                    "Without it nothing is exported to other machines unless insecure_exports is set."),
    cfg.BoolOpt("insecure_exports", default=False,
                help="Export over NBD without TLS: anyone who reaches the port can read and write the volume. For "
                     "closed storage networks and trials."),
    cfg.StrOpt("export_ports", default="10809-11808", help="TCP ports for exports over NBD, first-last."),
    cfg.IntOpt("max_concurrent_copies", default=4, min=1,
               help="Copies (images, clones, backups) this node works on at the same time."),
    cfg.IntOpt("image_cache_gib", default=20, min=1,
               help="Size to which unused images in the agent's cache are trimmed, GiB."),
    cfg.IntOpt("image_cache_min_age", default=3600, min=0,
               help="Seconds for which an image stays in the cache after its last use, whatever the cache's size."),
    cfg.IntOpt("reconcile_interval", default=180, min=1,
               help="Seconds between two comparisons of what is on this node with what the conductor says should."),
    cfg.IntOpt("graceful_stop_timeout", default=30, min=0,
               help="Seconds a stopping agent waits for the calls it is working on; what is left is resumed by the "
                    "conductors."),
]
CONTROL_OPTS = [
    cfg.StrOpt("default_availability_zone", default=None,
               help="Zone of new volumes whose request names none; empty: storage_availability_zone."),
    cfg.StrOpt("storage_availability_zone", default="nova",
               help="The zone storage is in unless something else is said."),
    cfg.BoolOpt("allow_availability_zone_fallback", default=False,
                help="Put a volume whose zone no volume service knows into the default zone, with a warning, instead "
                     "of refusing it."),
    cfg.BoolOpt("cross_az_attach", default=True,
                help="Let servers attach volumes of another availability zone than their own."),
    cfg.StrOpt("default_volume_type", default=DEFAULT_TYPE,
               help="Volume type of new volumes whose request names none; empty: no type. The type __DEFAULT__ is "
                    "made by the bootstrap."),
    cfg.IntOpt("zone_cache_seconds", default=60, min=0,
               help="Seconds the known zones are remembered; an unknown one makes the api look again at once."),
    cfg.IntOpt("detach_timeout", default=60, min=1,
               help="Seconds a guest gets to let go of a volume before a detach gives up."),
]
OPTS = [*AGENT_OPTS, *CONTROL_OPTS]

# What each group backend:<name> may hold; drivers add their own.
BACKEND_OPTS = [
    cfg.StrOpt("driver", default="file", help="Driver: file, rbd, fake (hostler.volume.drivers)."),
    cfg.StrOpt("volume_backend_name", default=None,
               help="What volume types compare with; empty: the name of the back end."),
    cfg.IntOpt("reserved_percent", default=0, min=0, max=100, help="Part of the back end that is never given out."),
    cfg.FloatOpt("over_subscription", default=20.0, min=1.0,
                 help="How many times its size a thin back end gives out."),
]


def backend_group(name: str) -> str:
    """Return the configuration group of a back end."""
    return f"backend:{name}"
