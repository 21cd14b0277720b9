"""Host network plumbing of the compute agent: bridges, DHCP, metadata and packet filters for servers' ports.

Build it with `build(conf)`; `compute.network.plumbing` says what it promises and `compute.network.names` what the
things on the host are called. Needs root (CAP_NET_ADMIN, CAP_SYS_ADMIN), `dnsmasq` and `nft`.
"""

from __future__ import annotations

from oslo_config import cfg

from compute.network.inspected import InspectedPlumbing
from compute.network.plumbing import NetworkPlumbing


def build(conf: cfg.ConfigOpts) -> NetworkPlumbing:
    """Return this host's plumbing; nothing on the host is touched before the first call of its methods."""
    return InspectedPlumbing(conf)
