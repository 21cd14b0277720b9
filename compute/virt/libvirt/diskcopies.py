"""Copies of a running guest's disk: QEMU's backup job, as libvirt offers it (push mode).

The job copies what the disk holds at the moment it begins: before the guest overwrites a part, the old content goes to
the copy first. So the guest never waits for the copy, and its file systems are frozen, if at all, for that moment
alone. (A mirror job copies the state at its end instead: they would have to be frozen until then.)
"""

from __future__ import annotations

import logging
from pathlib import Path

import libvirt
from lxml import etree

from compute.virt.libvirt.elements import add
from compute.virt.libvirt.guests import tolerating_off
from hostler import errors
from hostler.resources.server.hardware import Freeze

LOG = logging.getLogger(__name__)
_NO_BACKUP = libvirt.VIR_ERR_NO_DOMAIN_BACKUP


def begin(domain: libvirt.virDomain, disk: Path, copy: Path, freeze: Freeze) -> bool:
    """Start the job that writes what `disk` holds now to `copy`; False when the guest is off."""
    if not domain.isActive():
        return False
    xml = _backup_xml(_target_of(domain, disk), copy)
    frozen = freeze is not Freeze.NO and _freeze(domain, must=freeze is Freeze.MUST)
    try:
        domain.backupBegin(xml, None)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_OPERATION_INVALID and not domain.isActive():
            return False
        raise
    finally:
        if frozen:
            thaw(domain)
    return True


def is_running(domain: libvirt.virDomain) -> bool:
    """Return whether a job is under way."""
    try:
        domain.backupGetXMLDesc()
    except libvirt.libvirtError as error:
        if error.get_error_code() not in (_NO_BACKUP, libvirt.VIR_ERR_OPERATION_INVALID):
            raise
        return False
    return True


def percent(domain: libvirt.virDomain) -> int:
    """Return how far the job is."""
    try:
        stats = domain.jobStats()
    except libvirt.libvirtError as error:
        LOG.debug("No progress of a disk's copy: %s", error)
        return 0
    return int(stats.get("disk_processed", 0) * 100 // max(stats.get("disk_total", 0), 1))


def succeeded(domain: libvirt.virDomain) -> bool | None:
    """Return how the job ended; None when the guest went off. Raises AgentError when that is not known."""
    if not domain.isActive():
        return None
    stats = domain.jobStats(libvirt.VIR_DOMAIN_JOB_STATS_COMPLETED)
    if stats.get("operation") != libvirt.VIR_DOMAIN_JOB_OPERATION_BACKUP:
        raise errors.AgentError(reason="The copy of the server's disk was interrupted.")
    if not stats.get("success"):
        LOG.error("The copy of a disk of %s failed: %s", domain.name(), stats.get("errmsg"))
    return bool(stats.get("success"))


def end(domain: libvirt.virDomain) -> None:
    """End the job, if there is one."""
    if is_running(domain):
        tolerating_off(domain.abortJob)


def thaw(domain: libvirt.virDomain) -> None:
    """Thaw the guest's file systems; fine when they are not frozen, or its agent does not answer."""
    try:
        domain.fsThaw()
    except libvirt.libvirtError as error:
        LOG.warning("The file systems of %s were not thawed: %s", domain.name(), error)


def _freeze(domain: libvirt.virDomain, *, must: bool) -> bool:
    try:
        domain.fsFreeze()
    except libvirt.libvirtError as error:
        LOG.log(logging.WARNING if must else logging.INFO, "The file systems of %s were not frozen: %s", domain.name(),
                error)
        if must:
            thaw(domain)  # an agent that answers too late has frozen them
            raise errors.AgentError(reason="The server's image requires its file systems to be frozen for a "
                                           "snapshot (os_require_quiesce), and no guest agent did so.") from error
        return False
    return True


def _target_of(domain: libvirt.virDomain, disk: Path) -> str:
    """Return the guest's name for the disk in this file."""
    for element in etree.fromstring(domain.XMLDesc(0)).findall("devices/disk"):
        source = element.find("source")
        if source is not None and source.get("file") == str(disk):
            return str(element.find("target").get("dev"))
    raise errors.AgentError(reason="The server runs without its disk.")


def _backup_xml(target: str, copy: Path) -> str:
    backup = etree.Element("domainbackup", mode="push")
    element = add(add(backup, "disks"), "disk", name=target, type="file")
    add(element, "driver", type="qcow2")
    add(element, "target", file=str(copy))
    return etree.tostring(backup, encoding="unicode")
