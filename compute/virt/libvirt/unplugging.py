"""Asking a running guest for a device back."""

from __future__ import annotations

import logging

import libvirt

LOG = logging.getLogger(__name__)
# What a second request finds while the guest still thinks about the first (QEMU's words).
_ASKED_ALREADY = "in the process of unplug"


def ask_for(domain: libvirt.virDomain, alias: str) -> None:
    """Ask the guest to let go of the device with `alias`; fine when it has been asked, or has let go."""
    try:
        domain.detachDeviceAlias(alias, libvirt.VIR_DOMAIN_AFFECT_LIVE)
    except libvirt.libvirtError as error:
        gone = error.get_error_code() in (libvirt.VIR_ERR_DEVICE_MISSING, libvirt.VIR_ERR_OPERATION_INVALID)
        if not gone and _ASKED_ALREADY not in str(error):
            raise
        LOG.debug("asking for device %s: %s", alias, error)
