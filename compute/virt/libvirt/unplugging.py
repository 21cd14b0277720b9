"""Asking a running guest to release a device."""

from __future__ import annotations

import logging

import libvirt

LOG = logging.getLogger(__name__)
# QEMU's answer to a second request while the guest has not answered the first, and libvirt's about a device that went
# after its caller had last looked: both come as internal errors, told apart by their words only.
_HARMLESS = ("in the process of unplug", "no device found with alias")


def ask_for(domain: libvirt.virDomain, alias: str) -> None:
    """Ask the guest to release the device with `alias`; fine when it was asked already, or has released it."""
    try:
        domain.detachDeviceAlias(alias, libvirt.VIR_DOMAIN_AFFECT_LIVE)
    except libvirt.libvirtError as error:
        gone = error.get_error_code() in (libvirt.VIR_ERR_DEVICE_MISSING, libvirt.VIR_ERR_OPERATION_INVALID)
        if not gone and not any(words in str(error) for words in _HARMLESS):
            raise
        LOG.debug("asking for device %s: %s", alias, error)
