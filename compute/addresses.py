"""The addresses at which other hosts reach this one."""

from __future__ import annotations

import ipaddress

from oslo_config import cfg


def tunnel_ip(conf: cfg.ConfigOpts) -> str:
    """Return where the frames of VXLAN networks are sent to; empty when the host has no IPv4 address for them."""
    address = conf.compute.tunnel_ip or conf.compute.my_ip
    try:
        return str(ipaddress.IPv4Address(address))
    except ValueError:
        return ""
