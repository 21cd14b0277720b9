"""What the packet filters need of a host before its first network."""

from __future__ import annotations

import logging
import subprocess

from compute.network import faults, names, nft, sysctl

LOG = logging.getLogger(__name__)


def check() -> None:
    """Load what the filters need (`AgentError` without it), and say who else may drop guests' packets."""
    if not sysctl.bridge_filtering_available():
        try:
            subprocess.run(["modprobe", "br_netfilter"], capture_output=True, timeout=30, check=False)
        except (FileNotFoundError, subprocess.TimeoutExpired) as failure:
            LOG.warning("modprobe br_netfilter: %s", failure)
    if not sysctl.bridge_filtering_available():
        raise faults.fault("this host's kernel cannot filter bridged packets (module br_netfilter)")
    for chain in nft.foreign_drops():
        LOG.warning("Packet filter chain '%s' drops what it does not know, guests' packets too; let it accept "
                    "what comes from and goes to '%s*'", chain, names.BRIDGE_PREFIX)
