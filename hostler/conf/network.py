"""Options of networks: what the api hands out and what the agents plumb."""

from __future__ import annotations

from oslo_config import cfg

GROUP = "network"

OPTS = [
    cfg.DictOpt("bridge_mappings", default={},
                help="Physical network name to host interface, e.g. physnet1:eth1. The interface is put into the "
                     "bridge of each flat network on that physical network."),
    cfg.ListOpt("dns_servers", default=[], help="DNS servers given to guests of subnets that name none."),
    cfg.IntOpt("mtu", default=1500, min=68, help="MTU of new networks that name none."),
    cfg.StrOpt("mac_prefix", default="fa:16:3e", help="First three octets of generated MAC addresses."),
    cfg.IntOpt("max_bulk_items", default=500, min=1,
               help="Most networks, subnets, ports, security groups or rules that one request may create."),
    cfg.IntOpt("dhcp_lease_time", default=86400, min=120, help="Seconds of a DHCP lease."),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    """Register this module's options on `conf`."""
    conf.register_opts(OPTS, group=GROUP)
