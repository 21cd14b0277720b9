"""What is in a domain's CD-ROM drive."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import libvirt

from compute.virt.driver import NO_DRIVE
from compute.virt.libvirt import diskxml
from hostler import errors

_LOCKED = (libvirt.VIR_ERR_OPERATION_FAILED, libvirt.VIR_ERR_OPERATION_TIMEOUT)


def change(domain: libvirt.virDomain, iso: Path | None) -> None:
    """Put `iso` into the drive, or take out what is there, in the guest, when it runs, and in its definition."""
    if domain.isActive():
        drive = diskxml.drive_in(domain.XMLDesc(0))
        if drive is None and iso is not None:
            raise errors.AgentError(reason=NO_DRIVE)
        _change(domain, drive, iso, libvirt.VIR_DOMAIN_AFFECT_LIVE)
    _change(domain, diskxml.drive_in(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)), iso,
            libvirt.VIR_DOMAIN_AFFECT_CONFIG)


def _change(domain: libvirt.virDomain, drive: Any | None, iso: Path | None, flags: int) -> None:
    """Change the medium of a <disk>; a domain without such a drive gets one when it is defined next."""
    if drive is None:
        return
    source = drive.find("source")
    if (None if source is None else source.get("file")) == (None if iso is None else str(iso)):
        return
    try:
        domain.updateDeviceFlags(diskxml.with_medium(drive, iso), flags)
    except libvirt.libvirtError as error:
        if error.get_error_code() not in _LOCKED:
            raise
        raise errors.AgentError(reason="The guest keeps the tray of its CD-ROM drive locked; unmount the disc and try "
                                       "again.") from error
