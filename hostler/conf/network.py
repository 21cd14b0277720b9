"""Options of networks: what the api hands out and what the agents plumb."""

from __future__ import annotations

from oslo_config import cfg, types

GROUP = "network"

OPTS = [
    cfg.DictOpt("bridge_mappings", default={},
                help="Physical network name to host interface, e.g. physnet1:eth1. The interface is put into the "
                     "bridge of each flat network on that physical network; VLAN networks get a sub-interface of it. "
                     "Servers with a NIC on a physical network go to hosts that have it here."),
    cfg.StrOpt("tenant_network_type", default="flat", choices=["flat", "vlan", "vxlan"],
               help="Kind of the networks that name none. flat: each host has its own bridge, so servers of one "
                    "network reach each other on one host alone. vxlan: tunnels between the hosts. vlan: tags of "
                    "vlan_ranges. Read by the api."),
    cfg.ListOpt("vni_ranges", default=["1:16777215"], item_type=types.String(regex=r"^\d{1,8}(:\d{1,8})?$"),
                help="Numbers (VNI) that VXLAN networks get, as first:last. Read by the api."),
    cfg.ListOpt("vlan_ranges", default=[], item_type=types.String(regex=r"^[^:]+:\d{1,4}(:\d{1,4})?$"),
                sample_default=["physnet1:100:199"],
                help="Tags that VLAN networks get when they name none, as physical network:first:last. Read by the "
                     "api."),
    cfg.ListOpt("dns_servers", default=[], help="DNS servers given to guests of subnets that name none."),
    cfg.IntOpt("mtu", default=1500, min=68,
                help="MTU of the wire, and of new networks that name none; VXLAN networks get 50 bytes less."),
    cfg.StrOpt("mac_prefix", default="fa:16:3e", help="First three octets of generated MAC addresses."),
    cfg.IntOpt("max_bulk_items", default=500, min=1,
               help="Most networks, subnets, ports, security groups or rules that one request may create."),
    cfg.FloatOpt("gateway_probe_interval", default=0.5, min=0,
                 help="Seconds between two echo requests to a host that leads outside for routers of the guests here, "
                      "where one host is elected to; 0: none, and that host's failure is noticed after "
                      "service_down_time. Firewalls between hosts must let ICMP echo pass, between the addresses that "
                      "tunnels use. Read by the compute agents."),
    cfg.IntOpt("gateway_probe_multiplier", default=3, min=2, max=100,
               help="Echo requests in a row without an answer after which a host counts as silent. Another one leads "
                    "outside then, unless the conductors hear otherwise. Read by the compute agents."),
    cfg.IntOpt("drop_log_rate", default=0, min=0, max=1000,
               help="Packets a second that the kernel's log names for each port and direction, of those that security "
                    "groups and anti-spoofing drop, with the port's id; 0: none. Read by the compute agents."),
    cfg.IntOpt("dhcp_lease_time", default=86400, min=120, help="Seconds of a DHCP lease."),
]
